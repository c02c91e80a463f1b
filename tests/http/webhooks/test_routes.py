"""What webhooks answer over HTTP (circuits.md 4.19, 6)."""

from collections.abc import Mapping
from typing import Any

from tests.http.circuits.conftest import Region, region

__all__ = ["region"]

URL = "https://erp.example.org/defarm"


def codes(problem: Mapping[str, Any]) -> set[str]:
    return {one["code"] for one in problem.get("errors", ())}


async def test_a_webhook_lives_over_http_and_its_secret_is_told_twice_only(region: Region) -> None:
    client = region.ana.client
    root = f"{await region.circuit()}/post-actions"
    body = {"name": "ERP", "url": URL, "headers": {"X-Key": "canary-header-value"}}
    made = await client.post(f"{root}/webhooks", json=body)
    assert made.status_code == 201, made.text
    assert made.headers["cache-control"] == "no-store"
    secret, webhook = made.json()["secret"], made.json()["webhook"]
    one = f"{root}/webhooks/{webhook['webhook_id']}"
    assert made.headers["location"] == one
    assert webhook["header_names"] == ["X-Key"]
    rotated = await client.post(f"{one}/rotate-secret", json={})
    assert (rotated.status_code, rotated.json()["secret"] != secret) == (200, True)
    seen = await client.get(one)
    tag = seen.headers["etag"]
    texts = [seen.text, (await client.get(root)).text, (await client.get(f"{root}/webhooks")).text]
    for text in texts:
        assert "whsec_" not in text and "canary" not in text
    assert (await client.patch(one, json={"enabled": False})).status_code == 428
    changed = await client.patch(one, json={"enabled": False}, headers={"if-match": tag})
    assert (changed.status_code, changed.json()["enabled"]) == (200, False)
    tested = await client.post(f"{one}/test")
    assert tested.status_code == 202
    delivery = tested.headers["location"]
    waiting = await client.get(delivery)
    shown = waiting.json()
    assert (shown["trigger"], shown["status"]) == ("webhook_test", "pending")
    assert waiting.headers["retry-after"] == "2"
    assert (await client.post(f"{delivery}/replay")).json()["code"] == "delivery_running"
    assert (await client.delete(one)).status_code == 204
    ended = await client.get(delivery)
    assert ended.json()["status"] == "cancelled" and "retry-after" not in ended.headers
    assert (await client.post(f"{delivery}/replay")).json()["code"] == "webhook_gone"
    listed = (await client.get(f"{root}/deliveries", params={"status": "cancelled"})).json()
    assert [entry["delivery_id"] for entry in listed["items"]] == [shown["delivery_id"]]


async def test_addresses_inside_and_faulty_ones_are_told_apart(region: Region) -> None:
    root = f"{await region.circuit()}/post-actions/webhooks"
    refused = await region.ana.client.post(root, json={"name": "ERP", "url": "https://169.254.169.254/latest"})
    assert (refused.status_code, refused.json()["code"]) == (422, "url_not_allowed")
    for url in ("http://erp.example.org/", "https://u:p@erp.example.org/", "not a url"):
        faulty = await region.ana.client.post(root, json={"name": "ERP", "url": url})
        assert (faulty.status_code, faulty.json()["code"]) == (422, "validation_failed")
    body = {"name": "ERP", "url": URL, "headers": {"Host": "elsewhere"}, "trigger_events": []}
    faults = (await region.ana.client.post(root, json=body)).json()
    assert faults["code"] == "validation_failed"


async def test_post_actions_are_switched_by_the_version_of_the_circuit(region: Region) -> None:
    client = region.ana.client
    path = await region.circuit()
    tag = (await client.get(f"{path}/post-actions")).headers["etag"]
    answer = await client.patch(f"{path}/post-actions", json={"enabled": False}, headers={"if-match": tag})
    assert (answer.status_code, answer.json()["enabled"]) == (200, False)
    assert (await client.get(path)).json()["post_actions"] == {"enabled": False}
    again = await client.patch(f"{path}/post-actions", json={"enabled": True}, headers={"if-match": tag})
    assert again.status_code == 412


async def test_members_without_the_right_and_strangers_see_no_webhooks(region: Region) -> None:
    path = await region.circuit(region.bia)
    for user, status in ((region.bia, 403), (region.caio, 404)):
        for method, where in (("GET", ""), ("GET", "/webhooks"), ("GET", "/deliveries")):
            assert (await user.client.request(method, f"{path}/post-actions{where}")).status_code == status

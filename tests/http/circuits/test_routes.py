"""Circuits over HTTP: what a client of the API sees (circuits.md 6)."""

import httpx
import pytest

from domain.ports.queries import Select
from domain.ports.schema import AUDIT
from tests.http.circuits.conftest import Region

NOBODY = "018f3a00-0000-7000-8000-0000000000b1"
JOIN_REQUEST = {
    "request_id",
    "circuit_id",
    "requester_id",
    "message",
    "status",
    "role",
    "requested_at",
    "decided_by",
    "decided_at",
    "reason",
    "version",
}


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_a_circuit_is_answered_as_the_specification_shows_it(region: Region) -> None:
    body = {"name": " Novilho ", "alias_config": {"required_canonical": ["sisbov"]}, "allow_public_visibility": True}
    made = await region.ana.client.post("/api/circuits", json=body)
    circuit = made.json()
    assert (made.status_code, circuit["name"], circuit["status"]) == (201, "Novilho", "active")
    assert circuit["alias_config"] == {
        "required_canonical": ["sisbov"],
        "required_contextual": [],
        "allowed_namespaces": None,
        "use_fingerprint": True,
        "auto_apply_namespace": True,
        "minimum_evidence": "check_failed",
    }
    assert circuit["public_settings"]["page_state"] == "open"
    assert circuit["post_actions"] == {"enabled": True}
    assert circuit["my"]["permissions"] == sorted(circuit["my"]["permissions"])
    assert "password" not in made.text.replace("has_password", "")
    read = await region.ana.client.get(made.headers["location"])
    assert (read.json(), read.headers["etag"]) == (circuit, made.headers["etag"])
    listed = (await region.ana.client.get("/api/circuits")).json()
    assert [one["circuit_id"] for one in listed["items"]] == [circuit["circuit_id"]]


async def test_scenario_2_a_change_needs_the_version_it_was_made_for(region: Region) -> None:
    path, client = await region.circuit(), region.ana.client
    change = {"description": "MS"}
    assert problem(await client.patch(path, json=change)) == (428, "if_match_required")
    stale = await client.patch(path, json=change, headers={"if-match": '"7"'})
    assert (problem(stale), stale.json()["current_version"]) == ((412, "version_mismatch"), 1)
    done = await client.patch(path, json=change, headers={"if-match": '"1"'})
    assert (done.status_code, done.json()["version"], done.json()["name"]) == (200, 2, "Novilho")
    closed = await client.put(f"{path}/deactivate", headers={"if-match": done.headers["etag"]})
    assert (closed.status_code, closed.json()["status"]) == (200, "inactive")
    refused = await client.patch(path, json=change, headers={"if-match": '"3"'})
    assert (problem(refused), refused.json()["current_status"]) == ((409, "circuit_not_active"), "inactive")


@pytest.mark.parametrize("member", ["user_id", "requester_id", "owner_id", "workspace_id", "approver_id", "admin_id"])
async def test_scenario_43_nobody_acts_as_somebody_else(region: Region, member: str) -> None:
    path, foreign = await region.circuit(), {member: region.bia.user_id}
    for method, where, body in (
        ("POST", "/api/circuits", {"name": "N"}),
        ("POST", f"{path}/push-local", {"local_id": NOBODY}),
        ("POST", f"{path}/members", {"member_id": region.bia.user_id, "role": "viewer"}),
        ("POST", f"{path}/requests", {}),
        ("PUT", f"{path}/archive", {}),
    ):
        answer = await region.ana.client.request(method, where, json=body | foreign)
        assert problem(answer) == (422, "validation_failed")
        assert [fault["code"] for fault in answer.json()["errors"]] == ["unknown_field"]
    body = {"member_id": region.bia.user_id, "role": "viewer"}
    assert (await region.ana.client.post(f"{path}/members", json=body)).status_code == 201
    async with region.container.storage().read() as reader:
        page = await reader.page(AUDIT, Select({"circuit_id": path.rpartition("/")[2]}), limit=10)
    assert {entry.actor["user_id"] for entry in page.items} == {region.ana.user_id}
    assert {entry.action for entry in page.items} == {"circuit.created", "circuit.member_added"}


async def test_scenarios_15_and_25_a_push_answers_by_what_became_of_it(region: Region) -> None:
    path = await region.circuit(region.bia, require_approval_for_push=True)
    own, theirs = await region.item(region.ana, "1"), await region.item(region.bia, "2")
    first = await region.ana.client.post(f"{path}/push/{own}")
    assert (first.status_code, first.json()["outcome"]) == (201, "placed")
    assert set(first.json()) == {
        "outcome",
        "item_outcome",
        "dfid",
        "local_id",
        "placement",
        "operation",
        "warnings",
    }
    assert first.json()["placement"]["dfid"] == own
    assert (await region.ana.client.post(f"{path}/push/{own}", json={})).status_code == 200
    waiting = await region.bia.client.post(f"{path}/push/{theirs}")
    assert (waiting.status_code, waiting.json()["placement"]) == (202, None)
    address = waiting.headers["location"]
    assert address.startswith(f"{path}/operations/")
    seen = await region.bia.client.get(address)
    assert (seen.json()["status"], seen.headers["retry-after"]) == ("pending", "2")
    assert problem(await region.caio.client.get(address)) == (404, "not_found")
    pending = (await region.ana.client.get(f"{path}/operations/pending")).json()["items"]
    assert [one["preview"]["dfid"] for one in pending] == [theirs]
    done = await region.ana.client.post(f"{address}/approve", json={"reason": "ok"})
    assert (done.status_code, done.json()["approved"], done.json()["outcome"]) == (200, True, "placed")
    assert "retry-after" not in (await region.bia.client.get(address)).headers
    short = f"/api/circuits/operations/{done.json()['operation_id']}/reject"
    assert problem(await region.ana.client.post(short)) == (409, "operation_decided")


async def test_scenario_18_a_local_push_names_all_that_is_missing(region: Region) -> None:
    rules = {"required_canonical": ["sisbov"], "required_contextual": ["lote"], "allowed_namespaces": ["generic"]}
    path, client = await region.circuit(alias_config=rules), region.ana.client
    draft = (await client.post("/api/items/local", json={})).json()
    body = {
        "local_id": draft["local_id"],
        "identifiers": [{"key": "safra", "value": "26", "namespace": "suino"}],
    }
    refused = await client.post(f"{path}/push-local", json=body)
    assert problem(refused) == (422, "validation_failed")
    assert {(fault["code"], fault["pointer"]) for fault in refused.json()["errors"]} == {
        ("namespace_not_allowed", "/identifiers/0/namespace"),
        ("canonical_required", "/identifiers"),
        ("contextual_required", "/identifiers"),
    }
    body["identifiers"] = [{"key": "sisbov", "value": "076000000000001"}, {"key": "lote", "value": "7"}]
    pushed = await client.post(f"{path}/push-local", json=body)
    assert (pushed.status_code, pushed.json()["item_outcome"]) == (201, "created")


async def test_scenario_22_a_batch_answers_each_element_and_atomic_ones_all_or_none(region: Region) -> None:
    path, client = await region.circuit(), region.ana.client
    own, foreign = await region.item(region.ana, "1"), await region.item(region.bia, "2")
    items = [{"dfid": own}, {"dfid": foreign}, {"dfid": "x"}, {"nonsense": 1}, {}]
    nothing = await client.post(f"{path}/push/batch", json={"items": items, "atomic": True})
    assert problem(nothing) == (409, "batch_refused")
    assert [one["outcome"] for one in nothing.json()["results"]] == ["placed", *["refused"] * 4]
    answer = await client.post(f"{path}/push/batch", json={"items": items})
    assert (answer.status_code, answer.json()["counts"]["placed"]) == (200, 1)
    errors = [one["error"] for one in answer.json()["results"][1:]]
    assert [error["code"] for error in errors] == ["not_found", *["validation_failed"] * 3]
    assert [error["errors"][0]["pointer"] for error in errors[1:]] == [
        "/items/2/dfid",
        "/items/3/nonsense",
        "/items/4/dfid",
    ]
    listed = (await client.get(f"{path}/items?include=item")).json()["items"]
    assert [(one["dfid"], one["item"]["dfid"], one["reason"]) for one in listed] == [(own, own, None)]
    standing = (await client.get(f"/api/items/{own}/placements")).json()["items"]
    assert [(one["dfid"], one["circuit_name"]) for one in standing] == [(own, "Novilho")]


async def test_scenario_32_a_pull_reads_item_and_events_and_repeating_a_key_reads_the_same(region: Region) -> None:
    path = await region.circuit(region.bia)
    dfid = await region.item(region.ana, "1")
    await region.ana.client.post(f"{path}/push/{dfid}")
    key = {"idempotency-key": "pull-1"}
    pulled = await region.bia.client.post(f"{path}/pull/{dfid}", headers=key)
    assert (pulled.status_code, pulled.json()["item"]["dfid"]) == (200, dfid)
    kinds = [event["event_type"] for event in pulled.json()["events"]["items"]]
    assert kinds == ["created", "pushed_to_circuit", "pulled_from_circuit"]
    again = await region.bia.client.post(f"{path}/pull/{dfid}", headers=key)
    assert (again.json(), again.headers["idempotency-replayed"]) == (pulled.json(), "true")
    assert (await region.ana.client.post(f"{path}/withdraw/{dfid}", json={"reason": "sold"})).status_code == 204
    assert problem(await region.bia.client.post(f"{path}/pull/{dfid}")) == (404, "not_found")


async def test_the_events_that_a_pull_begins_to_read_continue_where_it_says(region: Region) -> None:
    path, dfid = await region.circuit(region.bia), await region.item(region.ana, "1")
    await region.ana.client.post(f"{path}/push/{dfid}")
    events = [{"dfid": dfid, "category": f"n{number}", "visibility": "public"} for number in range(60)]
    assert (await region.ana.client.post("/api/events/batch", json={"events": events})).status_code == 200
    pulled = await region.bia.client.post(f"{path}/pull/{dfid}")
    assert pulled.headers["content-location"] == f"/api/items/{dfid}"
    operation_id = pulled.json()["operation"]["operation_id"]
    assert pulled.headers["link"] == f'<{path}/operations/{operation_id}>; rel="related"'
    first = pulled.json()["events"]
    assert len(first["items"]) == 50
    where = {"cursor": first["next_cursor"]}
    rest = (await region.bia.client.get(f"/api/events/item/{dfid}", params=where)).json()["items"]
    whole = [*first["items"], *rest]
    assert [event["position"] for event in whole] == list(range(1, 64))
    assert whole[-1]["event_type"] == "pulled_from_circuit"


async def test_scenarios_9_and_10_a_private_circuit_is_none_and_an_open_one_can_be_asked(
    region: Region,
) -> None:
    private, public = await region.circuit(), await region.circuit(allow_public_visibility=True)
    for path in (private, f"/api/circuits/{NOBODY}"):
        for where in ("", "/members", "/roles", "/items", "/operations", "/requests", "/stats"):
            assert problem(await region.bia.client.get(path + where)) == (404, "not_found")
        assert problem(await region.bia.client.post(f"{path}/requests")) == (404, "not_found")
    assert problem(await region.bia.client.get(public)) == (403, "not_a_member")
    asked = await region.bia.client.post(f"{public}/requests", json={"message": "oi"})
    assert (asked.status_code, asked.json()["requires_approval"]) == (202, True)
    assert set(asked.json()) == {"requires_approval", "request"}
    assert set(asked.json()["request"]) == JOIN_REQUEST
    assert (await region.bia.client.get(asked.headers["location"])).json() == asked.json()["request"]
    approved = await region.ana.client.post(f"{asked.headers['location']}/approve", json={"role": "viewer"})
    assert (approved.status_code, approved.json()["role"]) == (200, "viewer")
    me = await region.bia.client.get(f"{public}/members/me")
    assert (me.json()["username"], me.json()["joined_via"]) == ("bia", "join_request")
    assert (await region.bia.client.delete(f"{public}/members/me")).status_code == 204
    assert problem(await region.bia.client.get(public)) == (403, "not_a_member")


async def test_scenarios_11_and_13_joining_is_put_off_after_a_rejection_or_done_at_either_door(region: Region) -> None:
    path, client = await region.circuit(allow_public_visibility=True), region.bia.client
    asked = await client.post(f"{path}/requests")
    assert (await region.ana.client.post(f"{asked.headers['location']}/reject")).status_code == 200
    early = await client.post(f"{path}/requests")
    assert problem(early) == (409, "join_cool_down")
    assert 86_000 < int(early.headers["retry-after"]) <= 86_400
    settings = {"auto_approve_members": True, "auto_approve_role": "viewer"}
    changed = {"if-match": (await region.ana.client.get(path)).headers["etag"]}
    answer = await region.ana.client.patch(f"{path}/public-settings", json=settings, headers=changed)
    assert answer.status_code == 200
    for door in ("requests", "public/join"):
        joined = await region.caio.client.post(f"{path}/{door}")
        assert (joined.status_code, joined.json()["requires_approval"]) == (201, False)
        assert joined.json()["membership"]["role"] == "viewer"
        me = await region.caio.client.get(f"{path}/members/me")
        assert joined.headers["location"] in (f"{path}/members/{region.caio.user_id}", f"{path}/members/me")
        assert (me.json()["role"], me.json()["joined_via"]) == ("viewer", "auto_approved")
        entries = (await region.ana.client.get(f"{path}/activities?kind=member_joined")).json()["items"]
        assert len(entries) == 1 + (door == "public/join")
        assert (await region.caio.client.delete(f"{path}/members/me")).status_code == 204


async def test_scenario_48_a_key_that_may_only_read_does_not_push(region: Region) -> None:
    path, dfid = await region.circuit(), await region.item(region.ana, "1")
    made = await region.ana.client.post("/api/api-keys", json={"name": "reader", "scopes": ["circuits:read"]})
    assert made.status_code == 201, made.text
    key = {"x-api-key": made.json()["secret"]}
    async with httpx.AsyncClient(transport=region.ana.client._transport, base_url="http://engine") as reader:
        assert (await reader.get(path, headers=key)).status_code == 200
        for where in (f"/push/{dfid}", "/push-local", "/push/batch", f"/pull/{dfid}", f"/withdraw/{dfid}"):
            refused = await reader.post(path + where, headers=key)
            assert problem(refused) == (403, "scope_missing")
            assert refused.json()["needed"] == ["circuits:push"]
        assert problem(await reader.put(f"{path}/deactivate", headers=key)) == (403, "scope_missing")
        page = await region.circuit(allow_public_visibility=True)
        assert (await reader.get(f"{page}/public", headers=key)).status_code == 200


async def test_scenario_48_an_administrator_who_is_no_member_finds_no_circuit(region: Region) -> None:
    path, dfid = await region.circuit(), await region.item(region.ana, "1")
    await region.ana.client.post(f"{path}/push/{dfid}")
    await region.promote(region.caio)
    for where in ("", "/members", "/items", f"/items/{dfid}", "/operations", "/stats", "/public", "/roles"):
        assert problem(await region.caio.client.get(path + where)) == (404, "not_found")
    assert problem(await region.caio.client.post(f"{path}/push/{dfid}")) == (404, "not_found")
    assert problem(await region.caio.client.get(f"/api/items/{dfid}")) == (404, "not_found")

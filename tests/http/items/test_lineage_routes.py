"""Status, shares, lineage, queue, drafts and numbers over HTTP (items-events.md 12.1)."""

from typing import Any

from tests.http.events.conftest import Farm, farm

__all__ = ["farm"]


async def created(farm: Farm, key: str, value: str, **data: Any) -> str:
    body = {"identifiers": [{"key": key, "value": value}], "data": data}
    return str((await farm.ana.client.post("/api/items", json=body)).json()["dfid"])


async def test_items_merge_come_apart_and_split(farm: Farm) -> None:
    ana, other = farm.ana.client, await created(farm, "lote", "2", cor="roxa")
    merged = await ana.post(f"/api/items/{farm.dfid}/merge", json={"source_dfid": other, "strategy": "append"})
    assert (merged.status_code, merged.json()["lineage"]["merged_from"]) == (200, [other])
    assert merged.headers["etag"].startswith('"2-')
    restored = await ana.post(f"/api/items/{other}/unmerge", json={})
    assert (restored.status_code, restored.json()["previous_target"]) == (200, farm.dfid)
    parts = {"mode": "divide", "parts": [{"identifiers": [{"key": "lote", "value": "2-A"}]}]}
    split = await ana.post(f"/api/items/{other}/split", json=parts)
    assert (split.status_code, split.json()["original"]["status"]) == (201, "split")
    assert split.headers["location"] == f"/api/items/{split.json()['parts'][0]['dfid']}"
    read = await ana.get(f"/api/items/{other}", params={"include": "contributions"})
    assert [one["source"] for one in read.json()["contributions"]] == ["split", "create"]
    listed = await ana.get(f"/api/items/{other}/contributions")
    assert listed.status_code == 200


async def test_items_go_out_of_use_and_are_shared(farm: Farm) -> None:
    ana, rui = farm.ana.client, farm.rui
    shared = await ana.post(f"/api/items/{farm.dfid}/share", json={"recipient_user_id": rui.user_id})
    assert (shared.status_code, shared.json()["scope"]) == (201, "read")
    received = await rui.client.get("/api/items/shared-to/me")
    assert [one["item"]["dfid"] for one in received.json()["items"]] == [farm.dfid]
    checked = await ana.get(f"/api/items/{farm.dfid}/shared-with/{rui.user_id}")
    assert checked.json()["is_shared"] is True
    assert (await ana.get(f"/api/items/{farm.dfid}/shares")).status_code == 200
    revoked = await ana.delete(f"/api/items/{farm.dfid}/share/{shared.json()['share_id']}")
    assert revoked.status_code == 204
    assert (await ana.delete(f"/api/items/{farm.dfid}")).status_code == 204
    restored = await ana.put(f"/api/items/{farm.dfid}/restore", json={"reason": "alive"})
    assert (restored.status_code, restored.json()["status"]) == (200, "active")


async def test_the_queue_drafts_and_numbers(farm: Farm) -> None:
    ana = farm.ana.client
    body = {"identifiers": [{"key": "sisbov", "value": "12"}]}
    pending_id = (await ana.post("/api/items?on_problem=queue", json=body)).json()["pending_id"]
    [record] = (await ana.get("/api/items/pending", params={"priority_min": "normal"})).json()["items"]
    assert (record["pending_id"], record["reason"]["code"]) == (pending_id, "invalid_identifiers")
    failed = await ana.post(f"/api/items/pending/{pending_id}/resolve", json={"action": "approve"})
    assert (failed.status_code, failed.json()["errors"][0]["code"]) == (422, "identifier_malformed")
    fixed = {"action": "modify", "identifiers": [{"key": "sisbov", "value": "076000000000002"}]}
    done = await ana.post(f"/api/items/pending/{pending_id}/resolve", json=fixed)
    assert (done.status_code, done.json()["outcome"]) == (200, "created")
    lids = [(await ana.post("/api/items/local", json={"data": {"n": n}})).json()["local_id"] for n in (1, 2)]
    merged = await ana.post("/api/items/local/merge", json={"master_lid": lids[0], "merge_lids": lids[1:]})
    assert merged.json()["merged_count"] == 1
    assert (await ana.post("/api/items/local/unmerge", json={"merged_lid": lids[1]})).status_code == 200
    assert (await ana.get("/api/items/local/duplicates")).json()["items"] == []
    organised = await ana.post("/api/items/local/organize", json={"action": "deduplicate", "dry_run": True})
    assert organised.json()["summary"]["drafts_before"] == 2
    assert (await ana.get("/api/items/stats")).json()["total"] == 2


async def test_a_merged_item_links_to_what_it_is_part_of_for_those_who_may_view_that(farm: Farm) -> None:
    ana, rui, other = farm.ana.client, farm.rui, await created(farm, "lote", "2")
    await ana.post(f"/api/items/{other}/share", json={"recipient_user_id": rui.user_id})
    assert "link" not in (await ana.get(f"/api/items/{other}")).headers
    await ana.post(f"/api/items/{farm.dfid}/merge", json={"source_dfid": other})
    read = await ana.get(f"/api/items/{other}")
    assert (read.status_code, read.json()["lineage"]["merged_into"]) == (200, farm.dfid)
    assert read.headers["link"] == f'</api/items/{farm.dfid}>; rel="successor-version"'
    seen = await rui.client.get(f"/api/items/{other}")
    assert (seen.status_code, seen.json()["lineage"]["merged_into"]) == (200, farm.dfid)
    assert "link" not in seen.headers


async def test_duplicates_are_listed_and_queued_data_says_how_bad_it_is(farm: Farm) -> None:
    ana, car = farm.ana.client, {"key": "car", "value": "DF-5300108-B69B317DD02C43DAA77A0784AEEF7D47"}
    for number in (1, 2):
        sisbov = {"key": "sisbov", "value": f"07600000000000{number}"}
        assert (await ana.post("/api/items", json={"identifiers": [sisbov, car]})).status_code == 201
    [group] = (await ana.get("/api/items/duplicates")).json()["items"]
    assert (group["match"], len(group["members"])) == (["car"], 2)
    for data in ({"_a": 1}, {"_a": 1, "": 2}):
        body = {"identifiers": [{"key": "lote", "value": "9"}], "data": data}
        assert (await ana.post("/api/items?on_problem=queue", json=body)).status_code == 202
    queued = (await ana.get("/api/items/pending")).json()["items"]
    told = {(one["reason"]["severity"], one["priority"]) for one in queued}
    assert told == {("low", "low"), ("normal", "normal")}

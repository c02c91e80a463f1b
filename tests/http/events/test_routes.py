"""Events over HTTP: what a client of the API sees (items-events.md 10, 12.2)."""

import hashlib
import json
from typing import Any

import httpx
import pytest
import rfc8785

from domain.ids import new_id
from tests.http.events.conftest import Farm

MEMBERS = {
    "event_id",
    "dfid",
    "position",
    "event_type",
    "category",
    "visibility",
    "circuit_id",
    "recipient_user_id",
    "author_user_id",
    "author_workspace_id",
    "occurred_at",
    "recorded_at",
    "corrects",
    "corrected_by",
    "payload",
    "salt",
    "payload_hash",
    "prev_hash",
    "hash",
    "erased_at",
}
NOBODY = "018f3a00-0000-7000-8000-0000000000b1"
HASHED = MEMBERS - {"corrected_by", "payload", "salt", "hash", "erased_at"}


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_an_append_answers_the_event_and_where_it_is(farm: Farm) -> None:
    body = farm.body(occurred_at="2025-01-08T06:30:00-03:00", category=" Vaccination ")
    answer = await farm.ana.client.post("/api/events", json=body)
    assert answer.status_code == 201, answer.text
    event = answer.json()
    assert set(event) == MEMBERS
    assert (event["position"], event["event_type"], event["visibility"]) == (2, "recorded", "private")
    assert (event["occurred_at"], event["category"]) == ("2025-01-08T09:30:00.000000Z", "vaccination")
    assert (event["payload"], event["corrected_by"]) == ({"vacina": "aftosa", "dose_ml": 2}, [])
    assert event["author_user_id"] == farm.ana.user_id
    assert answer.headers["location"] == f"/api/events/{event['event_id']}"
    read = await farm.ana.client.get(answer.headers["location"])
    assert (read.status_code, read.json()) == (200, event)
    tag = read.headers["etag"]
    assert (await farm.ana.client.get(answer.headers["location"], headers={"if-none-match": tag})).status_code == 304


async def test_scenario_51_repeating_with_the_same_event_id_answers_200_and_the_original(farm: Farm) -> None:
    body = farm.body(event_id=new_id())
    first = await farm.ana.client.post("/api/events", json=body)
    again = await farm.ana.client.post("/api/events", json=body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json() == first.json()
    assert again.headers["content-location"] == first.headers["location"]
    other = await farm.ana.client.post("/api/events", json=body | {"payload": {"dose_ml": 3}})
    assert problem(other) == (409, "event_id_taken")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"event_type": "merged"}, (422, "event_type_not_allowed")),
        (
            {"visibility": "direct", "recipient_user_id": "018f3a00-0000-7000-8000-0000000000b1"},
            (422, "recipient_unknown"),
        ),
        ({"corrects": "018f3a00-0000-7000-8000-0000000000b1"}, (422, "corrects_invalid")),
        ({"dfid": "DFID-20250108-000042-94E"}, (404, "not_found")),
        ({"visibility": "circuit_only", "circuit_id": NOBODY}, (409, "circuit_not_usable")),
    ],
)
async def test_each_refusal_has_its_status(farm: Farm, change: dict[str, Any], expected: tuple[int, str]) -> None:
    answer = await farm.ana.client.post("/api/events", json=farm.body(**change))
    assert problem(answer) == expected


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"category": None}, ("category_required", "/category")),
        ({"category": "vaccinação"}, ("format", "/category")),
        ({"event_type": "exploded"}, ("not_allowed", "/event_type")),
        ({"visibility": "circuit_only"}, ("required", "/circuit_id")),
        ({"author_user_id": "me"}, ("unknown_field", "/author_user_id")),
        ({"occurred_at": "2099-01-01T00:00:00Z"}, ("occurred_at_out_of_range", "/occurred_at")),
        ({"occurred_at": "yesterday"}, ("format", "/occurred_at")),
        ({"payload": {"a": "\x00"}}, ("text_not_allowed", "/payload/a")),
        ({"payload": {"a": 2**53}}, ("number_out_of_range", "/payload/a")),
        ({"payload": []}, ("type", "/payload")),
        ({"dfid": "DFID-1"}, ("format", "/dfid")),
    ],
)
async def test_scenario_57_each_fault_is_told_with_its_pointer(
    farm: Farm, change: dict[str, Any], fault: tuple[str, str]
) -> None:
    answer = await farm.ana.client.post("/api/events", json=farm.body(**change))
    assert problem(answer) == (422, "validation_failed")
    assert [(error["code"], error["pointer"]) for error in answer.json()["errors"]] == [fault]
    assert len((await farm.ana.client.get("/api/events")).json()["items"]) == 1


async def test_a_batch_answers_each_element(farm: Farm) -> None:
    events = [farm.body(), farm.body(category=7), farm.body(event_type="split"), {"category": "weighing"}]
    answer = await farm.ana.client.post("/api/events/batch", json={"events": events})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["counts"] == {"created": 1, "unchanged": 0, "refused": 3}
    assert set(body["results"][0]) == {"index", "outcome", "event_id", "dfid", "position", "errors"}
    assert [result["outcome"] for result in body["results"]] == ["created", "refused", "refused", "refused"]
    codes = [[(error["pointer"], error["code"]) for error in result["errors"]] for result in body["results"]]
    assert codes == [[], [("/category", "type")], [("", "event_type_not_allowed")], [("/dfid", "required")]]
    for count in (0, 1001):
        refused = await farm.ana.client.post("/api/events/batch", json={"events": [farm.body()] * count})
        assert problem(refused) == (422, "validation_failed")


async def test_lists_filter_and_page(farm: Farm) -> None:
    for category in ("weighing", "vaccination", "weighing"):
        await farm.ana.client.post("/api/events", json=farm.body(category=category))
    get = farm.ana.client.get
    weighings = (await get("/api/events", params={"category": "weighing", "event_type": "recorded,certified"})).json()
    assert [event["position"] for event in weighings["items"]] == [4, 2]
    first = await get(f"/api/events/item/{farm.dfid}", params={"limit": 3})
    assert [event["position"] for event in first.json()["items"]] == [1, 2, 3]
    rest = await get(f"/api/events/item/{farm.dfid}", params={"limit": 3, "cursor": first.json()["next_cursor"]})
    assert [event["position"] for event in rest.json()["items"]] == [4]
    assert rest.json()["next_cursor"] is None
    newest = (await get("/api/events", params={"limit": 2})).json()
    older = (await get("/api/events", params={"limit": 2, "cursor": newest["next_cursor"]})).json()
    assert [event["position"] for event in (*newest["items"], *older["items"])] == [4, 3, 2, 1]
    instant = weighings["items"][1]["recorded_at"]
    period = {"from": instant, "order": "asc", "author": "me", "time": "recorded"}
    later = (await get("/api/events/timeline", params=period)).json()
    assert [event["position"] for event in later["items"]] == [2, 3, 4]


async def test_scenario_54_events_of_another_workspace_answer_like_absent_ones(farm: Farm) -> None:
    event = (await farm.ana.client.post("/api/events", json=farm.body())).json()
    absent = "DFID-20250108-000042-94E"
    for path in ("/api/events/{}", "/api/items/{}/timeline/1"):
        hidden, unknown = (event["event_id"], new_id()) if "events" in path else (farm.dfid, absent)
        await _answer_alike(farm, path.format(hidden), path.format(unknown))
    for path in ("/api/events/item/{}", "/api/events/item/{}/verify", "/api/events/item/{}/export"):
        await _answer_alike(farm, path.format(farm.dfid), path.format(absent))
    assert (await farm.rui.client.get("/api/events")).json()["items"] == []
    assert problem(await farm.rui.client.post("/api/events", json=farm.body())) == (404, "not_found")


async def _answer_alike(farm: Farm, hidden: str, unknown: str) -> None:
    answers = [await farm.rui.client.get(path) for path in (hidden, unknown)]
    assert [problem(answer) for answer in answers] == [(404, "not_found")] * 2
    bodies = [answer.json() | {"trace_id": ""} for answer in answers]
    assert bodies[0] == bodies[1]


async def test_an_export_can_be_verified_without_the_server(farm: Farm) -> None:
    for number in range(3):
        await farm.ana.client.post("/api/events", json=farm.body(payload={"n": number + 0.5}))
    answer = await farm.ana.client.get(f"/api/events/item/{farm.dfid}/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    previous = "0" * 64
    events = [json.loads(line) for line in answer.text.splitlines()]
    for event in events:
        committed = {"v": "defarm-payload/1", "salt": event["salt"], "payload": event["payload"]}
        assert event["payload_hash"] == _digest(committed)
        assert event["hash"] == _digest({"v": "defarm-event/1"} | {name: event[name] for name in HASHED})
        assert event["prev_hash"] == previous
        previous = event["hash"]
    verified = (await farm.ana.client.get(f"/api/events/item/{farm.dfid}/verify")).json()
    assert (verified["valid"], verified["length"], verified["head_hash"]) == (True, len(events), previous)
    assert (verified["algorithm"], verified["erased"], verified["first_fault"]) == ("defarm-event/1", 0, None)


def _digest(value: dict[str, Any]) -> str:
    return hashlib.sha256(rfc8785.dumps(value)).hexdigest()


async def test_the_timeline_of_an_item_tells_its_events_oldest_first(farm: Farm) -> None:
    event = (await farm.ana.client.post("/api/events", json=farm.body())).json()
    entries = (await farm.ana.client.get(f"/api/items/{farm.dfid}/timeline")).json()["items"]
    assert [entry["kind"] for entry in entries] == ["event", "storage", "event"]
    assert entries[0]["event"]["event_type"] == "created"
    assert entries[1]["record"]["action"] == "created"
    assert entries[2] == {"kind": "event", "at": event["recorded_at"], "event": event, "record": None}
    assert (await farm.ana.client.get(f"/api/items/{farm.dfid}/timeline/2")).json() == event
    for position in ("0", "3", "999999999"):
        answer = await farm.ana.client.get(f"/api/items/{farm.dfid}/timeline/{position}")
        assert problem(answer) == (404, "not_found")


async def test_events_are_never_changed_or_removed_by_a_route(farm: Farm) -> None:
    event = (await farm.ana.client.post("/api/events", json=farm.body())).json()
    for method in ("PUT", "PATCH", "DELETE"):
        answer = await farm.ana.client.request(method, f"/api/events/{event['event_id']}")
        assert problem(answer) == (405, "method_not_allowed")


async def test_a_path_that_is_no_dfid_is_told_so(farm: Farm) -> None:
    answer = await farm.ana.client.get("/api/events/item/DFID-20250108-000042-94F")
    assert problem(answer) == (400, "dfid_invalid")

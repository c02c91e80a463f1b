"""Scenarios of items-events.md 15 and identifiers.md 10 that are about requests, by number."""

import json
from typing import Any

import httpx
import pytest

from tests.http.events.conftest import Farm, farm

__all__ = ["farm"]

SISBOV = {"key": "sisbov", "value": "076000000000001"}


def codes(answer: httpx.Response) -> list[tuple[str | None, str]]:
    return [(error.get("pointer"), error["code"]) for error in answer.json()["errors"]]


async def test_28_an_update_names_the_version_it_saw(farm: Farm) -> None:
    path, ana = f"/api/items/{farm.dfid}", farm.ana.client
    change = {"data": {"peso_kg": 1}}
    assert (await ana.put(path, json=change)).json()["code"] == "if_match_required"
    seen = (await ana.get(path)).headers["etag"]
    assert (await ana.put(path, json=change, headers={"if-match": seen})).status_code == 200
    late = await ana.put(path, json={"data": {"peso_kg": 2}}, headers={"if-match": seen})
    now = await ana.get(path)
    assert (late.status_code, late.json()["code"]) == (412, "version_mismatch")
    assert late.headers["etag"].startswith('"2')
    assert now.json()["data"] == {"peso_kg": 1}
    assert (await ana.put(path, json=change, headers={"if-match": "*"})).status_code == 428
    change = {"data": {"peso_kg": 3}}
    assert (await ana.put(path, json=change, headers={"if-match": late.headers["etag"]})).status_code == 200


async def test_37_a_batch_of_10_001_stores_nothing(farm: Farm) -> None:
    element = {"identifiers": [SISBOV]}
    answer = await farm.ana.client.post("/api/items/batch", json={"items": [element] * 10_001})
    assert (answer.status_code, codes(answer)) == (422, [("/items", "too_many")])
    assert len((await farm.ana.client.get("/api/items")).json()["items"]) == 1


BAD: list[tuple[Any, str, str]] = [
    ({"identifiers": [{"key": "sisbov", "value": "٠٧٦٠٠٠٠٠٠٠٠٠٠٠١"}]}, "/identifiers/0/value", "identifier_malformed"),
    ({"identifiers": [{"key": "lote", "value": "a\u0000b"}]}, "/identifiers/0/value", "text_not_allowed"),
    ({"identifiers": [{"key": "lote", "value": "x" * 300}]}, "/identifiers/0/value", "too_long"),
    ({"identifiers": [{"key": "lote", "value": "1"}], "data": {"  ": 1}}, "/data/  ", "data_empty_key"),
    ({"identifiers": [{"key": "lote", "value": "1"}], "data": {"events": []}}, "/data/events", "data_reserved_key"),
    ({"identifiers": [{"key": "lote", "value": "1"}], "data": {"n": 2**53}}, "/data/n", "number_out_of_range"),
    ({"identifiers": [SISBOV | {"evidence": "registry_ok"}]}, "/identifiers/0/evidence", "unknown_field"),
    ({"identifiers": [SISBOV], "verified": True}, "/verified", "unknown_field"),
    ({"identifiers": [SISBOV], "created_by": "me"}, "/created_by", "unknown_field"),
    ({"identifiers": []}, "/identifiers", "identifiers_required"),
    ({"identifiers": [SISBOV | {"scope": "workspace"}]}, "/identifiers/0/scope", "scope_not_allowed"),
    ({"identifiers": [{"key": "x-9 z", "value": "1"}]}, "/identifiers/0/key", "identifier_key_invalid"),
]


@pytest.mark.parametrize(("body", "pointer", "code"), BAD, ids=[f"{code}-{n}" for n, (_, _, code) in enumerate(BAD)])
async def test_19_and_57_bad_input_is_pointed_at_and_stored_nowhere(
    farm: Farm, body: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await farm.ana.client.post("/api/items", json=body)
    assert answer.status_code == 422, answer.text
    assert (pointer, code) in codes(answer)
    assert len((await farm.ana.client.get("/api/items")).json()["items"]) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"identifiers":[{"key":"lote","value":"\\ud800"}]}',
        '{"identifiers":[{"key":"lote","value":"1"}],"data":{"a":1,"a":2}}',
        '{"identifiers":[{"key":"lote","value":"1"}],"data":' + '{"a":' * 17 + "1" + "}" * 17 + "}",
        '{"identifiers":[{"key":"lote","value":"1"}],"data":{"n":1e999}}',
    ],
    ids=["surrogate", "twice", "deep", "infinite"],
)
async def test_57_what_is_no_proper_json_is_refused(farm: Farm, text: str) -> None:
    headers = {"content-type": "application/json"}
    answer = await farm.ana.client.post("/api/items", content=text.encode(), headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert len((await farm.ana.client.get("/api/items")).json()["items"]) == 1


async def test_56_a_personal_number_is_found_by_its_own_workspace_and_never_in_a_url(
    farm: Farm, capsys: pytest.CaptureFixture[str]
) -> None:
    ana, rui = farm.ana.client, farm.rui.client
    body = {"identifiers": [SISBOV, {"key": "cpf", "value": "529.982.247-25"}]}
    dfid = (await ana.post("/api/items", json=body)).json()["dfid"]
    for spelling in ("52998224725", "529.982.247-25"):
        for path in (
            f"/api/items/identifier/cpf/{spelling}",
            f"/api/items?identifier_key=cpf&identifier_value={spelling}",
        ):
            refused = await ana.get(path)
            assert (refused.status_code, refused.json()["code"]) == (422, "personal_identifier_in_url")
            assert spelling not in refused.text
        sought = {"identifiers": [{"key": "cpf", "value": spelling}], "access": "all"}
        found = (await ana.post("/api/items/search", json=sought)).json()["items"]
        assert [item["dfid"] for item in found] == [dfid]
        assert (await rui.post("/api/items/search", json=sought)).json()["items"] == []
    logged = "".join(capsys.readouterr())
    assert not [text for text in ("52998224725", "529.982.247-25") if text in logged]


async def test_54_every_route_of_an_item_answers_alike_for_a_foreign_and_an_absent_one(farm: Farm) -> None:
    absent, rui = "DFID-20250108-000042-94E", farm.rui.client
    asked: list[tuple[str, str, Any]] = [
        ("GET", "/api/items/{}", None),
        ("GET", "/api/items/{}/contributions", None),
        ("GET", "/api/items/{}/timeline", None),
        ("GET", "/api/items/{}/timeline/1", None),
        ("GET", "/api/items/{}/storage-history", None),
        ("GET", "/api/items/{}/shares", None),
        ("GET", "/api/items/{}/placements", None),
        ("GET", "/api/storage-history/{}", None),
        ("GET", "/api/storage-history/{}/locations", None),
        ("PUT", "/api/items/{}", {"data": {"a": 1}}),
        ("POST", "/api/items/{}/enrich", {"data": {"a": 1}}),
        ("POST", "/api/items/{}/merge", {"source_dfid": farm.dfid}),
        ("POST", "/api/items/{}/unmerge", {}),
        ("POST", "/api/items/{}/split", {"mode": "extract", "parts": [{"identifiers": [SISBOV]}]}),
        ("PUT", "/api/items/{}/deprecate", {}),
        ("PUT", "/api/items/{}/restore", {}),
        ("DELETE", "/api/items/{}", None),
        ("POST", "/api/items/{}/share", {"recipient_user_id": farm.ana.user_id}),
    ]
    for method, path, body in asked:
        answers = [
            await rui.request(method, path.format(dfid), json=body, headers={"if-match": '"1-0000000000000000"'})
            for dfid in (farm.dfid, absent)
        ]
        told = [json.loads(answer.content) | {"trace_id": "", "instance": ""} for answer in answers]
        assert [answer.status_code for answer in answers] == [404, 404], (path, answers[0].text)
        assert told[0] == told[1], path


async def test_10_a_check_of_1_000_entries_tells_nothing_of_what_is_registered(farm: Farm) -> None:
    entries = [{"key": "sisbov", "value": f"076{n:012d}"} for n in range(1, 1001)]
    await farm.ana.client.post("/api/items", json={"identifiers": [entries[0]]})
    before, after = [
        (await client.post("/api/identifiers/check", json={"identifiers": entries})).json()["results"]
        for client in (farm.rui.client, farm.ana.client)
    ]
    assert before == after
    assert (len(after), {one["evidence"] for one in after}) == (1000, {"format_ok"})
    answer = await farm.ana.client.post("/api/identifiers/check", json={"identifiers": [entries[0]] * 1001})
    assert (answer.status_code, codes(answer)) == (422, [("/identifiers", "too_many")])


@pytest.mark.parametrize("text", ["o'x", "a\\", "a b", ":*", "'"])
async def test_57_a_filter_of_any_text_finds_nothing_and_breaks_nothing(farm: Farm, text: str) -> None:
    for name in ("namespace", "q", "alias"):
        answer = await farm.ana.client.get("/api/items", params={name: text if name == "namespace" else f"zz:{text}"})
        assert answer.status_code in (200, 422), (name, answer.text)
        assert answer.json().get("items", []) == []

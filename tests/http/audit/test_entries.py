"""Asking the audit, taking it out, proving it (platform.md 6.4, 6.5, 17)."""

import csv
import io
import json

import pytest

from application.audit.exporting import verify_export
from application.audit.signing import NoteSigner
from application.audit.verifying import verify_log
from domain.audit import merkle
from domain.canonical import canonical
from tests.http.audit.conftest import Watched


async def test_scenario_34_holders_of_audit_see_their_circuit_without_addresses_and_others_nothing(
    watched: Watched,
) -> None:
    region = watched.region
    path = await region.circuit(region.bia)
    circuit_id = path.rsplit("/", 1)[1]
    other = (await region.circuit()).rsplit("/", 1)[1]
    entries = "/api/audit/entries"
    refused = await region.bia.client.get(entries, params={"circuit_id": circuit_id})
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_missing")
    assert (await region.bia.client.get(entries, params={"circuit_id": other})).status_code == 404
    assert (await region.bia.client.get(entries)).json()["code"] == "admin_required"

    own = await watched.entries(region.ana, circuit_id=circuit_id)
    assert {entry["circuit_id"] for entry in own} == {circuit_id}
    assert {entry["personal"] for entry in own} == {None}
    assert "203.0.113.7" not in json.dumps(own)
    one = f"{entries}/{own[-1]['entry_id']}"
    assert (await region.ana.client.get(one)).json() == own[-1]
    assert (await region.bia.client.get(one)).status_code == 404
    seen = (await watched.admin.client.get(one)).json()
    assert seen["personal"]["address"] == "203.0.113.7"


async def test_entries_are_found_by_everything_they_are_filtered_by(watched: Watched) -> None:
    region = watched.region
    dfid = await region.item(region.ana, "1")
    await region.item(region.bia, "2")
    await watched.visitor.post("/api/auth/login", json={"username": "ana", "password": "wrong"})
    [made] = await watched.entries(resource_id=dfid)
    assert (made["action"], made["outcome"], made["severity"]) == ("item.created", "success", "info")
    filters = {
        "actor_user_id": region.ana.user_id,
        "action": "item.*",
        "resource_kind": "item",
        "workspace_id": made["workspace_id"],
        "outcome": "success",
        "severity": "info",
        "trace_id": made["trace_id"],
        "from": made["at"],
    }
    assert await watched.entries(**filters) == [made]
    assert await watched.entries(**filters, to=made["at"]) == []
    assert {entry["action"] for entry in await watched.entries(action="item.*")} == {"item.created"}
    assert len(await watched.entries(action="item.created")) == 2
    [failed] = await watched.entries(outcome="denied", severity="notice")
    assert (failed["action"], failed["personal"]["submitted_name"]) == ("login.failed", "ana")
    [mixed] = await watched.entries(outcome="success,denied", severity="notice,critical", action="login.*")
    assert mixed == failed
    both = await watched.entries(resource_id=dfid, outcome="denied,success", severity="critical,info")
    assert both == [made]
    asked = (await watched.entries(action="audit.queried"))[0]["details"]["filters"]
    assert (asked["outcome"], asked["severity"]) == ("denied,success", "critical,info")
    answer = await watched.admin.client.get("/api/audit/entries", params={"action": "Item"})
    assert answer.status_code == 422


async def test_every_entry_is_proven_and_the_log_only_grows(watched: Watched) -> None:
    admin = watched.admin.client
    assert (await admin.get("/api/audit/log/checkpoint")).status_code in (200, 409)
    await watched.seal()
    before = (await admin.get("/api/audit/log/checkpoint")).json()
    await watched.region.item(watched.region.ana, "1")
    [fresh] = await watched.entries(action="item.created")
    unproven = await admin.get(f"/api/audit/log/entries/{fresh['entry_id']}/proof")
    assert (unproven.status_code, unproven.json()["code"]) == (409, "not_sequenced")
    await watched.seal()
    after = (await admin.get("/api/audit/log/checkpoint")).json()
    for entry in await watched.entries(to=fresh["at"]):
        proof = (await admin.get(f"/api/audit/log/entries/{entry['entry_id']}/proof")).json()
        assert proof["root_hash"] == after["root_hash"]
        assert merkle.included(
            entry["entry_hash"], proof["log_index"], proof["tree_size"], proof["path"], proof["root_hash"]
        )
    sizes = {"from": before["tree_size"], "to": after["tree_size"]}
    grown = (await admin.get("/api/audit/log/consistency", params=sizes)).json()
    assert merkle.consistent(sizes["from"], sizes["to"], grown["path"], before["root_hash"], after["root_hash"])
    too_far = await admin.get("/api/audit/log/consistency", params={"from": after["tree_size"] + 1})
    assert too_far.status_code == 422
    assert (await verify_log(watched.container.storage(), NoteSigner(""))).valid


async def test_scenario_37_a_changed_byte_of_an_export_is_found_and_named(watched: Watched) -> None:
    for number in range(3):
        await watched.region.item(watched.region.ana, str(number))
    await watched.seal()
    exported = (await watched.admin.client.get("/api/audit/export")).content
    lines = exported.splitlines(keepends=True)
    end = json.loads(lines[-1])
    assert end["count"] == len(lines) - 1 == end["tree_size"]
    assert verify_export(lambda: lines).valid
    assert all(canonical(json.loads(line)) + b"\n" == line for line in lines[:-1]), "another store, the same bytes"
    for number, line in enumerate(lines[:-1]):
        for place in range(0, len(line) - 1, 7):
            changed = line[:place] + bytes([line[place] ^ 1]) + line[place + 1 :]
            if b"\n" in changed[:-1]:
                continue
            forged = [*lines[:number], changed, *lines[number + 1 :]]
            verdict = verify_export(lambda forged=forged: forged)  # type: ignore[misc]
            assert not verdict.valid
            assert verdict.first_bad_index == number, (place, changed)
    assert not verify_export(lambda: lines[:-1]).valid
    assert not verify_export(lambda: [*lines[:1], *lines[2:]]).valid


async def test_spreadsheets_are_not_made_to_calculate(watched: Watched) -> None:
    watched.visitor.headers["user-agent"] = "=cmd()"
    await watched.visitor.post("/api/auth/login", json={"username": "ana", "password": "wrong"})
    await watched.seal()
    exported = await watched.admin.client.get("/api/audit/export", params={"format": "csv", "action": "login.failed"})
    assert exported.headers["content-type"].startswith("text/csv")
    [names, row, end] = list(csv.reader(io.StringIO(exported.text)))
    told = dict(zip(names, row, strict=True))
    assert (told["user_agent"], told["action"]) == ("'=cmd()", "login.failed")
    assert end[:2] == ["end", "count=1"]


@pytest.mark.parametrize("route", ["/api/audit/export", "/api/audit/log/checkpoint"])
async def test_the_whole_is_for_administrators(watched: Watched, route: str) -> None:
    assert (await watched.region.ana.client.get(route)).json()["code"] == "admin_required"

"""Compliance reports are data and counts of what is stored (platform.md 6.7, 17)."""

import asyncio
import base64
import hashlib
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from application.retention import Retention
from domain.audit import merkle
from domain.ports.queries import Select
from domain.ports.schema import (
    ACTIVITY,
    API_KEYS,
    AUDIT,
    CONTRIBUTIONS,
    EVENTS,
    INCIDENTS,
    ITEMS,
    JOIN_REQUESTS,
    MEMBERSHIPS,
    NOTIFICATIONS,
    REPORT_CHUNKS,
    SESSIONS,
    SHARES,
    TRANSFERS,
)
from tests.http.audit.conftest import Watched
from tests.http.circuits.conftest import User

ROOT = "/api/audit/reports"


async def built(watched: Watched, user: User, **asked: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a finished report and the lines of its content."""
    made = await user.client.post(ROOT, json=asked)
    assert (made.status_code, made.json()["status"]) == (202, "pending"), made.text
    early = await user.client.get(f"{made.headers['location']}/content")
    assert early.json()["code"] == "report_not_ready"
    waiting = await user.client.get(made.headers["location"])
    assert (waiting.json()["status"], waiting.headers["retry-after"]) == ("pending", "2")
    known = {"if-none-match": waiting.headers["etag"]}
    same = await user.client.get(made.headers["location"], headers=known)
    assert (same.status_code, same.headers["retry-after"]) == (304, "2")
    await watched.container.relay().drain()
    done = await user.client.get(made.headers["location"])
    report = done.json()
    assert report["status"] == "completed" and "retry-after" not in done.headers, report
    content = await user.client.get(f"{made.headers['location']}/content")
    digest = hashlib.sha256(content.content).digest()
    assert (report["sha256"], report["size_bytes"]) == (digest.hex(), len(content.content))
    assert content.headers["content-digest"] == f"sha-256=:{base64.b64encode(digest).decode()}:"
    return report, [json.loads(line) for line in content.text.splitlines()]


async def test_scenario_39_every_section_counts_what_is_stored_and_foreign_data_is_refused(watched: Watched) -> None:
    region, ana = watched.region, watched.region.ana
    path = await region.circuit(region.bia)
    dfids = [await region.item(ana, str(number)) for number in range(3)]
    await ana.client.post(f"{path}/push/{dfids[0]}", json={})
    await ana.client.post(f"/api/items/{dfids[1]}/share", json={"recipient_user_id": region.caio.user_id})
    await _more_about(watched, dfids)
    await watched.seal()
    report, lines = await built(watched, watched.admin, kind="subject_access", subject_user_id=ana.user_id)
    counted = {section["name"]: section["count"] for section in report["sections"]}
    assert {name: count for name, count in counted.items() if count} == Counter(line["section"] for line in lines)
    [key] = [line for line in lines if line["section"] == "api_keys"]
    assert (key["expires_at"], key["scopes"]) == ("2099-01-01T00:00:00.000000Z", sorted(key["scopes"]))
    as_of = datetime.fromisoformat(report["as_of"])
    async with watched.container.storage().read() as reader:

        async def count(facet: Any, **where: Any) -> int:
            rows = (await reader.page(facet, Select(where), limit=1000)).items
            times = ("at", "created_at", "recorded_at", "requested_at", "joined_at")
            return sum(next(getattr(row, name) for name in times if hasattr(row, name)) < as_of for row in rows)

        home = {"workspace_id": (await ana.client.get("/api/workspace")).json()["workspace_id"]}
        assert counted["items"] == await count(ITEMS, **home) == 3
        assert counted["contributions"] == await count(CONTRIBUTIONS, user_id=ana.user_id) == 3
        assert counted["sessions"] == await count(SESSIONS, user_id=ana.user_id)
        assert counted["api_keys"] == await count(API_KEYS, **home) == 1
        assert counted["memberships"] == await count(MEMBERSHIPS, user_id=ana.user_id) == 1
        assert counted["join_requests"] == await count(JOIN_REQUESTS, requester_id=ana.user_id) == 1
        authored = {"author_workspace_id": home["workspace_id"]}
        assert counted["events"] == await count(EVENTS, **authored) > 3
        assert counted["shares_given"] == await count(SHARES, shared_by=ana.user_id) == 1
        assert counted["shares_received"] == await count(SHARES, recipient_user_id=ana.user_id) == 1
        assert counted["transfers"] == await count(TRANSFERS) == 1
        assert counted["incidents"] == await count(INCIDENTS, subject=f"user {ana.user_id}") == 1
        assert counted["activity"] == await count(ACTIVITY, actor_user_id=ana.user_id)
        assert counted["notifications"] == await count(NOTIFICATIONS, user_id=ana.user_id)
        about = await count(AUDIT, resource_kind="user", resource_id=ana.user_id)
        assert counted["audit_entries"] == await count(AUDIT, actor_user_id=ana.user_id) + about - await count(
            AUDIT, actor_user_id=ana.user_id, resource_kind="user", resource_id=ana.user_id
        )
    assert (counted["account"], counted["workspace"]) == (1, 1)
    assert all(counted.values()), counted
    recipients = [(line["kind"], line["id"]) for line in lines if line["section"] == "recipients"]
    assert recipients[0] == ("circuit", path.rsplit("/", 1)[1])
    assert [kind for kind, _ in recipients[1:]] == ["workspace", "workspace"]
    assert "argon2" not in json.dumps(lines)

    for subject in (ana.user_id, "018f3a00-0000-7000-8000-00000000ffff"):
        foreign = await region.bia.client.post(ROOT, json={"kind": "subject_access", "subject_user_id": subject})
        assert (foreign.status_code, foreign.json()["code"]) == (403, "admin_required")
    unknown = {"kind": "subject_access", "subject_user_id": "018f3a00-0000-7000-8000-00000000ffff"}
    assert (await watched.admin.client.post(ROOT, json=unknown)).json()["code"] == "user_unknown"
    assert (await region.bia.client.get(f"{ROOT}/{report['report_id']}")).status_code == 404
    own, _ = await built(watched, ana, kind="subject_access")
    told = (await ana.client.get("/api/notifications", params={"type": "report_ready"})).json()["items"]
    assert [entry["source_id"] for entry in told] == [own["report_id"]]
    assert [each["report_id"] for each in (await ana.client.get(ROOT)).json()["items"]] == [own["report_id"]]


async def _more_about(watched: Watched, dfids: list[str]) -> None:
    """Leave one of everything else that a report about Ana tells."""
    region, ana = watched.region, watched.region.ana.client
    scopes = ["notifications:read", "items:write", "events:read", "circuits:read", "items:read", "circuits:push"]
    key = {"name": "scales", "scopes": scopes, "expires_at": "2099-01-01T00:00:00Z"}
    theirs = {"name": "Boi Verde", "allow_public_visibility": True}
    opened = (await region.bia.client.post("/api/circuits", json=theirs)).json()["circuit_id"]
    given = await region.item(region.bia, "given")
    to = {"to_workspace_id": (await region.bia.client.get("/api/workspace")).json()["workspace_id"]}
    odd = {"title": "Odd", "severity": "low", "category": "other"}
    about = {**odd, "subject": {"kind": "user", "id": region.ana.user_id}}
    for client, path, body in (
        (ana, "/api/api-keys", key),
        (ana, f"/api/circuits/{opened}/requests", {}),
        (ana, "/api/events", {"dfid": dfids[0], "category": "weighing", "payload": {"kg": 400}}),
        (ana, f"/api/items/{dfids[2]}/transfer", to),
        (region.bia.client, f"/api/items/{given}/share", {"recipient_user_id": region.ana.user_id}),
        (watched.admin.client, "/api/audit/incidents", about),
    ):
        answer = await client.post(path, json=body)
        assert answer.status_code in (201, 202), answer.text


async def test_the_trail_of_a_period_comes_with_its_proofs(watched: Watched) -> None:
    await watched.region.item(watched.region.ana, "1")
    await watched.seal()
    period = {"period_from": "2020-01-01T00:00:00Z", "period_to": "2020-12-01T00:00:00Z"}
    empty, lines = await built(watched, watched.admin, kind="audit_trail", **period)
    assert empty["sections"] == [{"name": "audit_entries", "count": 0}, {"name": "checkpoint", "count": 1}]
    now = datetime.now(UTC)
    period = {"period_from": str(now - timedelta(days=1)), "period_to": str(now + timedelta(days=1))}
    await watched.seal()
    _, lines = await built(watched, watched.admin, kind="audit_trail", **period)
    *entries, head = lines
    assert len(entries) == head["tree_size"]
    for entry in entries:
        place = (entry["entry_hash"], entry["log_index"], head["tree_size"])
        assert merkle.included(*place, entry["path"], head["root_hash"])
    summary, _ = await built(watched, watched.admin, kind="incident_summary", **period)
    assert [section["count"] for section in summary["sections"]] == [0, 0]


async def test_scenario_40_two_instances_complete_a_report_once_and_one_runs_at_a_time(watched: Watched) -> None:
    ana = watched.region.ana.client
    assert (await ana.post(ROOT, json={"kind": "subject_access"})).status_code == 202
    again = await ana.post(ROOT, json={"kind": "subject_access"})
    assert (again.status_code, again.json()["code"]) == (409, "report_running")
    await asyncio.gather(*(watched.container.relay().drain() for _ in range(3)))
    told = (await ana.get("/api/notifications", params={"type": "report_ready"})).json()["items"]
    assert len(told) == 1


async def test_a_period_stands_where_it_means_something_and_every_fault_of_it_is_told(watched: Watched) -> None:
    instant = "2026-03-01T00:00:00Z"
    for asked, faults in (
        ({"kind": "subject_access", "period_from": instant}, {"/period_from": "not_allowed"}),
        ({"kind": "audit_trail"}, {"/period_from": "required", "/period_to": "required"}),
        (
            {"kind": "incident_summary", "period_to": instant, "subject_user_id": watched.admin.user_id},
            {"/period_from": "required", "/subject_user_id": "not_allowed"},
        ),
        ({"kind": "audit_trail", "period_from": instant, "period_to": instant}, {"/period_to": "out_of_range"}),
    ):
        answer = await watched.admin.client.post(ROOT, json=asked)
        told = {fault["pointer"]: fault["code"] for fault in answer.json()["errors"]}
        assert (answer.status_code, told) == (422, faults), asked


async def test_the_content_goes_after_thirty_days_and_the_report_stays(watched: Watched) -> None:
    report, _ = await built(watched, watched.region.ana, kind="subject_access")
    units = attrs.evolve(watched.container.units(), clock=Later())
    await Retention(units, 730, 365, 90).prune()
    async with watched.container.storage().read() as reader:
        assert not (await reader.page(REPORT_CHUNKS, Select())).items
    assert (await watched.region.ana.client.get(f"{ROOT}/{report['report_id']}")).json()["sha256"] == report["sha256"]


class Later:
    """The clock, 31 days ahead."""

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(days=31)

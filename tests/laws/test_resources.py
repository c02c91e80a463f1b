"""What every route of the engine promises of what it makes, changes, lists and tells (http.md 18; platform.md 17)."""

import asyncio
from typing import Any

import pytest

from domain.ports.schema import AUDIT
from tests.access.client import Answer
from tests.access.world import World
from tests.contract.examples import Request
from tests.laws.asking import asked, named

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = "application/json; charset=utf-8"
AT_ONCE = 5


async def read(world: World, request: Request, path: str) -> Answer:
    """Return what somebody who asked something reads at a path."""
    return await world.ask(request.who, "GET", path)


NOWHERE_READ = {"admin_user_reset_password", "ticket_issue"}
"""What makes secrets that are told once."""
OTHERWISE_READ = {"account_register", "item_split", "item_share", "job_retry"}
"""Whose Location is another view of what was made: the profile, the first part, whether it is shared, the list."""


async def test_law_8_what_was_made_is_found_where_the_answer_says(world: World) -> None:
    wrong, seen = [], 0
    async for request in asked(world):
        route = request.route
        made = await request.ask(world)
        if made.status not in (201, 202) or route.operation_id in NOWHERE_READ:
            continue
        seen += 1
        place = made.headers.get("location")
        if place is None:
            wrong.append(f"no Location: {named(route, made)}")
            continue
        # Who registers or signs in reads by the token of that answer.
        token = made.json.get("access_token")
        credential = {"authorization": f"Bearer {token}"} if token else None
        found = await world.ask(request.who, "GET", place, credential=credential)
        if found.status != 200 or not (route.operation_id in OTHERWISE_READ or _shows(made.json, found.json)):
            wrong.append(f"made: {named(route, made)}, at {place} {found.status} {found.body[:300]!r}")
    assert not wrong, "\n".join(wrong)
    assert seen > 20


def _shows(made: Any, found: Any) -> bool:
    """Tell whether what was found says what was told: of the whole, or of the object told beside a secret."""
    told = [made, *(held for held in made.values() if isinstance(held, dict))]
    return any(_agree(each, found) for each in told)


def _agree(told: Any, found: Any) -> bool:
    """Tell whether two representations say the same of whatever both speak of, and speak of much."""
    both = set(told) & set(found)
    return len(both) > len(found) // 2 and all(told[name] == found[name] for name in both)


async def test_law_8_what_was_deleted_is_gone_or_in_its_final_state(world: World) -> None:
    readable = {(route.path, route.method) for route in world.app.routes}
    wrong, seen = [], 0
    async for request in asked(world):
        route = request.route
        if route.method != "DELETE":
            continue
        gone = await request.ask(world)
        if gone.status != 204 or gone.body:
            wrong.append(named(route, gone))
        if (route.path, "GET") in readable and route.parameters:
            after = await read(world, request, request.path.partition("?")[0])
            seen += 1
            if not _gone(after):
                wrong.append(f"still there: {named(route, after)}")
    assert not wrong, "\n".join(wrong)
    assert seen > 5


FINAL = {"deprecated", "revoked", "cancelled"}


def _gone(answer: Answer) -> bool:
    """Tell whether something is no more, or in the state that deleting leaves it in; who left may not know it."""
    if answer.status == 200:
        return answer.json.get("status") in FINAL or answer.json.get("revoked_at") is not None
    return answer.status == 404 or answer.code == "not_a_member"


async def test_law_9_a_marked_route_needs_the_version_that_is_there(world: World) -> None:
    """Without one 428, by another 412 and nothing changed, by the present one 200; of several at once one."""
    wrong, marked = [], 0
    async for request in asked(world):
        route, before = request.route, world.backend.stored
        if route.if_match is None:
            continue
        old = await request.ask(world, if_match='"999999-0000000000000000"')
        tag = old.headers.get("etag", "")
        if (old.status, old.code) != (412, "version_mismatch") or not tag.startswith(f'"{old.json["current_version"]}'):
            wrong.append(f"by another version: {named(route, old)} {tag}")
        if route.if_match == "required":
            marked += 1
            for absent in ("", "*"):
                answer = await request.ask(world, if_match=absent)
                if (answer.status, answer.code) != (428, "if_match_required"):
                    wrong.append(f"If-Match {absent!r}: {named(route, answer)}")
        if world.backend.stored != before:
            wrong.append(f"{route.operation_id}: a refusal changed something")
        answers = await asyncio.gather(*(request.ask(world, if_match=tag) for _ in range(AT_ONCE)))
        statuses = sorted(answer.status for answer in answers)
        if statuses[0] >= 300 or (route.if_match == "required" and statuses[1:] != [412] * (AT_ONCE - 1)):
            wrong.append(f"{route.operation_id}: at once {statuses}")
    assert not wrong, "\n".join(wrong)
    assert marked > 12


async def test_law_9_what_is_known_is_not_sent_again(world: World) -> None:
    wrong, seen = [], 0
    async for request in asked(world):
        route = request.route
        if not route.conditional or not route.path.startswith("/api/"):
            continue
        first = await request.ask(world)
        tag = first.headers.get("etag")
        if tag is None:
            wrong.append(f"no ETag: {named(route, first)}")
            continue
        seen += 1
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await request.ask(world, if_none_match=known)
            fresh = again.headers.get("etag")
            if (again.status, again.body) != (304, b"") and (again.status, fresh == tag) != (200, False):
                wrong.append(f"If-None-Match {known}: {named(route, again)}")
        if (await request.ask(world, if_none_match='"other"')).status != 200:
            wrong.append(f"{route.operation_id}: not sent to who knows another")
    assert not wrong, "\n".join(wrong)
    assert seen > 50


async def test_law_9_after_a_change_that_shows_what_was_known_is_sent_anew(world: World) -> None:
    readable = {(route.path, route.method) for route in world.app.routes}
    wrong, seen = [], 0
    async for request in asked(world):
        route = request.route
        if route.if_match is None or route.method == "DELETE" or (route.path, "GET") not in readable:
            continue
        known = (await read(world, request, request.path)).headers["etag"]
        changed = await request.ask(world)
        after = await world.ask(request.who, "GET", request.path, credential=_knowing(world, request, known))
        seen += 1
        if (changed.status, after.status) != (200, 200) or after.headers["etag"] == known:
            wrong.append(f"{route.operation_id}: changed {changed.status}, then {after.status}")
        if route.operation_id not in COUNTED and changed.headers.get("etag") != after.headers["etag"]:
            wrong.append(f"{route.operation_id}: tells {changed.headers.get('etag')}, then {after.headers['etag']}")
    assert not wrong, "\n".join(wrong)
    assert seen > 8


COUNTED = {"admin_user_update", "admin_workspace_update"}
"""Whose reads tell counts besides."""


def _knowing(world: World, request: Request, tag: str) -> dict[str, str]:
    return {**world.people[request.who].credential, "if-none-match": tag}


UNAUDITED = {
    "session_refresh",
    "ticket_issue",
    "page_token_create",
    "notification_mark",
    "notification_mark_all",
    "notification_remove",
    "notification_remove_read",
    "notification_preferences_set",
    "account_setup",
}
"""Excepted by platform.md 6.2; setup was made when the world was."""
AUDITED_READS = {"audit_entry_list", "audit_export", "report_content"}


async def test_scenario_33_every_change_is_one_audit_entry_with_the_trace_of_its_answer(world: World) -> None:
    """Scenario 33 of platform.md; and the actor is whom the credential names (law 3)."""
    wrong, seen = [], 0
    async for request in asked(world):
        route = request.route
        known = set(world.backend.tables[AUDIT.name].rows)
        answer = await request.ask(world)
        entries = [row for key, row in world.backend.tables[AUDIT.name].rows.items() if key not in known]
        traced = [entry for entry in entries if entry.trace_id == answer.headers["x-trace-id"]]
        changes = route.changes and route.operation_id not in UNAUDITED
        expected = int(changes or route.operation_id in AUDITED_READS)
        if answer.status < 300 and (len(entries), len(traced)) != (expected, expected):
            told = [(entry.action, entry.outcome) for entry in entries]
            wrong.append(f"{route.operation_id}: {answer.status}, {len(traced)} traced of {told}")
        user = world.people[request.who].user_id
        for entry in traced if not route.public else ():
            seen += 1
            if entry.actor["user_id"] != user:
                wrong.append(f"{route.operation_id}: told to be of {entry.actor}")
    assert not wrong, "\n".join(wrong)
    assert seen > 80

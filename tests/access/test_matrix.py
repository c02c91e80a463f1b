"""The access matrix: everybody against every route, in every state of the circuit (circuits.md 2, platform.md 16).

Each asks by their token, by an API key with the scope of the route alone, which must be as good, and by one with every
scope but that, which must open nothing (platform.md 1.4). The table stands in `rows.py`; a route that it does not
name fails here.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog

from container import opened
from entrypoints.http.assembly import assembled, engine_routes, health_of, kernel_of
from entrypoints.http.routing import Route
from tests.access.client import Answer
from tests.access.people import members
from tests.access.rows import CANARIES, KNOWN, REACHED_WITHOUT_CIRCUIT, ROWS, Row
from tests.access.world import STATES, World, absent, container_in, enter, issue_keys, populate, take_back_keys

WRONG_CREDENTIAL = frozenset({"anonymous", "frozen"})
GATES = frozenset({"manager_required", "admin_required", "session_required", "scope_missing"})
LEFT_BEHIND = frozenset({"audit"})
"""What a refusal may leave behind."""
ANY_SCOPE = "items:read"
"""The scope of keys where none is asked."""
MEASURED = re.compile(rb'"(as_of|evaluated_at|checked_at|oldest_unsequenced_seconds)":[^,}]*|{"check":"hashing"[^}]*}')
"""What differs between two readings of the same."""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Thousands of requests are not worth their log lines."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.reset_defaults()


@asynccontextmanager
async def world_in(folder: Path, *, taken: int = 0) -> Any:
    """Yield the world; `taken` DFIDs of the day were given before its own."""
    container, backend = container_in(folder)
    async with opened(container):
        if taken:
            await container.storage().take_numbers(f"{datetime.now(UTC):%Y%m%d}", taken)
        health = health_of(container, datetime.now(UTC))
        health.phase = "ready"
        app = assembled(engine_routes(container), kernel_of(container, health), health)
        world = World(container, backend, app)
        await populate(world)
        yield world
        world.backend.rewind()
        await take_back_keys(world)


@attrs.define
class Matrix:
    """One state of the circuit, and everything that went wrong in it."""

    world: World
    wrong: list[str] = attrs.field(factory=list)
    seen: set[str] = attrs.field(factory=set)

    async def check(self, route: Route) -> None:
        row = ROWS[route.operation_id]
        for who in self.world.people:
            answer = await self._asked(route, row, who, self.world.objects)
            for fault in (*self._outcome(route, row, who, answer), *self._leaks(who, answer)):
                self.wrong.append(f"{route.operation_id} as {who} in {self.world.state}: {fault}")
            if answer.status >= 400 and not self._judged_401(route, who):
                await self._hidden(route, row, who, answer)
            if answer.status in (401, 403, 404) and not self.world.backend.changed.keys() <= LEFT_BEHIND:
                self.wrong.append(f"{route.operation_id} as {who}: a refusal wrote {set(self.world.backend.changed)}")
            wrote = set(self.world.backend.changed)
            self.world.backend.rewind()
            if self.world.people[who].fitting is not None:
                self.wrong += [
                    f"{route.operation_id} by a key of {who} in {self.world.state}: {fault}"
                    for fault in await self._by_key(route, row, who, answer, wrote)
                ]

    async def _by_key(self, route: Route, row: Row, who: str, answer: Answer, wrote: set[str]) -> list[str]:
        """Return what is wrong with what keys get of somebody who got `answer` and wrote `wrote` by their token."""
        person = self.world.people[who]
        given = await self._asked(route, row, who, self.world.objects, person.fitting)
        faults = [*self._differs(route, who, given, answer, wrote), *self._leaks(who, given)]
        self.world.backend.rewind()
        if route.scope is not None and self.world.state == "private":
            refused = await self._asked(route, row, who, self.world.objects, person.lacking)
            faults += self._let_through(route, who, refused)
            self.world.backend.rewind()
        return faults

    def _differs(self, route: Route, who: str, given: Answer, answer: Answer, wrote: set[str]) -> Iterator[str]:
        """Yield in what a key that has but the scope of the route is not as good as the token of its user."""
        refusal = self._refusal_of_keys(route, who)
        if refusal is not None:
            if (given.status, given.code) != refusal:
                yield f"{given.status} {given.code or ''}, where keys get {refusal}"
        elif given.status != answer.status or (answer.status >= 400 and given.comparable != answer.comparable):
            yield f"{given.status} {given.body[:300]!r}, by their token {answer.status} {answer.body[:300]!r}"
        elif answer.status < 300 and route.method == "GET" and _read(given) != _read(answer):
            yield f"reads {given.body!r}, by their token {answer.body!r}"
        elif set(self.world.backend.changed) != wrote:
            yield f"wrote {set(self.world.backend.changed)}, by their token {wrote}"

    def _refusal_of_keys(self, route: Route, who: str) -> tuple[int, str] | None:
        """Return what a key gets whatever its scopes are, None where it depends on its user."""
        if who in WRONG_CREDENTIAL and (not route.public or route.credential_if_sent):
            return 401, "unauthenticated"
        if route.scope is not None and route.scope.startswith("admin:") and who != "operator":
            return 403, "scope_missing"
        return (403, "session_required") if route.session else None

    def _let_through(self, route: Route, who: str, given: Answer) -> Iterator[str]:
        """Yield how a key without the scope of the route came further than to the refusal that names it."""
        expected = (401, "unauthenticated") if self._judged_401(route, who) else (403, "scope_missing")
        if (given.status, given.code) != expected:
            yield f"{given.status} {given.code or ''} without the scope {route.scope}"
        elif given.status == 403 and given.json["needed"] != [route.scope]:
            yield f"told to need {given.json['needed']} and not {route.scope}"
        if not self.world.backend.changed.keys() <= LEFT_BEHIND:
            yield f"wrote {set(self.world.backend.changed)} without the scope {route.scope}"

    async def _asked(
        self,
        route: Route,
        row: Row,
        who: str,
        objects: Mapping[str, str],
        credential: Mapping[str, str] | None = None,
    ) -> Answer:
        chosen = {**objects, **{name: objects[other] for name, other in row.objects.items()}}
        path = (route.path + (f"?{row.query}" if row.query else "")).format_map(chosen)
        return await self.world.ask(who, route.method, path, _filled(row.body, chosen), row.upload, credential)

    def _judged_401(self, route: Route, who: str) -> bool:
        return who in WRONG_CREDENTIAL and not route.public

    def _outcome(self, route: Route, row: Row, who: str, answer: Answer) -> Iterator[str]:
        """Yield what is wrong with the status."""
        if self._judged_401(route, who):
            if answer.status != 401:
                yield f"{answer.status} without a valid credential"
            return
        told = f"{answer.status} {answer.code or ''}"
        if answer.status >= 500 or answer.status in (400, 405, 412, 415, 422, 428, 429):
            yield f"{told}: the row does not ask properly: {answer.body[:300]!r}"
        elif who not in row.served.of(self.world.state):
            if answer.status < 400:
                yield f"{told}, but the row does not name them"
            elif answer.status == 409 and answer.code not in row.refused and not self._told_closed(who, answer):
                yield f"{told} to somebody who should not have come so far"
        elif not row.serves_in(self.world.state):
            if answer.code not in {"circuit_not_active", *row.refused}:
                yield f"{told}, but the circuit is {self.world.state}"
        elif answer.status >= 400 and answer.code not in row.refused:
            yield f"{told}, but the row names them"

    def _told_closed(self, who: str, answer: Answer) -> bool:
        """Tell whether a member was told that the circuit is closed, whatever else they may not do in it."""
        state = self.world.state
        return answer.code == "circuit_not_active" and state not in ("private", "open") and who in members.of(state)

    def _leaks(self, who: str, answer: Answer) -> Iterator[str]:
        """Yield the private texts that somebody without grounds was sent."""
        text = answer.text
        for canary, audience in CANARIES.items():
            if canary in text:
                self.seen.add(canary)
                if who not in audience.of(self.world.state):
                    yield f"was sent {canary!r} ({answer.status})"

    async def _hidden(self, route: Route, row: Row, who: str, answer: Answer) -> None:
        """Demand that what somebody may not know looks as if it did not exist."""
        if answer.code in GATES or who in row.served.of(self.world.state):
            return
        for name in self._unknown(route, row, who):
            other = await self._asked(route, row, who, absent(self.world, name))
            if other.comparable != answer.comparable:
                told = f"{answer.status} {answer.code}, for an absent one {other.status} {other.code}"
                self.wrong.append(f"{route.operation_id} as {who} in {self.world.state}: {name} shows: {told}")

    def _unknown(self, route: Route, row: Row, who: str) -> list[str]:
        """Return the objects of a request that somebody may not know."""
        asked = [
            row.objects.get(name, name) for name in KNOWN if f"{{{name}}}" in f"{route.path} {row.query} {row.body}"
        ]
        known = {name for name in asked if name in KNOWN and who in KNOWN[name].of(self.world.state)}
        if known.intersection(REACHED_WITHOUT_CIRCUIT):
            known.add("circuit_id")
        return [name for name in asked if name in KNOWN and name not in known]


def _scope_of(route: Route) -> str:
    return route.scope or ANY_SCOPE


def _read(answer: Answer) -> bytes:
    """Return a body without what was measured for it."""
    return MEASURED.sub(b"", answer.body)


def _filled(body: Any, objects: Mapping[str, str]) -> Any:
    """Return a body with the ids of the world in their places."""
    match body:
        case dict():
            return {key: _filled(value, objects) for key, value in body.items()}
        case list():
            return [_filled(value, objects) for value in body]
        case str() if body.startswith("{"):
            return body.format_map(objects)
        case _:
            return body


@pytest.mark.parametrize("state", STATES)
async def test_everybody_gets_what_their_grounds_open_and_nothing_else(state: str, tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        await enter(world, state)
        matrix = Matrix(world)
        routes = [route for route in engine_routes(world.container) if route.operation_id in ROWS]
        by_scope = groupby(sorted(routes, key=_scope_of), key=_scope_of)
        for scope, asked in by_scope:
            await issue_keys(world, scope)
            for route in asked:
                await matrix.check(route)
        assert not matrix.wrong, "\n".join(matrix.wrong)
        never = {canary for canary, audience in CANARIES.items() if audience.of(state)} - matrix.seen
        assert not never, f"these texts were never sent to anybody, so nothing was proven of them: {never}"


async def test_scenario_3_every_change_in_a_circuit_needs_it_active(tmp_path: Path) -> None:
    """What the matrix asks in a closed circuit is 409 for every route but these (circuits.md 8, scenario 3)."""
    container, _ = container_in(tmp_path)
    async with opened(container):
        inside = [route for route in engine_routes(container) if route.path.startswith("/api/circuits/{circuit_id}")]
    changing = [route.operation_id for route in inside if route.changes]
    assert len(changing) > 30
    for state, expected in (
        ("inactive", {"circuit_activate", "circuit_deactivate", "circuit_archive"}),
        ("archived", {"circuit_archive"}),
    ):
        serving = {name for name in changing if ROWS[name].serves_in(state) and ROWS[name].served.of(state)}
        assert serving == expected

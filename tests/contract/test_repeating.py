"""Every POST that takes an Idempotency-Key, asked with one and asked again (http.md 9; 18, law 10)."""

import asyncio
from pathlib import Path
from typing import Any

import attrs

from domain.ports.schema import FACETS
from entrypoints.http.app import App
from entrypoints.http.assembly import engine_routes
from entrypoints.http.routing import Route
from tests.access.client import Answer
from tests.access.rows import ROWS, Row
from tests.access.test_matrix import _filled, _quiet, world_in
from tests.access.world import World, enter

__all__ = ["_quiet"]

NOBODY_SERVED = {
    "item_unmerge": "the world holds no merged item",
    "draft_unmerge": "the world holds no merged draft",
    "delivery_replay": "the world's delivery has not ended",
}


def served(world: World, route: Route) -> str | None:
    """Return the first by name whom a route serves."""
    group = ROWS[route.operation_id].served.of(world.state)
    return min((name for name in group if name in world.people and world.people[name].credential), default=None)


async def asked(world: World, route: Route, who: str, row: Row | None = None, **headers: str) -> Answer:
    row = row or ROWS[route.operation_id]
    chosen = {**world.objects, **{name: world.objects[other] for name, other in row.objects.items()}}
    path = (route.path + (f"?{row.query}" if row.query else "")).format_map(chosen)
    person = world.people[who]
    world.people["asking"] = attrs.evolve(person, credential={**person.credential, **headers})
    return await world.ask("asking", route.method, path, _filled(row.body, chosen), row.upload)


def shape(value: Any) -> Any:
    """Return the names and kinds in a representation."""
    if isinstance(value, dict):
        return {name: shape(held) for name, held in value.items()}
    return [shape(held) for held in value] if isinstance(value, list) else type(value)


def stored(world: World) -> dict[str, int]:
    """Count the rows of each facet, but those that hold the answers themselves."""
    return {facet.name: len(world.backend.tables[facet.name].rows) for facet in FACETS if facet.name != "idempotency"}


async def test_a_key_changes_nothing_in_the_answer_and_repeating_it_has_no_second_effect(tmp_path: Path) -> None:
    wrong: list[str] = []
    seen = 0
    async with world_in(tmp_path) as world:
        await enter(world, "open")
        for route in (route for route in engine_routes(world.container) if route.takes_key):
            who = served(world, route)
            if route.operation_id in NOBODY_SERVED:
                continue
            assert who is not None, route.operation_id
            faults = await _faults(world, route, who)
            wrong += [f"{route.operation_id} as {who}: {fault}" for fault in faults]
            world.backend.rewind()
            seen += 1
    assert not wrong, "\n".join(wrong)
    assert seen > 50


async def _faults(world: World, route: Route, who: str) -> list[str]:
    plain = await asked(world, route, who)
    world.backend.rewind()
    first = await asked(world, route, who, **{"idempotency-key": "once"})
    if first.status != plain.status:
        return [f"{first.status} {first.code} with a key, {plain.status} without"]
    if first.status >= 300:
        return [] if ROWS[route.operation_id].refused else [f"{first.status} {first.code}"]
    faults = []
    if first.body and shape(first.json) != shape(plain.json):
        faults.append(f"another shape with a key: {sorted(first.json)}, without: {sorted(plain.json)}")
    if set(first.headers) != set(plain.headers):
        faults.append(f"other headers with a key: {set(first.headers) ^ set(plain.headers)}")
    kept = stored(world)
    again = await asked(world, route, who, **{"idempotency-key": "once"})
    if (again.status, again.body) != (first.status, first.body):
        faults.append(f"the replay answers {again.status} {again.body[:200]!r}")
    if again.headers.get("idempotency-replayed") != "true":
        faults.append("the replay does not say that it is one")
    if stored(world) != kept:
        faults.append("the replay wrote something")
    return [*faults, *await _misused(world, route, who), *await _at_once(world, route, who, kept)]


async def _misused(world: World, route: Route, who: str) -> list[str]:
    """Return what is wrong with the answer to another request of the same key."""
    row = ROWS[route.operation_id]
    other = attrs.evolve(row, body={**(row.body or {}), "other": 1}, upload=row.upload and row.upload + "\n")
    answer = await asked(world, route, who, other, **{"idempotency-key": "once"})
    taken = (answer.status, answer.code) == (422, "idempotency_key_reused")
    return [] if taken else [f"another request of the same key: {answer.status} {answer.code}"]


async def _at_once(world: World, route: Route, who: str, kept: dict[str, int]) -> list[str]:
    """Return what is wrong when the same is asked several times at once, through two instances."""
    world.backend.rewind()
    world.people["asking"] = world.people[who]
    other = attrs.evolve(world, app=App(world.app.routes, world.app.kernel, world.app.health))
    sent = [asked(each, route, who, **{"idempotency-key": "once"}) for each in (world, other, world)]
    answers = await asyncio.gather(*sent)
    done = [answer for answer in answers if answer.status < 300]
    faults = []
    if not done or len({answer.body for answer in done}) > 1:
        faults.append(f"at once: {[(answer.status, answer.code) for answer in answers]}")
    if any(answer.code != "idempotency_running" for answer in answers if answer not in done):
        faults.append(f"at once: {[(answer.status, answer.code) for answer in answers]}")
    if stored(world) != kept:
        faults.append("at once there was more than one effect")
    return faults

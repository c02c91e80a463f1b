"""Units acknowledged before PostgreSQL has them: what may be lost is bounded, and nothing else is."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.postgres.storage import PostgresStorage
from adapters.write_through.behind import BehindBounds
from adapters.write_through.storage import WriteThroughStorage
from domain.ports.errors import AlreadyExists, ReadOnly, Stale, StorageError, Unavailable, WriterRefused
from domain.ports.queries import Select
from domain.ports.schema import MAPPINGS, WORKSPACES
from domain.ports.storage import Storage
from tests.conformance.storage.link import Link, Mode, execute
from tests.conformance.storage.stacks import BOUNDS, EVERYTHING, PostgresStack
from tests.conformance.storage.values import mapping, touched, workspace

MANY = BehindBounds()
FEW = BehindBounds(units=5, lag=30.0, patience=0.3)


class World:
    """One storage that acknowledges early, over a link that can be hurt, and what PostgreSQL has."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.link = Link(url)
        self.made: list[WriteThroughStorage] = []

    async def storage(self, bounds: BehindBounds = MANY, drain: float = 0.2) -> WriteThroughStorage:
        made = WriteThroughStorage(self.link.url, BOUNDS, working_set=EVERYTHING, behind=bounds, drain=drain)
        self.made.append(made)
        await made.open()
        # The first unit of a process waits for PostgreSQL.
        await add(made, "first")
        return made

    async def stored(self, *keys: str) -> set[Any]:
        truth = PostgresStorage(self.url, BOUNDS)
        await truth.open()
        async with truth.read() as reader:
            found = set(await reader.get_many(MAPPINGS, keys))
        await truth.aclose()
        return found


@pytest.fixture
async def world(migrated_url: str) -> AsyncIterator[World]:
    made = World(migrated_url)
    await made.link.start()
    yield made
    for storage in made.made:
        await storage.aclose()
    await made.link.aclose()


async def add(storage: Storage, *keys: str) -> None:
    async with storage.write() as unit:
        await unit.add(MAPPINGS, *map(mapping, keys))


def behind(storage: WriteThroughStorage) -> Any:
    assert storage.behind is not None
    return storage.behind


async def held(world: World) -> Any:
    """Return a session that holds the table of mappings, so that nothing can be written there until it ends."""
    task = asyncio.create_task(
        execute(world.url, "do $$ begin lock table mappings in share mode; perform pg_sleep(1.5); end $$")
    )
    await asyncio.sleep(0.3)
    return task


async def test_no_more_units_than_the_bound_are_acknowledged_before_postgres_has_them(world: World) -> None:
    storage = await world.storage(FEW)
    holding = await held(world)
    told = []
    for number in range(8):
        try:
            await add(storage, f"{number}")
            told.append(f"{number}")
        except Unavailable as error:
            assert "PostgreSQL does not keep up" in str(error)
            break
    assert len(told) == FEW.units == behind(storage).state.queued
    async with storage.read() as reader:
        assert set(await reader.get_many(MAPPINGS, told)) == set(told)
    assert await world.stored(*told) == set()
    await holding
    assert await behind(storage).drain(5.0) == 0
    assert await world.stored(*map(str, range(9))) == set(told)


async def test_nothing_is_acknowledged_while_the_oldest_unit_is_older_than_the_bound(world: World) -> None:
    storage = await world.storage(BehindBounds(lag=0.2, patience=0.3))
    holding = await held(world)
    await add(storage, "a")
    await asyncio.sleep(0.3)
    assert behind(storage).state.oldest_seconds > 0.2
    with pytest.raises(Unavailable):
        await add(storage, "b")
    await holding
    assert await behind(storage).drain(5.0) == 0
    assert await world.stored("a", "b") == {"a"}


CHILD = """
import asyncio, sys
from adapters.postgres.storage import PostgresBounds
from adapters.write_through.behind import BehindBounds
from adapters.write_through.storage import WriteThroughStorage
from domain.ports.schema import MAPPINGS
from tests.conformance.storage.values import mapping

async def main():
    bounds = BehindBounds(units=50, lag=30.0)
    storage = WriteThroughStorage(sys.argv[1], PostgresBounds(), working_set=(), behind=bounds)
    await storage.open()
    for number in range(100_000):
        async with storage.write() as unit:
            await unit.add(MAPPINGS, mapping(f"{number:06}"))
        print(f"{number:06}", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("stalled", [False, True])
async def test_a_killed_process_loses_its_newest_units_and_no_more_than_the_bound(world: World, stalled: bool) -> None:
    """What is left is a beginning of what was acknowledged, also when PostgreSQL took nothing for a while."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, world.url, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3]
    )
    assert child.stdout is not None
    told = [(await child.stdout.readline()).decode().strip() for _ in range(200)]
    holding = await held(world) if stalled else None
    child.kill()
    told += (await child.stdout.read()).decode().split()
    await child.wait()
    if holding is not None:
        await holding
    stored: set[Any] = set()
    async with asyncio.timeout(10):
        while len(now := await world.stored(*told)) != len(stored):
            stored = now
            await asyncio.sleep(0.2)
    assert stored == set(told[: len(stored)])
    assert len(told) - len(stored) <= 50
    assert not stalled or len(told) > len(stored)


async def test_a_list_tells_of_what_was_acknowledged_before_it(world: World) -> None:
    storage = await world.storage()
    for number in range(50):
        await add(storage, f"{number:02}")
        async with storage.read() as reader:
            assert len((await reader.page(MAPPINGS, Select(), limit=100)).items) == number + 2


async def test_what_a_unit_on_its_way_forbids_is_refused_at_once(world: World) -> None:
    storage, one = await world.storage(), workspace("one", "1")
    async with storage.write() as unit:
        await unit.add(WORKSPACES, one)
    holding = asyncio.create_task(
        execute(world.url, "do $$ begin lock table workspaces in share mode; perform pg_sleep(1.0); end $$")
    )
    await asyncio.sleep(0.3)
    async with storage.write() as unit:
        await unit.save(WORKSPACES, touched(one))
    with pytest.raises(Stale):
        async with storage.write() as unit:
            await unit.save(WORKSPACES, touched(one))
    with pytest.raises(AlreadyExists):
        async with storage.write() as unit:
            await unit.add(WORKSPACES, workspace("one", "2"))
    await holding
    assert await behind(storage).drain(5.0) == 0


async def test_a_unit_whose_outcome_was_unknown_is_written_once(world: World) -> None:
    storage = await world.storage()
    await add(storage, "before")
    assert await behind(storage).drain(5.0) == 0
    with world.link.mode(Mode.LOSES_ANSWERS):
        await add(storage, "a")
        await asyncio.sleep(0.3)
    assert await behind(storage).drain(10.0) == 0
    for attempt in range(20):
        try:
            await add(storage, "b")
            break
        except Unavailable:
            await asyncio.sleep(0.1 * attempt)
    assert await behind(storage).drain(10.0) == 0
    assert await world.stored("a", "b") == {"a", "b"}


async def test_units_that_postgres_refuses_for_good_end_all_writing_and_are_told(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    storage = await world.storage()
    trigger = "create function hurt() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;"
    await execute(world.url, f"{trigger} create trigger hurt before insert on mappings execute function hurt()")
    await add(storage, "a")
    await behind(storage).drain(5.0)
    with pytest.raises(WriterRefused, match="restart"):
        await add(storage, "b")
    assert "1 acknowledged units are lost" in caplog.text
    assert behind(storage).lost == 1
    async with storage.read() as reader:
        assert await reader.find(MAPPINGS, "a") is None


async def test_a_large_unit_or_an_odd_one_is_acknowledged_once_postgres_has_it(world: World) -> None:
    storage = await world.storage()
    many = [f"{number:04}" for number in range(1500)]
    await add(storage, *many)
    assert len(await world.stored(*many)) == 1500
    with pytest.raises(AlreadyExists):
        await add(storage, *many)
    with pytest.raises(psycopg.DataError):
        await add(storage, "a", "odd \0")
    await add(storage, "a", "after")
    assert await behind(storage).drain(5.0) == 0
    assert await world.stored("a", "after") == {"a", "after"}


async def test_nothing_is_acknowledged_by_a_store_that_takes_no_changes(world: World) -> None:
    sealing = (
        "create trigger sealed before insert on mappings for each statement execute function defarm_refuse_change()"
    )
    await execute(world.url, sealing)
    storage = WriteThroughStorage(world.link.url, BOUNDS, working_set=EVERYTHING, behind=MANY)
    world.made.append(storage)
    await storage.open()
    for _ in range(2):
        with pytest.raises(ReadOnly):
            await add(storage, "a")
    await execute(world.url, "drop trigger sealed on mappings")
    await add(storage, "a")
    assert await world.stored("a") == {"a"}


async def test_what_is_left_at_the_end_of_the_drain_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    storage = await world.storage()
    holding = await held(world)
    await add(storage, "a")
    await storage.aclose()
    assert "1 acknowledged units are lost" in caplog.text
    assert behind(storage).lost == behind(storage).state.queued == 1
    await holding


async def test_nothing_is_acknowledged_by_who_cannot_prove_that_the_store_is_its_own(world: World) -> None:
    storage = await world.storage(BehindBounds(patience=0.5))
    await add(storage, "before")
    assert await behind(storage).drain(5.0) == 0
    with world.link.mode(Mode.CUT):
        await PostgresStack(world.url).end_sessions()
        await asyncio.sleep(1.2)
        with pytest.raises(StorageError):
            await add(storage, "a")
    assert await world.stored("a") == set()

"""Without HTTP: bare Redis and bare PostgreSQL by the engine's client libraries, and the group writer against W0."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any

import attrs
import psycopg
import uvloop
from psycopg import sql
from redis.asyncio import Redis

from adapters.postgres.storage import PostgresStorage
from domain.ids import new_id
from domain.items.values import Item
from domain.ports.queries import Select
from domain.ports.schema import ITEMS
from tests.benchmarks.bulk import columns_of
from tests.benchmarks.client import Load, percentiles, result, run_apart
from tests.benchmarks.rows import Row, compared

CONNECTIONS = 8
TASKS = 64

Step = Callable[[], Awaitable[object]]


@attrs.frozen
class Place:
    """A store that no engine uses, a Redis, and DFIDs of the store."""

    database: str
    redis: str
    dfids: Sequence[str]


Opened = contextlib.AbstractAsyncContextManager[Sequence[Step]]


@contextlib.asynccontextmanager
async def _redis_get(place: Place, count: int) -> AsyncIterator[Sequence[Step]]:
    clients = [Redis.from_url(place.redis, single_connection_client=True) for _ in range(count)]
    await clients[0].set("bench", b"x" * 900)
    yield [partial(client.get, "bench") for client in clients]
    for client in clients:
        await client.aclose()


async def _connected(place: Place, count: int) -> list[psycopg.AsyncConnection[Any]]:
    made = [psycopg.AsyncConnection.connect(place.database, autocommit=True) for _ in range(count)]
    return list(await asyncio.gather(*made))


@contextlib.asynccontextmanager
async def _select(place: Place, count: int) -> AsyncIterator[Sequence[Step]]:
    connections = await _connected(place, count)
    dfids = itertools.cycle(place.dfids)

    async def step(connection: psycopg.AsyncConnection[Any]) -> None:
        cursor = connection.cursor(binary=True)
        await cursor.execute("select body from items where key = %s", [next(dfids)], prepare=True)
        assert await cursor.fetchone()

    yield [partial(step, connection) for connection in connections]
    for connection in connections:
        await connection.close()


@contextlib.asynccontextmanager
async def _insert(place: Place, count: int) -> AsyncIterator[Sequence[Step]]:
    connections = await _connected(place, count)
    statement, values = await asyncio.to_thread(_insertion, place.database)

    async def step(connection: psycopg.AsyncConnection[Any]) -> None:
        own = new_id()
        await connection.execute(statement, {**values, "key": own, "local_id": own}, prepare=True)

    yield [partial(step, connection) for connection in connections]
    for connection in connections:
        await connection.close()


def _insertion(url: str) -> tuple[sql.Composed, dict[str, Any]]:
    """Return the statement that adds a row like one of the store's to a bare table, and its values as text."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table if not exists bare_inserts (like items including all)")
        names = columns_of(connection, "items")
        kinds = connection.execute(
            "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'items'::regclass"
            " and attnum > 0 and not attisdropped and attgenerated = '' order by attnum"
        ).fetchall()
        chosen = ", ".join(f"{name}::text" for name in names)
        row = connection.execute(f"select {chosen} from items limit 1").fetchone() or ()
    plain = [name.strip('"') for name in names]
    places = ", ".join(f"%({name})s::{kind[0]}" for name, kind in zip(plain, kinds, strict=True))
    statement = sql.SQL("insert into bare_inserts ({}) values ({})").format(sql.SQL(", ".join(names)), sql.SQL(places))
    return statement, dict(zip(plain, row, strict=True))


@contextlib.asynccontextmanager
async def _update(place: Place, count: int) -> AsyncIterator[Sequence[Step]]:
    """W0: what the group writer does to one row, one UPDATE and one commit each."""
    connections = await _connected(place, count)
    bodies = {}
    for dfid in place.dfids[:count]:
        cursor = await connections[0].execute("select body::text from items where key = %s", [dfid])
        (bodies[dfid],) = await cursor.fetchone() or ("",)

    async def step(connection: psycopg.AsyncConnection[Any], dfid: str) -> None:
        await connection.execute(
            "update items set version = version + 1, body = %s::json, updated_at = now() where key = %s",
            [bodies[dfid], dfid],
            prepare=True,
        )

    yield [partial(step, connection, dfid) for connection, dfid in zip(connections, bodies, strict=True)]
    for connection in connections:
        await connection.close()


@contextlib.asynccontextmanager
async def _group_writer(place: Place, count: int) -> AsyncIterator[Sequence[Step]]:
    storage = PostgresStorage(place.database)
    await storage.open()
    async with storage.read() as reader:
        held = list((await reader.page(ITEMS, Select({}, ("created_at",)), None, count)).items)

    async def step(number: int) -> None:
        before: Item = held[number]
        held[number] = attrs.evolve(before, version=before.version + 1)
        async with storage.write() as unit:
            await unit.save(ITEMS, held[number])

    yield [partial(step, number) for number in range(count)]
    await storage.aclose()


@attrs.frozen
class Direct:
    """One row: what opens its steps, each of which repeats in a task of its own, and with how many of them."""

    name: str
    open: Callable[[Place, int], Opened]
    tasks: tuple[int, ...]
    against: str = ""


DIRECT = (
    Direct("redis GET, bare", _redis_get, (1, 32)),
    Direct("prepared SELECT, bare", _select, (1, CONNECTIONS)),
    Direct("INSERT and COMMIT, bare", _insert, (1, CONNECTIONS)),
    Direct("W0: UPDATE and COMMIT, bare", _update, (1, CONNECTIONS)),
    Direct("group writer without HTTP", _group_writer, (TASKS,), "W0: UPDATE and COMMIT, bare"),
)


def direct_rows(place: Place, rounds: int, seconds: float, only: str) -> Iterator[Row]:
    """Measure in turn, in a process of its own each. The group writer is held against the fastest W0."""
    chosen = [one for one in DIRECT if only in one.name]
    wanted = {one.against for one in chosen} | {one.name for one in chosen}
    plan = [(one, count) for one in DIRECT if one.name in wanted for count in one.tasks]
    loads: dict[tuple[str, int], list[Load]] = {(one.name, count): [] for one, count in plan}
    for _ in range(rounds):
        for one, count in plan:
            loads[one.name, count].append(_apart(one, place, count, seconds))
    for one, count in plan:
        against = [found for (name, _), found in loads.items() if name == one.against]
        best = max(against, key=lambda found: max(load.per_second for load in found), default=())
        row = compared(one.name, loads[one.name, count], best, one.against[:2])
        yield attrs.evolve(row, clients=count)


def _apart(one: Direct, place: Place, count: int, seconds: float) -> Load:
    load: Load = result(run_apart(lambda: uvloop.run(_timed(one.open(place, count), seconds))))
    return load


async def _timed(opened: Opened, seconds: float) -> Load:
    latencies: list[float] = []

    async def repeat(step: Step, end: float) -> None:
        while (begun := time.perf_counter()) < end:
            await step()
            latencies.append(time.perf_counter() - begun)

    async with opened as steps:
        await asyncio.gather(*(repeat(step, time.perf_counter() + seconds / 4) for step in steps))
        latencies.clear()
        begun = time.perf_counter()
        await asyncio.gather(*(repeat(step, begun + seconds) for step in steps))
        took = time.perf_counter() - begun
    return Load(len(latencies) / took, *percentiles(latencies), 0)

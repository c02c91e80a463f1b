"""A store is written by engines of one kind at a time, and by one process of the stack `write_through`."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any

import attrs
import pytest

from adapters.postgres.codec import encode
from adapters.postgres.storage import PostgresStorage
from adapters.write_through.rows import WORKING_SET
from adapters.write_through.storage import WriteThroughStorage
from adapters.write_through.tenure import LASTS
from domain.ports.errors import StorageError, Unavailable, WriterRefused
from domain.ports.queries import Select
from domain.ports.schema import MAPPINGS, WORKSPACES
from domain.ports.storage import Storage
from tests.conformance.storage.link import Link, Mode, execute
from tests.conformance.storage.stacks import BOUNDS, EVERYTHING, PostgresStack, RedisCachedStack
from tests.conformance.storage.values import mapping, touched, workspace
from tests.servers import RedisServer


@pytest.fixture
async def made() -> AsyncIterator[list[Any]]:
    """Whatever a test has opened, closed in reverse order at its end."""
    opened: list[Any] = []
    yield opened
    for one in reversed(opened):
        await one.aclose()


async def write(storage: Storage, key: str = "a") -> None:
    async with storage.write() as unit:
        await unit.add(MAPPINGS, mapping(key))


async def plain(url: str, made: list[Any]) -> PostgresStorage:
    storage = PostgresStorage(url, BOUNDS)
    made.append(storage)
    await storage.open()
    return storage


async def sole(url: str, made: list[Any], **options: Any) -> WriteThroughStorage:
    storage = WriteThroughStorage(url, BOUNDS, working_set=EVERYTHING, **options)
    made.append(storage)
    await storage.open()
    return storage


async def test_a_second_write_through_process_is_refused_and_told_why(migrated_url: str, made: list[Any]) -> None:
    await sole(migrated_url, made)
    with pytest.raises(WriterRefused, match="DEFARM_STORAGE=write_through"):
        await sole(migrated_url, made)


async def test_a_plain_writer_is_refused_beside_write_through_and_reads_all_the_same(
    migrated_url: str, made: list[Any]
) -> None:
    await write(await sole(migrated_url, made))
    visitor = await plain(migrated_url, made)
    async with visitor.read() as reader:
        assert await reader.find(MAPPINGS, "a") is not None
    with pytest.raises(WriterRefused, match="write_through"):
        await write(visitor, "b")
    async with visitor.read() as reader:
        assert await reader.find(MAPPINGS, "b") is None


async def test_write_through_is_refused_beside_a_plain_writer(migrated_url: str, made: list[Any]) -> None:
    await write(await plain(migrated_url, made))
    with pytest.raises(WriterRefused, match="DEFARM_STORAGE=postgres"):
        await sole(migrated_url, made)


async def test_plain_and_cached_writers_refuse_each_other(
    migrated_url: str, redis_server: RedisServer, made: list[Any]
) -> None:
    redis_server.flush()
    stack = await RedisCachedStack(migrated_url, redis_server.url).start()
    cached = await stack.fresh()
    await write(cached)
    visitor = await plain(migrated_url, made)
    with pytest.raises(WriterRefused, match="DEFARM_STORAGE=redis_cached"):
        await write(visitor, "b")
    await stack.aclose()
    await write(visitor, "b")


async def test_a_cache_is_cold_after_a_plain_writer_had_its_turn(
    migrated_url: str, redis_server: RedisServer, made: list[Any]
) -> None:
    redis_server.flush()
    stack = await RedisCachedStack(migrated_url, redis_server.url).start()
    cached: Any = await stack.fresh()
    before = cached.rights.row.generation
    await stack.aclose()
    await write(await plain(migrated_url, made))
    await made.pop().aclose()
    stack = await RedisCachedStack(migrated_url, redis_server.url).start()
    cached = await stack.fresh()
    assert cached.rights.row.generation > before
    await stack.aclose()


async def test_who_ends_in_order_lets_the_next_one_in_at_once(migrated_url: str, made: list[Any]) -> None:
    first = await sole(migrated_url, made)
    await write(first)
    await first.aclose()
    async with asyncio.timeout(2.0):
        second = await sole(migrated_url, made)
        await write(second, "b")
    async with second.read() as reader:
        assert set(await reader.get_many(MAPPINGS, ["a", "b"])) == {"a", "b"}


async def test_a_writer_that_lost_its_hold_to_another_is_closed_for_writes_and_reads_the_truth(
    migrated_url: str, made: list[Any]
) -> None:
    """The lock is lost with the sessions; another writes meanwhile; nothing is answered from the old memory."""
    link = Link(migrated_url)
    await link.start()
    made.append(link)
    one = workspace()
    first = await sole(link.url, made)
    async with first.write() as unit:
        await unit.add(WORKSPACES, one)
    with link.mode(Mode.CUT):
        stack = PostgresStack(migrated_url)
        await stack.end_sessions()
        second = await sole(migrated_url, made)
        async with second.write() as unit:
            await unit.save(WORKSPACES, touched(one))
        await made.pop().aclose()
    with pytest.raises(WriterRefused, match="restart"):
        for _ in range(20):
            try:
                await write(first, "b")
            except WriterRefused:
                raise
            except Unavailable:
                await asyncio.sleep(0.2)
    async with first.read() as reader:
        assert await reader.get(WORKSPACES, one.workspace_id) == touched(one)
        assert await reader.find(MAPPINGS, "b") is None


async def test_a_writer_whose_sessions_ended_goes_on_when_nobody_else_wrote(migrated_url: str, made: list[Any]) -> None:
    storage = await sole(migrated_url, made)
    await write(storage)
    await PostgresStack(migrated_url).end_sessions()
    for attempt in range(10):
        try:
            await write(storage, f"b {attempt}")
            break
        except StorageError:
            await asyncio.sleep(0.2)
    else:
        pytest.fail("the writer did not come back")


@pytest.mark.parametrize("gone", [True, False])
async def test_who_lost_its_sessions_is_waited_for_unless_its_process_is_gone(
    migrated_url: str, made: list[Any], gone: bool
) -> None:
    link = Link(migrated_url)
    await link.start()
    made.append(link)
    await write(await sole(link.url, made))
    with link.mode(Mode.CUT):
        await PostgresStack(migrated_url).end_sessions()
        if gone:
            await execute(migrated_url, "update store_writers set process = process || '0'")
        begun = monotonic()
        await sole(migrated_url, made)
        assert (monotonic() - begun < LASTS) == gone


async def test_memory_answers_without_the_database_for_as_long_as_its_hold_is_proven(
    migrated_url: str, made: list[Any]
) -> None:
    link = Link(migrated_url)
    await link.start()
    made.append(link)
    one = workspace()
    storage = await sole(link.url, made)
    async with storage.write() as unit:
        await unit.add(WORKSPACES, one)
    with link.mode(Mode.CUT):
        async with storage.read() as reader:
            assert await reader.get(WORKSPACES, one.workspace_id) == one
            assert await reader.find(WORKSPACES, "nobody") is None
        await asyncio.sleep(1.2)
        async with storage.read() as reader:
            with pytest.raises(Unavailable):
                await reader.get(WORKSPACES, one.workspace_id)


@pytest.mark.parametrize("skip_items", [False, True])
async def test_a_new_process_sees_all_rows_whether_it_loads_them_at_once_or_as_they_are_asked_for(
    migrated_url: str, made: list[Any], skip_items: bool
) -> None:
    rows = [workspace(key=f"{number:03}") for number in range(300)]
    storage = await sole(migrated_url, made)
    async with storage.write() as unit:
        await unit.add(WORKSPACES, *rows)
    await made.pop().aclose()
    told: list[str] = []
    kept = [attrs.evolve(each, with_items=True) for each in EVERYTHING]
    storage = WriteThroughStorage(
        migrated_url, BOUNDS, working_set=kept, skip_items=skip_items, told=lambda progress: told.append(str(progress))
    )
    made.append(storage)
    await storage.open()
    assert skip_items == (not told)
    assert skip_items or any(line.startswith("loaded 300 workspaces") for line in told)
    async with storage.read() as reader:
        for _ in range(2):
            found = await reader.get_many(WORKSPACES, [row.workspace_id for row in rows])
            assert sorted(found.values(), key=lambda row: row.workspace_id) == rows
        assert len((await reader.page(WORKSPACES, Select(), limit=1000)).items) == 300
    assert len(storage.front.rows["workspaces"]) == 300


async def test_who_asks_at_once_for_what_is_not_in_memory_is_told_what_they_asked(
    migrated_url: str, made: list[Any]
) -> None:
    storage = WriteThroughStorage(migrated_url, BOUNDS, working_set=())
    made.append(storage)
    await storage.open()
    one, link = workspace(), mapping()
    async with storage.write() as unit:
        await unit.add(WORKSPACES, one)
        await unit.add(MAPPINGS, link)

    async def told(*place: Any) -> object:
        async with storage.read() as reader:
            return await reader.find_each(place)

    places = (WORKSPACES, one.workspace_id), (MAPPINGS, link.local_id)
    assert await asyncio.gather(*(told(*place) for place in places * 2)) == [(one,), (link,)] * 2


async def test_rows_are_held_in_a_short_form_and_read_the_same(migrated_url: str, made: list[Any]) -> None:
    rows = [workspace(key=f"{number:03}") for number in range(300)]
    storage = await sole(migrated_url, made)
    for some in (rows[:3], rows[3:20], rows[20:]):
        async with storage.write() as unit:
            await unit.add(WORKSPACES, *some)
    assert storage.front.rows["workspaces"].size < sum(len(encode(row)) for row in rows) / 2
    async with storage.read() as reader:
        found = await reader.get_many(WORKSPACES, [row.workspace_id for row in rows])
    assert sorted(found.values(), key=lambda row: row.workspace_id) == rows


async def test_a_row_whose_change_is_of_unknown_outcome_is_asked_of_the_database(
    migrated_url: str, made: list[Any]
) -> None:
    link = Link(migrated_url)
    await link.start()
    made.append(link)
    one = workspace()
    storage = await sole(link.url, made)
    async with storage.write() as unit:
        await unit.add(WORKSPACES, one)
    with link.mode(Mode.LOSES_ANSWERS), pytest.raises(StorageError):
        async with storage.write() as unit:
            await unit.save(WORKSPACES, touched(one))
    await execute(migrated_url, "select 1")
    truth = await plain(migrated_url, made)
    async with truth.read() as reader:
        stored = await reader.get(WORKSPACES, one.workspace_id)
    for _ in range(10):
        try:
            async with storage.read() as reader:
                assert await reader.get(WORKSPACES, one.workspace_id) == stored
            break
        except Unavailable:
            await asyncio.sleep(0.2)
    else:
        pytest.fail("the database is not asked again")


def test_the_working_set_names_no_facet_that_the_store_numbers() -> None:
    assert not any(kept.facet.serial for kept in WORKING_SET)

"""A write acknowledged by any instance is visible to every later read on every instance, on real servers."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import attrs
import psycopg
import pytest

from adapters.caching.rights import LAPSED, LASTS
from adapters.caching.storage import CachedStorage
from adapters.postgres.storage import PostgresBackend
from adapters.postgres.writers import CACHED, Entry
from adapters.staging import Found, Wanted
from container import open_engine
from domain.ports.schema import ACCOUNTS, MEMBERSHIPS, SESSIONS, Facet, Key
from tests.coherence.instances import BOUNDS, Watch, cached_storage, control_storage, in_use, membership
from tests.machines import free_port
from tests.servers import RedisServer, redis_server

KEY = ("c", "u")
PATIENCE = 30.0
"""Seconds for what comes within moments where nobody else keeps the machine."""
UNIT_SECONDS = 1.5
"""Seconds that a unit has in a test that waits until they are over."""


@pytest.fixture(scope="module")
def private_redis() -> Iterator[RedisServer]:
    with redis_server(private=True) as server:
        yield server


@pytest.fixture
def redis(private_redis: RedisServer) -> Iterator[RedisServer]:
    private_redis.flush()
    yield private_redis
    private_redis.resume()
    private_redis.start()


@pytest.fixture
async def instances(migrated_url: str, redis: RedisServer) -> AsyncIterator[list[CachedStorage]]:
    made = [await cached_storage(migrated_url, redis.url) for _ in range(2)]
    for storage in made:
        await in_use(storage)
    yield made
    for storage in made:
        await storage.aclose()


def _hits(storage: CachedStorage) -> int:
    return storage.cache.stats().hits


def _kill(server: RedisServer) -> None:
    server.kill()
    time.sleep(0.5)
    server.start()


def _freeze(server: RedisServer) -> None:
    with server.paused():
        time.sleep(0.6)


async def _read(storage: CachedStorage) -> int:
    async with storage.read() as reader:
        return (await reader.get(MEMBERSHIPS, KEY)).version


async def _write(storage: CachedStorage) -> int:
    async with storage.write() as unit:
        row = await unit.get(MEMBERSHIPS, KEY)
        await unit.save(MEMBERSHIPS, attrs.evolve(row, version=row.version + 1))
    return row.version + 1


async def _added(storage: CachedStorage) -> None:
    async with storage.write() as unit:
        await unit.add(MEMBERSHIPS, membership(KEY))


async def test_two_instances_under_load_show_every_write_and_answer_from_the_cache(
    instances: list[CachedStorage],
) -> None:
    watch = Watch(list(instances), rows=2)
    await watch.prepare()
    load = asyncio.create_task(watch.run(120.0, writers=1, pause=0.002))
    await asyncio.sleep(4.0)
    async with asyncio.timeout(60):
        while watch.writes <= 50 or any(_hits(storage) <= 200 for storage in instances):
            await asyncio.sleep(0.05)
    watch.stop()
    await load
    assert not watch.stale


class Counting(PostgresBackend):
    """Counts what is asked of each facet, and takes its time so that questions meet."""

    def __init__(self, url: str) -> None:
        super().__init__(url, BOUNDS, Entry(CACHED))
        self.asked: Counter[str] = Counter()

    async def fetch(self, facet: Facet[Any], keys: list[Key]) -> dict[Key, Any]:
        self.asked[facet.name] += 1
        found = await super().fetch(facet, keys)
        await asyncio.sleep(0.02)
        return found

    async def fetch_each(self, wanted: Wanted) -> Found:
        self.asked.update(wanted)
        return await super().fetch_each(wanted)


async def test_a_new_store_is_answered_from_the_cache_from_the_first_moment_on(
    migrated_url: str, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.caching.rights.LASTS", 10.0)
    storage = await cached_storage(migrated_url, redis.url, timeout=5.0)
    assert storage.rights.right() is not None
    await storage.aclose()


async def _read_with_others(storage: CachedStorage) -> int:
    """Read a row as a request does: together with those of the credential."""
    async with storage.read() as reader:
        account, session, row = await reader.find_each((ACCOUNTS, "u"), (SESSIONS, "s"), (MEMBERSHIPS, KEY))
    assert account is session is None
    return int(row.version)


@pytest.mark.parametrize(("read", "facets"), [(_read, 1), (_read_with_others, 3)])
async def test_a_thousand_misses_of_one_row_cost_one_statement_per_instance(
    migrated_url: str,
    redis: RedisServer,
    monkeypatch: pytest.MonkeyPatch,
    read: Callable[[CachedStorage], Awaitable[int]],
    facets: int,
) -> None:
    # On a busy machine the first reader may take longer than others would wait for it, and than the right lasts.
    monkeypatch.setattr("adapters.caching.rights.LASTS", 10.0)
    monkeypatch.setattr("adapters.caching.storage.FOLLOW_SECONDS", 10.0)
    backends = [Counting(migrated_url) for _ in range(2)]
    storages = [await cached_storage(migrated_url, redis.url, backend=backend, timeout=5.0) for backend in backends]
    try:
        await _added(storages[0])
        for storage in storages:
            await in_use(storage)
        async with asyncio.timeout(PATIENCE):
            while storages[0].backend.pending:
                await asyncio.sleep(0.01)
        names = [name async for found in storages[0].cache.keys("membership") for name in found]
        await storages[0].cache.drop(names)
        for backend in backends:
            backend.asked.clear()
        found = await asyncio.gather(*(read(storage) for storage in storages for _ in range(1000)))
        assert set(found) == {1}
        assert [[*backend.asked.values()] for backend in backends] == 2 * [[1] * facets]
    finally:
        for storage in storages:
            await storage.aclose()


async def test_a_hit_that_differs_from_the_database_is_noticed_and_dropped(
    instances: list[CachedStorage], migrated_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first, _ = instances
    await _added(first)
    await _read(first)
    async with await psycopg.AsyncConnection.connect(migrated_url, autocommit=True) as connection:
        await connection.execute("""update memberships set body = replace(body::text, '"test"', '"elsewhere"')::json""")
    assert first.backend.mismatches == 0
    monkeypatch.setattr("adapters.caching.storage.COMPARED", 1)
    async with asyncio.timeout(PATIENCE):
        while not first.backend.mismatches:
            await _read(first)
            await asyncio.sleep(0.02)
    assert "another memberships than the database" in caplog.text
    monkeypatch.undo()

    async def told() -> str:
        async with first.read() as reader:
            return (await reader.get(MEMBERSHIPS, KEY)).joined_via

    async with asyncio.timeout(PATIENCE):
        while await told() != "elsewhere":
            await asyncio.sleep(0.02)


async def test_no_read_is_stale_while_redis_is_killed_frozen_and_flushed(
    instances: list[CachedStorage], redis: RedisServer
) -> None:
    watch = Watch(list(instances))
    await watch.prepare()
    load = asyncio.create_task(watch.run(120.0, pause=0.01))
    await asyncio.sleep(0.5)
    for hurt in (redis.flush, lambda: _freeze(redis), lambda: _kill(redis), redis.flush):
        await asyncio.to_thread(hurt)
        before = watch.writes
        await asyncio.sleep(1.5)
        for storage in instances:
            await in_use(storage, 30.0)
        await asyncio.sleep(0.5)
        assert watch.writes > before
    watch.stop()
    await load
    assert not watch.stale
    assert watch.reads > 2000
    for storage in instances:
        await in_use(storage)
    assert instances[0].rights.row is not None and instances[0].rights.row.generation > 2


async def test_deleting_the_key_after_the_commit_is_caught(migrated_url: str, redis: RedisServer) -> None:
    """The control: the same watch sees the stale reads of a cache that is kept in the usual way."""
    storages = [await control_storage(migrated_url, redis.url) for _ in range(2)]
    watch = Watch(list(storages), rows=1)
    await watch.prepare()
    for _ in range(10):
        await watch.run(2.0)
        if watch.stale:
            break
    for storage in storages:
        await storage.aclose()
    assert watch.stale


async def test_an_instance_that_cannot_reach_redis_writes_and_the_others_see_it(
    migrated_url: str, instances: list[CachedStorage]
) -> None:
    alone = await cached_storage(migrated_url, f"redis://127.0.0.1:{free_port()}/0")
    try:
        await _added(instances[0])
        assert [await _read(storage) for storage in (*instances, alone)] == [1, 1, 1]
        took = []
        for version in range(2, 6):
            started = time.monotonic()
            assert await _write(alone) == version
            took.append(time.monotonic() - started)
            assert [await _read(storage) for storage in (*instances, alone)] == [version] * 3
        first, *later = took
        assert LASTS < LAPSED <= first
        assert min(later) < LAPSED, "who has waited once waits no more"
    finally:
        await alone.aclose()
    for storage in instances:
        await in_use(storage)
        assert await _read(storage) == 5


async def test_an_instance_whose_redis_is_another_one_is_alone_too(
    migrated_url: str, instances: list[CachedStorage]
) -> None:
    with redis_server(private=True) as elsewhere:
        stranger = await cached_storage(migrated_url, elsewhere.url)
        try:
            await _added(instances[0])
            for _ in range(3):
                version = await _write(stranger)
                assert [await _read(storage) for storage in instances] == [version, version]
                version = await _write(instances[1])
                assert await _read(stranger) == version
        finally:
            await stranger.aclose()


async def test_the_mark_of_a_writer_that_vanished_is_reaped_after_its_deadline(
    instances: list[CachedStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = instances
    await _added(first)
    monkeypatch.setattr("adapters.caching.storage.UNIT_SECONDS", UNIT_SECONDS)
    monkeypatch.setattr(first.backend, "_unmark", lambda *_: asyncio.sleep(0))
    await _write(first)
    assert await _read(second) == 2
    await asyncio.sleep(UNIT_SECONDS + 0.1)
    before = _hits(second)
    async with asyncio.timeout(PATIENCE):
        while _hits(second) == before:
            assert await _read(second) == 2
            await asyncio.sleep(0.02)


async def test_a_unit_that_meets_its_deadline_commits_nothing(
    instances: list[CachedStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = instances
    await _added(first)
    monkeypatch.setattr("adapters.caching.storage.UNIT_SECONDS", -1.0)
    with pytest.raises(Exception, match="rights to the cache"):
        await _write(first)
    assert await _read(second) == 1


async def test_absence_is_kept_and_ends_with_the_row(instances: list[CachedStorage]) -> None:
    first, second = instances
    before = _hits(second)
    async with second.read() as reader, asyncio.timeout(PATIENCE):
        while _hits(second) == before:
            assert await reader.find(MEMBERSHIPS, KEY) is None
            await asyncio.sleep(0.02)
    await _added(first)
    assert await _read(second) == 1


async def test_a_removed_row_is_gone_and_its_successor_is_seen(instances: list[CachedStorage]) -> None:
    first, second = instances
    await _added(first)
    for _ in range(3):
        await _write(first)
        assert await _read(second) == await _read(first)
        async with first.write() as unit:
            await unit.remove(MEMBERSHIPS, await unit.get(MEMBERSHIPS, KEY))
        async with second.read() as reader:
            assert await reader.find(MEMBERSHIPS, KEY) is None
        await _added(second)
        assert await _read(first) == 1


async def test_the_engine_opens_without_its_redis_says_so_and_works(
    migrated_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    secrets: dict[str, Any] = {"jwt_secret": "j" * 40, "secret_key": "s" * 40}
    missing = f"redis://127.0.0.1:{free_port()}/0"
    async with open_engine(database_url=migrated_url, redis_url=missing, **secrets) as engine:
        assert isinstance(engine.storage, CachedStorage)
        await _added(engine.storage)
        assert await _read(engine.storage) == 1
    assert [record.levelname for record in caplog.records if "the cache does not answer" in record.message] == [
        "WARNING"
    ]


async def test_an_instance_starts_without_redis_and_uses_it_once_it_is_there(migrated_url: str) -> None:
    with redis_server(private=True) as server:
        server.kill()
        storage = await cached_storage(migrated_url, server.url)
        try:
            await _added(storage)
            assert await _read(storage) == 1
            await asyncio.to_thread(server.start)
            await in_use(storage)
            assert await _read(storage) == 1
        finally:
            await storage.aclose()

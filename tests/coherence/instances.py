"""Instances of the cached storage over one PostgreSQL and one Redis, and what checks that none of them lies."""

import asyncio
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import attrs
from redis.asyncio import Redis

from adapters.caching.keys import KeySpace
from adapters.caching.storage import CachedStorage
from adapters.changes import Changes
from adapters.postgres.codec import decode, encode
from adapters.postgres.rights import PostgresLedger
from adapters.postgres.storage import PostgresBackend, PostgresBounds
from adapters.postgres.writers import CACHED, Entry
from adapters.redis.cache import SCRIPTS, RedisCache
from adapters.redis.cluster import TAGS, ClusterLink
from adapters.redis.link import RedisLink, Scripts
from adapters.staging import StagedStorage
from domain.access.permissions import BaseRole
from domain.circuits.values import Membership
from domain.ports.errors import AlreadyExists, Contention, OutcomeUnknown, Stale, Unavailable
from domain.ports.schema import MEMBERSHIPS, Facet, Key
from domain.ports.storage import Storage

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BOUNDS = PostgresBounds(pool_max=6)


async def cached_storage(
    url: str,
    redis_url: str,
    *,
    timeout: float = 0.2,
    prefix: str = "defarm",
    backend: PostgresBackend | None = None,
    cluster: bool = False,
) -> CachedStorage:
    """Return an opened instance of the stack `redis_cached`."""
    space = KeySpace(prefix=prefix, tags=TAGS if cluster else 1)
    scripts = Scripts(SCRIPTS)
    link = (ClusterLink if cluster else RedisLink)(redis_url, scripts, timeout)
    cache = RedisCache(link, scripts, space)
    inner = backend or PostgresBackend(url, BOUNDS, Entry(CACHED))
    storage = CachedStorage(inner, PostgresLedger(url, BOUNDS), cache, space)
    await storage.open()
    return storage


async def in_use(storage: CachedStorage, seconds: float = 10.0) -> None:
    """Wait until an instance has the right to the cache."""
    async with asyncio.timeout(seconds):
        while storage.rights.right() is None:
            await asyncio.sleep(0.02)


class DeleteAfterCommit(PostgresBackend):
    """The control: cache-aside, the key deleted once the commit is known."""

    def __init__(self, url: str, redis_url: str) -> None:
        super().__init__(url, BOUNDS, Entry(CACHED))
        self._redis = Redis.from_url(redis_url)

    async def fetch(self, facet: Facet[Any], keys: list[Key]) -> dict[Key, Any]:
        found = {}
        for key in keys:
            held: Any = await self._redis.get(repr(key))
            rows = {key: decode(facet.value, held)} if held else await super().fetch(facet, [key])
            found.update(rows)
            if not held and rows:
                await asyncio.sleep(0.002)
                await self._redis.set(repr(key), encode(rows[key]))
        return found

    async def commit(self, changes: Changes, guard: Any = None) -> None:
        await super().commit(changes)
        for change in changes:
            for key in (*change.saves, *change.removes, *change.adds):
                await self._redis.delete(repr(key))

    async def aclose(self) -> None:
        await self._redis.aclose()
        await super().aclose()


async def control_storage(url: str, redis_url: str) -> StagedStorage:
    """Return an opened instance of the control."""
    backend = DeleteAfterCommit(url, redis_url)
    await backend.open()
    return StagedStorage(backend)


def membership(key: Key, version: int = 1) -> Membership:
    circuit_id, user_id = (part for part in key)
    return Membership(circuit_id, user_id, BaseRole.MEMBER, frozenset(), NOW, "test", version=version)


class Watch:
    """Hammers a few hot rows through several instances and counts the reads that lost a write or went back."""

    def __init__(self, storages: list[Storage], rows: int = 4) -> None:
        self.storages = storages
        self.keys: list[Key] = [("c", f"u{number}") for number in range(rows)]
        self.floor: dict[Key, int] = defaultdict(int)
        self.reads = self.writes = self.failed = 0
        self._end = 0.0
        self.stale: list[tuple[Key, int, int]] = []

    async def prepare(self) -> None:
        async with self.storages[0].write() as unit:
            await unit.add(MEMBERSHIPS, *map(membership, self.keys))

    async def run(self, seconds: float, *, readers: int = 4, writers: int = 2, pause: float = 0.0) -> None:
        """Read and write for a time, or until `stop`; what the store refuses is tried again."""
        self._end = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as tasks:
            for storage in self.storages:
                for number in range(readers):
                    tasks.create_task(self._read(storage, number))
                for number in range(writers):
                    tasks.create_task(self._write(storage, number, pause))

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._end = 0.0

    async def _read(self, storage: Storage, number: int) -> None:
        while asyncio.get_running_loop().time() < self._end:
            key = self.keys[number % len(self.keys)]
            number += 1
            with suppress(Unavailable):
                await self._look(storage, key)
            await asyncio.sleep(0)

    async def _look(self, storage: Storage, key: Key) -> Membership:
        floor = self.floor[key]
        async with storage.read() as reader:
            row = await reader.get(MEMBERSHIPS, key)
        self.reads += 1
        if row.version < floor:
            self.stale.append((key, floor, row.version))
        self.floor[key] = max(self.floor[key], row.version)
        return row

    async def _write(self, storage: Storage, number: int, pause: float) -> None:
        while asyncio.get_running_loop().time() < self._end:
            key = self.keys[number % len(self.keys)]
            number += 1
            try:
                row = await self._look(storage, key)
                async with storage.write() as unit:
                    await unit.save(MEMBERSHIPS, attrs.evolve(row, version=row.version + 1))
                self.floor[key] = max(self.floor[key], row.version + 1)
                self.writes += 1
            except (Stale, Contention, Unavailable, OutcomeUnknown, AlreadyExists):
                self.failed += 1
            await asyncio.sleep(pause)

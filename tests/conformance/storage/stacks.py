"""Every stack of the storage port as a small harness: make instances of it, look beneath it, hurt it."""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from adapters.caching.keys import KeySpace
from adapters.caching.storage import CachedStorage
from adapters.memory.storage import MemoryBackend, MemoryStorage
from adapters.postgres.rights import PostgresLedger
from adapters.postgres.storage import PostgresBackend, PostgresBounds, PostgresStorage
from adapters.postgres.writers import CACHED, Entry
from adapters.redis.cache import SCRIPTS, RedisCache
from adapters.redis.link import RedisLink, Scripts
from adapters.staging import StagedStorage
from adapters.write_through.behind import BehindBounds
from adapters.write_through.rows import Kept
from adapters.write_through.storage import WriteThroughStorage
from domain.ports.schema import FACETS
from domain.ports.storage import Storage
from tests.conformance.storage.link import Link, Mode, execute


class Stack(Protocol):
    """One backing, empty at first, and instances of a storage over it."""

    async def fresh(self) -> Storage:
        """Return an instance over the backing."""
        ...

    async def second(self) -> Storage:
        """Return another instance over the same backing, as another process would have it."""
        ...

    async def truth(self) -> Storage:
        """Return the bottom layer, past every cache and link."""
        ...

    def hurt(self, mode: Mode) -> AbstractContextManager[None]:
        """Break the link to the backing for the time of the block."""
        ...

    async def end_sessions(self) -> None:
        """Let the backing end every session that is open."""
        ...

    async def aclose(self) -> None: ...


class NoLink(AssertionError):
    """The stack has no link that could break."""


class MemoryStack:
    """Instances over one backend."""

    def __init__(self) -> None:
        self._backend = MemoryBackend()

    async def fresh(self) -> Storage:
        return MemoryStorage(self._backend)

    second = truth = fresh

    def hurt(self, mode: Mode) -> AbstractContextManager[None]:
        raise NoLink(mode)

    async def end_sessions(self) -> None:
        raise NoLink

    async def aclose(self) -> None:
        return


BOUNDS = PostgresBounds(pool_wait=2.0, statement_timeout=2.0, lock_timeout=1.0, connect_timeout=2.0)


class PostgresStack:
    """Instances with a pool each, over a migrated database; all but the truth go through one link."""

    def __init__(self, url: str, bounds: PostgresBounds = BOUNDS) -> None:
        self.url = url
        self._bounds = bounds
        self._link = Link(url)
        self._made: list[PostgresStorage | CachedStorage | WriteThroughStorage] = []

    async def start(self) -> "PostgresStack":
        await self._link.start()
        return self

    async def fresh(self) -> Storage:
        return await self._opened(self._link.url)

    second = fresh

    async def truth(self) -> Storage:
        return await self._opened(self.url)

    async def _opened(self, url: str) -> Storage:
        storage = PostgresStorage(url, self._bounds)
        self._made.append(storage)
        await storage.open()
        return storage

    def hurt(self, mode: Mode) -> AbstractContextManager[None]:
        return self._link.mode(mode)

    async def end_sessions(self) -> None:
        await execute(
            self.url,
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()",
        )

    async def aclose(self) -> None:
        for storage in self._made:
            await storage.aclose()
        await self._link.aclose()


class RedisCachedStack(PostgresStack):
    """Instances that share a Redis and use it from the start; the truth lies past it."""

    def __init__(self, url: str, redis_url: str) -> None:
        super().__init__(url)
        self._redis_url = redis_url

    async def fresh(self) -> Storage:
        space, scripts = KeySpace(), Scripts(SCRIPTS)
        # The machine is shared: a slow answer is not what these tests are about.
        cache = RedisCache(RedisLink(self._redis_url, scripts, 2.0), scripts, space)
        backend = PostgresBackend(self._link.url, self._bounds, Entry(CACHED))
        storage = CachedStorage(backend, PostgresLedger(self._link.url, self._bounds), cache, space)
        self._made.append(storage)
        await storage.open()
        async with asyncio.timeout(10):
            while storage.rights.right() is None:
                await asyncio.sleep(0.01)
        return storage

    second = fresh


EVERYTHING = tuple(Kept(facet, facet.indexes[0][:1] if facet.indexes else ()) for facet in FACETS if not facet.serial)


class _Handle(StagedStorage):
    """One of several on a backend that goes on when this one is closed."""

    async def aclose(self) -> None:
        self._closed = True


class WriteThroughStack(PostgresStack):
    """Handles on the one process that writes; `second` cannot be another process, which would be refused."""

    def __init__(self, url: str, working_set: Sequence[Kept] = EVERYTHING, behind: BehindBounds | None = None) -> None:
        super().__init__(url)
        self._working_set = working_set
        self._behind = behind
        self._one: WriteThroughStorage | None = None

    async def fresh(self) -> Storage:
        if self._one is None:
            self._one = WriteThroughStorage(
                self._link.url, self._bounds, working_set=self._working_set, behind=self._behind
            )
            self._made.append(self._one)
            await self._one.open()
        return _Handle(self._one.backend)

    second = fresh

    async def truth(self) -> Storage:
        if self._one is not None and self._one.behind is not None:
            assert not await self._one.behind.drain(10.0)
        return await super().truth()

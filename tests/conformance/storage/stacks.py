"""Every stack of the storage port as a small harness: make instances of it, look beneath it, hurt it."""

import asyncio
from contextlib import AbstractContextManager
from typing import Protocol

from adapters.caching.keys import KeySpace
from adapters.caching.storage import CachedStorage
from adapters.memory.storage import MemoryBackend, MemoryStorage
from adapters.postgres.rights import PostgresLedger
from adapters.postgres.storage import PostgresBackend, PostgresBounds, PostgresStorage
from adapters.redis.cache import SCRIPTS, RedisCache
from adapters.redis.link import RedisLink, Scripts
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


BOUNDS = PostgresBounds(pool_wait=1.0, statement_timeout=2.0, lock_timeout=1.0, connect_timeout=2.0)


class PostgresStack:
    """Instances with a pool each, over a migrated database; all but the truth go through one link."""

    def __init__(self, url: str, bounds: PostgresBounds = BOUNDS) -> None:
        self.url = url
        self._bounds = bounds
        self._link = Link(url)
        self._made: list[PostgresStorage | CachedStorage] = []

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
        backend = PostgresBackend(self._link.url, self._bounds)
        storage = CachedStorage(backend, PostgresLedger(self._link.url, self._bounds), cache, space)
        self._made.append(storage)
        await storage.open()
        async with asyncio.timeout(10):
            while storage.rights.right() is None:
                await asyncio.sleep(0.01)
        return storage

    second = fresh

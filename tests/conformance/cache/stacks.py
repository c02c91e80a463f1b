"""The caches under test, each with the means to hurt what is behind it."""

import asyncio
from contextlib import suppress
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.crc import key_slot

from adapters.caching.keys import KeySpace
from adapters.memory.cache import MemoryCache, MemoryCells
from adapters.redis.cache import SCRIPTS, RedisCache
from adapters.redis.cluster import TAGS, ClusterLink
from adapters.redis.link import Link, RedisLink, Scripts
from domain.ports.cache import Cache, EpochState
from tests.servers import RedisCluster, RedisServer


class Stack(Protocol):
    """One backing that several instances of a cache share."""

    space: KeySpace

    def instance(self, **settings: float) -> Cache: ...

    async def evict(self, key: str) -> None: ...

    async def wipe(self) -> None: ...

    async def restart_from_snapshot(self) -> None: ...

    async def aclose(self) -> None: ...


class MemoryStack:
    """Instances over shared cells."""

    def __init__(self) -> None:
        self.space = KeySpace()
        self.cells = MemoryCells()

    def instance(self, **settings: float) -> Cache:
        return MemoryCache(self.space, self.cells, **settings)

    async def evict(self, key: str) -> None:
        self.cells.evict(key)

    async def wipe(self) -> None:
        self.cells.wipe()

    async def restart_from_snapshot(self) -> None:
        self.cells.restart()

    async def aclose(self) -> None:
        pass


class RedisStack:
    """Instances over one real server; `timeout` is generous because the machine is shared."""

    def __init__(self, server: RedisServer, tags: int = 1) -> None:
        self.server = server
        self.space = KeySpace(tags=tags)
        self._caches: list[RedisCache] = []
        self._restored = False

    def instance(self, *, timeout: float = 2.0, **settings: float) -> RedisCache:
        scripts = Scripts(SCRIPTS)
        cache = RedisCache(self._link(scripts, timeout), scripts, self.space, **settings)
        self._caches.append(cache)
        return cache

    def _link(self, scripts: Scripts, timeout: float) -> Link:
        return RedisLink(self.server.url, scripts, timeout)

    async def command(self, *words: str) -> Any:
        async with Redis.from_url(self.server.url) as client:
            return await client.execute_command(*words)  # type: ignore[no-untyped-call]

    async def evict(self, key: str) -> None:
        """Do what a volatile-* policy may do: remove the key if it has a life span."""
        if int(await self.command("PTTL", key)) >= 0:
            await self.command("DEL", key)

    async def wipe(self) -> None:
        await self.command("FLUSHALL")

    async def restart_from_snapshot(self) -> None:
        await self.command("SAVE")
        self.server.kill()
        self.server.start()
        self._restored = True
        for cache in self._caches:
            # The first call on a connection to the dead server fails, as it must; the next one reconnects.
            with suppress(Exception):
                await cache.epoch()

    async def aclose(self) -> None:
        if self._restored:
            # A later start of the server must find nothing.
            await self.wipe()
            await self.command("SAVE")
        for cache in self._caches:
            await cache.aclose()


class RedisClusterStack(RedisStack):
    """Instances over a cluster of three servers."""

    def __init__(self, cluster: RedisCluster) -> None:
        super().__init__(cluster.nodes[0], tags=TAGS)
        self._cluster = cluster

    def _link(self, scripts: Scripts, timeout: float) -> Link:
        return ClusterLink(self._cluster.url, scripts, timeout)

    async def command(self, *words: str) -> Any:
        """Run a command on the node of its key, without one on every node."""
        nodes = self._cluster.nodes
        if len(words) > 1:
            slots = -(-16384 // len(nodes))
            nodes = [nodes[key_slot(words[1].encode()) // slots]]
        for node in nodes:
            async with Redis.from_url(node.url) as client:
                answer = await client.execute_command(*words)  # type: ignore[no-untyped-call]
        return answer

    async def restart_from_snapshot(self) -> None:
        """Restart one node of three: the others keep what they had, which is void all the same."""
        await super().restart_from_snapshot()
        await asyncio.to_thread(self._cluster.settle)
        for cache in self._caches:
            with suppress(Exception):
                await cache.epoch()


async def open_epoch(cache: Cache, name: str = "first") -> None:
    """Take a cache through the quarantine without waiting."""
    seen = await cache.quarantine(await cache.epoch(), f"note-{name}")
    assert seen.state is EpochState.QUARANTINED
    assert await cache.begin_epoch(seen, name)

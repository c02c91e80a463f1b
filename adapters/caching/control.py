"""Counting and invalidating what lies in a shared cache, in slices, so that nobody has to wait (platform.md 9.3)."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from time import monotonic
from typing import Any

from adapters.caching.keys import KINDS
from adapters.caching.storage import CachedStorage
from domain.ids import new_id
from domain.ports.cache import CacheServer, CacheUnavailable, Value
from domain.ports.cache_control import CacheMode, CacheProbe, CacheReport
from domain.ports.errors import Unavailable
from domain.ports.schema import Facet

PROBES = 5
"""A probe tells the quickest of so many answers: what else the machine does only adds to the others."""
FRESH = 10.0
"""Seconds for which a count of the entries is told again."""

_FACETS = {kind: facet for facet, kind in KINDS.items()}


class SharedCacheControl:
    """The control of a cache that all instances share: what is dropped here is gone for every one of them."""

    mode = CacheMode.REDIS

    def __init__(self, storage: CachedStorage) -> None:
        self._storage = storage
        self._cache = storage.cache
        self._space = storage.space
        self._counting = asyncio.Lock()
        self._counted_at = float("-inf")
        self._entries: Mapping[str, int] = {}
        self._as_of = datetime.now(UTC)

    @property
    def degraded_since(self) -> datetime | None:
        return self._storage.rights.without_since

    @property
    def write_behind(self) -> None:
        return None

    @property
    def lost(self) -> int:
        return 0

    @property
    def pending(self) -> int:
        return self._storage.backend.pending

    def tallies(self) -> Mapping[str, Mapping[str, int]]:
        return self._storage.backend.tally.kinds

    async def report(self) -> CacheReport:
        server = await self._server()
        if server is not None:
            await self._count()
        return CacheReport(
            entries=self._entries,
            as_of=self._as_of,
            counters=self._cache.stats(),
            mismatches=self._storage.backend.mismatches,
            pending=self.pending,
            degraded_since=self.degraded_since,
            reached=server is not None,
            server=server,
        )

    async def invalidate(self, facets: Collection[Facet[Any]], ids: Collection[str] | None) -> int:
        dropped = 0
        try:
            for facet in facets:
                async for names in self._names(facet, None if ids is None else frozenset(ids)):
                    dropped += await self._cache.drop(names)
        except CacheUnavailable as cause:
            raise Unavailable(f"the cache does not answer: {cause.reason}") from cause
        self._counted_at = float("-inf")
        return dropped

    async def probe(self) -> CacheProbe:
        try:
            server = min([await self._cache.server() for _ in range(PROBES)], key=attrgetter("latency"))
            layouts = len(await self._cache.layouts())
        except CacheUnavailable as error:
            return CacheProbe(server=None, reason=error.reason)
        fills, reason = False, ""
        try:
            fills = await self._fills()
        except CacheUnavailable as error:
            reason = error.reason
        rights = self._storage.rights
        row = await rights.ledger.read()
        closed = None if row.open or not row.generation else (row.now - row.closed_at).total_seconds()
        elsewhere = row.open and rights.life is not None and row.life != rights.life
        return CacheProbe(
            server=server, reason=reason, fills=fills, closed_for=closed, elsewhere=elsewhere, layouts=layouts
        )

    async def _fills(self) -> bool:
        """Put a value that nobody else uses, and find it again."""
        token = new_id()
        name = self._space.key(0, "probe", token)
        await self._cache.acquire([name], token)
        await self._cache.fill(token, {name: Value(1, b"probe")})
        found = await self._cache.look([name])
        await self._cache.drop([name])
        return found[name] == Value(1, b"probe")

    async def _names(self, facet: Facet[Any], ids: frozenset[str] | None) -> AsyncIterator[Sequence[str]]:
        kind, row = KINDS[facet.name], self._storage.rights.row
        if ids is not None and len(facet.key) == 1:
            if row is None:
                raise CacheUnavailable("it was not reached yet")
            yield [self._space.key(row.generation, kind, each) for each in ids]
            return
        async for names in self._cache.keys(kind):
            chosen = [name for name in names if ids is None or self._space.parts(name).owner in ids]
            if chosen:
                yield chosen

    async def _server(self) -> CacheServer | None:
        try:
            return await self._cache.server()
        except CacheUnavailable:
            return None

    async def _count(self) -> None:
        async with self._counting:
            if monotonic() - self._counted_at < FRESH:
                return
            try:
                self._entries = await self._census()
            except CacheUnavailable:
                return
            self._as_of, self._counted_at = datetime.now(UTC), monotonic()

    async def _census(self) -> Mapping[str, int]:
        """Count the keys that can still be read: those of the present generation."""
        row = self._storage.rights.row
        counts: Counter[str] = Counter()
        async for names in self._cache.keys():
            for parts in map(self._space.parts, names):
                if row is not None and parts.generation == row.generation and parts.kind in _FACETS:
                    counts[_FACETS[parts.kind]] += 1
        return counts

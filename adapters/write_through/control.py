"""What lies in memory, counted, and asked of PostgreSQL again on demand (platform.md 9.3)."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from adapters.caching.keys import KINDS
from adapters.write_through.storage import WriteThroughStorage
from domain.ports.cache_control import CacheMode, CacheProbe, CacheReport, WriteBehindState
from domain.ports.schema import Facet, Key


class MemoryControl:
    """The control of what one process holds in memory."""

    mode = CacheMode.WRITE_THROUGH

    def __init__(self, storage: WriteThroughStorage) -> None:
        self._storage = storage

    @property
    def degraded_since(self) -> datetime | None:
        return self._storage.tenure.without_since

    @property
    def write_behind(self) -> WriteBehindState | None:
        return None if self._storage.behind is None else self._storage.behind.state

    @property
    def lost(self) -> int:
        return 0 if self._storage.behind is None else self._storage.behind.lost

    @property
    def pending(self) -> int:
        return 0

    def tallies(self) -> Mapping[str, Mapping[str, int]]:
        tallies = self._storage.front.tallies
        return {KINDS.get(name, name): tally for name, tally in tallies.items() if tally}

    async def report(self) -> CacheReport:
        front = self._storage.front
        return CacheReport(
            entries={name: len(rows) for name, rows in front.rows.items()},
            as_of=datetime.now(UTC),
            counters=front.stats(),
            degraded_since=self.degraded_since,
            write_behind=self.write_behind,
        )

    async def invalidate(self, facets: Collection[Facet[Any]], ids: Collection[str] | None) -> int:
        front, count = self._storage.front, 0
        wanted = None if ids is None else frozenset(ids)
        for facet in facets:
            if facet.name in front.rows:
                keys = [key for key in front.rows[facet.name] if wanted is None or _owner(key) in wanted]
                for key in keys:
                    front.doubt((facet.name, key))
                count += len(keys)
        return count

    async def probe(self) -> CacheProbe | None:
        return None


def _owner(key: Key) -> str:
    return key if isinstance(key, str) else key[0]

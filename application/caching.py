"""What administrators read of the cache, and make it forget (platform.md 9.3)."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import attrs

from application.units import Units
from domain.access.principal import Principal
from domain.act import Act
from domain.ports.cache_control import CacheControl, CacheMode, CacheReport, WriteBehindState
from domain.ports.clock import Clock
from domain.ports.schema import ACCOUNTS, CIRCUITS, EVENTS, ITEMS, MEMBERSHIPS, Facet
from domain.shape import UNSET, Count, Raw, Unset

KINDS: Mapping[str, tuple[Facet[Any], ...]] = {"items": (ITEMS,), "circuits": (CIRCUITS, MEMBERSHIPS)}
"""What may be invalidated, by its name on the wire."""


@attrs.frozen
class Invalidation:
    """Everything of a kind, or what belongs to these ids: DFIDs and local ids, or circuits."""

    ids: Annotated[tuple[Annotated[str, Raw(1, 64)], ...], Count(1, 1000)] | None = None


@attrs.frozen
class Invalidated:
    """How many entries were dropped, marks of running units aside."""

    invalidated: int
    mode: CacheMode


@attrs.frozen
class RedisView:
    """The server of the cache; only `connected` when it does not answer. Latency in ms, memory in bytes."""

    connected: bool
    version: str | Unset = UNSET
    latency_ms: float | Unset = UNSET
    used_memory_bytes: int | Unset = UNSET


@attrs.frozen(kw_only=True)
class CacheView:
    """Entries of the cache by kind, and the counters of the answering instance since its start."""

    cached_items: int
    cached_circuits: int
    cached_events: int
    cached_memberships: int
    cached_accounts: int
    mode: CacheMode
    hits: int
    misses: int
    hit_rate: float
    busy: int
    fills_refused: int
    errors: int
    mismatches: int
    pending_invalidations: int
    degraded: bool
    degraded_since: datetime | None
    redis: RedisView | None
    write_behind: WriteBehindState | None
    as_of: datetime


@attrs.frozen
class NoCache:
    """The control of a storage that keeps nothing in front of its database."""

    clock: Clock
    mode: CacheMode = CacheMode.NONE
    degraded_since: datetime | None = None
    pending: int = 0
    write_behind: WriteBehindState | None = None
    lost: int = 0

    def tallies(self) -> Mapping[str, Mapping[str, int]]:
        return {}

    async def report(self) -> CacheReport:
        return CacheReport(entries={}, as_of=self.clock.now())

    async def invalidate(self, facets: object, ids: object) -> int:
        return 0

    async def probe(self) -> None:
        return None


@attrs.frozen
class CacheAdministration:
    """Acts on the cache of the storage. Whether the principal may was checked before."""

    control: CacheControl
    units: Units

    async def stats(self) -> CacheView:
        """Return the state of the cache. A cache that does not answer is told, not raised."""
        return _view(self.control.mode, await self.control.report())

    async def invalidate(self, principal: Principal, kind: str, request: Invalidation) -> Invalidated:
        """Let every instance forget rows of a kind of KINDS. Raises Unavailable when the cache does not answer."""
        count = await self.control.invalidate(KINDS[kind], request.ids)
        done = Invalidated(count, self.control.mode)

        async def recorded(act: Act) -> Invalidated:
            named = None if request.ids is None else len(request.ids)
            await act.audit("cache.invalidated", ("cache", kind), details={"invalidated": count, "ids": named})
            return done

        return await self.units.perform(principal, recorded)


def _view(mode: CacheMode, report: CacheReport) -> CacheView:
    counters = report.counters
    looks = counters.hits + counters.misses + counters.busy
    return CacheView(
        cached_items=report.entries.get(ITEMS.name, 0),
        cached_circuits=report.entries.get(CIRCUITS.name, 0),
        cached_events=report.entries.get(EVENTS.name, 0),
        cached_memberships=report.entries.get(MEMBERSHIPS.name, 0),
        cached_accounts=report.entries.get(ACCOUNTS.name, 0),
        mode=mode,
        hits=counters.hits,
        misses=counters.misses,
        hit_rate=round(counters.hits / looks, 4) if looks else 0.0,
        busy=counters.busy,
        fills_refused=counters.fills_refused,
        errors=counters.failures,
        mismatches=report.mismatches,
        pending_invalidations=report.pending,
        degraded=report.degraded_since is not None,
        degraded_since=report.degraded_since,
        redis=_redis(report),
        write_behind=report.write_behind,
        as_of=report.as_of,
    )


def _redis(report: CacheReport) -> RedisView | None:
    if report.reached is None:
        return None
    if report.server is None:
        return RedisView(connected=False)
    return RedisView(True, report.server.version, round(report.server.latency, 3), report.server.used_memory)

"""Numbers of the whole store, and who serves it (platform.md 9.1)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from application.units import Units
from domain.document import Document
from domain.instants import MICROSECOND
from domain.ports.errors import AlreadyExists, Contention, Stale, StorageError
from domain.ports.queries import AnyOf, Between, Condition, Select
from domain.ports.schema import (
    ACCOUNTS,
    API_KEYS,
    CIRCUITS,
    DELIVERIES,
    EVENTS,
    INSTANCES,
    ITEMS,
    OPERATIONS,
    STATISTICS,
    WORKSPACES,
    Facet,
)
from domain.ports.storage import Reader
from domain.statistics import Instance, StatisticsRecord

NAME: Final = "dashboard"
FRESH: Final = timedelta(seconds=60)
SILENT: Final = timedelta(seconds=60)
"""An instance that was not heard of for so long is gone."""
MONTH, DAY = timedelta(days=30), timedelta(days=1)
LOST: Final = (Stale, AlreadyExists, Contention)

Numbers = Mapping[str, int]


@attrs.frozen
class WaitingOperations:
    pending: int
    oldest_pending_seconds: int | None


@attrs.frozen
class StorageNumbers:
    mode: str
    schema_version: int
    bytes: int | None = None


@attrs.frozen
class InstanceView:
    """Only an instance that is ready announces itself."""

    instance_id: str
    version: str
    started_at: datetime
    last_seen_at: datetime
    ready: bool


@attrs.frozen
class Dashboard:
    """Counted at `as_of`, at most a minute ago."""

    as_of: datetime
    users: Numbers
    workspaces: Numbers
    circuits: Numbers
    items: Numbers
    events: Numbers
    operations: WaitingOperations
    api_keys: Numbers
    webhooks: Numbers
    storage: StorageNumbers
    instances: tuple[InstanceView, ...]


async def serving(reader: Reader, now: datetime) -> tuple[Instance, ...]:
    """Return the instances that were heard of lately, at most 1,000."""
    heard = Select({"last_seen_at": Between(now - SILENT)}, ("last_seen_at",))
    return (await reader.page(INSTANCES, heard, limit=1000)).items


@attrs.frozen(kw_only=True)
class Statistics:
    """Counts for all instances: who comes first after a minute stores the numbers, and everybody reads them."""

    units: Units
    mode: str
    schema_version: Callable[[], Awaitable[int]]
    instance_id: str
    release: str
    started_at: datetime
    shares: Callable[[], tuple[str, str]]
    """Where this instance counts limits now, and what carries its wake-ups."""

    async def dashboard(self) -> Dashboard:
        """Return the newest numbers; counts them when there are none."""
        async with self.units.storage.read() as reader:
            known = await reader.find(STATISTICS, NAME)
        record = known or await self.count()
        async with self.units.storage.read() as reader:
            instances = await serving(reader, self.units.clock.now())
        numbers: dict[str, Any] = dict(record.numbers)
        waiting = WaitingOperations(**numbers.pop("operations"))
        shown = tuple(
            InstanceView(each.instance_id, each.release, each.started_at, each.last_seen_at, True)
            for each in sorted(instances, key=lambda each: each.instance_id)
        )
        storage = StorageNumbers(self.mode, await self.schema_version())
        return Dashboard(as_of=record.as_of, operations=waiting, storage=storage, instances=shown, **numbers)

    async def run(self, every: float = 10.0) -> None:
        """Announce this instance each `every` seconds, and count once a minute, until cancelled."""
        try:
            while True:
                await self._quietly(self.announce)
                await self._quietly(self.count)
                await asyncio.sleep(every)
        finally:
            await self._quietly(self.leave)

    async def count(self) -> StatisticsRecord:
        """Count and store the numbers, unless that was done in the last minute. Returns the newest ones."""
        now = self.units.clock.now()
        async with self.units.storage.read() as reader:
            known = await reader.find(STATISTICS, NAME)
            if known is not None and now - known.as_of < FRESH:
                return known
            numbers = Document(await _counted(reader, now))
        record = StatisticsRecord(NAME, now, numbers, 1 if known is None else known.version + 1)
        try:
            async with self.units.storage.write() as unit:
                await (unit.add if known is None else unit.save)(STATISTICS, record)
        except LOST:
            pass
        return record

    async def announce(self) -> None:
        """Say that this instance serves, and forget those that fell silent."""
        now = self.units.clock.now()
        async with self.units.storage.write() as unit:
            known = await unit.find(INSTANCES, self.instance_id)
            me = Instance(self.instance_id, self.release, self.started_at, now, *self.shares())
            if known is None:
                await unit.add(INSTANCES, me)
            else:
                await unit.save(INSTANCES, attrs.evolve(me, version=known.version + 1))
            silent = await unit.page(INSTANCES, Select({"last_seen_at": Between(None, now - SILENT)}), limit=100)
            gone = (each for each in silent.items if each.instance_id != self.instance_id)
            await unit.remove(INSTANCES, *gone)

    async def leave(self) -> None:
        """Take this instance off the list."""
        async with self.units.storage.write() as unit:
            known = await unit.find(INSTANCES, self.instance_id)
            if known is not None:
                await unit.remove(INSTANCES, known)

    async def _quietly(self, work: Callable[[], Awaitable[object]]) -> None:
        try:
            await work()
        except StorageError:
            return


async def _counted(reader: Reader, now: datetime) -> dict[str, Any]:
    statuses = await reader.count(ITEMS, {}, "status")
    return {
        "users": await _users(reader, now),
        "workspaces": {
            "total": await _sum(reader, WORKSPACES, {}, "created_at"),
            "new_30d": await _sum(reader, WORKSPACES, {"created_at": Between(now - MONTH)}, "created_at"),
        },
        "circuits": await _circuits(reader),
        "items": {name: statuses.get(name, 0) for name in ("local", "active", "deprecated", "merged", "split")},
        "events": {
            "total": await _sum(reader, EVENTS, {}, "author_workspace_id"),
            "last_24h": await _sum(reader, EVENTS, {"recorded_at": Between(now - DAY)}, "author_workspace_id"),
        },
        "operations": await _operations(reader, now),
        "api_keys": await _keys(reader, now),
        "webhooks": await _webhooks(reader),
    }


async def _users(reader: Reader, now: datetime) -> Numbers:
    places = await reader.count(ACCOUNTS, {}, "place")
    admins = await reader.count(ACCOUNTS, {"is_admin": True, "place": "active"}, "place")
    return {
        "total": sum(places.values()),
        **{place: places.get(place, 0) for place in ("active", "frozen", "erased")},
        "admins": sum(admins.values()),
        "new_30d": await _sum(reader, ACCOUNTS, {"created_at": Between(now - MONTH)}, "place"),
        "seen_30d": await _sum(reader, ACCOUNTS, {"last_login_at": Between(now - MONTH)}, "place"),
    }


async def _circuits(reader: Reader) -> Numbers:
    statuses = await reader.count(CIRCUITS, {}, "status")
    listed = await _sum(reader, CIRCUITS, {"listed": True}, "status")
    return {name: statuses.get(name, 0) for name in ("active", "inactive", "archived")} | {"public": listed}


async def _operations(reader: Reader, now: datetime) -> dict[str, int | None]:
    waiting: dict[str, Condition] = {"status": "pending"}
    oldest = (await reader.page(OPERATIONS, Select(waiting, ("requested_at",)), limit=1)).items
    return {
        "pending": await _sum(reader, OPERATIONS, waiting, "status"),
        "oldest_pending_seconds": int((now - oldest[0].requested_at).total_seconds()) if oldest else None,
    }


async def _keys(reader: Reader, now: datetime) -> Numbers:
    from_now = now + MICROSECOND
    return {
        "active": await _sum(reader, API_KEYS, {"works_until_at": Between(from_now)}, "workspace_id"),
        "expiring_30d": await _sum(
            reader, API_KEYS, {"works_until_at": Between(from_now, now + MONTH)}, "workspace_id"
        ),
    }


async def _webhooks(reader: Reader) -> Numbers:
    of = await reader.count(DELIVERIES, {"status": AnyOf(("pending", "retrying", "delivering", "dead"))}, "status")
    return {"pending": sum(of.values()) - of.get("dead", 0), "dead": of.get("dead", 0)}


async def _sum(reader: Reader, facet: Facet[Any], where: Mapping[str, Condition], by: str) -> int:
    return sum((await reader.count(facet, where, by)).values())

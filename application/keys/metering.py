"""Counting what keys do, in memory first (platform.md 4): a process that is killed loses ten seconds of counts."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from domain.keys.values import KeyUsage, KeyUse
from domain.ports.clock import Clock
from domain.ports.errors import AlreadyExists, Contention, Stale, StorageError
from domain.ports.queries import Between, Select
from domain.ports.schema import KEY_USAGE, KEY_USES
from domain.ports.storage import Storage, Unit, rerun

KEPT: Final = timedelta(days=400)
AT_ONCE: Final = 500
"""Counters written in one unit."""

Place = tuple[str, str]


@attrs.define
class KeyMeter:
    """Counts requests by key and UTC day, and adds the counts to the store when told to."""

    storage: Storage
    clock: Clock
    _counts: dict[Place, KeyUsage] = attrs.field(factory=dict)
    _last: dict[str, datetime] = attrs.field(factory=dict)

    def count(self, key_id: str, status: int) -> None:
        """Count one answered request. Costs no store access."""
        now = self.clock.now()
        day = now.astimezone(UTC).date().isoformat()
        limited = status == 429
        one = KeyUsage(key_id, day, 1, int(status >= 400 and not limited), int(limited))
        self._add({(key_id, day): one})
        self._last[key_id] = now

    async def run(self, every: float = 10.0) -> None:
        """Write each `every` seconds until cancelled; what cannot be written waits. Old rows go once a day."""
        pruned = ""
        while True:
            await asyncio.sleep(every)
            try:
                await self.flush()
                today = self.clock.now().astimezone(UTC).date().isoformat()
                if pruned != today:
                    await self.prune()
                    pruned = today
            except StorageError:
                continue

    async def flush(self) -> None:
        """Add what was counted to the store. Raises what the store raises, and keeps what was not written."""
        while self._counts:
            places = list(self._counts)[:AT_ONCE]
            taken = {place: self._counts.pop(place) for place in places}
            last = {key_id: self._last.pop(key_id) for key_id in {key_id for key_id, _ in taken} & set(self._last)}
            try:
                await rerun(lambda: self._written(taken, last), again=(Contention, Stale, AlreadyExists))  # noqa: B023
            except BaseException:
                self._add(taken)
                self._last = last | self._last
                raise

    async def prune(self) -> None:
        """Remove the rows of days that are no longer kept."""
        oldest = (self.clock.now() - KEPT).date().isoformat()
        while True:
            async with self.storage.write() as unit:
                page = await unit.page(KEY_USAGE, Select({"day": Between(None, oldest)}, ("day",)), limit=AT_ONCE)
                await unit.remove(KEY_USAGE, *page.items)
            if page.after is None:
                return

    async def _written(self, taken: dict[Place, KeyUsage], last: dict[str, datetime]) -> None:
        async with self.storage.write() as unit:
            stored = await unit.get_many(KEY_USAGE, taken)
            await unit.save(KEY_USAGE, *(_sum(stored[place], taken[place]) for place in taken if place in stored))
            await unit.add(KEY_USAGE, *(counts for place, counts in taken.items() if place not in stored))
            await _mark_used(unit, last)

    def _add(self, counted: dict[Place, KeyUsage]) -> None:
        for place, counts in counted.items():
            known = self._counts.get(place)
            self._counts[place] = counts if known is None else attrs.evolve(_sum(known, counts), version=1)


def _sum(stored: KeyUsage, more: KeyUsage) -> KeyUsage:
    return attrs.evolve(
        stored,
        requests=stored.requests + more.requests,
        errors=stored.errors + more.errors,
        limited=stored.limited + more.limited,
        version=stored.version + 1,
    )


async def _mark_used(unit: Unit, last: dict[str, datetime]) -> None:
    """Note the last use of keys, unless another instance has seen a later one."""
    known = await unit.get_many(KEY_USES, last)
    await unit.add(KEY_USES, *(KeyUse(key_id, at) for key_id, at in last.items() if key_id not in known))
    later = [(known[key_id], at) for key_id, at in last.items() if key_id in known and known[key_id].last_used_at < at]
    await unit.save(KEY_USES, *(attrs.evolve(use, last_used_at=at, version=use.version + 1) for use, at in later))

"""The worker that delivers (circuits.md 4.19)."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

import attrs

from application.sealing import SealForeign
from application.units import Units
from application.webhooks.feeding import AT_ONCE, switched_off
from application.webhooks.service import host_of
from application.webhooks.vault import Vault
from application.workers import keep_busy
from domain.access.principal import system
from domain.act import Act
from domain.ports.errors import Contention, StorageError
from domain.ports.posting import Poster
from domain.ports.queries import AnyOf, Between, Cursor, Select
from domain.ports.schema import DELIVERIES, WEBHOOKS
from domain.ports.storage import Reader
from domain.webhooks.rules import Result, after_result, cancelled, given_back, settled, signature, taken
from domain.webhooks.values import TEST, Delivery, DeliveryStatus, Webhook

PER_WEBHOOK: Final = 4
"""Attempts at once for one webhook, so that a slow receiver delays only itself."""

LOOK: Final = 100
POLL_SECONDS: Final = 0.5
SWEEP_SECONDS: Final = 3600.0
_USER_AGENT: Final = "defarm-webhooks/1"

Told = Callable[[str], None]


@attrs.define
class Courier:
    """Takes deliveries that are due, tries each once, and notes how it ended.

    Any number of instances may work on one store: a delivery belongs to who saved it at the version that was read,
    for the time of a lease. `poster` is made in a thread when the first one is due. `told` hears how every attempt
    ended, `delivered`, `retrying` or `dead`, and `unreadable` for a webhook sealed under a key that is not configured.
    """

    units: Units
    vault: Vault
    poster: Callable[[], Poster]
    workers: int = 16
    retention: timedelta = timedelta(days=30)
    told: Told = lambda result: None
    poll: float = POLL_SECONDS
    _last_served: str = ""
    _ready: Poster | None = None

    async def run(self) -> None:
        """Work until cancelled, then give back what is held. Raises StorageError when the store is gone."""
        loop = asyncio.get_running_loop()
        swept = loop.time() - SWEEP_SECONDS

        async def claim(most: int) -> list[Delivery]:
            nonlocal swept
            if loop.time() - swept >= SWEEP_SECONDS:
                swept = loop.time()
                await self.sweep()
                await self.reseal()
            return await self._claim(most)

        await keep_busy(self.workers, self.poll, claim, self._deliver)

    async def drain(self) -> int:
        """Try everything that is due now once, and return how many attempts were made."""
        tried = 0
        while held := await self._claim(self.workers):
            tried += len(held)
            await asyncio.gather(*map(self._deliver, held))
        return tried

    async def sweep(self) -> int:
        """Remove final deliveries whose time is over, and return how many."""

        async def work(act: Act) -> int:
            query = Select({"ended_at": Between(end=act.now - self.retention)}, ("ended_at",))
            old = (await act.unit.page(DELIVERIES, query, limit=AT_ONCE)).items
            await act.unit.remove(DELIVERIES, *old)
            return len(old)

        removed = 0
        with contextlib.suppress(Contention):
            while count := await self.units.perform(system(), work, completes=False):
                removed += count
        return removed

    async def reseal(self) -> int:
        """Put every webhook under the current key, so that the previous one can go; return how many were not."""
        renewed = 0
        after: Cursor | None = None
        while True:
            async with self.units.storage.read() as reader:
                page = await reader.page(WEBHOOKS, Select(), after, AT_ONCE)
            for webhook in page.items:
                renewed += await self._resealed(webhook)
            if (after := page.after) is None:
                return renewed

    async def _resealed(self, webhook: Webhook) -> bool:
        sealed = self.vault.renewed(webhook)
        if sealed is None:
            return False

        async def work(act: Act) -> None:
            held = await act.unit.find(WEBHOOKS, webhook.webhook_id)
            if held is not None and held.sealed == webhook.sealed:
                await act.unit.save(WEBHOOKS, attrs.evolve(held, sealed=sealed, version=held.version + 1))

        with contextlib.suppress(Contention):
            await self.units.perform(system(), work, completes=False)
        return True

    async def _claim(self, most: int) -> list[Delivery]:
        if most <= 0:
            return []

        async def work(act: Act) -> list[Delivery]:
            chosen = await self._choose(act.unit, act.now, most)
            held = [taken(delivery, act.now) for delivery in chosen]
            await act.unit.save(DELIVERIES, *held)
            return [delivery for delivery in held if delivery.status is DeliveryStatus.DELIVERING]

        try:
            return await self.units.perform(system(), work, completes=False)
        except Contention:
            return []

    async def _choose(self, reader: Reader, now: datetime, most: int) -> list[Delivery]:
        """Return what is due longest, at most 4 per webhook; past the backlog of one webhook the others are seen."""
        until = Between(end=now + timedelta(microseconds=1))
        page = await reader.page(DELIVERIES, Select({"due_at": until}, ("due_at",)), limit=LOOK)
        chosen = await self._fair(reader, page.items, now, most)
        if page.after is None or len(chosen) >= most:
            return chosen
        return chosen + await self._others(reader, until, now, chosen, most - len(chosen))

    async def _fair(self, reader: Reader, due: Iterable[Delivery], now: datetime, most: int) -> list[Delivery]:
        candidates = list(due)
        busy = await _in_hand(reader, {delivery.webhook_id for delivery in candidates}, now)
        chosen: list[Delivery] = []
        for delivery in candidates:
            if len(chosen) < most and busy[delivery.webhook_id] < PER_WEBHOOK:
                busy[delivery.webhook_id] += 1
                chosen.append(delivery)
        return chosen

    async def _others(
        self, reader: Reader, until: Between, now: datetime, chosen: list[Delivery], most: int
    ) -> list[Delivery]:
        """Go round the webhooks with something due, a few at a time, from where the last round ended."""
        had = {delivery.webhook_id for delivery in chosen}
        query = Select({"due_at": until}, ("webhook_id", "due_at"))
        found: list[Delivery] = []
        cursor: Cursor | None = _past(self._last_served, now)
        for _ in range(most):
            due = (await reader.page(DELIVERIES, query, cursor, PER_WEBHOOK)).items
            if not due:
                self._last_served = ""
                break
            self._last_served = due[0].webhook_id
            mine = [one for one in due if one.webhook_id == self._last_served and one.webhook_id not in had]
            found += await self._fair(reader, mine, now, most - len(found))
            cursor = _past(self._last_served, now)
        return found

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            async with self.units.storage.read() as reader:
                webhook = await reader.find(WEBHOOKS, delivery.webhook_id)
            if webhook is None or not (webhook.enabled or delivery.asked):
                await self._settle(delivery, cancelled(delivery, self.units.clock.now()), None)
                return
            result = await self._attempt(webhook, delivery)
            after = settled(delivery, result, self.units.clock.now())
            await self._settle(delivery, after, result)
            self.told(after.status)
        except asyncio.CancelledError:
            with contextlib.suppress(StorageError):
                await self._settle(delivery, given_back(delivery), None)
            raise

    async def _attempt(self, webhook: Webhook, delivery: Delivery) -> Result:
        now = self.units.clock.now()
        try:
            kept = self.vault.open(webhook)
        except SealForeign:
            self.told("unreadable")
            return Result()
        stamp = int(now.timestamp())
        headers = {
            **kept.headers,
            "content-type": "application/json",
            "user-agent": _USER_AGENT,
            "webhook-id": delivery.delivery_id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": signature(kept.signing(webhook, now), delivery.delivery_id, stamp, delivery.payload),
        }
        if self._ready is None:
            self._ready = await asyncio.to_thread(self.poster)
        return await self._ready.post(webhook.url, headers, delivery.payload.encode())

    async def _settle(self, held: Delivery, after: Delivery, result: Result | None) -> None:
        """Note how an attempt ended, unless somebody else took the delivery over meanwhile."""

        async def work(act: Act) -> None:
            found = await act.unit.find(DELIVERIES, held.delivery_id)
            if found is None or found.version != held.version:
                return
            await act.unit.save(DELIVERIES, after)
            if result is None or held.trigger == TEST:
                return
            webhook = await act.unit.find(WEBHOOKS, held.webhook_id)
            if webhook is None:
                return
            noted = after_result(webhook, result, act.now)
            if noted is not webhook:
                await act.unit.save(WEBHOOKS, noted)
            if webhook.enabled and not noted.enabled:
                await switched_off(act, noted, host_of(noted.url))

        await self.units.perform(system(), work, completes=False)


async def _in_hand(reader: Reader, webhooks: set[str], now: datetime) -> Counter[str]:
    """Return how many attempts run now, in any instance, by webhook."""
    if not webhooks:
        return Counter()
    query = Select({"webhook_id": AnyOf(tuple(sorted(webhooks))), "status": DeliveryStatus.DELIVERING})
    rows = (await reader.page(DELIVERIES, query, limit=1000)).items
    return Counter(row.webhook_id for row in rows if row.lease_until is not None and row.lease_until > now)


def _past(webhook_id: str, now: datetime) -> Cursor:
    """Return a cursor behind everything that is due for a webhook."""
    return (webhook_id, now + timedelta(days=36_500), "~")

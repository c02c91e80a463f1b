"""Keeps the metrics of a serving process current (platform.md 10.2)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, Final, ParamSpec

import attrs

from application.measuring import LOOKS, measured
from application.store_life import STORE_KEY
from container import Container
from domain.ports.errors import StorageError
from domain.ports.measures import Measure, Meter
from domain.ports.schema import STORE
from entrypoints.http.app import Observer
from entrypoints.http.health import Health
from entrypoints.lean import Spare

if TYPE_CHECKING:
    from entrypoints.spans import Spans

P = ParamSpec("P")

TICK: Final = 0.25
TICKS_PER_SAMPLE: Final = 8


@attrs.define
class Watcher:
    """Listens to the parts of a container and looks at them now and then."""

    container: Container
    health: Health
    meter: Meter
    spans: "Spans | None" = None
    spare: Spare = attrs.field(factory=Spare)

    def observers(self) -> tuple[Observer, ...]:
        """Return who is told of every request that has been answered."""
        return (self.meter.request,) if self.spans is None else (self.meter.request, self.spans.request)

    def listen(self) -> None:
        """Let every part that counts tell the meter."""
        self.container.passwords().observe = self.meter.password
        self.container.limiter().listen(self.meter.limited)
        self.container.courier().told = self.meter.delivery
        self.container.live().delivered = self.meter.told
        for backend in self.container.observed():
            backend.observe = self.meter.store if self.spans is None else _both(self.meter.store, self.spans.store)

    async def run(self) -> None:
        """Measure how late the event loop is, and every other second take a sample and give back memory; until
        cancelled."""
        ticks = 0
        while True:
            begun = perf_counter()
            await asyncio.sleep(TICK)
            self.meter.lag(max(0.0, perf_counter() - begun - TICK))
            ticks += 1
            if ticks % TICKS_PER_SAMPLE == 0:
                self.sample()
                self.spare.give_back()

    async def follow(self) -> None:
        """See every other second whether the store takes changes, so that requests are told at their beginning."""
        while True:
            await asyncio.sleep(TICK * TICKS_PER_SAMPLE)
            if self.health.phase == "ready":
                with suppress(StorageError):
                    async with self.container.storage().read() as reader:
                        record = await reader.find(STORE, STORE_KEY)
                    self.health.read_only = record is not None and record.read_only

    def sample(self) -> None:
        """Set the gauges to what is so now; asks nobody outside the process."""
        meter, container = self.meter, self.container
        meter.set("ready", 1 if self.health.phase == "ready" else 0)
        meter.set("http_in_flight", self.health.in_flight)
        meter.set("password_queue", container.passwords().waiting)
        meter.set("limiter_degraded", 1 if container.limiter().degraded else 0)
        cache = container.cache_control()
        meter.set("cache_degraded", 0 if cache.degraded_since is None else 1)
        meter.set("cache_pending_invalidations", cache.pending)
        if (behind := cache.write_behind) is not None:
            meter.set("write_behind_queue", behind.queued)
            meter.set("write_behind_lag_seconds", behind.oldest_seconds)
        for kind, totals in cache.tallies().items():
            meter.cache(kind, totals)
        for transport, number in container.live().counts().items():
            meter.set("streams", number, transport=transport)
        for backend in container.observed():
            states = backend.connections()
            meter.set("pool_waiting", states.pop("waiting"))
            for state, number in states.items():
                meter.set("pool_connections", number, state=state)

    async def scrape(self) -> tuple[str, bytes]:
        """Return the media type and the text of everything there is to see. A store that is down has no say."""
        self.sample()
        return self.meter.content_type, self.meter.text(await self._measures())

    async def _measures(self) -> list[Measure]:
        if self.health.phase == "starting":
            return []
        try:
            return await measured(self.container.storage(), self.container.clock(), LOOKS)
        except StorageError:
            return []


def _both(first: Callable[P, None], second: Callable[P, None]) -> Callable[P, None]:
    def told(*args: P.args, **kwargs: P.kwargs) -> None:
        first(*args, **kwargs)
        second(*args, **kwargs)

    return told

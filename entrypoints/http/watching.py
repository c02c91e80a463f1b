"""The time budget of a request, and the client who may go away (http.md 13)."""

import asyncio
import time
from typing import Final

from entrypoints.http.exchange import Exchange

WATCH_AFTER: Final = 0.1
"""Seconds after which it is worth a task to notice that the client has gone."""


class Watches:
    """The requests under way that nobody watches yet. All of them share one timer, so that quick ones cost none."""

    def __init__(self) -> None:
        self._young: dict[Watch, None] = {}
        self._ticking_in: asyncio.AbstractEventLoop | None = None

    def add(self, watch: "Watch") -> None:
        """Begin with a watch unless its request ends soon."""
        self._young[watch] = None
        if self._ticking_in is not watch.loop:
            self._ticking_in = watch.loop
            watch.loop.call_later(WATCH_AFTER, self._tick, watch.loop)

    def leave(self, watch: "Watch") -> None:
        """Forget a watch."""
        self._young.pop(watch, None)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        before = time.perf_counter() - WATCH_AFTER
        # The oldest come first.
        while self._young and (watch := next(iter(self._young))).started <= before:
            del self._young[watch]
            watch.begin()
        if self._young:
            loop.call_later(WATCH_AFTER, self._tick, loop)
        else:
            self._ticking_in = None


class Watch:
    """Cancels the task of a request when its time is used up or its client has gone.

    The exchange is told which it was.
    """

    __slots__ = ("_budget", "_exchange", "_listener", "_task", "_timers", "_watches", "fired", "loop", "started")

    def __init__(
        self, watches: Watches, exchange: Exchange, task: "asyncio.Task[object]", budget: float | None
    ) -> None:
        self._watches, self._exchange, self._task, self._budget = watches, exchange, task, budget
        self.loop, self.started = task.get_loop(), exchange.started
        self._listener: asyncio.Task[None] | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.fired = False
        watches.add(self)

    def begin(self) -> None:
        """Watch a request that takes longer."""
        if self._budget is not None:
            left = self.started + self._budget - time.perf_counter()
            self._timers["budget"] = self.loop.call_later(max(0.0, left), self._expire)
        self._listen_when_read()

    def _listen_when_read(self) -> None:
        if self._exchange.body_read:
            self._listener = self.loop.create_task(self._listen())
        else:
            self._timers["body"] = self.loop.call_later(WATCH_AFTER, self._listen_when_read)

    async def _listen(self) -> None:
        while (await self._exchange.receive())["type"] != "http.disconnect":
            pass
        self._exchange.aborted = True
        self._cancel()

    def _expire(self) -> None:
        self._exchange.expired = True
        self._cancel()

    def _cancel(self) -> None:
        if not self.fired:
            self.fired = True
            self._task.cancel()

    def stop(self) -> None:
        """Watch no longer. Nothing is cancelled after this returns."""
        self._watches.leave(self)
        for timer in self._timers.values():
            timer.cancel()
        if self._listener is not None:
            self._listener.cancel()

"""The time budget of a request, and the client who may go away (http.md 13)."""

import asyncio
from typing import Final

from entrypoints.http.exchange import Exchange

WATCH_AFTER: Final = 0.1
"""Seconds after which it is worth a task to notice that the client has gone."""


class Watch:
    """Cancels the task of a request when its time is used up or its client has gone.

    The exchange is told which it was. Quick requests cost one timer.
    """

    __slots__ = ("_budget", "_exchange", "_listener", "_loop", "_task", "_timers", "fired")

    def __init__(self, exchange: Exchange, task: "asyncio.Task[object]", budget: float | None) -> None:
        self._exchange, self._task, self._budget = exchange, task, budget
        self._loop = task.get_loop()
        self._listener: asyncio.Task[None] | None = None
        self._timers = [self._loop.call_later(WATCH_AFTER, self._begin)]
        self.fired = False

    def _begin(self) -> None:
        if self._budget is not None:
            self._timers.append(self._loop.call_later(max(0.0, self._budget - WATCH_AFTER), self._expire))
        self._listen_when_read()

    def _listen_when_read(self) -> None:
        if self._exchange.body_read:
            self._listener = self._loop.create_task(self._listen())
        else:
            self._timers[0] = self._loop.call_later(WATCH_AFTER, self._listen_when_read)

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
        for timer in self._timers:
            timer.cancel()
        if self._listener is not None:
            self._listener.cancel()

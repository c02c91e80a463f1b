"""The circuit breaker of a Redis server (architecture.md 5): give up at once, come back by itself."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

FAILURES = 3
PROBE_INTERVAL = 0.25


class Breaker:
    """Opens after three failures in a row; then a task probes every 250 ms and the first success closes it.

    Probing in the background keeps the price of a dead server off every request but the first three.
    """

    def __init__(self, probe: Callable[[], Awaitable[object]], interval: float = PROBE_INTERVAL) -> None:
        self._probe = probe
        self._interval = interval
        self._failures = 0
        self._probing: asyncio.Task[None] | None = None
        self.open_since: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Tell whether calls must not be tried."""
        return self.open_since is not None

    def succeeded(self) -> None:
        """Forget earlier failures."""
        self._failures = 0

    def failed(self) -> None:
        """Count a failure; the third in a row opens."""
        self._failures += 1
        if self._failures >= FAILURES and self.open_since is None:
            self.open_since = datetime.now(UTC)
            self._probing = asyncio.create_task(self._probe_until_answered())

    async def aclose(self) -> None:
        """Stop probing."""
        if self._probing is not None:
            self._probing.cancel()
            with suppress(asyncio.CancelledError):
                await self._probing

    async def _probe_until_answered(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            with suppress(Exception):
                await self._probe()
                break
        self._failures = 0
        self.open_since = None

"""Rows and unique values that units are about to change: who wants the same ones waits for its turn."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Hashable
from contextlib import asynccontextmanager


class Claims:
    """All or nothing, so that nobody waits in a circle. What is shared keeps out those who want it alone."""

    def __init__(self) -> None:
        self._alone: set[Hashable] = set()
        self._shared: Counter[Hashable] = Counter()
        self._freed = asyncio.Condition()

    @asynccontextmanager
    async def of(self, alone: Collection[Hashable], shared: Collection[Hashable]) -> AsyncIterator[None]:
        """Hold places for the block."""
        async with self._freed:
            while not self._are_free(alone, shared):
                await self._freed.wait()
            self._alone.update(alone)
            self._shared.update(shared)
        try:
            yield
        finally:
            self._alone.difference_update(alone)
            self._shared.subtract(shared)
            for place in shared:
                if not self._shared[place]:
                    del self._shared[place]
            async with self._freed:
                self._freed.notify_all()

    def _are_free(self, alone: Collection[Hashable], shared: Collection[Hashable]) -> bool:
        return not any(place in self._alone or place in self._shared for place in alone) and not any(
            place in self._alone for place in shared
        )

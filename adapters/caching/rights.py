"""The right of an instance to use the cache (architecture.md 5, docs/decisions/0006).

One row of the database says which generation of keys may be used, whether any may, and for which life of the cache:
the run of its server and the layout of what lies in it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Protocol

import attrs

from adapters.caching.guard import Guard

LASTS = 1.0
"""Seconds for which a right lasts, from before the query that gave it."""

LAPSED = 1.25
"""Seconds after which every right from before a closing has lapsed, on any clock that is not far off."""

QUIET = 3.0
"""Seconds since the last closing before the row is opened: who writes without the cache goes first."""


@attrs.frozen
class Row:
    """The row as it was committed, `now` being the clock of the database as it was read."""

    generation: int
    open: bool
    life: str
    closed_at: datetime
    now: datetime

    @property
    def age(self) -> tuple[int, bool]:
        """Return what grows with every change of the row: it is opened by raising the generation."""
        return self.generation, not self.open


class Ledger(Protocol):
    """The row and the gate. Every writer holds the gate, shared, from before its check of the row to its end.

    All raise `StorageError`.
    """

    async def read(self) -> Row: ...

    async def close(self) -> Row:
        """Close the row, or note that it is still needed closed."""
        ...

    async def reopen(self, generation: int, life: str, ready: Callable[[], Awaitable[bool]]) -> Row | None:
        """Open the row under the next generation if it is still closed at this one and `ready()` holds.

        The gate is held alone meanwhile: every writer that passed its check before has ended.
        """
        ...

    async def drained(self) -> datetime:
        """Wait until every writer that passed its check before has ended; return the clock after that."""
        ...


@attrs.frozen
class Right:
    """The leave to look at and to fill the cells of one generation. `binding` counts the lives the cache was at."""

    generation: int
    binding: int


class Rights:
    """What this instance knows of the row, and what it may do by it."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float] = monotonic) -> None:
        self.ledger = ledger
        self.row: Row | None = None
        self.binding = 0
        self.life: str | None = None
        self.alone_at = float("-inf")
        self._clock = clock
        self._closed_since = 0.0
        self._right: tuple[Right, float] | None = None
        self._lost_at = datetime.now(UTC)
        self._ahead = timedelta()
        self._closing = asyncio.Lock()

    def saw(self, row: Row) -> None:
        """Take note of the row. What is older than what was seen before changes nothing."""
        self._ahead = row.now - datetime.now(UTC)
        if self.row is None or row.age > self.row.age:
            if not row.open:
                self._closed_since = self._clock()
            self.lose()
            self.row = row
        elif row.age == self.row.age:
            self.row = row

    def reached(self, life: str) -> None:
        """Take note of the life at which the cache now is."""
        if life != self.life:
            self.lose()
            self.life = life
            self.binding += 1

    def grant(self, row: Row, started: float) -> None:
        """Give the right that the row allows, for the time after the query of it began."""
        if self.row is not None and row.age == self.row.age and row.open and row.life == self.life:
            self._right = Right(row.generation, self.binding), started + LASTS

    def lose(self) -> None:
        """Give the right up."""
        if self._right is not None:
            self._lost_at = self._since(self._right[1])
            self._right = None

    @property
    def without_since(self) -> datetime | None:
        """Since when there is no right; None while there is one."""
        if self.right() is not None:
            return None
        return self._lost_at if self._right is None else self._since(self._right[1])

    def _since(self, end: float) -> datetime:
        return datetime.now(UTC) - timedelta(seconds=max(0.0, self._clock() - end))

    def right(self) -> Right | None:
        """Return the right, if there is one now."""
        if self._right is None or self._clock() >= self._right[1]:
            return None
        return self._right[0]

    def stands(self, right: Right) -> bool:
        """Tell whether the cache has been at one and the same life since the right was given."""
        return right.binding == self.binding

    def marking(self) -> Right | None:
        """Return under which generation a writer marks, None when it has to write without the cache."""
        row = self.row
        if row is None or not row.open or row.life != self.life:
            return None
        return Right(row.generation, self.binding)

    def guard(self, right: Right, seconds: float) -> Guard:
        """Return what a marking writer demands, its deadline so many seconds from now."""
        return Guard(right.generation, True, self.life or "", self.now() + timedelta(seconds=seconds))

    async def alone(self, seconds: float) -> Guard:
        """Return what a writer without the cache demands, after the row is closed and every right has lapsed."""
        async with self._closing:
            self.alone_at = self._clock()
            row = self.row
            if row is None or row.open:
                row = await self.close()
            if row.generation:
                await asyncio.sleep(max(0.0, self._closed_since + LAPSED - self._clock()))
        return Guard(row.generation, False, "", self.now() + timedelta(seconds=seconds))

    async def close(self) -> Row:
        """Close the row and take note of it."""
        row = await self.ledger.close()
        self.saw(row)
        return row

    async def refresh(self) -> None:
        """Read the row and take note of it."""
        self.saw(await self.ledger.read())

    def may_open(self, row: Row) -> bool:
        """Tell whether every right from before the closing has lapsed, and nobody needs the row closed."""
        if self.row is None or row.age != self.row.age or row.open:
            return False
        if not row.generation:
            return True
        quiet = row.now - row.closed_at >= timedelta(seconds=QUIET)
        return quiet and self._clock() - self._closed_since >= LAPSED

    def now(self) -> datetime:
        """Return about what the clock of the database says."""
        return datetime.now(UTC) + self._ahead


async def ended(task: "asyncio.Task[None] | None") -> None:
    """Cancel a task and wait for its end."""
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

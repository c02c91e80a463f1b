"""Units acknowledged before PostgreSQL has them, within bounds, and written there in their order (decision 20)."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, Final, TypeVar

import attrs
from psycopg_pool import AsyncConnectionPool

from adapters.changes import GONE, Changes
from adapters.postgres.prepared import PreparingConnection
from adapters.postgres.transactions import Group, Transaction, united
from adapters.postgres.writers import Mark
from adapters.staging import Asked, Found, Wanted
from adapters.write_through.backend import WriteThroughBackend
from adapters.write_through.checking import Checker, early, places
from adapters.write_through.claims import Claims
from adapters.write_through.waiting import Queued, Waiting
from domain.ids import new_id
from domain.ports.cache_control import WriteBehindState
from domain.ports.errors import Contention, OutcomeUnknown, Stale, Unavailable, WriterRefused
from domain.ports.queries import Condition, Cursor, Page, Scalar, Select
from domain.ports.schema import FACET_BY_NAME, Facet, Key
from domain.ports.views import View

V = TypeVar("V")

_LOOKED_EVERY: Final = 0.1
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_AGAIN = (Unavailable, OutcomeUnknown, Contention)
_log = logging.getLogger(__name__)


@attrs.frozen
class BehindBounds:
    """How much a crash may lose: that many units, and nothing acknowledged more than `lag` seconds after the oldest.

    `patience` is for how many seconds a writer waits for room, and a reader for what was acknowledged before.
    """

    units: int = 10_000
    lag: float = 5.0
    patience: float = 5.0


class WriteBehindBackend:
    """Rows on their way come from memory; lists wait until PostgreSQL has what was acknowledged before."""

    def __init__(self, backend: WriteThroughBackend, bounds: BehindBounds = BehindBounds()) -> None:
        self.backend = backend
        self.bounds = bounds
        self._waiting = Waiting()
        self._claims = Claims()
        self._checker = Checker(self._waiting, backend)
        self._accepted = self._written = 0
        self.lost = 0
        """Acknowledged units that PostgreSQL refused, or did not take before the end."""
        self._takes_changes = False
        self._moved = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"write-behind {self.backend!r}"

    @property
    def pool(self) -> AsyncConnectionPool[PreparingConnection]:
        return self.backend.pool

    @property
    def state(self) -> WriteBehindState:
        """How much is on its way."""
        return WriteBehindState(True, len(self._waiting), self._lag(), self.bounds.units)

    def _lag(self) -> float:
        return monotonic() - self._waiting.units[0].at if self._waiting else 0.0

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        for _ in range(3):
            accepted = self._accepted
            own = {key: value for key in keys if (value := self._waiting.find(facet, key)) is not None}
            if own and (facet.serial or not self.backend.tenure.stands):
                break
            rest = [key for key in keys if key not in own]
            found = await self.backend.fetch(facet, rest) if rest else {}
            # Two rows that one unit changes are seen as it left both, or neither.
            if not own or accepted == self._accepted:
                return found | {key: value for key, value in own.items() if value is not GONE}
        await self._settled(facet)
        return await self.backend.fetch(facet, keys)

    async def fetch_each(self, wanted: Wanted) -> Found:
        return {name: await self.fetch(FACET_BY_NAME[name], keys) for name, keys in wanted.items()}

    async def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V]:
        await self._settled(facet)
        return await self.backend.select(facet, query, after, limit)

    async def select_each(self, asked: Asked, limit: int) -> list[list[Any]]:
        for facet, _ in asked:
            await self._settled(facet)
        return await self.backend.select_each(asked, limit)

    async def count(self, facet: Facet[V], where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        await self._settled(facet)
        return await self.backend.count(facet, where, by)

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> Page[V]:
        await self._settled()
        return await self.backend.view(view, after, limit)

    async def _settled(self, facet: Facet[Any] | None = None) -> None:
        """Wait until PostgreSQL has what was acknowledged so far, of a facet or at all. Raises Unavailable."""
        if self._waiting and (facet is None or self._waiting.of(facet)):
            upto = self._accepted
            await self._until(lambda: self._written >= upto or not self._waiting, "what was acknowledged before")

    async def _until(self, holds: Callable[[], bool], awaited: str) -> None:
        deadline = monotonic() + self.bounds.patience
        while not holds():
            self.backend.tenure.demand()
            if monotonic() > deadline:
                raise Unavailable(f"PostgreSQL does not keep up: {awaited} is awaited")
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOKED_EVERY):
                    await self._moved.wait()

    async def commit(self, changes: Changes) -> None:
        self.backend.tenure.demand()
        async with self._claims.of(*places(changes)):
            if not self._takes_changes or not early(changes):
                answer = asyncio.get_running_loop().create_future()
                self._accept(Queued(changes, monotonic(), answer))
                await answer
                return
            await self._checker.check(changes)
            await self._until(self._has_room, "room for another unit")
            self._accept(Queued(changes, monotonic()))

    def _has_room(self) -> bool:
        return (
            len(self._waiting) < self.bounds.units
            and self._lag() < self.bounds.lag
            # Nobody else can have begun to write.
            and self.backend.tenure.stands
        )

    def _accept(self, unit: Queued) -> None:
        self.backend.tenure.demand()
        self._waiting.put(unit)
        self._accepted += 1
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        """Write what waits, in order, until nothing does."""
        while self._waiting:
            units = self._next()
            try:
                await self._write(units)
            except WriterRefused as error:
                self._lose(error)
            except Exception as error:
                if len(units) > 1:
                    await self._write_each(units)
                else:
                    self._refused(units[0], error)
            else:
                self._done(units)

    def _next(self) -> list[Queued]:
        """Return the first units that may leave together; large ones leave alone."""
        group, taken = Group(), list[Queued]()
        for unit in self._waiting.units:
            if (taken and unit.answer is not None) or not group.admit(Transaction(unit.changes)):
                break
            taken.append(unit)
            if unit.answer is not None:
                break
        return taken

    async def _write_each(self, units: list[Queued]) -> None:
        for unit in units:
            try:
                await self._write([unit])
            except Exception as error:
                self._refused(unit, error)
                return
            self._done([unit])

    async def _write(self, units: list[Queued]) -> None:
        """Write units in one transaction, once. Tries again for as long as PostgreSQL is away."""
        changes = united([Transaction(unit.changes) for unit in units]).changes
        mark = Mark(self.backend.backend.entry.kind, new_id())
        pause, uncertain = _FIRST_PAUSE, False
        while True:
            try:
                await self.backend.commit(changes, mark)
            except WriterRefused:
                raise
            except Stale as error:
                if uncertain and error.facet == "store_writers":
                    return
                raise
            except _AGAIN as error:
                if units[0].answer is not None:
                    raise
                uncertain = uncertain or isinstance(error, OutcomeUnknown)
                _log.warning("%d acknowledged units wait for PostgreSQL: %s", len(self._waiting), error)
            else:
                return
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _done(self, units: list[Queued]) -> None:
        # A store that was sealed for a copy is not unsealed under a running engine, nor sealed.
        self._takes_changes = True
        for unit in units:
            self._waiting.done(unit)
            if unit.answer is not None and not unit.answer.done():
                unit.answer.set_result(None)
        self._progress(len(units))

    def _refused(self, unit: Queued, error: Exception) -> None:
        """Tell whoever waits; what was acknowledged and cannot be written ends all writing."""
        if unit.answer is None:
            self._lose(
                WriterRefused(f"PostgreSQL refuses a unit that was acknowledged: {error!r}; restart this process")
            )
            return
        self._waiting.done(unit)
        if not unit.answer.done():
            unit.answer.set_exception(error)
        self._progress(1)

    def _lose(self, error: WriterRefused) -> None:
        lost = sum(unit.answer is None for unit in self._waiting.units)
        self.lost += lost
        _log.error("%d acknowledged units are lost: %s", lost, error)
        self.backend.tenure.lose(error)
        for unit in self._waiting.units:
            if unit.answer is not None and not unit.answer.done():
                unit.answer.set_exception(error)
        self._waiting.clear()
        self._progress(self._accepted - self._written)

    def _progress(self, units: int) -> None:
        self._written += units
        self._moved.set()
        self._moved = asyncio.Event()

    async def take_numbers(self, day: str, count: int) -> range:
        return await self.backend.take_numbers(day, count)

    async def numbers_taken(self, day: str) -> int:
        return await self.backend.numbers_taken(day)

    async def ping(self) -> None:
        await self.backend.ping()

    async def drain(self, seconds: float) -> int:
        """Wait for PostgreSQL to have everything, and return how many units it does not have yet."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._waiting:
                    await self._moved.wait()
        return len(self._waiting)

    async def aclose(self) -> None:
        """Give up what is left."""
        if self._flusher is not None:
            self._flusher.cancel()
            with suppress(asyncio.CancelledError):
                await self._flusher
        self.lost += sum(unit.answer is None for unit in self._waiting.units)
        await self.backend.aclose()

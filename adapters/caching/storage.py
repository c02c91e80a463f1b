"""A backend around a backend that answers from a cache and stays coherent with it (architecture.md 5)."""

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from typing import Any, Protocol, TypeVar

from psycopg_pool import AsyncConnectionPool

from adapters.caching.guard import Guard, GuardRefused
from adapters.caching.keeper import Keeper
from adapters.caching.keys import KINDS, KeySpace, identity
from adapters.caching.rights import Ledger, Right, Rights
from adapters.changes import Changes, FacetChanges
from adapters.postgres.codec import decode, encode
from adapters.staging import Backend, StagedStorage
from domain.ids import new_id
from domain.ports.cache import Absent, Cache, CacheUnavailable, Cell, Changed, Mark, Outcome, Value
from domain.ports.errors import Contention, Corrupt, OutcomeUnknown, StorageError
from domain.ports.queries import Cursor, Select
from domain.ports.schema import Facet, Key
from domain.ports.views import View

V = TypeVar("V")

UNIT_SECONDS = 15.0
BULK_SECONDS = 150.0
BULK_FROM = 200
"""From this many changed rows on, a unit has more time and leaves no values behind."""

_TRIES = 4
_MARK_TRIES = 3
_MARK_PAUSE = 0.05
_CLOSING_SECONDS = 2.0


class GuardedBackend(Backend, Protocol):
    """A backend whose units can be made to depend on the rights to the cache."""

    @property
    def pool(self) -> AsyncConnectionPool[Any]: ...

    async def open(self) -> None: ...

    async def commit(self, changes: Changes, guard: Guard | None = None) -> None:
        """Commit. Raises GuardRefused, among others, when nothing was because the guard did not hold."""
        ...


class OpenedLedger(Ledger, Protocol):
    async def open(self) -> None: ...

    async def aclose(self) -> None: ...


class CachedBackend:
    """Rows by key come from the cache while this instance has the right to it; everything else passes through."""

    def __init__(self, backend: GuardedBackend, cache: Cache, rights: Rights, space: KeySpace) -> None:
        self.backend = backend
        self._cache = cache
        self._rights = rights
        self._space = space
        self._tasks: set[asyncio.Task[None]] = set()
        self._reaping: set[str] = set()
        self.pending = 0

    def __repr__(self) -> str:
        return f"cached {self.backend!r}"

    @property
    def pool(self) -> AsyncConnectionPool[Any]:
        return self.backend.pool

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        right = self._rights.right()
        if right is None or facet.name not in KINDS:
            return await self.backend.fetch(facet, keys)
        kind = KINDS[facet.name]
        names = {key: self._space.key(right.generation, kind, identity(key)) for key in keys}
        try:
            cells = await self._cache.look(list(names.values()))
        except CacheUnavailable:
            return await self.backend.fetch(facet, keys)
        if not self._rights.stands(right):
            return await self.backend.fetch(facet, keys)
        self._meet(cells)
        found, missed = _told(facet, names, cells)
        return found | await self._load(facet, missed, cells) if missed else found

    async def _load(self, facet: Facet[V], missed: Mapping[Key, str], cells: Mapping[str, Cell]) -> dict[Key, V]:
        """Ask the backend, and fill the cells on which nobody else is at work."""
        token = new_id()
        free = [name for name in missed.values() if isinstance(cells[name], Absent)]
        try:
            leased = await self._cache.acquire(free, token) if free else frozenset()
        except CacheUnavailable:
            leased = frozenset()
        rows = await self.backend.fetch(facet, list(missed))
        if leased:
            values = {name: _value(facet, rows.get(key)) for key, name in missed.items() if name in leased}
            self._behind(self._cache.fill(token, values))
        return rows

    async def commit(self, changes: Changes) -> None:
        outcomes = {
            (KINDS[change.facet.name], identity(key)): outcome
            for change in changes
            if change.facet.name in KINDS
            for key, outcome in _outcomes(change)
        }
        if not outcomes:
            await self.backend.commit(changes)
            return
        for _ in range(_TRIES):
            try:
                await self._attempt(changes, outcomes)
            except GuardRefused:
                await self._rights.refresh()
            else:
                return
        raise Contention("the rights to the cache kept changing")

    async def _attempt(self, changes: Changes, outcomes: Mapping[tuple[str, str], Outcome]) -> None:
        bulk = sum(len(change.adds) + len(change.saves) + len(change.removes) for change in changes) >= BULK_FROM
        seconds = BULK_SECONDS if bulk else UNIT_SECONDS
        right = self._rights.marking()
        if right is not None:
            guard = self._rights.guard(right, seconds)
            told = {
                self._space.key(right.generation, *place): Changed() if bulk and isinstance(outcome, Value) else outcome
                for place, outcome in outcomes.items()
            }
            if await self._commit_marked(changes, right, guard, told):
                return
        await self.backend.commit(changes, await self._rights.alone(seconds))

    async def _commit_marked(
        self, changes: Changes, right: Right, guard: Guard, outcomes: Mapping[str, Outcome]
    ) -> bool:
        """Mark, commit, and take the marks away behind the caller's back; tell whether it could mark."""
        token = new_id()
        nothing = dict.fromkeys(outcomes)
        if not await self._marked(outcomes, token, guard) or not self._rights.stands(right):
            self._behind(self._unmark(token, nothing))
            return False
        try:
            await self.backend.commit(changes, guard)
        except OutcomeUnknown:
            # The marks stay until they are reaped: nobody knows what the rows are now.
            raise
        except StorageError:
            self._behind(self._unmark(token, nothing))
            raise
        self._behind(self._unmark(token, outcomes))
        return True

    async def _marked(self, names: Collection[str], token: str, guard: Guard) -> bool:
        """Mark, if need be again: one late answer is worth less than what closing the cache costs everybody."""
        for attempt in range(_MARK_TRIES):
            try:
                await self._cache.mark(list(names), token, guard.deadline)
            except CacheUnavailable:
                await asyncio.sleep(_MARK_PAUSE * attempt)
            else:
                return True
        return False

    async def _unmark(self, token: str, outcomes: Mapping[str, Outcome]) -> None:
        self.pending += 1
        try:
            await self._cache.unmark(token, outcomes)
        finally:
            self.pending -= 1

    def _meet(self, cells: Mapping[str, Cell]) -> None:
        """Reap the marks whose writers must have ended."""
        now = self._rights.now()
        past = {
            name: cell
            for name, cell in cells.items()
            if isinstance(cell, Mark) and cell.past(now) and name not in self._reaping
        }
        if past:
            self._reaping.update(past)
            self._behind(self._reap(past))

    async def _reap(self, past: Mapping[str, Mark]) -> None:
        try:
            now = await self._rights.ledger.drained()
            await self._cache.reap({name: mark for name, mark in past.items() if mark.past(now)})
        finally:
            self._reaping.difference_update(past)

    def _behind(self, work: Coroutine[Any, Any, object]) -> None:
        """Do what nobody has to wait for."""
        task = asyncio.create_task(_quietly(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V]:
        return await self.backend.select(facet, query, after, limit)

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> list[tuple[Cursor, V]]:
        return await self.backend.view(view, after, limit)

    async def take_numbers(self, day: str, count: int) -> range:
        return await self.backend.take_numbers(day, count)

    async def ping(self) -> None:
        await self.backend.ping()

    async def aclose(self) -> None:
        """Let what is under way come to its end, then close the cache and the backend."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CLOSING_SECONDS)
        await self._cache.aclose()
        await self.backend.aclose()


class CachedStorage(StagedStorage):
    """The storage port over a backend with a cache before it."""

    backend: CachedBackend

    def __init__(self, backend: GuardedBackend, ledger: OpenedLedger, cache: Cache, space: KeySpace) -> None:
        self.rights = Rights(ledger)
        self.cache = cache
        self._ledger = ledger
        self._keeper = Keeper(self.rights, cache, space)
        super().__init__(CachedBackend(backend, cache, self.rights, space))

    async def open(self) -> None:
        """Begin to use the cache. A cache that does not answer is no fault: it is used from when it does.

        Raises Unavailable when the database does not answer; may be called again after that.
        """
        await self.backend.backend.open()
        await self._ledger.open()
        await self._keeper.start()

    async def aclose(self) -> None:
        await self._keeper.aclose()
        await super().aclose()
        await self._ledger.aclose()


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    # A cell that could not be changed is a lease or a mark: both end without this instance.
    try:
        await work
    except (CacheUnavailable, StorageError):
        return


def _told(facet: Facet[V], names: Mapping[Key, str], cells: Mapping[str, Cell]) -> tuple[dict[Key, V], dict[Key, str]]:
    """Return the rows that the cells tell, and the names of the cells that tell nothing."""
    found: dict[Key, V] = {}
    missed: dict[Key, str] = {}
    for key, name in names.items():
        cell = cells[name]
        try:
            if not isinstance(cell, Value):
                missed[key] = name
            elif cell.version:
                found[key] = decode(facet, cell.data)
        except Corrupt:
            missed[key] = name
    return found, missed


def _value(facet: Facet[V], row: V | None) -> Value:
    return Value(0, b"") if row is None else Value(_version(facet, row), encode(row).encode())


def _version(facet: Facet[Any], row: Any) -> int:
    version: int = row.version if facet.versioned else 1
    return version


def _outcomes(change: FacetChanges) -> list[tuple[Key, Outcome]]:
    """Return what a commit leaves in each cell. A row that takes the place of a removed one has no later version."""
    facet = change.facet
    outcomes: list[tuple[Key, Outcome]] = [(key, Changed()) for key in change.removes]
    outcomes += [(key, _value(facet, value)) for key, value in change.adds.items()]
    for key, (value, expected) in change.saves.items():
        later = expected is not None and value.version > expected
        outcomes.append((key, _value(facet, value) if later else Changed()))
    return outcomes

"""A backend around a backend that answers from a cache and stays coherent with it (architecture.md 5)."""

import asyncio
import logging
from collections.abc import Collection, Coroutine, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from random import choice
from time import monotonic
from typing import Any, Protocol, TypeVar

from psycopg_pool import AsyncConnectionPool

from adapters.caching.guard import Guard, GuardRefused
from adapters.caching.keeper import Keeper
from adapters.caching.keys import KINDS, KeySpace, identity
from adapters.caching.rights import Ledger, Right, Rights
from adapters.caching.rows import outcomes_of, told, value_of
from adapters.caching.tally import Tally
from adapters.changes import Changes, EarlyWriter
from adapters.staging import Asked, Backend, Found, StagedStorage, Wanted
from domain.ids import new_id
from domain.ports.cache import Absent, Cache, CacheUnavailable, Cell, Changed, Lease, Mark, Outcome, Value
from domain.ports.errors import Contention, OutcomeUnknown, StorageError
from domain.ports.queries import Condition, Cursor, Page, Scalar, Select
from domain.ports.schema import FACET_BY_NAME, Facet, Key
from domain.ports.views import View

V = TypeVar("V")
R = TypeVar("R")
Names = dict[str, dict[Key, str]]
"""Names of cells by the name of their facet and by key."""

UNIT_SECONDS = 15.0
BULK_SECONDS = 150.0
BULK_FROM = 200
"""From this many changed rows on, a unit has more time and leaves no values behind."""

COMPARED = 10_000
"""One hit in so many is compared with the database."""

NAMED = 1024
"""Names of cells that an instance remembers, instead of making them again."""

FOLLOW_SECONDS = 0.1
"""For so long a reader waits for another one of its instance that loads the same row."""

_FOLLOWS = 3
_BETWEEN_LOOKS = 0.005
_TRIES = 4
_MARK_TRIES = 3
_MARK_PAUSE = 0.05
_CLOSING_SECONDS = 2.0
_log = logging.getLogger(__name__)


class GuardedBackend(Backend, Protocol):
    """A backend whose units can be made to depend on the rights to the cache."""

    @property
    def pool(self) -> AsyncConnectionPool[Any]: ...

    async def open(self) -> None: ...

    async def commit(self, changes: Changes, guard: Guard | None = None) -> None:
        """Commit. Raises GuardRefused, among others, when nothing was because the guard did not hold."""
        ...

    def ahead(self) -> EarlyWriter | None:
        """Return what writes rows of a unit before it commits."""
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
        self._name = lru_cache(NAMED)(self._named)
        self._tasks: set[asyncio.Task[None]] = set()
        self._reaping: set[str] = set()
        self._loading: dict[str, asyncio.Future[None]] = {}
        self._ended: dict[str, datetime] = {}
        self._uncompared = 0
        self.mismatches = 0
        self.tally = Tally()

    def __repr__(self) -> str:
        return f"cached {self.backend!r}"

    @property
    def pool(self) -> AsyncConnectionPool[Any]:
        return self.backend.pool

    @property
    def pending(self) -> int:
        """How many units of this instance have ended whose marks still stand."""
        now = self._rights.now()
        self._ended = {token: deadline for token, deadline in self._ended.items() if deadline >= now}
        return len(self._ended)

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        return await self._read(facet, keys, _FOLLOWS)

    async def fetch_each(self, wanted: Wanted) -> Found:
        seen = await self._seen(wanted)
        if seen is None:
            return await self.backend.fetch_each(wanted)
        names, cells = seen
        found, asked = {}, {}
        for name, each in names.items():
            facet = FACET_BY_NAME[name]
            found[name], missed = self._told(facet, each, cells)
            if missed:
                asked[name] = self._asked(facet, missed, cells, _FOLLOWS)
        if asked:
            for name, rows in zip(asked, await _all(*asked.values()), strict=True):
                found[name] |= rows
        return found

    async def _read(self, facet: Facet[V], keys: list[Key], follows: int) -> dict[Key, V]:
        seen = await self._seen({facet.name: keys})
        if seen is None:
            return await self.backend.fetch(facet, keys)
        names, cells = seen
        found, missed = self._told(facet, names[facet.name], cells)
        return found | await self._asked(facet, missed, cells, follows) if missed else found

    async def _seen(self, wanted: Wanted) -> tuple[Names, Mapping[str, Cell]] | None:
        """Return the names of cells by facet and key, and the cells; None when the database is to be asked."""
        right = self._rights.right()
        if right is None or not KINDS.keys() >= wanted.keys():
            return None
        names: Names = {}
        looked: list[str] = []
        for name, keys in wanted.items():
            names[name] = each = {key: self._name(right.generation, name, key) for key in keys}
            looked += each.values()
        try:
            cells: Mapping[str, Cell] | None = await self._cache.look(looked)
        except CacheUnavailable:
            cells = None
        if cells is None or not self._rights.stands(right):
            for name, each in names.items():
                self.tally.failed(KINDS[name], len(each))
            return None
        self._uncompared += len(looked)
        if self._uncompared >= COMPARED:
            self._compare_one(names, cells)
        return names, cells

    def _told(
        self, facet: Facet[V], names: Mapping[Key, str], cells: Mapping[str, Cell]
    ) -> tuple[dict[Key, V], dict[Key, str]]:
        """Return what the cells tell, and the cells that tell nothing."""
        found, missed = told(facet, names, cells)
        others = {name: cells[name] for name in missed.values()} if missed else {}
        self.tally.looked(KINDS[facet.name], len(names) - len(others), others.values())
        if others:
            self._meet(others)
        return found, missed

    def _named(self, generation: int, facet: str, key: Key) -> str:
        return self._space.key(generation, KINDS[facet], identity(key))

    async def _asked(
        self, facet: Facet[V], missed: Mapping[Key, str], cells: Mapping[str, Cell], follows: int
    ) -> dict[Key, V]:
        """Return what the database knows of rows that the cells do not tell."""
        joined = {key for key, name in missed.items() if follows and self._is_loading(name, cells[name])}
        alone = {key: name for key, name in missed.items() if key not in joined}
        found = await self._load(facet, alone, cells) if alone else {}
        if joined:
            found |= await self._follow(facet, {key: missed[key] for key in joined}, follows)
        return found

    def _is_loading(self, name: str, cell: Cell) -> bool:
        """Tell whether this instance is loading a row that nobody changes meanwhile."""
        return name in self._loading and not isinstance(cell, Mark)

    async def _follow(self, facet: Facet[V], joined: Mapping[Key, str], follows: int) -> dict[Key, V]:
        """Wait until others have filled the cells, and look again: what they read may be older than this call."""
        deadline = monotonic() + FOLLOW_SECONDS
        loads = {self._loading[name] for name in joined.values() if name in self._loading}
        _, late = await asyncio.wait(loads, timeout=FOLLOW_SECONDS) if loads else ((), ())
        if late:
            return await self.backend.fetch(facet, list(joined))
        while monotonic() < deadline and await self._loaded_elsewhere(joined.values()):  # noqa: ASYNC110 -- no event
            await asyncio.sleep(_BETWEEN_LOOKS)
        return await self._read(facet, list(joined), follows - 1)

    async def _loaded_elsewhere(self, names: Collection[str]) -> bool:
        """Tell whether another instance is loading any of these rows."""
        try:
            cells = await self._cache.look(names)
        except CacheUnavailable:
            return False
        return any(isinstance(cell, Lease) for cell in cells.values())

    async def _load(self, facet: Facet[V], missed: Mapping[Key, str], cells: Mapping[str, Cell]) -> dict[Key, V]:
        """Ask the backend, and fill the cells on which nobody else is at work."""
        token = new_id()
        led = [
            name for name in missed.values() if name not in self._loading and not isinstance(cells[name], Mark | Value)
        ]
        free = [name for name in led if isinstance(cells[name], Absent)]
        done = asyncio.get_running_loop().create_future()
        self._loading.update(dict.fromkeys(led, done))
        filling = False
        try:
            leased = await self._leased(free, token)
            rows = await self.backend.fetch(facet, list(missed))
            if leased:
                values = {name: value_of(facet, rows.get(key)) for key, name in missed.items() if name in leased}
                filling = True
                self._behind(self._fill(KINDS[facet.name], token, values, led, done))
            return rows
        finally:
            if not filling:
                self._loaded(led, done)

    async def _leased(self, names: list[str], token: str) -> frozenset[str]:
        try:
            return await self._cache.acquire(names, token) if names else frozenset()
        except CacheUnavailable:
            return frozenset()

    async def _fill(
        self, kind: str, token: str, values: Mapping[str, Value], names: list[str], done: "asyncio.Future[None]"
    ) -> None:
        try:
            kept = len(await self._cache.fill(token, values))
            self.tally.filled(kind, kept, len(values) - kept)
        finally:
            self._loaded(names, done)

    def _loaded(self, names: list[str], done: "asyncio.Future[None]") -> None:
        for name in names:
            del self._loading[name]
        done.set_result(None)

    def _compare_one(self, names: Names, cells: Mapping[str, Cell]) -> None:
        """Have one of the hits compared with the database, if there is any."""
        hits = [
            (FACET_BY_NAME[facet], key, name, cells[name])
            for facet, each in names.items()
            for key, name in each.items()
            if isinstance(cells[name], Value)
        ]
        if hits:
            self._uncompared = 0
            self._behind(self._compare(*choice(hits)))  # noqa: S311 -- no secret

    async def _compare(self, facet: Facet[Any], key: Key, name: str, seen: Cell) -> None:
        """Compare a hit with the database. The cell stood before and after, so nobody was changing the row."""
        rows = await self.backend.fetch(facet, [key])
        if (await self._cache.look([name]))[name] != seen:
            return
        known, _ = told(facet, {key: name}, {name: seen})
        if known.get(key) != rows.get(key):
            self.mismatches += 1
            _log.error("the cache held another %s than the database; the cell was dropped", facet.name)
            await self._cache.drop([name])

    async def commit(self, changes: Changes) -> None:
        outcomes = {
            (KINDS[change.facet.name], identity(key)): outcome
            for change in changes
            if change.facet.name in KINDS
            for key, outcome in outcomes_of(change)
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
            left = {
                self._space.key(right.generation, *place): Changed() if bulk and isinstance(outcome, Value) else outcome
                for place, outcome in outcomes.items()
            }
            if await self._commit_marked(changes, right, guard, left):
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
        finally:
            self._ended[token] = guard.deadline
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
        await self._cache.unmark(token, outcomes)
        self._ended.pop(token, None)

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

    async def select_each(self, asked: Asked, limit: int) -> list[list[Any]]:
        return await self.backend.select_each(asked, limit)

    async def count(self, facet: Facet[V], where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        return await self.backend.count(facet, where, by)

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> Page[V]:
        return await self.backend.view(view, after, limit)

    async def take_numbers(self, day: str, count: int) -> range:
        return await self.backend.take_numbers(day, count)

    async def numbers_taken(self, day: str) -> int:
        return await self.backend.numbers_taken(day)

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
        self.space = space
        self._ledger = ledger
        self._keeper = Keeper(self.rights, cache, space)
        super().__init__(CachedBackend(backend, cache, self.rights, space))

    def ahead(self) -> EarlyWriter | None:
        return self.backend.backend.ahead()

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


async def _all(*asked: Coroutine[Any, Any, R]) -> Sequence[R]:
    """Await all at once: what several facets lack leaves together, and while it is true that somebody loads it."""
    return [await each for each in asked] if len(asked) < 2 else await asyncio.gather(*asked)


async def _quietly(work: Coroutine[Any, Any, object]) -> None:
    # A cell that could not be changed is a lease or a mark: both end without this instance.
    try:
        await work
    except (CacheUnavailable, StorageError):
        return

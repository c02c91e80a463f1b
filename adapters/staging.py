"""Units over any backend: changes are staged here and handed over as one value at commit.

A backend knows how to fetch, select and commit; what a unit sees of its own writes, when it is doomed and what
may not be nested is decided once, for every store.
"""

import asyncio
import heapq
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from contextlib import suppress
from contextvars import ContextVar, Token
from typing import Any, Protocol, TypeVar

from adapters.changes import GONE, Changes, EarlyWriter, FacetChanges, beyond, cursor_of, order_key, ordered
from domain.ports.errors import AlreadyExists, Closed, NestedUnit, NotFound, Stale, StorageError, UnitDoomed
from domain.ports.queries import Condition, Cursor, Page, Scalar, Select
from domain.ports.schema import Facet, Key
from domain.ports.storage import MAX_PAGE, QUESTIONS, Place
from domain.ports.views import View

FEWEST_AHEAD = 200
"""Rows that are worth writing before their unit commits."""

V = TypeVar("V")
AnyFacet = Facet[Any]
Wanted = Mapping[str, list[Key]]
"""Keys by the name of their facet."""
Found = Mapping[str, Mapping[Key, Any]]
"""Rows by the name of their facet and by key."""
Asked = Sequence[tuple[AnyFacet, Select]]
"""Queries of several facets."""


class Backend(Protocol):
    """What an adapter has to know of its store."""

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        """Return the committed rows under `keys`; absent ones are left out."""
        ...

    async def fetch_each(self, wanted: Wanted) -> Found:
        """Return the committed rows under the keys of several facets at once, and perhaps others."""
        ...

    async def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V]:
        """Return up to `limit` committed rows that match, in order, after the cursor."""
        ...

    async def select_each(self, asked: Asked, limit: int) -> list[list[Any]]:
        """Return the first committed rows of several queries at once, up to `limit` of each."""
        ...

    async def count(self, facet: Facet[V], where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        """Return how many committed rows match, by the value of a column."""
        ...

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> Page[V]:
        """Return up to `limit` rows of a list that spans facets, and what continues it."""
        ...

    async def commit(self, changes: Changes) -> None:
        """Make all changes durable and visible at once, or raise and change nothing."""
        ...

    async def take_numbers(self, day: str, count: int) -> range: ...

    async def numbers_taken(self, day: str) -> int: ...

    async def ping(self) -> None: ...

    async def aclose(self) -> None: ...


_open_unit: ContextVar[object | None] = ContextVar("open_unit", default=None)


def _count() -> None:
    questions = QUESTIONS.get()
    if questions is not None:
        questions.asked += 1


class StagedReader:
    """A reader of committed state."""

    def __init__(self, storage: "StagedStorage") -> None:
        self._storage = storage
        self._backend = storage.backend
        self._closed = False

    def _check(self) -> None:
        if self._closed or self._storage._closed:
            self._storage._check()
            raise Closed("the block of this reader has ended")
        _count()

    async def find(self, facet: Facet[V], key: Key) -> V | None:
        return (await self.get_many(facet, [key])).get(key)

    async def get(self, facet: Facet[V], key: Key) -> V:
        value = await self.find(facet, key)
        if value is None:
            raise NotFound(facet.name, key)
        return value

    async def get_many(self, facet: Facet[V], keys: Iterable[Key]) -> dict[Key, V]:
        self._check()
        wanted = list(dict.fromkeys(keys))
        return await self._backend.fetch(facet, wanted) if wanted else {}

    async def find_each(self, *places: Place) -> tuple[Any, ...]:
        self._check()
        wanted: dict[str, list[Key]] = {}
        for facet, key in places:
            wanted.setdefault(facet.name, []).append(key)
        found = await self._backend.fetch_each(wanted) if wanted else {}
        return tuple([found[facet.name].get(key) for facet, key in places])

    async def page(self, facet: Facet[V], query: Select, after: Cursor | None = None, limit: int = 50) -> Page[V]:
        self._check()
        limit = _bounded(limit)
        rows = await self._backend.select(facet, query, after, limit + 1)
        return self._cut(facet, query, rows, limit)

    async def page_each(self, *asked: tuple[AnyFacet, Select], limit: int = MAX_PAGE) -> tuple[Page[Any], ...]:
        self._check()
        limit = _bounded(limit)
        found = await self._backend.select_each(asked, limit + 1)
        return tuple([self._cut(*each, rows, limit) for each, rows in zip(asked, found, strict=True)])

    async def count(self, facet: Facet[V], where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        self._check()
        return await self._backend.count(facet, where, by)

    async def view(self, view: View[V], after: Cursor | None = None, limit: int = 50) -> Page[V]:
        self._check()
        return await self._backend.view(view, after, _bounded(limit))

    async def numbers_taken(self, day: str) -> int:
        self._check()
        return await self._backend.numbers_taken(day)

    @staticmethod
    def _cut(facet: Facet[V], query: Select, rows: list[V], limit: int) -> Page[V]:
        more = len(rows) > limit
        return Page(tuple(rows[:limit]), cursor_of(facet, query, rows[limit - 1]) if more else None)


class _Reading:
    """The block in which a reader is open."""

    def __init__(self, reader: StagedReader) -> None:
        self._reader = reader

    async def __aenter__(self) -> StagedReader:
        return self._reader

    async def __aexit__(self, *_: object) -> None:
        self._reader._closed = True


class StagedUnit(StagedReader):
    """A unit: its own staged rows lie over the committed ones."""

    def __init__(self, storage: "StagedStorage") -> None:
        super().__init__(storage)
        _count()
        self._changes: dict[str, FacetChanges] = {}
        self._foreseen: dict[tuple[str, Key], Any] = {}
        self._doom: StorageError | None = None
        self._ahead: EarlyWriter | None = None

    def _check(self) -> None:
        if self._closed or self._storage._closed or self._doom is not None:
            super()._check()
            raise UnitDoomed(f"this unit met {self._doom!r} and cannot go on") from self._doom

    def _of(self, facet: AnyFacet) -> FacetChanges:
        changes = self._changes.get(facet.name)
        if changes is None:
            changes = self._changes[facet.name] = FacetChanges(facet)
        return changes

    async def get_many(self, facet: Facet[V], keys: Iterable[Key]) -> dict[Key, V]:
        self._check()
        if facet.name not in self._changes and not self._foreseen:
            return await super().get_many(facet, keys)
        held = {key: self._held(facet, key) for key in keys}
        found = await super().get_many(facet, [key for key, value in held.items() if value is None])
        return {
            key: value
            for key, known in held.items()
            if (value := found.get(key) if known is None else known) is not None and value is not GONE
        }

    async def find_each(self, *places: Place) -> tuple[Any, ...]:
        self._check()
        held = [self._held(facet, key) for facet, key in places]
        rest = [place for place, value in zip(places, held, strict=True) if value is None]
        found = iter(await super().find_each(*rest))
        return tuple([next(found) if value is None else None if value is GONE else value for value in held])

    async def foresee(self, *places: Place) -> None:
        self._check()
        wanted = [place for place in places if self._held(*place, keep=True) is None]
        self.know(zip(wanted, await super().find_each(*wanted), strict=True))

    def know(self, rows: Iterable[tuple[Place, Any]]) -> None:
        self._foreseen.update(((facet.name, key), GONE if row is None else row) for (facet, key), row in rows)

    def _held(self, facet: AnyFacet, key: Key, *, keep: bool = False) -> Any:
        """Return what is staged or was foreseen of a row, GONE for none, and None where the store must be asked."""
        changes = self._changes.get(facet.name)
        staged = None if changes is None else changes.staged(key)
        if staged is not None or not self._foreseen:
            return staged
        place = (facet.name, key)
        return self._foreseen.get(place) if keep else self._foreseen.pop(place, None)

    async def page(self, facet: Facet[V], query: Select, after: Cursor | None = None, limit: int = 50) -> Page[V]:
        self._check()
        limit = _bounded(limit)
        if facet.name not in self._changes:
            return await super().page(facet, query, after, limit)
        changes = self._of(facet)
        kept = await self._untouched(changes, query, after, limit + 1)
        staged = [row for row in changes.matching(query) if beyond(query, cursor_of(facet, query, row), after)]
        if staged:
            order = heapq.nlargest if query.descending else heapq.nsmallest
            kept = order(limit + 1, (*kept, *staged), key=lambda row: order_key(cursor_of(facet, query, row)))
        return self._cut(facet, query, kept, limit)

    async def page_each(self, *asked: tuple[AnyFacet, Select], limit: int = MAX_PAGE) -> tuple[Page[Any], ...]:
        self._check()
        if not any(facet.name in self._changes for facet, _ in asked):
            return await super().page_each(*asked, limit=limit)
        return tuple([await self.page(facet, query, limit=limit) for facet, query in asked])

    async def _untouched(self, changes: FacetChanges, query: Select, after: Cursor | None, wanted: int) -> list[Any]:
        """Return the next committed rows that this unit did not touch: `wanted` of them, or all there are."""
        kept: list[Any] = []
        step = wanted
        while True:
            rows = await self._backend.select(changes.facet, query, after, step)
            kept += [row for row in rows if changes.staged(changes.facet.key_of(row)) is None]
            if len(rows) < step or len(kept) >= wanted:
                return kept
            after = cursor_of(changes.facet, query, rows[-1])
            step = min(2 * step, MAX_PAGE + 1)

    async def count(self, facet: Facet[V], where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        counted = await super().count(facet, where, by)
        if facet.name not in self._changes:
            return counted
        changes, query = self._of(facet), Select(where)
        column = facet.columns[by]
        keys = [*changes.saves, *changes.removes]
        touched = await self._backend.fetch(facet, keys) if keys else {}
        totals = Counter(counted)
        totals.update(map(column, changes.matching(query)))
        totals.subtract(map(column, filter(lambda row: query.matches(facet.row(row)), touched.values())))
        return {value: number for value, number in totals.items() if number}

    async def add(self, facet: Facet[V], *values: V) -> None:
        self._check()
        if not values:
            return
        changes = self._of(facet)
        if len(values) > 1 and changes.stage_new(values):
            return
        for value in values:
            key = facet.key_of(value)
            if key in changes.removes:
                _, version = changes.removes.pop(key)
                changes.stage_save(key, value, version)
            elif key in changes.adds or key in changes.saves:
                raise self._doomed(AlreadyExists(facet.name, key))
            else:
                changes.stage_add(key, value)

    async def add_final(self, facet: Facet[V], *values: V) -> None:
        await self.add(facet, *values)
        if len(values) < FEWEST_AHEAD:
            return
        if self._ahead is None:
            self._ahead = self._storage.ahead()
        if self._ahead is not None:
            self._of(facet).ahead = self._ahead
            self._ahead.write(facet, values)

    async def save(self, facet: Facet[V], *values: V) -> None:
        self._check()
        if not values:
            return
        changes = self._of(facet)
        for value in values:
            key = facet.key_of(value)
            expected = value.version - 1  # type: ignore[attr-defined]
            self._demand(facet, changes, key, expected)
            if key in changes.adds:
                changes.stage_add(key, value)
            elif key in changes.saves:
                changes.stage_save(key, value, changes.saves[key][1])
            else:
                changes.confirms.pop(key, None)
                changes.stage_save(key, value, expected)

    async def remove(self, facet: Facet[V], *values: V) -> None:
        self._check()
        if not values:
            return
        changes = self._of(facet)
        for value in values:
            key = facet.key_of(value)
            version = value.version if facet.versioned else None  # type: ignore[attr-defined]
            self._demand(facet, changes, key, version)
            if key in changes.adds:
                changes.drop_add(key)
            elif key in changes.saves:
                changes.removes[key] = (value, changes.drop_save(key))
            else:
                changes.confirms.pop(key, None)
                changes.removes[key] = (value, version)

    def _demand(self, facet: AnyFacet, changes: FacetChanges, key: Key, version: int | None) -> None:
        """Doom the unit when it knows already that the row does not stand at `version`."""
        held = changes.staged(key)
        known = held.version if held not in (None, GONE) and facet.versioned else changes.confirms.get(key, version)
        if held is GONE or known != version:
            raise self._doomed(Stale(facet.name, key))

    async def confirm(self, facet: Facet[V], *values: V) -> None:
        self._check()
        if not values:
            return
        changes = self._of(facet)
        for value in values:
            key = facet.key_of(value)
            version: int = value.version  # type: ignore[attr-defined]
            self._demand(facet, changes, key, version)
            if changes.staged(key) is None:
                changes.confirms[key] = version

    def _doomed(self, error: StorageError) -> StorageError:
        self._doom = error
        return error

    async def _commit(self) -> None:
        self._check()
        changes = ordered(self._changes)
        if changes:
            await _finish(self._backend.commit(changes))

    async def _end(self) -> None:
        self._closed = True
        if self._ahead is not None:
            await _finish(self._ahead.abandon())


class _Writing:
    """The block in which a unit is open; it commits where the block ends normally."""

    def __init__(self, unit: StagedUnit) -> None:
        self._unit = unit
        self._before: Token[object | None] | None = None

    async def __aenter__(self) -> StagedUnit:
        self._unit._check()
        task = asyncio.current_task()
        if _open_unit.get() is task:
            raise NestedUnit("a unit is open in this task already")
        self._before = _open_unit.set(task)
        return self._unit

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                await self._unit._commit()
        finally:
            if self._before is not None:
                _open_unit.reset(self._before)
            await self._unit._end()


async def _finish(commit: Awaitable[None]) -> None:
    """Await a commit to its end, also when the caller goes away meanwhile: what has begun to commit finishes."""
    task = asyncio.ensure_future(commit)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            # Whoever asked has gone; that nobody hears of a failure is no news.
            task.exception()
        raise


def _bounded(limit: int) -> int:
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"limit {limit} is not within 1 to {MAX_PAGE}")
    return limit


class StagedStorage:
    """The storage port over a backend."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self._closed = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.backend!r})"

    def _check(self) -> None:
        if self._closed:
            raise Closed("this storage was closed")

    def read(self) -> _Reading:
        self._check()
        return _Reading(StagedReader(self))

    def write(self) -> _Writing:
        return _Writing(StagedUnit(self))

    def ahead(self) -> EarlyWriter | None:
        """Return what writes rows of a unit before it commits; None where that is no gain, or not now."""
        return None

    async def take_numbers(self, day: str, count: int) -> range:
        self._check()
        return await self.backend.take_numbers(day, count)

    async def ping(self) -> None:
        self._check()
        await self.backend.ping()

    async def aclose(self) -> None:
        if not self._closed:
            self._closed = True
            await self.backend.aclose()

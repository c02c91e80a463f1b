"""Units over any backend: changes are staged here and handed over as one value at commit.

A backend knows how to fetch, select and commit; what a unit sees of its own writes, when it is doomed and what
may not be nested is decided once, for every store.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeVar

import attrs

from domain.ports.errors import AlreadyExists, Closed, NestedUnit, NotFound, Stale, StorageError, UnitDoomed
from domain.ports.queries import Cursor, Page, Select
from domain.ports.schema import Facet, Key
from domain.ports.storage import MAX_PAGE
from domain.ports.views import View

V = TypeVar("V")
AnyFacet = Facet[Any]


@attrs.define
class FacetChanges:
    """What a unit does to one facet. `saves` and `removes` keep the version that must be stored."""

    adds: dict[Key, Any] = attrs.field(factory=dict)
    saves: dict[Key, tuple[Any, int]] = attrs.field(factory=dict)
    removes: dict[Key, tuple[Any, int | None]] = attrs.field(factory=dict)
    confirms: dict[Key, int] = attrs.field(factory=dict)

    def staged(self, key: Key) -> Any:
        """Return the staged value, GONE when staged for removal, or None."""
        if key in self.adds:
            return self.adds[key]
        if key in self.saves:
            return self.saves[key][0]
        return GONE if key in self.removes else None


GONE = object()
Changes = Mapping[str, tuple[AnyFacet, FacetChanges]]


class Backend(Protocol):
    """What an adapter has to know of its store."""

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        """Return the committed rows under `keys`; absent ones are left out."""
        ...

    async def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V]:
        """Return up to `limit` committed rows that match, in order, after the cursor."""
        ...

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> list[tuple[Cursor, V]]:
        """Return up to `limit` rows of a list that spans facets, each with its cursor."""
        ...

    async def commit(self, changes: Changes) -> None:
        """Make all changes durable and visible at once, or raise and change nothing."""
        ...

    async def take_numbers(self, day: str, count: int) -> range: ...

    async def ping(self) -> None: ...

    async def aclose(self) -> None: ...


_open_unit: ContextVar[object | None] = ContextVar("open_unit", default=None)


def cursor_of(facet: Facet[V], query: Select, value: V) -> Cursor:
    """Return the cursor that stands on a row: its order columns, then its key."""
    return tuple(facet.columns[name](value) for name in (*query.order, *facet.key))


class StagedReader:
    """A reader of committed state."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._closed = False

    def _check(self) -> None:
        if self._closed:
            raise Closed("the block of this reader has ended")

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

    async def page(self, facet: Facet[V], query: Select, after: Cursor | None = None, limit: int = 50) -> Page[V]:
        self._check()
        limit = _bounded(limit)
        rows = await self._backend.select(facet, query, after, limit + 1)
        return self._cut(facet, query, rows, limit)

    async def view(self, view: View[V], after: Cursor | None = None, limit: int = 50) -> Page[V]:
        self._check()
        limit = _bounded(limit)
        rows = await self._backend.view(view, after, limit + 1)
        more = len(rows) > limit
        return Page(tuple(value for _, value in rows[:limit]), rows[limit - 1][0] if more else None)

    @staticmethod
    def _cut(facet: Facet[V], query: Select, rows: list[V], limit: int) -> Page[V]:
        more = len(rows) > limit
        return Page(tuple(rows[:limit]), cursor_of(facet, query, rows[limit - 1]) if more else None)


class StagedUnit(StagedReader):
    """A unit: its own staged rows lie over the committed ones."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self._changes: dict[str, tuple[AnyFacet, FacetChanges]] = {}
        self._doom: StorageError | None = None

    def _check(self) -> None:
        super()._check()
        if self._doom is not None:
            raise UnitDoomed(f"this unit met {self._doom!r} and cannot go on") from self._doom

    def _of(self, facet: AnyFacet) -> FacetChanges:
        if facet.name not in self._changes:
            self._changes[facet.name] = (facet, FacetChanges())
        return self._changes[facet.name][1]

    async def get_many(self, facet: Facet[V], keys: Iterable[Key]) -> dict[Key, V]:
        self._check()
        if facet.name not in self._changes:
            return await super().get_many(facet, keys)
        changes = self._of(facet)
        wanted = list(dict.fromkeys(keys))
        staged = {key: changes.staged(key) for key in wanted}
        found = await super().get_many(facet, [key for key, value in staged.items() if value is None])
        return {
            key: value
            for key in wanted
            if (value := staged[key] if staged[key] is not None else found.get(key)) is not None and value is not GONE
        }

    async def page(self, facet: Facet[V], query: Select, after: Cursor | None = None, limit: int = 50) -> Page[V]:
        self._check()
        limit = _bounded(limit)
        if facet.name not in self._changes:
            return await super().page(facet, query, after, limit)
        changes = self._of(facet)
        hidden = len(changes.saves) + len(changes.removes)
        rows = await self._backend.select(facet, query, after, limit + 1 + hidden)
        kept = [row for row in rows if changes.staged(facet.key_of(row)) is None]
        kept += [value for value in self._staged_values(changes) if query.matches(facet.row(value))]
        kept.sort(key=lambda value: order_key(cursor_of(facet, query, value)), reverse=query.descending)
        if after is not None:
            limit_key = order_key(after)
            kept = [value for value in kept if _beyond(facet, query, value, limit_key)]
        return self._cut(facet, query, kept, limit)

    @staticmethod
    def _staged_values(changes: FacetChanges) -> Iterable[Any]:
        yield from changes.adds.values()
        yield from (value for value, _ in changes.saves.values())

    async def add(self, facet: Facet[V], *values: V) -> None:
        self._check()
        changes = self._of(facet)
        for value in values:
            key = facet.key_of(value)
            if key in changes.removes:
                _, version = changes.removes.pop(key)
                self._replace(facet, changes, key, value, version)
            elif changes.staged(key) is not None:
                raise self._doomed(AlreadyExists(facet.name, key))
            else:
                changes.adds[key] = value

    def _replace(self, facet: AnyFacet, changes: FacetChanges, key: Key, value: Any, version: int | None) -> None:
        changes.saves[key] = (value, version if version is not None else -1)

    async def save(self, facet: Facet[V], *values: V) -> None:
        self._check()
        changes = self._of(facet)
        for value in values:
            key = facet.key_of(value)
            expected = value.version - 1  # type: ignore[attr-defined]
            held = changes.staged(key)
            if held is GONE or (held is not None and held.version != expected):
                raise self._doomed(Stale(facet.name, key))
            if key in changes.adds:
                changes.adds[key] = value
            elif key in changes.saves:
                changes.saves[key] = (value, changes.saves[key][1])
            else:
                if changes.confirms.pop(key, expected) != expected:
                    raise self._doomed(Stale(facet.name, key))
                changes.saves[key] = (value, expected)

    async def remove(self, facet: Facet[V], *values: V) -> None:
        self._check()
        changes = self._of(facet)
        for value in values:
            key = facet.key_of(value)
            version = value.version if facet.versioned else None  # type: ignore[attr-defined]
            held = changes.staged(key)
            if held is GONE or (held is not None and facet.versioned and held.version != version):
                raise self._doomed(Stale(facet.name, key))
            if key in changes.adds:
                del changes.adds[key]
            elif key in changes.saves:
                changes.removes[key] = (value, changes.saves.pop(key)[1])
            else:
                changes.confirms.pop(key, None)
                changes.removes[key] = (value, version)

    async def confirm(self, facet: Facet[V], *values: V) -> None:
        self._check()
        changes = self._of(facet)
        for value in values:
            key = facet.key_of(value)
            version: int = value.version  # type: ignore[attr-defined]
            held = changes.staged(key)
            if held is None:
                if changes.confirms.setdefault(key, version) != version:
                    raise self._doomed(Stale(facet.name, key))
            elif held is GONE or held.version != version:
                raise self._doomed(Stale(facet.name, key))

    def _doomed(self, error: StorageError) -> StorageError:
        self._doom = error
        return error

    async def _commit(self) -> None:
        self._check()
        changes = {
            name: (facet, change)
            for name, (facet, change) in self._changes.items()
            if change.adds or change.saves or change.removes or change.confirms
        }
        if changes:
            await _finish(self._backend.commit(changes))


async def _finish(commit: Any) -> None:
    """Await a commit to its end, also when the caller goes away meanwhile: what has begun to commit finishes."""
    task = asyncio.ensure_future(commit)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise


def order_key(cursor: Cursor) -> tuple[tuple[bool, Any], ...]:
    """Make cursors comparable when columns are null: null sorts last, as in SQL."""
    return tuple((part is None, part if part is not None else "") for part in cursor)


def _beyond(facet: AnyFacet, query: Select, value: Any, after: tuple[Any, ...]) -> bool:
    here = order_key(cursor_of(facet, query, value))
    return here < after if query.descending else here > after


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

    @asynccontextmanager
    async def read(self) -> AsyncIterator[StagedReader]:
        self._check()
        reader = StagedReader(self.backend)
        try:
            yield reader
        finally:
            reader._closed = True

    @asynccontextmanager
    async def write(self) -> AsyncIterator[StagedUnit]:
        self._check()
        task = asyncio.current_task()
        if _open_unit.get() is task:
            raise NestedUnit("a unit is open in this task already")
        token = _open_unit.set(task)
        unit = StagedUnit(self.backend)
        try:
            yield unit
            await unit._commit()
        finally:
            unit._closed = True
            _open_unit.reset(token)

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

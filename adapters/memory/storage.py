"""The memory store: real units, real conflicts, nothing durable. For tests and demonstrations."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

import attrs
from sortedcontainers import SortedDict

from adapters.changes import Changes, FacetChanges, listed, order_key
from adapters.memory.views import evaluate
from adapters.staging import Asked, Found, StagedStorage, Wanted
from domain.ports.errors import AlreadyExists, ReadOnly, Stale
from domain.ports.queries import Condition, Cursor, Scalar, Select
from domain.ports.schema import FACETS, Facet, Key
from domain.ports.views import View

V = TypeVar("V")
IndexKey = tuple[tuple[bool, Any], ...]


class MemoryTable:
    """The rows of one facet with its declared unique keys and indexes."""

    def __init__(self, facet: Facet[Any]) -> None:
        self.facet = facet
        self.rows: dict[Key, Any] = {}
        self.unique: dict[tuple[str, ...], dict[tuple[Any, ...], Key]] = {columns: {} for columns in facet.unique}
        self.indexes: dict[tuple[str, ...], SortedDict] = {
            tuple(dict.fromkeys((*columns, *facet.key))): SortedDict() for columns in (facet.key, *facet.indexes)
        }
        self.serials: dict[Any, int] = {}

    def check(self, change: FacetChanges) -> None:
        """Raise what forbids a change: Stale before AlreadyExists, as a server answers its statements in order."""
        for key, version in change.confirms.items():
            self._stands(key, version)
        for key, (_, expected) in (*change.removes.items(), *change.saves.items()):
            self._stands(key, expected)
        for key in change.adds:
            if key in self.rows:
                raise AlreadyExists(self.facet.name, key)
        gone = change.removes.keys() | change.saves.keys()
        for columns, holders in self.unique.items():
            seen: set[tuple[Any, ...]] = set()
            for value in (*(saved for saved, _ in change.saves.values()), *change.adds.values()):
                held = self._held(columns, value)
                if None not in held and (held in seen or (held in holders and holders[held] not in gone)):
                    raise AlreadyExists(self.facet.name, self.facet.key_of(value))
                seen.add(held)

    def _stands(self, key: Key, version: int | None) -> None:
        held = self.rows.get(key)
        if held is None or (version is not None and held.version != version):
            raise Stale(self.facet.name, key)

    def _held(self, columns: tuple[str, ...], value: Any) -> tuple[Any, ...]:
        return tuple(self.facet.columns[name](value) for name in columns)

    def apply(self, change: FacetChanges) -> None:
        """Make a checked change."""
        saved = [self._renumbered(value) for value, _ in change.saves.values()]
        for key in (*change.removes, *change.saves):
            self._drop(key)
        for value in saved:
            self._put(value)
        for value in change.adds.values():
            self._put(self._numbered(value))

    def _numbered(self, value: Any) -> Any:
        """Give the value its place in the series of its facet, when the facet has one."""
        if self.facet.serial is None:
            return value
        member, per = self.facet.serial
        owner = self.facet.columns[per](value)
        self.serials[owner] = self.serials.get(owner, 0) + 1
        return attrs.evolve(value, **{member: self.serials[owner]})

    def _renumbered(self, value: Any) -> Any:
        """Give a saved value the number its row has: numbers are the store's, not the caller's."""
        if self.facet.serial is None:
            return value
        member = self.facet.serial[0]
        return attrs.evolve(value, **{member: getattr(self.rows[self.facet.key_of(value)], member)})

    def load(self, values: Iterable[Any]) -> None:
        """Take rows as they are, their numbers included, each in the place of the one under its key."""
        for value in values:
            if self.facet.key_of(value) in self.rows:
                self._drop(self.facet.key_of(value))
            self._put(value)

    def _put(self, value: Any) -> None:
        key, row = self.facet.key_of(value), self.facet.row(value)
        self.rows[key] = value
        for columns, holders in self.unique.items():
            held = tuple(row[name] for name in columns)
            if None not in held:
                holders[held] = key
        for columns, index in self.indexes.items():
            index[order_key(tuple(row[name] for name in columns))] = key

    def _drop(self, key: Key) -> None:
        row = self.facet.row(self.rows.pop(key))
        for columns, holders in self.unique.items():
            holders.pop(tuple(row[name] for name in columns), None)
        for columns, index in self.indexes.items():
            del index[order_key(tuple(row[name] for name in columns))]

    def select(self, query: Select, after: Cursor | None, limit: int) -> list[Any]:
        """Return up to `limit` matching rows in the query's order, by a declared index where one serves."""
        columns = self.facet.columns
        matching = (
            value
            for value in self.walk(query, after)
            if query.matches({name: columns[name](value) for name in query.where})
        )
        return list(islice(matching, limit))

    def count(self, where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        """Return how many rows match, by the value of a column."""
        query, columns = Select(where), self.facet.columns
        return dict(
            Counter(
                columns[by](value)
                for value in self.walk(query, None)
                if query.matches({name: columns[name](value) for name in where})
            )
        )

    def walk(self, query: Select, after: Cursor | None) -> Iterator[Any]:
        """Yield rows in the query's order, by a declared index where one serves; not all of them need match it."""
        fixed = {name for name, condition in query.where.items() if not attrs.has(type(condition))}
        order = tuple(name for name in dict.fromkeys((*query.order, *self.facet.key)) if name not in fixed)
        index = self._index_for(fixed, order)
        if index is None:
            return iter(listed(self.facet, query, self.rows.values(), after))
        columns, equals = index
        prefix = order_key(tuple(query.where[name] for name in columns[:equals]))  # type: ignore[misc]
        low: Any = prefix
        high: Any = (*prefix, (True, "", ""))
        if after is not None:
            last = dict(zip((*query.order, *self.facet.key), after, strict=True))
            start = (*prefix, *order_key(tuple(last[name] for name in order)))
            low, high = (low, start) if query.descending else (start, high)
        inclusive = (after is None or query.descending, after is None or not query.descending)
        places = self.indexes[columns]
        keys = places.irange(low, high, inclusive=inclusive, reverse=query.descending)
        return (self.rows[places[place]] for place in keys)

    def _index_for(self, fixed: set[str], order: tuple[str, ...]) -> tuple[tuple[str, ...], int] | None:
        """Return a declared index that yields this order, and how many of its columns are fixed before."""
        for columns in self.indexes:
            equals = len(columns) - len(order)
            if columns[equals:] == order and fixed.issuperset(columns[:equals]):
                return columns, equals
        return None


class MemoryBackend:
    """Rows in dictionaries; a commit is one step of the event loop."""

    def __init__(self) -> None:
        self.tables = {facet.name: MemoryTable(facet) for facet in FACETS}
        self.numbers: dict[str, int] = {}
        self.sealed = False

    def __repr__(self) -> str:
        return "memory"

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        rows = self.tables[facet.name].rows
        return {key: rows[key] for key in keys if key in rows}

    async def fetch_each(self, wanted: Wanted) -> Found:
        return {name: self.tables[name].rows for name in wanted}

    async def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V]:
        return self.tables[facet.name].select(query, after, limit)

    async def select_each(self, asked: Asked, limit: int) -> list[list[Any]]:
        return [await self.select(facet, query, None, limit) for facet, query in asked]

    async def count(self, facet: Facet[V], where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        return self.tables[facet.name].count(where, by)

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> list[tuple[Cursor, V]]:
        return evaluate(self.tables, view, after, limit)

    async def commit(self, changes: Changes) -> None:
        self._refuse_when_sealed()
        for change in changes:
            self.tables[change.facet.name].check(change)
        for change in changes:
            self.tables[change.facet.name].apply(change)

    async def take_numbers(self, day: str, count: int) -> range:
        self._refuse_when_sealed()
        first = self.numbers.get(day, 0) + 1
        self.numbers[day] = first + count - 1
        return range(first, first + count)

    async def numbers_taken(self, day: str) -> int:
        return self.numbers.get(day, 0)

    def _refuse_when_sealed(self) -> None:
        if self.sealed:
            raise ReadOnly("the store takes no changes: it is being copied, or was")

    async def ping(self) -> None:
        return None

    async def aclose(self) -> None:
        return None


class MemoryStorage(StagedStorage):
    """The storage port in memory. Instances over one backend see each other's rows."""

    def __init__(self, backend: MemoryBackend | None = None) -> None:
        super().__init__(backend or MemoryBackend())

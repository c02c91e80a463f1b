"""The memory store: real units, real conflicts, nothing durable. For tests and demonstrations."""

from collections.abc import Iterator
from typing import Any, TypeVar

import attrs
from sortedcontainers import SortedDict

from adapters.memory.views import evaluate
from adapters.staging import Changes, StagedStorage, cursor_of, order_key
from domain.ports.errors import AlreadyExists, Stale
from domain.ports.queries import Cursor, Select
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
            columns: SortedDict() for columns in {facet.key, *facet.indexes}
        }
        self.serials: dict[Any, int] = {}

    def check_unique(self, value: Any, removed: set[Key]) -> None:
        """Raise AlreadyExists when another row, not about to go, holds one of the value's unique keys."""
        row, key = self.facet.row(value), self.facet.key_of(value)
        for columns, holders in self.unique.items():
            holder = holders.get(tuple(row[name] for name in columns))
            if holder is not None and holder != key and holder not in removed:
                raise AlreadyExists(self.facet.name, key)

    def numbered(self, value: Any) -> Any:
        """Give the value its place in the series of its facet, when the facet has one."""
        if self.facet.serial is None:
            return value
        member, per = self.facet.serial
        owner = self.facet.columns[per](value)
        self.serials[owner] = self.serials.get(owner, 0) + 1
        return attrs.evolve(value, **{member: self.serials[owner]})

    def put(self, value: Any) -> None:
        self.drop(self.facet.key_of(value))
        key, row = self.facet.key_of(value), self.facet.row(value)
        self.rows[key] = value
        for columns, holders in self.unique.items():
            held = tuple(row[name] for name in columns)
            if None not in held:
                holders[held] = key
        for columns, index in self.indexes.items():
            index[self._place(columns, row)] = key

    def drop(self, key: Key) -> None:
        value = self.rows.pop(key, None)
        if value is None:
            return
        row = self.facet.row(value)
        for columns, holders in self.unique.items():
            holders.pop(tuple(row[name] for name in columns), None)
        for columns, index in self.indexes.items():
            del index[self._place(columns, row)]

    def _place(self, columns: tuple[str, ...], row: dict[str, Any]) -> IndexKey:
        return order_key(tuple(row[name] for name in (*columns, *self.facet.key)))

    def select(self, query: Select, after: Cursor | None, limit: int) -> list[Any]:
        """Return up to `limit` matching rows in the query's order, by a declared index where one serves."""
        found: list[Any] = []
        for value in self._walk(query, after):
            if query.matches(self.facet.row(value)):
                found.append(value)
                if len(found) == limit:
                    break
        return found

    def _walk(self, query: Select, after: Cursor | None) -> Iterator[Any]:
        index = self._index_for(query)
        if index is None:
            values = sorted(
                self.rows.values(), key=lambda v: order_key(cursor_of(self.facet, query, v)), reverse=query.descending
            )
            beyond = order_key(after) if after is not None else None
            for value in values:
                here = order_key(cursor_of(self.facet, query, value))
                if beyond is None or (here < beyond if query.descending else here > beyond):
                    yield value
            return
        columns, equals = index
        prefix = order_key(tuple(query.where[name] for name in columns[:equals]))  # type: ignore[misc]
        low: Any = prefix
        high: Any = (*prefix, (True, "", ""))
        if after is not None:
            start = (*prefix, *order_key(after))
            low, high = (low, start) if query.descending else (start, high)
        inclusive = (after is None or query.descending, after is None or not query.descending)
        keys = self.indexes[columns].irange(low, high, inclusive=inclusive, reverse=query.descending)
        for place in keys:
            yield self.rows[self.indexes[columns][place]]

    def _index_for(self, query: Select) -> tuple[tuple[str, ...], int] | None:
        """Return a declared index that yields the query's order, and how many of its columns the query fixes."""
        equal = {name for name, condition in query.where.items() if not attrs.has(type(condition))}
        for columns in self.indexes:
            count = 0
            while count < len(columns) and columns[count] in equal and columns[count] not in query.order:
                count += 1
            rest = (*columns, *self.facet.key)[count:]
            wanted = (*query.order, *self.facet.key)
            if rest == wanted:
                return columns, count
        return None


class MemoryBackend:
    """Rows in dictionaries; a commit is one step of the event loop."""

    def __init__(self) -> None:
        self.tables = {facet.name: MemoryTable(facet) for facet in FACETS}
        self._numbers: dict[str, int] = {}

    def __repr__(self) -> str:
        return "memory"

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        rows = self.tables[facet.name].rows
        return {key: rows[key] for key in keys if key in rows}

    async def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V]:
        return self.tables[facet.name].select(query, after, limit)

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> list[tuple[Cursor, V]]:
        return evaluate(self.tables, view, after, limit)

    async def commit(self, changes: Changes) -> None:
        for facet, change in changes.values():
            table = self.tables[facet.name]
            for key, version in change.confirms.items():
                self._stands(table, key, version)
            for key, (_, version) in change.saves.items():
                self._stands(table, key, None if version < 0 else version)
            for key, (_, expected) in change.removes.items():
                self._stands(table, key, expected)
            gone = set(change.removes) | set(change.saves)
            for key in change.adds:
                if key in table.rows:
                    raise AlreadyExists(facet.name, key)
            taken: set[tuple[tuple[str, ...], tuple[Any, ...]]] = set()
            for value in (*change.adds.values(), *(saved for saved, _ in change.saves.values())):
                table.check_unique(value, gone)
                self._check_among_new(table, value, taken)
        for facet, change in changes.values():
            table = self.tables[facet.name]
            for key in change.removes:
                table.drop(key)
            for value, _ in change.saves.values():
                table.put(value)
            for value in change.adds.values():
                table.put(table.numbered(value))

    @staticmethod
    def _stands(table: MemoryTable, key: Key, version: int | None) -> None:
        held = table.rows.get(key)
        if held is None or (version is not None and held.version != version):
            raise Stale(table.facet.name, key)

    @staticmethod
    def _check_among_new(table: MemoryTable, value: Any, taken: set[Any]) -> None:
        row = table.facet.row(value)
        for columns in table.unique:
            held = tuple(row[name] for name in columns)
            if None not in held:
                if (columns, held) in taken:
                    raise AlreadyExists(table.facet.name, table.facet.key_of(value))
                taken.add((columns, held))

    async def take_numbers(self, day: str, count: int) -> range:
        first = self._numbers.get(day, 0) + 1
        self._numbers[day] = first + count - 1
        return range(first, first + count)

    async def ping(self) -> None:
        return None

    async def aclose(self) -> None:
        self.tables = {facet.name: MemoryTable(facet) for facet in FACETS}


class MemoryStorage(StagedStorage):
    """The storage port in memory."""

    def __init__(self) -> None:
        super().__init__(MemoryBackend())

"""The rows of one facet in memory, with the indexes that its declaration names.

An index is made when the first query is answered by it, and kept up from then on.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, product
from operator import itemgetter
from sys import intern
from typing import Any, Final

import attrs
from sortedcontainers import SortedList

from adapters.changes import LAST, FacetChanges, fixed, listed, order_key
from domain.ports.errors import AlreadyExists, Stale
from domain.ports.queries import Between, Condition, Cursor, Scalar, Select, StartsWith, holds
from domain.ports.schema import Facet, Key

Columns = tuple[str, ...]
Place = tuple[Any, ...]
Part = tuple[Columns, int]
"""Columns of an index, and how many of the first of them are fixed."""
Fixed = Mapping[str, Collection[Any]]
"""The values to which a query fixes columns."""
WORD: Final = "word"
"""The column of an index in which a row stands once for each of its words."""
_HIGHEST = chr(0x10FFFF)
PAGE = 50
"""About so many rows are taken of a list that is walked in its order."""


class Index:
    """Where rows stand in the order of some columns, of which the last are those of the key."""

    def __init__(self, facet: Facet[Any], columns: Columns, values: Iterable[Any]) -> None:
        self.columns = columns
        self.key_at = itemgetter(*map(columns.index, facet.key))
        self._facet = facet
        self.places = SortedList(place for value in values for place in self._places(value))

    def _places(self, value: Any) -> list[Place]:
        getters, tokens = self._facet.columns, self._facet.tokens
        if self.columns[0] != WORD or tokens is None:
            return [order_key(tuple([getters[name](value) for name in self.columns]))]
        key = tuple([getters[name](value) for name in self._facet.key])
        return [(intern(token), *key) for token in tokens(value)]

    def change(self, before: Any, after: Any) -> None:
        """Let a row stand where its new value belongs; None before it is there and when it is gone."""
        old = [] if before is None else self._places(before)
        new = [] if after is None else self._places(after)
        if old != new:
            for place in set(old) - set(new):
                self.places.remove(place)
            self.places.update(set(new) - set(old))

    def span(self, start: Place, bound: Condition, after: Place, *, descending: bool) -> tuple[Place, Place]:
        """Return between which places (the second not included) rows stand whose first columns are `start`, whose
        next one meets `bound`, and which come after the columns `after` that follow."""
        low, high = start, (*start, *[LAST] * (len(self.columns) + 1 - len(start)))
        if isinstance(bound, Between):
            low = start if bound.start is None else (*start, bound.start)
            high = (*start, LAST if bound.end is None else bound.end)
        elif isinstance(bound, StartsWith):
            low, high = (*start, bound.prefix), (*start, bound.prefix + _HIGHEST)
        if after and descending:
            high = min(high, (*start, *after))
        elif after:
            low = max(low, (*start, *after, LAST))
        return low, high


@attrs.frozen
class Way:
    """Parts of an index in which all rows stand that meet the conditions on its first columns."""

    index: Index
    equals: int
    spans: Sequence[tuple[Place, Place]]

    def __len__(self) -> int:
        places = self.index.places
        return sum(max(0, places.bisect_left(high) - places.bisect_left(low)) for low, high in self.spans)

    def keys(self) -> Iterator[Key]:
        """Yield the keys of the rows."""
        return map(self.index.key_at, chain.from_iterable(self._walks()))

    def ordered(self, *, descending: bool) -> Iterator[Key]:
        """Yield the keys of the rows in the order of the columns that follow those with conditions."""
        walks = self._walks(descending=descending)
        rest = itemgetter(slice(self.equals, None))
        merged = walks[0] if len(walks) == 1 else heapq.merge(*walks, key=rest, reverse=descending)
        return map(self.index.key_at, merged)

    def _walks(self, *, descending: bool = False) -> list[Iterator[Place]]:
        return [self.index.places.irange(*span, (True, False), descending) for span in self.spans]


@attrs.frozen
class Plan:
    """How queries of one form are answered: by the part of an index that leaves the fewest rows, and by one that has
    their order, which may be the same; `order` is what is left of the order beside columns of one value."""

    narrow: Part
    ordered: Part | None
    order: Columns


class MemoryTable:
    """The rows of one facet with its declared unique keys and indexes."""

    def __init__(self, facet: Facet[Any]) -> None:
        self.facet = facet
        self.rows: dict[Key, Any] = {}
        self.unique: dict[Columns, dict[tuple[Any, ...], Key]] = {columns: {} for columns in facet.unique}
        self.serials: dict[Any, int] = {}
        declared = (facet.key, *facet.unique, *facet.indexes)
        self._declared = tuple(dict.fromkeys(tuple(dict.fromkeys((*columns, *facet.key))) for columns in declared))
        self._indexes: dict[Columns, Index] = {}
        self._plans: dict[Any, Plan] = {}

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

    def _held(self, columns: Columns, value: Any) -> tuple[Any, ...]:
        return tuple([self.facet.columns[name](value) for name in columns])

    def apply(self, change: FacetChanges) -> None:
        """Make a checked change."""
        for key in change.removes:
            self._drop(key)
        for value, _ in change.saves.values():
            self._put(self._renumbered(value))
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
            self._put(value)

    def _put(self, value: Any) -> None:
        key = self.facet.key_of(value)
        self._change(key, self.rows.get(key), value)
        self.rows[key] = value

    def _drop(self, key: Key) -> None:
        self._change(key, self.rows.pop(key), None)

    def _change(self, key: Key, before: Any, after: Any) -> None:
        for columns, holders in self.unique.items():
            if before is not None and holders.get(held := self._held(columns, before)) == key:
                del holders[held]
            if after is not None and None not in (held := self._held(columns, after)):
                holders[held] = key
        for index in self._indexes.values():
            index.change(before, after)

    def select(self, query: Select, after: Cursor | None, limit: int) -> list[Any]:
        """Return up to `limit` matching rows in the query's order."""
        return list(islice(self.walk(query, after), limit))

    def count(self, where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        """Return how many rows match, by the value of a column."""
        return dict(Counter(map(self.facet.columns[by], self.matching(where))))

    def matching(self, where: Mapping[str, Condition]) -> Iterator[Any]:
        """Yield the rows that match, in no order."""
        values = _fixed(where)
        way = self._way(self._plan(Select(where), values).narrow, where, values)
        return self._kept(way, way.keys(), where)

    def walk(self, query: Select, after: Cursor | None = None, words: Sequence[Condition] = ()) -> Iterator[Any]:
        """Yield the rows that match and come after the cursor, in the query's order.

        Each of `words` is met by a word of all rows that are looked for; others may come too. A cursor may leave out
        the last columns of the order.
        """
        where, values = query.where, _fixed(query.where)
        plan = self._plan(query, values)
        ordered = None
        if plan.ordered is not None:
            last = dict(zip((*query.order, *self.facet.key), after or (), strict=False))
            edge = order_key(tuple([last[name] for name in plan.order if name in last]))
            ordered = self._way(plan.ordered, where, values, edge, descending=query.descending)
            if plan.narrow is plan.ordered and not words:
                return self._kept(ordered, ordered.ordered(descending=query.descending), where)
        narrow = min((self._way(plan.narrow, where, values), *map(self._worded, words)), key=len)
        # Rows in their order are looked at until a page is full, others are all looked at and sorted first.
        if ordered is None or len(narrow) ** 2 < PAGE * len(ordered):
            # A row stands once for each of its words.
            keys = dict.fromkeys(narrow.keys())
            return iter(listed(self.facet, query, self._kept(narrow, keys, where), after))
        return self._kept(ordered, ordered.ordered(descending=query.descending), where)

    def _kept(self, way: Way, keys: Iterable[Key], where: Mapping[str, Condition]) -> Iterator[Any]:
        """Yield the rows of a way that meet the conditions which its index leaves."""
        met = way.index.columns[: way.equals]
        rest = [(self.facet.columns[name], condition) for name, condition in where.items() if name not in met]
        values = map(self.rows.__getitem__, keys)
        if not rest:
            return values
        return (value for value in values if all(holds(condition, column(value)) for column, condition in rest))

    def _worded(self, word: Condition) -> Way:
        values = _fixed({WORD: word})
        return self._way(((WORD, *self.facet.key), len(values)), {WORD: word}, values)

    def _way(
        self, part: Part, where: Mapping[str, Condition], values: Fixed, after: Place = (), *, descending: bool = False
    ) -> Way:
        columns, equals = part
        index = self._indexes.get(columns)
        if index is None:
            index = self._indexes[columns] = Index(self.facet, columns, self.rows.values())
        bound = where.get(columns[equals]) if equals < len(columns) else None
        starts = map(order_key, product(*[values[name] for name in columns[:equals]]))
        return Way(index, equals, [index.span(start, bound, after, descending=descending) for start in starts])

    def _plan(self, query: Select, values: Fixed) -> Plan:
        """Return the plan of all queries of this form."""
        single = frozenset([name for name, each in values.items() if len(each) == 1])
        form = (query.order, tuple(query.where), single, frozenset(values))
        plan = self._plans.get(form)
        if plan is None:
            plan = self._plans[form] = self._planned(query, single, frozenset(values))
        return plan

    def _planned(self, query: Select, single: frozenset[str], values: frozenset[str]) -> Plan:
        order = tuple(name for name in dict.fromkeys((*query.order, *self.facet.key)) if name not in single)

        def answered(part: Part) -> tuple[int, bool]:
            columns, equals = part
            return equals, equals < len(columns) and columns[equals] in query.where

        parts = [(columns, _leading(columns, values)) for columns in self._declared]
        narrow = max(parts, key=answered)
        serving = [(columns, at) for columns, most in parts if (at := _followed(columns, order, most)) is not None]
        ordered = max(serving, key=answered, default=None)
        if ordered is not None and answered(ordered) >= answered(narrow):
            narrow = ordered
        return Plan(narrow, ordered, order)


def _fixed(where: Mapping[str, Condition]) -> Fixed:
    found = [(name, fixed(condition)) for name, condition in where.items()]
    return {name: values for name, values in found if values is not None}


def _leading(columns: Columns, values: Collection[str]) -> int:
    return next((place for place, name in enumerate(columns) if name not in values), len(columns))


def _followed(columns: Columns, order: Columns, most: int) -> int | None:
    """Return after how many columns, not more than `most`, an index has an order; None when it has it nowhere."""
    at = columns.index(order[0]) if order and order[0] in columns else most
    return at if at <= most and columns[at : at + len(order)] == order else None

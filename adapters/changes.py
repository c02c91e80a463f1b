"""What a unit has staged, facet by facet, and which of it answers a query."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import attrs

from domain.ports.queries import AnyOf, Between, Cursor, Select, StartsWith
from domain.ports.schema import FACETS, Facet, Key

AnyFacet = Facet[Any]
GONE = object()
_PLACES = {facet.name: place for place, facet in enumerate(FACETS)}
_FEW = 32


class EarlyWriter(Protocol):
    """Who writes new rows of a unit while the unit goes on. Nobody sees them before it commits."""

    def write(self, facet: AnyFacet, values: Sequence[Any]) -> None:
        """Begin to write rows, behind those that were given before."""
        ...

    async def abandon(self) -> None:
        """Take everything back, unless the unit was committed."""
        ...


@attrs.define
class FacetChanges:
    """What a unit does to one facet. `saves` and `removes` keep the version that must be stored, None for any.
    `ahead` writes some of the `adds` already.

    Staged values are indexed by the columns that queries fix, from the first such query on: an import asks for a few
    of a hundred thousand staged rows, many times.
    """

    facet: AnyFacet
    adds: dict[Key, Any] = attrs.field(factory=dict)
    saves: dict[Key, tuple[Any, int | None]] = attrs.field(factory=dict)
    removes: dict[Key, tuple[Any, int | None]] = attrs.field(factory=dict)
    confirms: dict[Key, int] = attrs.field(factory=dict)
    ahead: EarlyWriter | None = None
    _indexes: dict[str, dict[Any, dict[Key, Any]]] = attrs.field(factory=dict)

    def __bool__(self) -> bool:
        return bool(self.adds or self.saves or self.removes or self.confirms)

    def staged(self, key: Key) -> Any:
        """Return the staged value, GONE when staged for removal, or None."""
        if key in self.adds:
            return self.adds[key]
        if key in self.saves:
            return self.saves[key][0]
        return GONE if key in self.removes else None

    def stage_add(self, key: Key, value: Any) -> None:
        if self._indexes:
            self._unindex(key)
            self._index(key, value)
        self.adds[key] = value

    def stage_new(self, values: Sequence[Any]) -> bool:
        """Stage rows of which nothing else is staged, all at once; False, and nothing, when there is more to do."""
        if self.saves or self.removes or self._indexes:
            return False
        new = dict(zip(map(self.facet.key_of, values), values, strict=True))
        if len(new) < len(values) or not self.adds.keys().isdisjoint(new):
            return False
        self.adds.update(new)
        return True

    def stage_save(self, key: Key, value: Any, expected: int | None) -> None:
        if self._indexes:
            self._unindex(key)
            self._index(key, value)
        self.saves[key] = (value, expected)

    def drop_add(self, key: Key) -> None:
        self._unindex(key)
        del self.adds[key]

    def drop_save(self, key: Key) -> int | None:
        """Forget a staged save and return the version that it relies on."""
        self._unindex(key)
        return self.saves.pop(key)[1]

    def matching(self, query: Select) -> list[Any]:
        """Return the staged values that match, in no order."""
        columns = self.facet.columns
        return [
            value
            for value in self._candidates(query)
            if query.matches({name: columns[name](value) for name in query.where})
        ]

    def _candidates(self, query: Select) -> Iterable[Any]:
        """Return staged values among which are all that match: the fewest that one fixed column leaves."""
        best: list[dict[Key, Any]] | None = None
        fewest = len(self.adds) + len(self.saves)
        for name, condition in query.where.items():
            if fewest <= _FEW:
                break
            wanted = fixed(condition)
            if wanted is not None:
                index = self._indexed_by(name)
                buckets = [index[value] for value in wanted if value in index]
                count = sum(map(len, buckets))
                if count < fewest:
                    best, fewest = buckets, count
        if best is not None:
            return (value for bucket in best for value in bucket.values())
        return (*self.adds.values(), *(value for value, _ in self.saves.values()))

    def _indexed_by(self, name: str) -> dict[Any, dict[Key, Any]]:
        if name not in self._indexes:
            self._indexes[name] = {}
            for key in (*self.adds, *self.saves):
                value = self.staged(key)
                self._indexes[name].setdefault(self.facet.columns[name](value), {})[key] = value
        return self._indexes[name]

    def _index(self, key: Key, value: Any) -> None:
        for name, index in self._indexes.items():
            index.setdefault(self.facet.columns[name](value), {})[key] = value

    def _unindex(self, key: Key) -> None:
        if not self._indexes:
            return
        value = self.staged(key)
        if value is not None and value is not GONE:
            for name, index in self._indexes.items():
                index[self.facet.columns[name](value)].pop(key, None)


Changes = Sequence[FacetChanges]
"""What a unit commits, in the one fixed order of facets."""


def ordered(staged: Mapping[str, FacetChanges]) -> Changes:
    """Return what is to be committed, in the one fixed order in which units take their rows."""
    return sorted(filter(None, staged.values()), key=lambda change: _PLACES[change.facet.name])


def fixed(condition: Any) -> Collection[Any] | None:
    """Return the values that a condition leaves for its column, None when it leaves a range."""
    if isinstance(condition, AnyOf):
        return dict.fromkeys(condition.values)
    return None if isinstance(condition, Between | StartsWith) else (condition,)


def cursor_of(facet: Facet[Any], query: Select, value: Any) -> Cursor:
    """Return the cursor that stands on a row: its order columns, then its key."""
    return tuple(facet.columns[name](value) for name in (*query.order, *facet.key))


class _Last:
    """What stands for null where values are compared: null sorts last, as in SQL."""

    def __lt__(self, other: Any) -> bool:
        return False

    def __gt__(self, other: Any) -> bool:
        return other is not self


LAST = _Last()


def order_key(cursor: Cursor) -> tuple[Any, ...]:
    """Make cursors comparable when columns are null."""
    return tuple([LAST if part is None else part for part in cursor]) if None in cursor else cursor


def beyond(query: Select, cursor: Cursor, after: Cursor | None) -> bool:
    """Tell whether a row comes after the one on which the cursor `after` stands, which may leave out last columns."""
    if after is None:
        return True
    here, edge = order_key(cursor), order_key(after)
    return here < edge if query.descending else here > (*edge, LAST)


def listed(facet: Facet[Any], query: Select, values: Iterable[Any], after: Cursor | None) -> list[Any]:
    """Return those of some rows that come after the cursor, in the order of the query."""
    rows = [(cursor_of(facet, query, value), value) for value in values]
    rows = [row for row in rows if beyond(query, row[0], after)]
    rows.sort(key=lambda row: order_key(row[0]), reverse=query.descending)
    return [value for _, value in rows]

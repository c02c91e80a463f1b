"""Lists in memory: where the rows of a list are looked for, and which of them it shows."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, Generic, TypeVar

import attrs

from adapters.changes import order_key
from adapters.memory.table import MemoryTable
from domain.ports.queries import AnyOf, Condition, Cursor, Scalar, Select
from domain.ports.schema import Facet

V = TypeVar("V")
Tables = Mapping[str, MemoryTable]
Where = dict[str, Condition]

FEW = 500
"""Up to so many rows are looked for one by one; of more, so large a part of a list is theirs that walking it finds a
page soon."""


@attrs.frozen
class Listing(Generic[V]):
    """Rows of a facet in an order: each that `shows` allows meets the conditions of one of the `sources` and has a word
    for each of `words`."""

    facet: Facet[V]
    order: tuple[str, ...]
    shows: Callable[[V], bool]
    sources: Sequence[Where] = ({},)
    words: tuple[Condition, ...] = ()
    descending: bool = True

    def rows(self, tables: Tables, after: Cursor | None = None) -> Iterator[V]:
        """Yield what the list shows after the cursor."""
        table = tables[self.facet.name]
        walks = [table.walk(Select(where, self.order, self.descending), after, self.words) for where in self.sources]
        return filter(self.shows, walks[0] if len(walks) == 1 else self._merged(walks))

    def _merged(self, walks: Iterable[Iterator[V]]) -> Iterator[V]:
        cursor = self.cursor()
        in_order = heapq.merge(*walks, key=lambda row: order_key(cursor(row)), reverse=self.descending)
        return (next(same) for _, same in groupby(in_order, self.facet.key_of))

    def cursor(self) -> Callable[[V], Cursor]:
        """Return what gives the cursor that stands on a row."""
        columns = [self.facet.columns[name] for name in self.order]
        return lambda row: tuple([column(row) for column in columns])


def all_of(tables: Tables, facet: Facet[V], **where: Condition) -> Iterator[V]:
    """Yield the rows with these columns, in no order."""
    return tables[facet.name].matching(where)


def few(column: str, values: Iterable[Scalar]) -> Where:
    """Return the condition that a column has one of these values; none, when there are more than a few."""
    found = tuple(islice(values, FEW + 1))
    return {} if len(found) > FEW else {column: AnyOf(found)}


def given(**columns: Any) -> Where:
    """Return the conditions of those filters that were chosen."""
    return {name: condition for name, condition in columns.items() if condition is not None}

"""Queries are values: the memory store filters with them, SQL must agree, the suite uses them as its oracle."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

import attrs

V = TypeVar("V")

Scalar = str | int | bool | datetime | None
Cursor = tuple[Scalar, ...]
"""The order columns and the key of the last row seen."""


@attrs.frozen
class AnyOf:
    """Matches a column that equals one of these values."""

    values: tuple[Scalar, ...]


@attrs.frozen
class Between:
    """Matches a column from `start` (inclusive) to `end` (exclusive); None leaves that side open."""

    start: Scalar = None
    end: Scalar = None

    def __contains__(self, value: Any) -> bool:
        return (
            value is not None and (self.start is None or value >= self.start) and (self.end is None or value < self.end)
        )


@attrs.frozen
class StartsWith:
    """Matches a text column by prefix, code point by code point."""

    prefix: str


Condition = Scalar | AnyOf | Between | StartsWith


def one_of(values: Collection[Scalar]) -> Condition:
    """Return the condition that a column equals one of these values: the value itself, by which an index is found in
    every store, when there is one."""
    return next(iter(values)) if len(values) == 1 else AnyOf(tuple(values))


def chosen(**columns: Collection[str]) -> dict[str, Condition]:
    """Return the conditions of a filter that takes several values: one for every column of which some were chosen."""
    return {name: AnyOf(tuple(sorted(map(str, values)))) for name, values in columns.items() if values}


@attrs.frozen
class Select:
    """Rows of one facet: columns that must match, and a total order (the key always breaks ties).

    Columns and their order are those that the facet declares in `schema.py`.
    """

    where: Mapping[str, Condition] = attrs.field(factory=dict)
    order: tuple[str, ...] = ()
    descending: bool = False

    def matches(self, columns: Mapping[str, Any]) -> bool:
        """Tell whether a row with these column values belongs to the answer."""
        return all(holds(condition, columns[name]) for name, condition in self.where.items())


def holds(condition: Condition, value: Any) -> bool:
    """Tell whether one column value meets its condition."""
    match condition:
        case AnyOf(values):
            return value in values
        case Between():
            return value in condition
        case StartsWith(prefix):
            return isinstance(value, str) and value.startswith(prefix)
        case _:
            return bool(value == condition)


@attrs.frozen
class Page(Generic[V]):
    """One page of a list. `after` continues it and is None on the last page."""

    items: tuple[V, ...]
    after: Cursor | None = None


def page_of(rows: Sequence[tuple[Cursor, V]], limit: int) -> Page[V]:
    """Return the page of `limit` rows, each with its cursor, of which one more was asked for."""
    more = len(rows) > limit
    return Page(tuple([value for _, value in rows[:limit]]), rows[limit - 1][0] if more else None)

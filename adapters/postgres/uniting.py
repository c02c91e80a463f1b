"""Queries that differ in their values only are one statement; its rows are dealt out to those who asked."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import attrs

from adapters.postgres.prepared import Parameters

Row = tuple[Any, ...]

_TYPES = {str: "text", int: "bigint", bool: "boolean", datetime: "timestamptz"}


@attrs.frozen(eq=False)
class Query:
    """A statement with its values. Queries of one `form` can be asked as one."""

    text: str
    parameters: Parameters
    types: tuple[str, ...] = attrs.field(init=False)
    """The types of its values; none for a query that is asked by itself."""

    @types.default
    def _types(self) -> tuple[str, ...]:
        if isinstance(self.parameters, Mapping):
            return ()
        types = [_TYPES.get(type(value), "") for value in self.parameters]
        return tuple(types) if all(types) else ()

    @property
    def form(self) -> Hashable:
        return (self.text, self.types) if self.types else self


def as_one(queries: Sequence[Query]) -> tuple[str, Parameters]:
    """Return one statement for queries of one form; each row ends in the number of its query, from 1 on."""
    first = queries[0]
    if len(queries) == 1:
        return first.text, first.parameters
    values = zip(*(each.parameters for each in queries), strict=True)
    return _united(first.text, first.types), list(map(list, values))


@lru_cache(512)
def _united(text: str, types: tuple[str, ...]) -> str:
    names = [f"p{number}" for number in range(len(types))]
    arrays = ", ".join(f"%s::{each}[]" for each in types)
    values = f"unnest({arrays}) with ordinality as w({', '.join(names)}, n)"
    # Below a limit of its own each query keeps its order and its plan.
    return f"select r.*, w.n from {values} cross join lateral ({_filled(text, names)}) as r"


def _filled(text: str, names: Iterable[str]) -> str:
    """Return a statement with columns of `w` in its holes."""
    start, *rest = text.split("%s")
    return start + "".join(f"w.{name}{part}" for name, part in zip(names, rest, strict=True))


def dealt(rows: Sequence[Row], queries: int) -> list[list[Row]]:
    """Return the rows of each query of a united statement, without their numbers."""
    if queries == 1:
        return [list(rows)]
    hands: list[list[Row]] = [[] for _ in range(queries)]
    for row in rows:
        hands[row[-1] - 1].append(row[:-1])
    return hands

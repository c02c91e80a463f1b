"""Rows in cells: what a cell tells of a row, and what a commit leaves in each cell (architecture.md 5)."""

from collections.abc import Mapping
from typing import Any, TypeVar

from adapters.changes import FacetChanges
from adapters.postgres.codec import decode_again, encode
from domain.ports.cache import Cell, Changed, Outcome, Value
from domain.ports.errors import Corrupt
from domain.ports.schema import Facet, Key

V = TypeVar("V")


def told(facet: Facet[V], names: Mapping[Key, str], cells: Mapping[str, Cell]) -> tuple[dict[Key, V], dict[Key, str]]:
    """Return the rows that the cells tell, and the names of the cells that tell nothing."""
    found: dict[Key, V] = {}
    missed: dict[Key, str] = {}
    for key, name in names.items():
        cell = cells[name]
        try:
            if not isinstance(cell, Value):
                missed[key] = name
            elif cell.version:
                found[key] = decode_again(facet.value, cell.data)
        except Corrupt:
            missed[key] = name
    return found, missed


def value_of(facet: Facet[V], row: V | None) -> Value:
    return Value(0, b"") if row is None else Value(_version(facet, row), encode(row).encode())


def _version(facet: Facet[Any], row: Any) -> int:
    version: int = row.version if facet.versioned else 1
    return version


def outcomes_of(change: FacetChanges) -> list[tuple[Key, Outcome]]:
    """Return what a commit leaves in each cell. A row that takes the place of a removed one has no later version."""
    facet = change.facet
    outcomes: list[tuple[Key, Outcome]] = [(key, Changed()) for key in change.removes]
    outcomes += [(key, value_of(facet, value)) for key, value in change.adds.items()]
    for key, (value, expected) in change.saves.items():
        later = expected is not None and value.version > expected
        outcomes.append((key, value_of(facet, value) if later else Changed()))
    return outcomes

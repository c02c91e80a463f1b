"""Units that were acknowledged and that PostgreSQL does not have yet, and the rows as they leave them."""

import asyncio
from collections import deque
from collections.abc import Iterator
from typing import Any

import attrs

from adapters.changes import GONE, Changes, FacetChanges
from domain.ports.schema import Facet, Key

Held = tuple[str, tuple[str, ...], tuple[Any, ...]]
"""A value of unique columns: the facet, the columns, the values."""


@attrs.define(eq=False)
class Queued:
    """A unit on its way, since `at`. Whoever has an `answer` waits for PostgreSQL; the others were answered."""

    changes: Changes
    at: float
    answer: "asyncio.Future[None] | None" = None


@attrs.define
class _Row:
    value: Any
    units: int


def outcome(change: FacetChanges) -> Iterator[tuple[Key, Any]]:
    """Yield what a unit leaves under each key that it changes: a value or GONE."""
    yield from ((key, GONE) for key in change.removes)
    yield from ((key, value) for key, (value, _) in change.saves.items())
    yield from change.adds.items()


def held_by(facet: Facet[Any], value: Any) -> list[Held]:
    """Return the unique values that a row holds."""
    if value is GONE or value is None:
        return []
    found = [(facet.name, names, tuple(facet.columns[name](value) for name in names)) for names in facet.unique]
    return [held for held in found if None not in held[2]]


class Waiting:
    """The queue in the order of acknowledgement."""

    def __init__(self) -> None:
        self.units: deque[Queued] = deque()
        self.holders: dict[Held, Key] = {}
        self._rows: dict[str, dict[Key, _Row]] = {}

    def __len__(self) -> int:
        return len(self.units)

    def of(self, facet: Facet[Any]) -> dict[Key, _Row]:
        """Return the rows of a facet that are on their way."""
        return self._rows.get(facet.name, {})

    def find(self, facet: Facet[Any], key: Key) -> Any:
        """Return the value on its way, GONE, or None when nothing is."""
        row = self.of(facet).get(key)
        return None if row is None else row.value

    def put(self, unit: Queued) -> None:
        """Take a unit in; one that was not answered yet changes nothing that can be seen."""
        self.units.append(unit)
        if unit.answer is not None:
            return
        for change in unit.changes:
            rows = self._rows.setdefault(change.facet.name, {})
            for key, value in outcome(change):
                before = rows.get(key)
                self._forget(change.facet, key, before)
                rows[key] = _Row(value, 1 + (before.units if before else 0))
                self.holders.update(dict.fromkeys(held_by(change.facet, value), key))

    def done(self, unit: Queued) -> None:
        """Let go of the first unit, which PostgreSQL has."""
        self.units.popleft()
        if unit.answer is not None:
            return
        for change in unit.changes:
            rows = self._rows[change.facet.name]
            for key, _ in outcome(change):
                rows[key].units -= 1
                if not rows[key].units:
                    self._forget(change.facet, key, rows.pop(key))

    def _forget(self, facet: Facet[Any], key: Key, row: _Row | None) -> None:
        for held in held_by(facet, row.value if row else None):
            if self.holders.get(held) == key:
                del self.holders[held]

    def clear(self) -> None:
        """Give everything up."""
        self.units.clear()
        self.holders.clear()
        self._rows.clear()

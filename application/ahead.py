"""Rows that a request needs whoever asks, read in one round trip with those that tell who asks."""

from typing import Any, TypeVar

import attrs

from domain.ports.schema import Facet, Key
from domain.ports.storage import Place, Reader

V = TypeVar("V")


@attrs.define
class Ahead:
    """The places that are read ahead, and the rows found there.

    A row is handed out once: who asks again wants to know what it is by then.
    """

    places: tuple[Place, ...] = ()
    _rows: dict[tuple[str, Key], Any] = attrs.field(factory=dict, init=False, repr=False)

    async def read(self, reader: Reader, *others: Place) -> tuple[Any, ...]:
        """Return the rows at `others`, None for absent ones, and keep those at the places of this request."""
        found = await reader.find_each(*others, *self.places)
        for (facet, key), row in zip(self.places, found[len(others) :], strict=True):
            self._rows[facet.name, key] = row
        return found[: len(others)]

    async def find(self, reader: Reader, facet: Facet[V], key: Key) -> V | None:
        """Return a row that was read ahead, or read it."""
        place = (facet.name, key)
        if place not in self._rows:
            return await reader.find(facet, key)
        row: V | None = self._rows.pop(place)
        return row


NOTHING_AHEAD = Ahead()

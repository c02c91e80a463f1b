"""Rows that a request needs whoever asks, read in one round trip with those that tell who asks."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import attrs

from domain.ports.schema import Facet, Key
from domain.ports.storage import Place, Reader

V = TypeVar("V")


@attrs.define
class Ahead:
    """The places that are read ahead for a user, and the rows found there.

    A row is handed out once: who asks again wants to know what it is by then. `ground` is what was read, and where.
    """

    places: Callable[[str], tuple[Place, ...]] = lambda _: ()
    ground: tuple[tuple[Place, ...], tuple[Any, ...]] | None = attrs.field(default=None, init=False, repr=False)
    _rows: dict[tuple[str, Key], tuple[Place, Any]] = attrs.field(factory=dict, init=False, repr=False)

    async def read(self, reader: Reader, user_id: str, *others: Place) -> tuple[Any, ...]:
        """Return the rows at `others`, None for absent ones, and keep those that a request of this user needs."""
        places = self.places(user_id)
        found = await reader.find_each(*others, *places)
        if places:
            self.ground = (*others, *places), found
        for place, row in zip(places, found[len(others) :], strict=True):
            self._rows[place[0].name, place[1]] = (place, row)
        return found[: len(others)]

    async def find(self, reader: Reader, facet: Facet[V], key: Key) -> V | None:
        """Return a row that was read ahead, or read it."""
        held = self._rows.pop((facet.name, key), None)
        if held is None:
            return await reader.find(facet, key)
        row: V | None = held[1]
        return row

    def hand_over(self) -> Iterator[tuple[Place, Any]]:
        """Yield what is left, with its place, for a unit to know."""
        while self._rows:
            yield self._rows.popitem()[1]


NOTHING_AHEAD = Ahead()

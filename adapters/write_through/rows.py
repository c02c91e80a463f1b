"""Rows of one facet, held as the bytes of their stored bodies and decoded when they are asked for."""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any, Final, Generic, TypeVar

import attrs

from adapters.changes import fixed, listed
from adapters.postgres.codec import REMEMBERED, decode, encode
from adapters.write_through.squeezing import SAMPLES, Squeezer
from domain.ports.queries import Cursor, Select
from domain.ports.schema import (
    ACCOUNTS,
    CIRCUITS,
    ITEMS,
    MEMBERSHIPS,
    PLACEMENTS,
    SESSIONS,
    SHARES,
    Facet,
    Key,
)

V = TypeVar("V")


@attrs.frozen
class Kept:
    """How a facet is held: by which columns lists are answered, and whether it grows with the items."""

    facet: Facet[Any]
    lists: tuple[str, ...] = ()
    with_items: bool = False


WORKING_SET: Final = (
    Kept(ACCOUNTS),
    Kept(SESSIONS),
    Kept(CIRCUITS),
    Kept(MEMBERSHIPS),
    Kept(SHARES, ("dfid",), with_items=True),
    Kept(PLACEMENTS, ("dfid",), with_items=True),
    Kept(ITEMS, with_items=True),
)
"""What a read of an item by key needs. Histories and searches stay in PostgreSQL."""

_LISTED: Final = 1000
"""Rows from which on PostgreSQL answers a list faster."""


class Rows(Generic[V]):
    """Rows of one facet by key. `complete` when a key that is absent here is absent in the store."""

    def __init__(self, kept: Kept, *, complete: bool = False) -> None:
        self.facet: Facet[V] = kept.facet
        self.complete = complete
        self._held: dict[Key, bytes] = {}
        self._lists: dict[str, dict[Any, list[Key]]] = {name: {} for name in kept.lists}
        self._squeezer = Squeezer()
        # What is held keeps its hash, so that a value is found by it faster than by the body.
        self._value = lru_cache(REMEMBERED)(self._decoded)

    @property
    def lists(self) -> tuple[str, ...]:
        """The columns by which lists are answered."""
        return tuple(self._lists)

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Key]:
        return iter(tuple(self._held))

    @property
    def size(self) -> int:
        """Bytes of all held bodies, without what Python adds."""
        return sum(map(len, self._held.values()))

    def find(self, key: Key) -> V | None:
        held = self._held.get(key)
        return None if held is None else self._value(held)

    def _decoded(self, held: bytes) -> V:
        return decode(self.facet.value, self._squeezer.body(held))

    def load(self, chunks: Iterable[Sequence[tuple[Any, ...]]]) -> None:
        """Hold what was loaded, which is every row there is: its key, the columns of `lists`, and its body."""
        parts = len(self.facet.key)
        key_of = itemgetter(0) if parts == 1 else itemgetter(slice(parts))
        loaded = Rows[V](Kept(self.facet, self.lists))
        for rows in chunks:
            keys = [key_of(row) for row in rows]
            loaded._hold(keys, [row[-1] for row in rows])
            for place, listed_by in enumerate(loaded._lists.values(), parts):
                for key, row in zip(keys, rows, strict=True):
                    listed_by.setdefault(row[place], []).append(key)
        # All at once: whoever reads meanwhile asks the store.
        self._held, self._lists, self._squeezer, self.complete = loaded._held, loaded._lists, loaded._squeezer, True
        # What is common to the short forms is another now, and so is what one of them may mean.
        self._value.cache_clear()

    def _hold(self, keys: Sequence[Key], bodies: Sequence[bytes]) -> None:
        if not self._squeezer.ready and len(self._held) + len(keys) >= SAMPLES:
            self._squeezer.learn([*self._held.values(), *bodies])
            short = self._squeezer.squeezed([*self._held.values()])
            self._held = dict(zip(self._held, short, strict=True))
        self._held.update(zip(keys, self._squeezer.squeezed(bodies), strict=True))

    def put(self, value: V) -> None:
        key = self.facet.key_of(value)
        self.drop(key)
        self._hold([key], [encode(value).encode()])
        for name, keys in self._lists.items():
            keys.setdefault(self.facet.columns[name](value), []).append(key)

    def drop(self, key: Key) -> None:
        if key not in self._held:
            return
        if self._lists:
            value = self.find(key)
            for name, keys in self._lists.items():
                place = self.facet.columns[name](value)
                keys[place].remove(key)
                if not keys[place]:
                    del keys[place]
        del self._held[key]

    def select(self, query: Select, after: Cursor | None, limit: int) -> list[V] | None:
        """Return a list, None when it is for the store to answer."""
        keys = self._narrowed(query) if self.complete else None
        if keys is None:
            return None
        columns = self.facet.columns
        values = [value for key in keys if (value := self.find(key)) is not None]
        matching = [one for one in values if query.matches({name: columns[name](one) for name in query.where})]
        return listed(self.facet, query, matching, after)[:limit]

    def _narrowed(self, query: Select) -> list[Key] | None:
        for name, keys in self._lists.items():
            wanted = fixed(query.where[name]) if name in query.where else None
            if wanted is not None:
                found = [key for value in wanted for key in keys.get(value, ())]
                return found if len(found) <= _LISTED else None
        return None

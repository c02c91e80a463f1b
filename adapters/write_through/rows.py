"""Rows of one facet, held as the bytes of their stored bodies and decoded when they are asked for."""

import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final, Generic, TypeVar

import attrs

from adapters.changes import fixed, listed
from adapters.postgres.codec import decode, encode
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

_SAMPLES: Final = 4
_WINDOW_BITS: Final = 12
_SQUEEZED: Final = 0
_LISTED: Final = 1000
"""Rows from which on PostgreSQL answers a list faster."""


class Squeezer:
    """Deflates bodies against a few of their own kind; rows of one facet are much alike."""

    def __init__(self) -> None:
        self._like = b""

    @property
    def ready(self) -> bool:
        return bool(self._like)

    def learn(self, samples: Iterable[bytes]) -> None:
        self._like = b"".join(samples)[-(1 << _WINDOW_BITS) :]

    def squeezed(self, body: bytes) -> bytes:
        """Return the short form of a body, itself before anything was learned."""
        if not self._like:
            return body
        deflate = zlib.compressobj(1, zlib.DEFLATED, -_WINDOW_BITS, 5, zlib.Z_DEFAULT_STRATEGY, self._like)
        return b"\0" + deflate.compress(body) + deflate.flush()

    def body(self, held: bytes) -> bytes:
        """Return the body of either form; no JSON begins with a NUL."""
        if held[0] != _SQUEEZED:
            return held
        return zlib.decompressobj(-_WINDOW_BITS, self._like).decompress(memoryview(held)[1:])


class Rows(Generic[V]):
    """Rows of one facet by key. `complete` when a key that is absent here is absent in the store."""

    def __init__(self, kept: Kept, *, complete: bool = False) -> None:
        self.facet: Facet[V] = kept.facet
        self.complete = complete
        self._held: dict[Key, bytes] = {}
        self._lists: dict[str, dict[Any, list[Key]]] = {name: {} for name in kept.lists}
        self._squeezer = Squeezer()
        self._plain: deque[Key] = deque()

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
        return None if held is None else decode(self.facet, self._squeezer.body(held))

    def load(self, loaded: dict[Key, bytes], lists: dict[str, dict[Any, list[Key]]]) -> None:
        """Hold what was loaded from now on, which is every row there is; both belong to this object then."""
        self._held, self._lists = loaded, lists
        self._plain = deque(self._held)
        self.complete = True

    def put(self, value: V) -> None:
        key = self.facet.key_of(value)
        self.drop(key)
        if not self._squeezer.ready:
            self._plain.append(key)
        self._held[key] = self._squeezer.squeezed(encode(value).encode())
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

    def squeeze(self, most: int) -> int:
        """Shorten up to that many of the rows that were put in as they are; return how many were looked at."""
        if not self._squeezer.ready:
            if len(self._plain) < _SAMPLES:
                return 0
            self._squeezer.learn(self._held[key] for key in list(self._plain)[:_SAMPLES] if key in self._held)
        count = min(most, len(self._plain))
        for _ in range(count):
            key = self._plain.popleft()
            held = self._held.get(key)
            if held is not None and held[0] != _SQUEEZED:
                self._held[key] = self._squeezer.squeezed(held)
        return count

"""What was made of values that are met again and again."""

import weakref
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

REMEMBERED = 256
"""Values that one place remembers what it made of."""

V = TypeVar("V")
R = TypeVar("R")


class Remembered(Generic[V, R]):
    """Finds by the very same value, not an equal one, what was made of it; remembers the last `size` things made."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._held: dict[Hashable, tuple[V, R]] = {}

    def of(self, value: V, make: Callable[[V], R], by: Hashable = None) -> R:
        """Return what was made of `value`, which nothing but the value itself and `by` decide."""
        place: Hashable = id(value) if by is None else (id(value), by)
        held = self._held.get(place)
        if held is not None and held[0] is value:
            return held[1]
        made = make(value)
        if len(self._held) >= self._size:
            del self._held[next(iter(self._held))]
        self._held[place] = (value, made)
        return made


class Attached(Generic[V, R]):
    """Finds by the very same value what was made of it last; forgets it with the value."""

    def __init__(self) -> None:
        self._held: dict[int, tuple[weakref.ref[Any], Hashable, R]] = {}

    def of(self, value: V, make: Callable[[V], R], by: Hashable = None) -> R:
        """Return what was made of `value`, which nothing but the value itself and `by` decide."""
        place = id(value)
        held = self._held.get(place)
        if held is not None and held[1] == by:
            return held[2]
        made = make(value)
        self._held[place] = (weakref.ref(value, lambda _: self._held.pop(place, None)), by, made)
        return made

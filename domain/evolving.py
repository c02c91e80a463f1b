"""Copies of frozen values with some members changed, where tens of thousands are made at a time."""

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any, TypeVar

import attrs

V = TypeVar("V")


@cache
def _members(kind: Any) -> tuple[Callable[[Any], tuple[Any, ...]], dict[str, int]]:
    names = [field.name for field in attrs.fields(kind)]
    return attrgetter(*names), {name: place for place, name in enumerate(names)}


def evolve(value: V, **changes: Any) -> V:
    """Return what `attrs.evolve` returns, in a third of the time, for values of several members, all public and none
    by keyword only."""
    kind: Any = type(value)
    read, places = _members(kind)
    members = list(read(value))
    for name, member in changes.items():
        members[places[name]] = member
    evolved: V = kind(*members)
    return evolved

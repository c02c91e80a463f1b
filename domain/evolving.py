"""Copies of frozen values with some members changed, where tens of thousands are made at a time."""

from functools import cache
from typing import Any, TypeVar

import attrs

V = TypeVar("V")


@cache
def _members(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(kind))


def evolve(value: V, **changes: Any) -> V:
    """Return what `attrs.evolve` returns, in half the time, for values whose members are all public."""
    kind: Any = type(value)
    members: dict[str, Any] = {name: getattr(value, name) for name in _members(kind)}
    members.update(changes)
    evolved: V = kind(**members)
    return evolved

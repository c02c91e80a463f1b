"""Immutable JSON objects: item data, event payloads, details."""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

JsonValue = Any
"""None, bool, int, float, str, tuple of JsonValue, or Document."""


class Document(dict[str, JsonValue]):
    """A JSON object that nobody can change; lists inside are tuples, objects are Documents.

    A dict, so that every encoder knows it. Two documents are equal when their members are.
    """

    __slots__ = ()

    def __init__(self, members: Mapping[str, Any] | Iterable[tuple[str, Any]] = (), /, **more: Any) -> None:
        super().__init__(members, **more)
        for key, value in self.items():
            if value.__class__ not in _FROZEN:
                super().__setitem__(key, freeze(value))

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("a Document cannot be changed")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type["Document"], tuple[dict[str, Any]]]:
        return Document, (dict(self),)


def freeze(value: Any) -> JsonValue:
    """Return `value` with every object a Document and every list a tuple."""
    if value.__class__ in _FROZEN:
        return value
    if isinstance(value, list | tuple):
        return tuple(map(freeze, value))
    return Document(value) if isinstance(value, Mapping) else value


def alike(one: JsonValue, other: JsonValue) -> bool:
    """Tell whether two JSON values are the same: 1 and 1.0 are, 1 and true are not."""
    if one != other or isinstance(one, bool) is not isinstance(other, bool):
        return False
    if isinstance(one, dict):
        return all(alike(value, other[key]) for key, value in one.items())
    return not isinstance(one, tuple) or all(map(alike, one, other))


_FROZEN = frozenset({Document, str, int, float, bool, type(None)})
EMPTY = Document()

"""From values to JSON bytes (http.md 2)."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any

import attrs
import msgspec

from domain.document import Document
from domain.instants import wire
from domain.shape import UNSET

_encoder = msgspec.json.Encoder()
_Plain = Callable[[Any], Any]


def encode(value: Any) -> bytes:
    """Return the JSON bytes of attrs values, mappings, sequences, sets, enums, instants and ready `msgspec.Raw`.

    Sets come out sorted, instants with six digits, `Document` members untouched. Raises TypeError for other types.
    """
    return _encoder.encode(plain(value))


def plain(value: Any) -> Any:
    """Return `value` in terms that JSON has."""
    cls = value.__class__
    return (_PLAIN.get(cls) or _learn(cls))(value)


def _learn(cls: type[Any]) -> _Plain:
    """Find the way of a type met for the first time, and keep it."""
    inherited = next((way for base, way in _BASES if issubclass(cls, base)), _refuse)
    _PLAIN[cls] = _attrs_way(cls) if attrs.has(cls) else inherited
    return _PLAIN[cls]


def _attrs_way(cls: type[Any]) -> _Plain:
    names = tuple((field.name.rstrip("_"), field.name) for field in attrs.fields(cls))

    def way(value: Any) -> Any:
        found = {}
        for name, attribute in names:
            member = getattr(value, attribute)
            if member is not UNSET:
                known = _PLAIN.get(member.__class__)
                found[name] = known(member) if known else plain(member)
        return found

    return way


def _same(value: Any) -> Any:
    return value


def _sequence(value: Any) -> list[Any]:
    return [plain(entry) for entry in value]


def _set(value: Any) -> list[Any]:
    return sorted(plain(entry) for entry in value)


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(plain(name)): plain(entry) for name, entry in value.items()}


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_PLAIN: dict[type[Any], _Plain] = {
    str: _same,
    int: _same,
    float: _same,
    bool: _same,
    type(None): _same,
    msgspec.Raw: _same,
    Document: _same,
    datetime: wire,
    date: date.isoformat,
    tuple: _sequence,
    list: _sequence,
    frozenset: _set,
    set: _set,
    dict: _mapping,
}
_BASES: tuple[tuple[type[Any], _Plain], ...] = (
    (Enum, lambda value: value.value),
    (datetime, wire),
    (str, str),
    (Mapping, _mapping),
    (tuple, _sequence),
)

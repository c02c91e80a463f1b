"""From values to JSON bytes (http.md 2)."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from enum import Enum
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import attrs
import msgspec

from domain.document import Document
from domain.instants import wire
from domain.shape import UNSET, Unset

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
    fields = attrs.fields(cls)
    names = tuple(field.name.rstrip("_") for field in fields)
    hints = get_type_hints(cls)
    # Most members need no look: the encoder knows them, so they are taken over by the dozen.
    looked_at = tuple(
        name for name, field in zip(names, fields, strict=True) if not _encodes_itself(hints.get(field.name, Any))
    )
    # A getter of one name would return no tuple.
    members = attrgetter(*(field.name for field in fields), "__class__", "__class__")

    def way(value: Any) -> Any:
        found: dict[str, Any] = dict(zip(names, members(value), strict=False))
        for name in looked_at:
            member = found[name]
            if member is UNSET:
                del found[name]
            elif member is not None:
                found[name] = (_PLAIN.get(member.__class__) or plain)(member)
        return found

    return way


def _encodes_itself(hint: Any) -> bool:
    """Tell whether every value of a declared type is one that the encoder writes as it should be."""
    origin = get_origin(hint)
    if origin in (Union, UnionType):
        return all(map(_encodes_itself, get_args(hint)))
    return isinstance(hint, type) and origin is None and issubclass(hint, _ITSELF) and hint is not Unset


def _same(value: Any) -> Any:
    return value


def _sequence(value: Any) -> list[Any]:
    return [plain(entry) for entry in value]


def _set(value: Any) -> list[Any]:
    return sorted(plain(entry) for entry in value)


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    return {
        name if name.__class__ is str else str(plain(name)): entry if entry.__class__ in _UNCHANGED else plain(entry)
        for name, entry in value.items()
    }


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} has no form in JSON")


_ITSELF = (str, int, float, NoneType, Document, Enum)
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
_UNCHANGED = frozenset(kind for kind, way in _PLAIN.items() if way is _same)
_BASES: tuple[tuple[type[Any], _Plain], ...] = (
    (Enum, lambda value: value.value),
    (datetime, wire),
    (str, str),
    (Mapping, _mapping),
    (tuple, _sequence),
)

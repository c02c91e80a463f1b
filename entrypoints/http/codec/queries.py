"""From the parameters of a query or path to the value of an attrs class (http.md 6, 7)."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar
from urllib.parse import unquote_plus

import attrs

from domain.errors import Fault, Invalid
from domain.shape import UNSET
from entrypoints.http.codec import kinds
from entrypoints.http.codec.decoding import converter
from entrypoints.http.codec.mistakes import Wrong, nearest

T = TypeVar("T")
_INTEGER = re.compile(r"-?(0|[1-9]\d{0,18})", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
_BOOLEANS = {"true": True, "false": False}


def split_query(query: bytes) -> list[tuple[str, str]]:
    """Return the parameters of a query string in order. Raises Invalid for escapes that are not UTF-8."""
    pairs = []
    for part in query.decode("latin-1").split("&") if query else ():
        if part:
            name, _, value = part.partition("=")
            pairs.append((_unquote(name, name), _unquote(value, name)))
    return pairs


def _unquote(text: str, name: str) -> str:
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        fault = Fault("text_not_allowed", "The escapes are not UTF-8.", parameter=name[:64])
        raise Invalid([fault]) from None


def decode_query(parameters: list[tuple[str, str]], cls: type[T]) -> T:
    """Read parameters as a `cls`. Raises Invalid with all faults, each naming its parameter.

    Unknown, repeated and empty parameters are faults. Arrays and sets are comma lists.
    """
    owner: Any = cls
    readers, known, required, unset = _readers(owner)
    arguments: dict[str, Any] = dict(unset)
    faults: list[Fault] = []
    seen: set[str] = set()
    for name, text in parameters:
        fault = _placed_wrongly(name, text, known, seen)
        seen.add(name)
        if fault is not None:
            faults.append(fault)
            continue
        attribute, read = readers[name]
        result = read(text)
        if result.__class__ is Wrong:
            faults += (_at(name, mistake.fault(False)) for mistake in result.mistakes)
        else:
            arguments[attribute] = result
    faults += (
        Fault("required", "This parameter is required.", parameter=name) for name in required if name not in seen
    )
    return _build(cls, arguments, faults)


def _placed_wrongly(name: str, text: str, known: tuple[str, ...], seen: set[str]) -> Fault | None:
    if name not in known:
        suggestion = nearest(name, known) if len(seen) < 20 else None
        detail = "There is no such parameter here."
        return Fault("unknown_parameter", detail, parameter=name[:64], suggestion=suggestion)
    if name in seen:
        return Fault("duplicate", "This parameter may be given once.", parameter=name)
    if not text:
        return Fault("required", "A value is expected.", parameter=name)
    return None


def _at(name: str, fault: Fault) -> Fault:
    return Fault(fault.code, fault.detail, parameter=name, suggestion=fault.suggestion)


def _build(cls: type[T], arguments: dict[str, Any], faults: list[Fault]) -> T:
    if not faults:
        try:
            return cls(**arguments)
        except Invalid as refused:
            faults += (_as_parameter(fault) for fault in refused.faults)
    raise Invalid(faults)


def _as_parameter(fault: Fault) -> Fault:
    return fault if fault.parameter else _at((fault.pointer or "/").split("/")[1], fault)


_Readers = tuple[dict[str, tuple[str, Callable[[str], Any]]], tuple[str, ...], tuple[str, ...], dict[str, Any]]


@cache
def _readers(cls: Any) -> _Readers:
    members = kinds.members_of(cls)
    readers = {member.name: (member.attribute, _reader(member.kind)) for member in members}
    required = tuple(member.name for member in members if member.required)
    unset = {m.attribute: UNSET for m in members if m.may_be_unset and m.default is attrs.NOTHING}
    return readers, tuple(readers), required, unset


def _reader(kind: kinds.Kind) -> Callable[[str], Any]:
    convert, prepare = converter(kind), _preparer(kind)
    return lambda text: convert(prepare(text))


def _preparer(kind: kinds.Kind) -> Callable[[str], Any]:
    """Return what turns a text into the JSON value it stands for; a text that stands for none stays a text."""
    if isinstance(kind, kinds.NullableKind):
        return _preparer(kind.inner)
    if isinstance(kind, kinds.NumberKind):
        return _integer if kind.whole else _number
    if isinstance(kind, kinds.BoolKind):
        return lambda text: _BOOLEANS.get(text, text)
    if isinstance(kind, kinds.ArrayKind):
        element = _preparer(kind.element)
        return lambda text: [element(part) for part in text.split(",")]
    return lambda text: text


def _integer(text: str) -> Any:
    return int(text) if _INTEGER.fullmatch(text) else text


def _number(text: str) -> Any:
    return float(text) if _NUMBER.fullmatch(text) else text

"""From a JSON value to the value of an attrs class: every fault of shape at once, nothing coerced (http.md 6)."""

import math
import re
from collections.abc import Callable
from datetime import date
from functools import cache
from typing import Any, TypeVar
from unicodedata import normalize

import attrs

from domain.document import Document
from domain.errors import Fault, Invalid
from domain.ids import parse_id
from domain.instants import parse_instant
from domain.shape import UNSET, Faulty, Line, Pattern, Raw, Text
from entrypoints.http.codec import kinds
from entrypoints.http.codec.mistakes import Mistake, Wrong, between, mistyped, wrong
from entrypoints.http.codec.parsing import parse

T = TypeVar("T")
Convert = Callable[[Any], Any]
"""Takes a JSON value and returns the value, or Wrong."""

DFID_LENGTH = 64
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROLS_BUT_BREAKS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def decode(body: bytes, cls: type[T]) -> T:
    """Read a body as a `cls`.

    Raises Refusal (400) for bytes that cannot be read, Invalid with all faults for what is in them.
    """
    return shape(parse(body), cls)


def shape(value: Any, cls: type[T]) -> T:
    """Read a JSON value as a `cls`. Raises Invalid with all faults, pointers into the value."""
    result = converter(kinds.RecordKind(cls))(value)
    if result.__class__ is Wrong:
        raise Invalid(result.faults())
    return result  # type: ignore[no-any-return]


@cache
def converter(kind: kinds.Kind) -> Convert:
    """Return the converter of a kind, made once."""
    return _MAKERS[type(kind)](kind)


def _text(kind: kinds.TextKind) -> Convert:
    rule, pattern = kind.rule, kind.pattern
    high = math.inf if rule.high is None else rule.high
    clean, forbidden = _CLEANING[type(rule)]
    low, bounds = rule.low, between(rule.low, rule.high, "characters")
    matches = _matcher(pattern)

    def convert(value: Any) -> Any:
        if value.__class__ is not str:
            return mistyped(value, "A text")
        text = clean(value)
        if not text.isprintable() and forbidden(text):
            return wrong("text_not_allowed", "The text holds characters that are not allowed here.")
        if not low <= len(text) <= high:
            return wrong("too_short" if len(text) < low else "too_long", bounds)
        return text if matches is None else matches(text)

    return convert


def _trim(value: str) -> str:
    text = value.strip()
    return text if text.isascii() else normalize("NFC", text)


_CLEANING: dict[type[Any], tuple[Callable[[str], str], Callable[[str], Any]]] = {
    Line: (_trim, _CONTROLS.search),
    Text: (_trim, _CONTROLS_BUT_BREAKS.search),
    Raw: (lambda value: value, lambda text: "\x00" in text),
}


def _matcher(pattern: Pattern | None) -> Convert | None:
    if pattern is None:
        return None
    fullmatch, hint, fold = re.compile(pattern.regex).fullmatch, pattern.hint, pattern.fold

    def match(text: str) -> Any:
        folded = text.lower() if fold else text
        return folded if fullmatch(folded) else wrong("format", hint)

    return match


def _parsed(parse_text: Callable[[str], Any], what: str) -> Callable[[Any], Convert]:
    hint = f"{what} is expected."

    def convert(value: Any) -> Any:
        if value.__class__ is not str:
            return mistyped(value, what)
        parsed = parse_text(value)
        return wrong("format", hint) if parsed is None else parsed

    return lambda _: convert


def _parse_day(text: str) -> date | None:
    if not _DAY.fullmatch(text) or text < "1900":
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _parse_dfid(text: str) -> str | None:
    return text if 0 < len(text) <= DFID_LENGTH and text.isprintable() else None


def _bool(_: kinds.BoolKind) -> Convert:
    return lambda value: value if value.__class__ is bool else mistyped(value, "true or false")


def _number(kind: kinds.NumberKind) -> Convert:
    what = "An integer" if kind.whole else "A number"
    low = -math.inf if kind.low is None else kind.low
    high = math.inf if kind.high is None else kind.high
    bounds = _bounds(kind)
    whole = kind.whole

    def convert(value: Any) -> Any:
        if value.__class__ is float:
            if whole and value.is_integer():
                value = int(value)
            elif whole and math.isfinite(value):
                return mistyped(value, what)
        elif value.__class__ is not int:
            return mistyped(value, what)
        if not _is_number(value):
            return _beyond_json()
        if not low <= value <= high:
            return wrong("out_of_range", bounds)
        return value if whole else float(value)

    return convert


def _bounds(kind: kinds.NumberKind) -> str:
    if kind.low is None:
        return f"At most {kind.high}."
    return f"At least {kind.low}." if kind.high is None else f"{kind.low} to {kind.high}."


def _is_number(value: float) -> bool:
    if value.__class__ is int:
        return -kinds.SAFE_INTEGER <= value <= kinds.SAFE_INTEGER
    return math.isfinite(value)


def _beyond_json() -> Wrong:
    return wrong("number_out_of_range", "Integers lie within 2^53-1, other numbers are finite.")


def _choice(kind: kinds.ChoiceKind) -> Convert:
    values = kind.values
    hint = f"One of {', '.join(values)}."

    def convert(value: Any) -> Any:
        if value.__class__ is not str:
            return mistyped(value, "A text")
        return values[value] if value in values else wrong("not_allowed", hint)

    return convert


def _array(kind: kinds.ArrayKind) -> Convert:
    element, lenient, low = converter(kind.element), kind.lenient, kind.low
    high = math.inf if kind.high is None else kind.high
    bounds = between(kind.low, kind.high, "elements")
    collect = _distinct if kind.unique else tuple

    def convert(value: Any) -> Any:
        if value.__class__ is not list:
            return mistyped(value, "An array")
        if not low <= len(value) <= high:
            return wrong("too_few" if len(value) < low else "too_many", bounds)
        results = [element(entry) for entry in value]
        if Wrong not in map(type, results):
            return collect(results)
        return tuple(map(_set_aside, results)) if lenient else _gather(results)

    return convert


def _set_aside(result: Any) -> Any:
    return Faulty(result.faults(suggestions=3)) if result.__class__ is Wrong else result


def _gather(results: list[Any]) -> Wrong:
    found: list[Mistake] = []
    for index, result in enumerate(results):
        if result.__class__ is Wrong:
            found += result.at(str(index))
    return Wrong(found)


def _distinct(values: list[Any]) -> Any:
    seen = frozenset(values)
    if len(seen) == len(values):
        return seen
    first = {value: index for index, value in reversed(list(enumerate(values)))}
    again = [index for index, value in enumerate(values) if first[value] != index]
    repeats = (wrong("duplicate", "This stands here twice.").at(str(index)) for index in again)
    return Wrong([mistake for mistakes in repeats for mistake in mistakes])


def _mapping(kind: kinds.MappingKind) -> Convert:
    element, low = converter(kind.element), kind.low
    high = math.inf if kind.high is None else kind.high
    bounds = between(kind.low, kind.high, "members")

    def convert(value: Any) -> Any:
        if value.__class__ is not dict:
            return mistyped(value, "An object")
        if not low <= len(value) <= high:
            return wrong("too_few" if len(value) < low else "too_many", bounds)
        results = {name: element(entry) for name, entry in value.items()}
        found = _members_wrong(results)
        return Wrong(found) if found else Document(results)

    return convert


def _members_wrong(results: dict[str, Any]) -> list[Mistake]:
    found: list[Mistake] = []
    for name, result in results.items():
        if "\x00" in name:
            found += _no_null().at(name)
        if result.__class__ is Wrong:
            found += result.at(name)
    return found


def _no_null() -> Wrong:
    return wrong("text_not_allowed", "U+0000 is not allowed.")


def _free(value: Any) -> Any:
    """Return a free JSON value if its numbers and texts are allowed."""
    kind = value.__class__
    if kind is str:
        return _no_null() if "\x00" in value else value
    if kind is int or kind is float:
        return value if _is_number(value) else _beyond_json()
    if kind is list:
        results = [_free(entry) for entry in value]
        return _gather(results) if Wrong in map(type, results) else tuple(results)
    if kind is dict:
        members = {name: _free(entry) for name, entry in value.items()}
        found = _members_wrong(members)
        return Wrong(found) if found else Document(members)
    return value


def _free_object(_: kinds.FreeObjectKind) -> Convert:
    return lambda value: _free(value) if value.__class__ is dict else mistyped(value, "An object")


def _nullable(kind: kinds.NullableKind) -> Convert:
    inner = converter(kind.inner)
    return lambda value: None if value is None else inner(value)


def _record(kind: kinds.RecordKind) -> Convert:
    cls, members = kind.cls, kinds.members_of(kind.cls)
    table = {member.name: (member.attribute, converter(member.kind)) for member in members}
    required = tuple(member.name for member in members if member.required)
    unset = {m.attribute: UNSET for m in members if m.may_be_unset and m.default is attrs.NOTHING}
    known = tuple(table)

    def convert(value: Any) -> Any:
        if value.__class__ is not dict:
            return mistyped(value, "An object")
        arguments: dict[str, Any] = dict(unset)
        found: list[Mistake] = []
        for name, raw in value.items():
            entry = table.get(name)
            if entry is None:
                found += _unknown(name, known)
                continue
            result = entry[1](raw)
            if result.__class__ is Wrong:
                found += result.at(name)
            else:
                arguments[entry[0]] = result
        for name in required:
            if name not in value:
                found += wrong("required", "This member is required.").at(name)
        return Wrong(found) if found else _build(cls, arguments)

    return convert


def _unknown(name: str, known: tuple[str, ...]) -> list[Mistake]:
    mistake = Mistake("unknown_field", "There is no such member here.", known)
    mistake.path.append(name)
    return [mistake]


def _build(cls: type[Any], arguments: dict[str, Any]) -> Any:
    try:
        return cls(**arguments)
    except Invalid as refused:
        return Wrong([_mistake(fault) for fault in refused.faults])


def _mistake(fault: Fault) -> Mistake:
    mistake = Mistake(fault.code, fault.detail)
    tokens = (fault.pointer or "").split("/")[1:]
    mistake.path = [token.replace("~1", "/").replace("~0", "~") for token in reversed(tokens)]
    return mistake


def _no_request(kind: kinds.UnionKind) -> Convert:
    raise TypeError(f"a request cannot be one of several forms: {kind}")


_MAKERS: dict[type[Any], Callable[[Any], Convert]] = {
    kinds.TextKind: _text,
    kinds.UuidKind: _parsed(parse_id, "A UUID"),
    kinds.DfidKind: _parsed(_parse_dfid, "A DFID"),
    kinds.InstantKind: _parsed(parse_instant, "An RFC 3339 instant with an offset, from 1900 to 9999,"),
    kinds.DayKind: _parsed(_parse_day, "A day YYYY-MM-DD"),
    kinds.BoolKind: _bool,
    kinds.NumberKind: _number,
    kinds.ChoiceKind: _choice,
    kinds.ArrayKind: _array,
    kinds.MappingKind: _mapping,
    kinds.FreeObjectKind: _free_object,
    kinds.AnyKind: lambda _: _free,
    kinds.RecordKind: _record,
    kinds.NullableKind: _nullable,
    kinds.UnionKind: _no_request,
}

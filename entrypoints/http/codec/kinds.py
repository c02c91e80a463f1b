"""From annotations to kinds: the one model that decoder, query reader and OpenAPI document share."""

import functools
import operator
import types
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import attrs

from domain.document import Document
from domain.shape import About, Count, DfidText, Faulty, Line, Pattern, Range, Raw, Text, Unset, Uuid

_T = TypeVar("_T")

SAFE_INTEGER = 2**53 - 1


@attrs.frozen
class TextKind:
    rule: Line | Text | Raw
    pattern: Pattern | None = None


@attrs.frozen
class UuidKind:
    pass


@attrs.frozen
class DfidKind:
    pass


@attrs.frozen
class InstantKind:
    pass


@attrs.frozen
class DayKind:
    pass


@attrs.frozen
class BoolKind:
    pass


@attrs.frozen
class NumberKind:
    """`whole` numbers are integers within 2**53 - 1; the others finite."""

    whole: bool
    low: float | None = None
    high: float | None = None


@attrs.frozen
class ChoiceKind:
    """One of fixed values; `values` maps the wire form to the value handed on."""

    name: str | None
    values: Mapping[str, Any] = attrs.field(hash=False)


@attrs.frozen
class ArrayKind:
    """`unique` makes a frozenset, else a tuple; `lenient` hands faulty elements on as `Faulty`."""

    element: "Kind"
    low: int = 0
    high: int | None = None
    unique: bool = False
    lenient: bool = False


@attrs.frozen
class MappingKind:
    element: "Kind"
    low: int = 0
    high: int | None = None


@attrs.frozen
class FreeObjectKind:
    pass


@attrs.frozen
class AnyKind:
    pass


@attrs.frozen
class RecordKind:
    cls: Any


@attrs.frozen
class NullableKind:
    inner: "Kind"


@attrs.frozen
class UnionKind:
    """Several forms. Answers may have them; request bodies may not."""

    options: tuple["Kind", ...]


Kind = (
    TextKind
    | UuidKind
    | DfidKind
    | InstantKind
    | DayKind
    | BoolKind
    | NumberKind
    | ChoiceKind
    | ArrayKind
    | MappingKind
    | FreeObjectKind
    | AnyKind
    | RecordKind
    | NullableKind
    | UnionKind
)


@attrs.frozen
class Member:
    """One member of an object: its wire name, its attribute, and whether it has to be there."""

    name: str
    attribute: str
    kind: Kind
    required: bool
    may_be_unset: bool
    default: Any
    about: str | None


@cache
def members_of(cls: Any) -> tuple[Member, ...]:
    """Return the members of an attrs class. Raises TypeError for an annotation without a wire form."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(_member(field, hints[field.name]) for field in attrs.fields(cls) if field.init)


def _member(field: "attrs.Attribute[Any]", hint: Any) -> Member:
    may_be_unset, hint = _without(hint, Unset)
    about = next((rule.words for rule in _rules(hint) if isinstance(rule, About)), None)
    return Member(
        name=field.name.rstrip("_"),
        attribute=field.alias or field.name,
        kind=kind_of(hint),
        required=field.default is attrs.NOTHING and not may_be_unset,
        may_be_unset=may_be_unset,
        default=field.default,
        about=about,
    )


def kind_of(hint: Any) -> Kind:
    """Return the kind of an annotation. Raises TypeError for one without a wire form."""
    if isinstance(hint, str):
        raise TypeError(f"unresolved annotation {hint!r}")
    nullable, hint = _without(hint, type(None))
    kind = _plain(hint)
    return NullableKind(kind) if nullable else kind


def _plain(hint: Any) -> Kind:
    rules = _rules(hint)
    bare = _bare(hint)
    origin = get_origin(bare)
    if origin in (Union, types.UnionType):
        return UnionKind(tuple(kind_of(option) for option in get_args(bare)))
    if origin is Literal:
        return ChoiceKind(None, {str(value): value for value in get_args(bare)})
    if origin is not None:
        return _collection(bare, origin, _first(rules, Count) or Count())
    return _scalar(bare, rules)


def _collection(hint: Any, origin: Any, count: Count) -> Kind:
    arguments = get_args(hint)
    if issubclass(origin, Mapping):
        return MappingKind(kind_of(arguments[1]), count.low, count.high)
    if issubclass(origin, frozenset):
        return ArrayKind(kind_of(arguments[0]), count.low, count.high, unique=True)
    if issubclass(origin, Sequence):
        lenient, element = _without(arguments[0], Faulty)
        return ArrayKind(kind_of(element), count.low, count.high, lenient=lenient)
    raise TypeError(f"no wire form for {hint!r}")


def _scalar(hint: Any, rules: tuple[Any, ...]) -> Kind:
    if hint is str:
        return _text(rules)
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if hint in (int, float):
        bounds = _first(rules, Range) or Range()
        return NumberKind(hint is int, bounds.low, bounds.high)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return ChoiceKind(hint.__name__, {str(member.value): member for member in hint})
    if isinstance(hint, type) and attrs.has(hint):
        return RecordKind(hint)
    raise TypeError(f"no wire form for {hint!r}")


def _text(rules: tuple[Any, ...]) -> Kind:
    if _first(rules, Uuid):
        return UuidKind()
    if _first(rules, DfidText):
        return DfidKind()
    rule = next((rule for rule in rules if isinstance(rule, Line | Text | Raw)), Raw())
    return TextKind(rule, _first(rules, Pattern))


_SIMPLE: dict[Any, Kind] = {
    bool: BoolKind(),
    datetime: InstantKind(),
    date: DayKind(),
    Document: FreeObjectKind(),
    Any: AnyKind(),
    object: AnyKind(),
}


def _rules(hint: Any) -> tuple[Any, ...]:
    return tuple(hint.__metadata__) if get_origin(hint) is Annotated else ()


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is Annotated else hint


def _first(rules: tuple[Any, ...], cls: type[_T]) -> _T | None:
    return next((rule for rule in rules if isinstance(rule, cls)), None)


def _without(hint: Any, member: Any) -> tuple[bool, Any]:
    """Tell whether `member` is one option of a union, and return the union without it."""
    rules, bare = _rules(hint), _bare(hint)
    if get_origin(bare) not in (Union, types.UnionType):
        return False, hint
    options = get_args(bare)
    rest = tuple(option for option in options if option is not member and not _is_literal_of(option, member))
    if len(rest) == len(options):
        return False, hint
    joined: Any = functools.reduce(operator.or_, rest)
    return True, Annotated[joined, *rules] if rules else joined


def _is_literal_of(option: Any, member: Any) -> bool:
    return get_origin(option) is Literal and all(isinstance(value, member) for value in get_args(option))

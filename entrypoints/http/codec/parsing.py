"""From bytes to a JSON value. What cannot be read is 400 (http.md 6)."""

import json
from collections.abc import Iterable
from typing import Any

from domain.errors import Refusal

MAX_DEPTH = 64
_BEYOND = 10**20
"""Stands for integers of more digits than Python reads; it is out of range wherever a number is allowed."""


class _Unreadable(ValueError):
    pass


def parse(body: bytes) -> Any:
    """Read one JSON text.

    Raises Refusal `encoding_invalid` for bytes that are not UTF-8, and `body_unparsable` for what is not JSON,
    duplicate members, NaN and infinities, lone surrogates, and more than 64 levels.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise Refusal("encoding_invalid", f"Byte {error.start} is not UTF-8.") from None
    try:
        value = _decode(text)
        _refuse_depth(text, value)
        _refuse_surrogates(text, value)
    except _Unreadable as error:
        raise Refusal("body_unparsable", str(error)) from None
    return value


def _decode(text: str) -> Any:
    try:
        return _reader.decode(text)
    except RecursionError:
        raise _Unreadable(f"More than {MAX_DEPTH} levels.") from None
    except json.JSONDecodeError as error:
        raise _Unreadable(f"Not JSON at line {error.lineno}, column {error.colno}.") from None
    except _Unreadable:
        raise
    except ValueError:
        return _reader_of_long_numbers.decode(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Unreadable("An object has two members of one name.")
    return members


def _constant(name: str) -> Any:
    raise _Unreadable(f"{name} is not JSON.")


def _integer(digits: str) -> int:
    return int(digits) if len(digits) < 20 else _BEYOND


_reader = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)
_reader_of_long_numbers = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer)


def _refuse_depth(text: str, value: Any) -> None:
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node) if child.__class__ in (dict, list)]
        if not level:
            return
    raise _Unreadable(f"More than {MAX_DEPTH} levels.")


def _children(node: Any) -> Iterable[Any]:
    if node.__class__ is dict:
        return node.values()
    return node if node.__class__ is list else ()


def _refuse_surrogates(text: str, value: Any) -> None:
    if "\\ud" not in text and "\\uD" not in text:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _Unreadable("A text holds half of a surrogate pair.") from None

"""Bounds of free objects: item data and event payloads (items-events.md 1.1)."""

import math
from collections.abc import Iterator
from typing import Any

from domain.canonical import fits
from domain.document import Document
from domain.errors import Fault

MAX_KEYS = 200
MAX_KEY_LENGTH = 128
MAX_DEPTH = 16
MAX_INTEGER = 2**53 - 1
MAX_BYTES = 64 * 1024
MAX_FOLDED_KEYS = 1_000
MAX_FOLDED_BYTES = 1024 * 1024

_ELSEWHERE = {
    "events": "Events are posted to /api/events.",
    "identifiers": "Identifiers stand beside data, in identifiers.",
    "contributions": "Contributions are made by creating, updating and enriching.",
}


def data_faults(document: Document, pointer: str, *, reserved: bool, folded: bool = False) -> list[Fault]:
    """Return what is wrong with a free object that stands at `pointer`.

    `reserved` also refuses the names kept from item data; payloads may use them. `folded` allows what a whole item
    may have.
    """
    most_keys, most_bytes = (MAX_FOLDED_KEYS, MAX_FOLDED_BYTES) if folded else (MAX_KEYS, MAX_BYTES)
    faults = [
        Fault(code, detail, pointer=f"{pointer}/{escaped(key)}")
        for key in document
        for code, detail in _key_faults(key, reserved=reserved)
    ]
    if len(document) > most_keys:
        faults.append(Fault("too_many", f"At most {most_keys} top-level keys.", pointer=pointer))
    unfit = list(_value_faults(document, pointer, 1))
    if unfit:
        return [*faults, *unfit]
    if not fits(document, most_bytes):
        faults.append(Fault("data_too_large", f"At most {most_bytes} bytes as canonical JSON.", pointer=pointer))
    return faults


def fold_fits(data: Document) -> bool:
    """Tell whether an item may have this folded data: at most 1,000 top-level keys and 1 MiB."""
    return len(data) <= MAX_FOLDED_KEYS and fits(data, MAX_FOLDED_BYTES)


def _key_faults(key: str, *, reserved: bool) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if not key.strip():
        found.append(("data_empty_key", "Keys are not blank."))
    elif len(key) > MAX_KEY_LENGTH:
        found.append(("too_long", f"Keys have at most {MAX_KEY_LENGTH} characters."))
    if reserved and key in _ELSEWHERE:
        found.append(("data_reserved_key", _ELSEWHERE[key]))
    elif reserved and key.startswith("_"):
        found.append(("data_reserved_key", "Names that start with _ are the engine's; choose another."))
    return found


def _value_faults(value: Any, pointer: str, level: int) -> Iterator[Fault]:
    match value:
        case bool() | None:
            return
        case str():
            if not is_text(value):
                yield Fault("text_not_allowed", "No U+0000 and no lone surrogates.", pointer=pointer)
        case int():
            if abs(value) > MAX_INTEGER:
                yield Fault("number_out_of_range", "Integers lie within 2^53-1.", pointer=pointer)
        case float():
            if not math.isfinite(value):
                yield Fault("number_out_of_range", "Numbers are finite.", pointer=pointer)
        case _ if level > MAX_DEPTH:
            yield Fault("data_too_deep", f"At most {MAX_DEPTH} levels.", pointer=pointer)
        case dict():
            for key, member in value.items():
                if not is_text(key):
                    yield Fault("text_not_allowed", "No U+0000 and no lone surrogates.", pointer=pointer)
                if member.__class__ is not str or not is_text(member):
                    yield from _value_faults(member, f"{pointer}/{escaped(key)}", level + 1)
        case tuple():
            for index, member in enumerate(value):
                yield from _value_faults(member, f"{pointer}/{index}", level + 1)


def escaped(key: str) -> str:
    """Return a member's name as it stands in a JSON Pointer."""
    return key.replace("~", "~0").replace("/", "~1")


def is_text(text: str) -> bool:
    """Tell whether a text can be kept: Unicode scalar values without U+0000."""
    return "\x00" not in text and (text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text))

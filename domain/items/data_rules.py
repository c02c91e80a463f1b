"""Bounds of free objects: item data and event payloads (items-events.md 1.1)."""

from collections.abc import Iterator
from typing import Any

from domain.canonical import canonical
from domain.document import Document
from domain.errors import Fault

MAX_KEYS = 200
MAX_KEY_LENGTH = 128
MAX_DEPTH = 16
MAX_BYTES = 64 * 1024
MAX_FOLDED_KEYS = 1_000
MAX_FOLDED_BYTES = 1024 * 1024

_ELSEWHERE = {
    "events": "Events are posted to /api/events.",
    "identifiers": "Identifiers stand beside data, in identifiers.",
    "contributions": "Contributions are made by creating, updating and enriching.",
}


def data_faults(document: Document, pointer: str, *, reserved: bool) -> list[Fault]:
    """Return what is wrong with a free object that stands at `pointer`.

    `reserved` also refuses the names kept from item data; payloads may use them.
    """
    faults = [fault for key in document for fault in _key_faults(key, pointer, reserved=reserved)]
    if len(document) > MAX_KEYS:
        faults.append(Fault("too_many", f"At most {MAX_KEYS} top-level keys.", pointer=pointer))
    if _deeper_than(document, MAX_DEPTH):
        return [*faults, Fault("data_too_deep", f"At most {MAX_DEPTH} levels.", pointer=pointer)]
    if any(map(_holds_nul, document.items())):
        faults.append(Fault("text_not_allowed", "U+0000 is not allowed.", pointer=pointer))
    if len(canonical(document)) > MAX_BYTES:
        faults.append(Fault("data_too_large", f"At most {MAX_BYTES} bytes as canonical JSON.", pointer=pointer))
    return faults


def fold_fits(data: Document) -> bool:
    """Tell whether an item may have this folded data: at most 1,000 top-level keys and 1 MiB."""
    return len(data) <= MAX_FOLDED_KEYS and len(canonical(data)) <= MAX_FOLDED_BYTES


def _key_faults(key: str, pointer: str, *, reserved: bool) -> Iterator[Fault]:
    place = f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}"
    if not key.strip():
        yield Fault("data_empty_key", "Keys are not blank.", pointer=place)
    elif len(key) > MAX_KEY_LENGTH:
        yield Fault("too_long", f"Keys have at most {MAX_KEY_LENGTH} characters.", pointer=place)
    if reserved and key in _ELSEWHERE:
        yield Fault("data_reserved_key", _ELSEWHERE[key], pointer=place)
    elif reserved and key.startswith("_"):
        yield Fault("data_reserved_key", "Names that start with _ are the engine's; choose another.", pointer=place)


def _deeper_than(value: Any, levels: int) -> bool:
    """Tell whether more than `levels` objects and arrays stand inside each other."""
    if not isinstance(value, dict | tuple):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper_than(member, levels - 1) for member in inner)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(map(_holds_nul, value.items()))
    return isinstance(value, tuple) and any(map(_holds_nul, value))

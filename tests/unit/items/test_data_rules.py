"""Bounds of free objects (items-events.md 1.1; acceptance scenario 57)."""

from typing import Any

import pytest

from domain.document import Document
from domain.items.data_rules import data_faults, fold_fits


def codes(document: dict[str, Any], *, reserved: bool = True) -> list[tuple[str, str | None]]:
    return [(fault.code, fault.pointer) for fault in data_faults(Document(document), "/data", reserved=reserved)]


def nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for level in range(levels - 1):
        value = {"a": value} if level % 2 else [value]
    return {"a": value}


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"peso_kg": 412.5, "raça": "Nelore", "x": None},
        {f"k{number}": number for number in range(200)},
        {"k" * 128: 1},
        {"a": "x" * (64 * 1024 - 8)},
        nested(16),
    ],
)
def test_objects_within_the_bounds_have_no_fault(document: dict[str, Any]) -> None:
    assert codes(document) == []


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({f"k{number}": number for number in range(201)}, ("too_many", "/data")),
        ({"k" * 129: 1}, ("too_long", "/data/" + "k" * 129)),
        ({"": 1}, ("data_empty_key", "/data/")),
        ({" \t": 1}, ("data_empty_key", "/data/ \t")),
        ({"a": "x" * (64 * 1024 - 7)}, ("data_too_large", "/data")),
        (nested(17), ("data_too_deep", "/data/a/a/0/a/0/a/0/a/0/a/0/a/0/a/0/a")),
        ({"a": ["\x00"]}, ("text_not_allowed", "/data/a/0")),
        ({"a": {"\x00": 1}}, ("text_not_allowed", "/data/a")),
        ({"a": "\ud800"}, ("text_not_allowed", "/data/a")),
        ({"a": [2**53]}, ("number_out_of_range", "/data/a/0")),
        ({"a": float("inf")}, ("number_out_of_range", "/data/a")),
        ({"events": []}, ("data_reserved_key", "/data/events")),
        ({"identifiers": []}, ("data_reserved_key", "/data/identifiers")),
        ({"contributions": []}, ("data_reserved_key", "/data/contributions")),
        ({"_a/b~": 1}, ("data_reserved_key", "/data/_a~1b~0")),
    ],
)
def test_each_bound_is_a_fault_with_its_pointer(document: dict[str, Any], fault: tuple[str, str]) -> None:
    assert codes(document) == [fault]


def test_payloads_may_use_the_names_reserved_in_item_data() -> None:
    assert codes({"events": 1, "_x": 2}, reserved=False) == []


def test_escaped_text_is_no_forbidden_text() -> None:
    assert codes({"a": "\\u0000"}) == []


def test_folded_data_has_wider_bounds() -> None:
    assert fold_fits(Document({f"k{number}": number for number in range(1000)}))
    assert not fold_fits(Document({f"k{number}": number for number in range(1001)}))
    assert fold_fits(Document(a="x" * (1024 * 1024 - 8)))
    assert not fold_fits(Document(a="x" * (1024 * 1024 - 7)))

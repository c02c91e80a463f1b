"""The examples of the document are what an engine takes and answers (http.md 15; 18, law 5)."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from entrypoints.http.openapi import recorded
from tests.access.test_matrix import _quiet
from tests.contract.examples import UNDONE, Example, example_world, examples

__all__ = ["_quiet"]

JSON = "application/json"
FREE = frozenset({"data", "details", "payload", "counts", "by_kind", "by_day", "filters"})
"""Members that hold whatever was put there."""
DEPENDING = frozenset({"paths", "checks", "settings"})
"""What differs with the release or the machine."""


def fits(example: Any, real: Any, at: str = "") -> list[str]:
    """Return where the shape of an example differs from that of an answer. Null and empty fit anything."""
    if example is None or real is None or example == [] or real == []:
        return []
    if isinstance(example, dict) and isinstance(real, dict):
        if at.rpartition("/")[2] in FREE | DEPENDING:
            return []
        lacking = [f"{at}/{name} is in one only" for name in set(example) ^ set(real)]
        return lacking + [
            f for name in set(example) & set(real) for f in fits(example[name], real[name], f"{at}/{name}")
        ]
    if isinstance(example, list) and isinstance(real, list):
        forms = [fits(held, other, f"{at}/0") for held in example[:1] for other in real]
        return min(forms, key=len)
    alike = type(example) is type(real) or {type(example), type(real)} <= {int, float}
    return [] if alike else [f"{at}: {example!r} is not like {real!r}"]


async def test_every_example_is_accepted_and_answered_in_its_shape(tmp_path: Path) -> None:
    wrong: list[str] = []
    async with example_world(tmp_path) as world:
        document = (await world.ask("anonymous", "GET", "/openapi.json")).json
        operations = {held["operationId"]: held for methods in document["paths"].values() for held in methods.values()}
        for found in await examples(world):
            wrong += [f"{found.operation_id}: {fault}" for fault in faults(document, operations, found)]
    assert not wrong, "\n".join(wrong)
    unrecorded = set(operations) - UNDONE.keys() - set(recorded())
    assert not unrecorded, f"record them by python -m tests.contract.examples: {unrecorded}"


def faults(document: Any, operations: Any, found: Example) -> list[str]:
    """Return in what an operation and its examples disagree with the engine."""
    if found.answer.status >= 300:
        return [f"its request example is refused: {found.answer.body[:300]!r}"]
    told, operation = [], operations[found.operation_id]
    asked = operation.get("requestBody", {}).get("content", {})
    for content in asked.values():
        told += misfits(document, content)
    success = operation["responses"][str(found.answer.status)]
    for kind, content in success.get("content", {}).items():
        if "example" not in content:
            told.append(f"{found.answer.status} has no example")
            continue
        told += misfits(document, content)
        told += fits(content["example"], found.content) if kind == JSON else []
    return told


def misfits(document: Any, content: Any) -> list[str]:
    """Return what is wrong with an example by its schema."""
    schema = {**content["schema"], "components": document["components"]}
    errors = jsonschema.Draft202012Validator(schema).iter_errors(content["example"])
    return [f"{error.json_path}: {error.message}"[:300] for error in errors]


@pytest.mark.parametrize("shape", [r"df[a-z]_(?!0{46})[0-9A-Za-z]{46}", r"canary", r"\$argon2", r"whsec_(?!A{32}=)\w+"])
def test_no_example_holds_a_secret_or_a_word_of_the_tests(shape: str) -> None:
    assert not re.search(shape, repr(recorded()))

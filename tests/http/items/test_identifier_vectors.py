"""Scenario 1 of identifiers.md 10: every vector gets one verdict over HTTP, on the command line and by import."""

import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from domain.identifiers import REGISTRY
from entrypoints.cli.main import run
from tests.http.events.conftest import Farm, farm
from tests.unit.identifiers.vectors import CHECK_FAILED, GOOD, MALFORMED

__all__ = ["farm"]


@attrs.frozen
class Vector:
    """A number, and what identifiers.md 4 and 5 say of it."""

    key: str
    value: str
    level: str
    normalised: str | None = None
    reason: str | None = None

    @property
    def as_text(self) -> bool:
        """Whether a request and an argument of a process can carry it: text without NUL, and without half a letter."""
        return not set(self.value) & {"\x00", "\ud800"}

    def agrees(self, told: dict[str, Any]) -> bool:
        """Tell whether a verdict is what is written."""
        codes = [reason["code"] for reason in told["reasons"]]
        canonical = told["normalised"] is None if self.level == "malformed" else told["normalised"]
        return (
            told["evidence"] == self.level
            and bool(canonical)
            and self.normalised in (None, told["normalised"])
            and self.reason in (None, *codes)
        )


def _vectors() -> Iterator[Vector]:
    for level, found in GOOD.items():
        yield from (Vector(key, value, level, normalised) for key, value, normalised in found)
    for level, refused in (("check_failed", CHECK_FAILED), ("malformed", MALFORMED)):
        yield from (Vector(key, value, level, reason=reason) for key, value, reason in refused)


VECTORS = tuple(_vectors())


async def test_scenario_1_over_http(farm: Farm) -> None:
    sent = [vector for vector in VECTORS if vector.as_text]
    entries = [{"key": vector.key, "value": vector.value} for vector in sent]
    told = (await farm.ana.client.post("/api/identifiers/check", json={"identifiers": entries})).json()["results"]
    assert [each["index"] for each in told] == list(range(len(sent)))
    assert not [(vector, each) for vector, each in zip(sent, told, strict=True) if not vector.agrees(each)]


def test_scenario_1_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    for name in REGISTRY:
        sent = [vector for vector in VECTORS if vector.as_text and vector.key == name]
        ended = run(["identifiers", "check", name, *(vector.value for vector in sent), "--json"])
        told = json.loads(capsys.readouterr().out)
        assert (ended, [each["value"] for each in told]) == (1, [vector.value for vector in sent])
        assert not [(vector, each) for vector, each in zip(sent, told, strict=True) if not vector.agrees(each)]


async def test_scenario_1_by_import(farm: Farm) -> None:
    """A row each, told apart by a number of its own; a malformed value refuses its row and names why."""
    client = farm.ana.client
    body = "".join(
        json.dumps({"identifiers": [{"key": vector.key, "value": vector.value}, {"key": "fila", "value": str(row)}]})
        + "\n"
        for row, vector in enumerate(VECTORS)
    )
    headers = {"content-type": "application/x-ndjson"}
    done = (await client.post("/api/items/import", content=body, headers=headers)).json()
    rows = (await client.get(f"/api/items/imports/{done['import_id']}/rows", params={"limit": 200})).json()["items"]
    for vector, row in zip(VECTORS, rows, strict=True):
        if vector.level == "malformed":
            faults = [(fault["pointer"], fault["code"]) for fault in row["errors"]]
            assert (row["outcome"], faults) == ("refused", [("/identifiers/0/value", "identifier_malformed")]), vector
        else:
            assert row["outcome"] in ("created", "enriched"), (vector, row)
            stored = (await client.get(f"/api/items/{row['dfid']}")).json()["identifiers"]
            found = {each["normalised"]: each["evidence"] for each in stored if each["key"] == vector.key}
            assert vector.level in found.values(), (vector, stored)
            assert vector.normalised is None or found[vector.normalised] == vector.level, (vector, stored)

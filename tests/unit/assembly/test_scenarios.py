"""Every acceptance scenario, and every law of http.md 18, has a test that names its number.

A test names it in its name (`test_scenario_7_…`, `test_scenarios_9_and_10_…`, `test_7_…`, `test_law_7_…`) or in its
docstring, and the document in that docstring, else in that of its module.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
SCENARIOS = {"circuits.md": 56, "items-events.md": 63, "identifiers.md": 12, "platform.md": 57}
"""How many there are, by the document that states them."""

_NAMED = re.compile(r"test_(?:scenarios?_)?(\d+)(?:_and_(\d+))?_")
_TOLD = re.compile(r"[Ss]cenarios? (\d+)(?:(?:,| and) (\d+))?")
LAWS = 19
"""How many http.md states."""
_LAW_NAMED = re.compile(r"test_laws?_(\d+)(?:_and_(\d+))?_")
_LAW_TOLD = re.compile(r"[Ll]aws? (\d+)(?:(?:,| and) (\d+))?")
_DOCUMENT = re.compile(r"[a-z-]+\.md")


def _proved(by_name: re.Pattern[str], told: re.Pattern[str]) -> Iterator[tuple[str, int]]:
    """Yield document and number of every scenario or law that a test names."""
    for path in TESTS.rglob("test_*.py"):
        module = ast.parse(path.read_text())
        above = ast.get_docstring(module) or ""
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                own = ast.get_docstring(node) or ""
                numbers = [*by_name.findall(node.name + "_"), *told.findall(own)] or told.findall(above)
                for document in set(_DOCUMENT.findall(own) or _DOCUMENT.findall(above)):
                    yield from ((document, int(number)) for found in numbers for number in found if number)


PROVED = frozenset(_proved(_NAMED, _TOLD))


@pytest.mark.parametrize(("document", "count"), SCENARIOS.items())
def test_every_acceptance_scenario_is_a_test_by_its_number(document: str, count: int) -> None:
    missing = [number for number in range(1, count + 1) if (document, number) not in PROVED]
    assert not missing


def test_every_law_of_http_is_a_test_by_its_number() -> None:
    proved = frozenset(_proved(_LAW_NAMED, _LAW_TOLD))
    assert not [number for number in range(1, LAWS + 1) if ("http.md", number) not in proved]

"""Every acceptance scenario has a test that names its number.

A test names it in its name (`test_scenario_7_…`, `test_scenarios_9_and_10_…`, `test_7_…`) or in its docstring, and the
document in that docstring, else in that of its module.
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
_DOCUMENT = re.compile(r"[a-z-]+\.md")


def _proved() -> Iterator[tuple[str, int]]:
    """Yield document and number of every scenario that a test names."""
    for path in TESTS.rglob("test_*.py"):
        module = ast.parse(path.read_text())
        above = ast.get_docstring(module) or ""
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                own = ast.get_docstring(node) or ""
                numbers = [*_NAMED.findall(node.name + "_"), *_TOLD.findall(own)] or _TOLD.findall(above)
                for document in set(_DOCUMENT.findall(own) or _DOCUMENT.findall(above)):
                    yield from ((document, int(number)) for found in numbers for number in found if number)


PROVED = frozenset(_proved())


@pytest.mark.parametrize(("document", "count"), SCENARIOS.items())
def test_every_acceptance_scenario_is_a_test_by_its_number(document: str, count: int) -> None:
    missing = [number for number in range(1, count + 1) if (document, number) not in PROVED]
    assert not missing

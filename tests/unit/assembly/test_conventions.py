"""Each convention of HTTP lives in one place (http.md 17, 18)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrypoints.http.errors import registry

ROOT = Path(__file__).parents[3]
HANDLERS = sorted((ROOT / "entrypoints/http/routes").glob("*.py"))
ELSEWHERE = {
    "entrypoints.http.app",
    "entrypoints.http.auth",
    "entrypoints.http.bodies",
    "entrypoints.http.errors",
    "entrypoints.http.exchange",
    "entrypoints.http.idempotency",
    "entrypoints.http.keyed",
    "entrypoints.http.limits",
    "entrypoints.http.openapi",
    "entrypoints.http.presenting",
    "entrypoints.http.sending",
    "entrypoints.http.serving",
    "domain.ports.storage",
    "container",
    "adapters",
}
"""What makes problems, cursors, limits and headers, and what holds the store."""
LENT = {
    ("sharing", "entrypoints.http.paging"): "a pull begins a list that another route continues",
    ("metrics", "content-type"): "what is scraped comes in the form of the library that makes it",
    ("metrics", "cache-control"): "as above",
}
HEADERS = {
    "authorization",
    "cache-control",
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-type",
    "etag",
    "idempotency-key",
    "if-match",
    "if-none-match",
    "link",
    "location",
    "ratelimit",
    "retry-after",
    "vary",
    "www-authenticate",
    "x-api-key",
    "x-trace-id",
}
OPENED = {"read", "write", "perform"}


def _imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def _told(module: ast.Module) -> Iterator[str]:
    """Yield the names of headers that a module speaks of; those of its own declarations' arguments are not strings."""
    places = {id(key) for node in ast.walk(module) if isinstance(node, ast.Dict) for key in node.keys}
    for node in ast.walk(module):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in places:
            yield node.value.lower()


@pytest.mark.parametrize("path", HANDLERS, ids=lambda path: path.stem)
def test_law_19_a_handler_makes_no_problem_no_cursor_no_header_and_opens_no_unit(path: Path) -> None:
    module = ast.parse(path.read_text(encoding="utf-8"))
    taken = {name for name in _imported(module) if name in ELSEWHERE or name.partition(".")[0] in ELSEWHERE}
    taken |= {name for name in _imported(module) if name == "entrypoints.http.paging"}
    taken |= HEADERS & set(_told(module))
    assert {name for name in taken if (path.stem, name) not in LENT} == set()
    entered = [node for node in ast.walk(module) if isinstance(node, ast.AsyncWith)]
    assert not [ast.unparse(node.items[0]) for node in entered if _opens(node)]


def _opens(node: ast.AsyncWith) -> bool:
    called = [item.context_expr for item in node.items if isinstance(item.context_expr, ast.Call)]
    return any(isinstance(call.func, ast.Attribute) and call.func.attr in OPENED for call in called)


def _constants() -> set[str]:
    """Return every text that stands in the code of a test, docstrings aside."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("*.py"):
        if path != Path(__file__):
            module = ast.parse(path.read_text(encoding="utf-8"))
            found |= {node.value for node in ast.walk(module) if _text(node)}
    return found


def _text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def test_law_4_every_registered_code_is_expected_by_a_test() -> None:
    """That it is documented where it is sent, and is what it should be, tests/problems.py judges in every test."""
    assert registry().keys() - _constants() == set()

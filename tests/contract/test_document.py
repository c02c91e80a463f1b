"""Whatever is sent to it, the engine answers as its document says (http.md 18, law 6)."""

from tests.access.test_matrix import _quiet
from tests.contract.fuzz import fuzzing

__all__ = ["_quiet"]

EXAMPLES, DERIVED = 2, 3
"""Requests drawn per operation, valid and invalid each, and requests derived from bounds. The long run is
`python -m tests.contract`."""


def test_generated_requests_get_only_documented_answers() -> None:
    with fuzzing() as fuzz:
        for operation in fuzz.operations():
            fuzz.explore(operation, EXAMPLES, start=1)
            fuzz.cover(operation, DERIVED)
    assert not fuzz.found, "\n".join(fuzz.found)
    assert fuzz.asked[200] > 50 and fuzz.asked[422] > 100, fuzz.asked

"""What the statistics of a workspace need of one item, as a text that few items differ in (items-events.md 9.3).

Rows are counted by it straight from an index, so that numbers of a workspace cost no row.
"""

import json
from collections import Counter
from functools import lru_cache

import attrs

from domain.identifiers import GENERIC_NAMESPACE
from domain.items.values import Item


@attrs.frozen
class Profile:
    """Status, confidence, namespaces of the identifiers, and how many of them stand at each level of evidence."""

    status: str
    confidence: float
    namespaces: tuple[str, ...]
    evidence: dict[str, int]

    @classmethod
    def read(cls, text: str) -> "Profile":
        """Return the profile that a text spells."""
        status, confidence, namespaces, evidence = json.loads(text)
        return cls(status, confidence, tuple(namespaces), evidence)


def profile(item: Item) -> str:
    """Return the text of an item's profile."""
    marks = tuple([(identifier.namespace, identifier.evidence) for identifier in item.identifiers])
    return _spelled(item.status.value, item.confidence, marks)


@lru_cache(1024)
def _spelled(status: str, confidence: float, marks: tuple[tuple[str | None, str], ...]) -> str:
    """Return the one spelling by which equal profiles are equal texts."""
    namespaces = sorted({namespace or GENERIC_NAMESPACE for namespace, _ in marks})
    levels = Counter(str(evidence) for _, evidence in marks)
    return json.dumps([status, confidence, namespaces, levels], separators=(",", ":"), sort_keys=True)

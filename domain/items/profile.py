"""What the statistics of a workspace need of one item, as a text that few items differ in (items-events.md 9.3).

Rows are counted by it straight from an index, so that numbers of a workspace cost no row.
"""

import json
from collections import Counter

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

    @property
    def text(self) -> str:
        """The one spelling by which equal profiles are equal texts."""
        return json.dumps(attrs.astuple(self), separators=(",", ":"), sort_keys=True)

    @classmethod
    def of(cls, item: Item) -> "Profile":
        """Return the profile of an item."""
        namespaces = {identifier.namespace or GENERIC_NAMESPACE for identifier in item.identifiers}
        levels = Counter(str(identifier.evidence) for identifier in item.identifiers)
        return cls(item.status.value, item.confidence, tuple(sorted(namespaces)), dict(levels))

    @classmethod
    def read(cls, text: str) -> "Profile":
        """Return the profile that a text spells."""
        status, confidence, namespaces, evidence = json.loads(text)
        return cls(status, confidence, tuple(namespaces), evidence)


def profile(item: Item) -> str:
    """Return the text of an item's profile."""
    return Profile.of(item).text

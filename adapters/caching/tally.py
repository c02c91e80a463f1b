"""What this instance met in the cache and left there, by kind of row (platform.md 10.2)."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from domain.ports.cache import Absent, Cell, Lease, Mark, Value

RESULTS: Final[Mapping[type[Cell], str]] = {Value: "hit", Absent: "miss", Mark: "busy", Lease: "busy"}


class Tally:
    """Counts since the start: looks that hit, missed, met a row at work or failed; fills that were kept or refused."""

    def __init__(self) -> None:
        self.kinds: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def looked(self, kind: str, hits: int, others: Iterable[Cell]) -> None:
        """Count what a look has told: values, and the cells that told nothing."""
        counts = self.kinds[kind]
        counts["hit"] += hits
        for cell in others:
            counts[RESULTS[type(cell)]] += 1

    def failed(self, kind: str, looks: int) -> None:
        """Count looks that the cache did not answer."""
        self.kinds[kind]["failure"] += looks

    def filled(self, kind: str, kept: int, refused: int) -> None:
        """Count values that the cache kept, and values that it refused."""
        self.kinds[kind].update(fill=kept, fill_refused=refused)

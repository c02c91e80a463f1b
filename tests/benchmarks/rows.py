"""The lines of the table, and how they are written."""

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

import attrs

from tests.benchmarks.client import Load

COLUMNS = (
    "row", "stack", "items", "inst", "clients", "engine", "p50 ms", "p99 ms", "MB", "baseline", "ratio", "p50 ratio",
)  # fmt: skip
MOVED = 0.15
"""How far a baseline may move inside a run before no verdict follows from it."""


@attrs.frozen
class Row:
    """One line: a figure in its unit, latencies in milliseconds, resident megabytes of an instance, and the baseline.

    `busy` is the share of one processor that the load process took;
    `moved` is how far the furthest round of the baseline lay from its median, as a share of that.
    """

    name: str
    value: float | None = None
    unit: str = "/s"
    p50: float | None = None
    p99: float | None = None
    memory: float | None = None
    baseline: str = ""
    theirs: float | None = None
    their_p50: float | None = None
    moved: float = 0.0
    remark: str = ""
    stack: str = ""
    scale: str = ""
    instances: int = 1
    clients: int = 0
    busy: float | None = None

    @property
    def ratio(self) -> float | None:
        """The figure, over that of the baseline."""
        return self.value / self.theirs if self.value is not None and self.theirs else None

    @property
    def p50_ratio(self) -> float | None:
        """The median latency, over that of the baseline."""
        return self.p50 / self.their_p50 if self.p50 and self.their_p50 else None


def compared(name: str, ours: Sequence[Load], theirs: Sequence[Load] = (), baseline: str = "") -> Row:
    """Return the row of the rounds of one load, and of those of its baseline."""
    failed = sum(load.failed + load.lost for load in ours)
    answered = sorted({status for load in ours for status in load.statuses if not 200 <= status < 400})
    rate, p50, p99 = _medians(ours)
    row = Row(name, rate, "/s", p50, p99, remark=f"{failed} FAILED {answered}" if failed else "")
    row = attrs.evolve(row, busy=median(load.busy for load in ours) or None)
    if not theirs:
        return row
    bare_rate, bare_p50, _ = _medians(theirs)
    return attrs.evolve(row, baseline=baseline, theirs=bare_rate, their_p50=bare_p50, moved=moved(theirs))


def moved(loads: Sequence[Load]) -> float:
    """Return how far the furthest round lay from the median, as a share of it."""
    rates = [load.per_second for load in loads]
    middle = median(rates)
    return max(abs(rate - middle) for rate in rates) / middle if middle else 0.0


def _medians(loads: Sequence[Load]) -> tuple[float, float, float]:
    return (
        median(load.per_second for load in loads),
        median(load.p50 for load in loads),
        median(load.p99 for load in loads),
    )


def cells(row: Row) -> tuple[str, ...]:
    """Return what stands in the columns of a row."""
    baseline = f"{row.baseline} {_number(row.theirs)}{row.unit}" if row.theirs is not None else row.baseline
    baseline += f", p50 {row.their_p50:.2f}" if row.their_p50 else ""
    baseline += f", moved {row.moved:.0%}" if row.moved > MOVED else ""
    figure = f"{_number(row.value)}{row.unit}" if row.value is not None else ""
    return (
        row.name,
        row.stack,
        row.scale,
        str(row.instances),
        str(row.clients or ""),
        " ".join(filter(None, (figure, row.remark))),
        _number(row.p50, 2),
        _number(row.p99, 2),
        _number(row.memory, 0),
        baseline,
        _number(row.ratio, 2),
        _number(row.p50_ratio, 2),
    )


def _number(value: float | None, digits: int | None = None) -> str:
    if value is None:
        return ""
    if digits is None:
        digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def line(row: Row) -> str:
    """Return a row as it is told while the run goes on."""
    return "  ".join(filter(None, cells(row)))


def table(rows: Iterable[Sequence[str]], head: Sequence[str]) -> str:
    """Return rows of cells as a table."""
    lines = [tuple(head), *map(tuple, rows)]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(one, widths, strict=True)).rstrip() for one in lines
    )


def plain(row: Row) -> dict[str, Any]:
    """Return a row for the JSON file."""
    return {**attrs.asdict(row), "ratio": row.ratio, "p50_ratio": row.p50_ratio}

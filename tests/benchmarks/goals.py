"""The goals of speed and memory, as figures of rows, and what a run says of them."""

from collections.abc import Callable, Iterator, Sequence

import attrs

from tests.benchmarks.rows import MOVED, Row

Figure = Callable[[Row, Sequence[Row]], float | None]

COLUMNS = ("goal", "stack", "items", "figure", "must", "stretch", "verdict")
DURABLE = ("postgres", "redis_cached", "write_through")
ALL = ("memory", *DURABLE)


def rate(row: Row, _: Sequence[Row]) -> float | None:
    """The figure over that of the baseline."""
    return row.ratio


def value(row: Row, _: Sequence[Row]) -> float | None:
    """The figure itself."""
    return row.value


def seconds(row: Row, _: Sequence[Row]) -> float | None:
    """The figure in seconds; it is measured in milliseconds."""
    return None if row.value is None else row.value / 1000


def p50(row: Row, _: Sequence[Row]) -> float | None:
    """The median latency in milliseconds."""
    return row.p50


def p50_by_r0(row: Row, rows: Sequence[Row]) -> float | None:
    """The median latency over that of R0 in the same place."""
    found = _same(row, rows, name="R0")
    return row.p50 / found.p50 if found and found.p50 and row.p50 else None


def growth(row: Row, rows: Sequence[Row]) -> float | None:
    """The median latency over the one with 1,000 items."""
    found = _same(row, rows, scale="1k")
    return row.p50 / found.p50 if found and found.p50 and row.p50 else None


def lost(row: Row, _: Sequence[Row]) -> float | None:
    """How many were acknowledged and are not found."""
    return None if row.value is None or row.theirs is None else row.theirs - row.value


def _same(row: Row, rows: Sequence[Row], **changed: str) -> Row | None:
    wanted = attrs.evolve(row, **changed)  # type: ignore[arg-type]
    place = _place(wanted)
    return next((one for one in rows if one.name == wanted.name and _place(one) == place), None)


def _place(row: Row) -> tuple[object, ...]:
    return row.stack, row.scale, row.instances, row.clients


@attrs.frozen
class Goal:
    """`must` and `stretch` of a figure of the rows that are called `row`, on these stacks, with so many clients."""

    quantity: str
    row: str
    figure: Figure
    must: float
    stretch: float
    unit: str = ""
    stacks: tuple[str, ...] = ()
    clients: int | None = None
    at_most: bool = False
    scale: str = ""

    def reached(self, figure: float, bound: float) -> bool:
        """Tell whether a figure keeps a bound."""
        return figure <= bound if self.at_most else figure >= bound

    def concerns(self, row: Row) -> bool:
        """Tell whether a row is one that the goal is about; goals are about one instance."""
        return (
            row.name.startswith(self.row)
            and row.instances == 1
            and (not self.stacks or row.stack in self.stacks)
            and self.clients in (None, row.clients)
            and self.scale in ("", row.scale)
        )


def _most(quantity: str, row: str, figure: Figure, must: float, stretch: float, unit: str, **more: object) -> Goal:
    return Goal(quantity, row, figure, must, stretch, unit, at_most=True, **more)  # type: ignore[arg-type]


CACHED, COLD, MEMORY = ("redis_cached",), ("postgres",), ("write_through", "memory")

GOALS = (
    Goal("hot GET, 32 clients", "GET item, hot", rate, 0.60, 0.85, "R0", CACHED, 32),
    _most("hot GET, 1 client, p50", "GET item, hot", p50_by_r0, 2.5, 2.0, "R0", stacks=CACHED, clients=1),
    Goal("cold GET, 32 clients", "GET item, cold", rate, 0.45, 0.70, "R0", COLD, 32),
    _most("cold GET, 1 client, p50", "GET item, cold", p50_by_r0, 3.5, 2.5, "R0", stacks=COLD, clients=1),
    Goal("GET from memory, 32 clients", "GET item, hot", rate, 0.75, 0.95, "R0", MEMORY, 32),
    Goal("create, 32 clients", "create item", rate, 0.50, 0.80, "P0", DURABLE, 32),
    _most("create, 1 client, p50", "create item", p50, 2.0, 1.0, "ms", stacks=DURABLE, clients=1),
    _most("create, 1 client, p50 by R0", "create item", p50_by_r0, 8.0, 8.0, "R0", stacks=DURABLE, clients=1),
    Goal("push by DFID, 32 clients", "push by DFID", rate, 0.40, 0.70, "P0", DURABLE, 32),
    Goal("batch push of 1,000, items/s", "push 1,000", rate, 0.25, 0.45, "C0", DURABLE),
    Goal("bulk create, rows/s", "create 10,000", rate, 0.35, 0.60, "C0", DURABLE),
    Goal("import, rows/s", "import", rate, 0.35, 0.60, "C0", DURABLE),
    Goal("page of 50, 32 clients", "first page of 50", rate, 0.50, 0.85, "R0", clients=32),
    Goal("group writer, 64 tasks", "group writer", rate, 1.5, 2.5, "W0"),
    *(
        _most(f"{name}, p50 by 1k", name, growth, 1.5, 1.1, "", clients=1, scale="1m")
        for name in (
            "GET item, hot",
            "GET item, cold",
            "create item",
            "push by DFID",
            "first page of 50",
            "deep page of 50",
        )
    ),
    _most("reader p99 during 50 logins", "reader p99 during", value, 50, 20, "ms"),
    _most("start to ready", "start to ready", value, 1.5, 0.7, "s"),
    _most("memory after load", "resident memory, after load", value, 90, 70, "MB", stacks=(*CACHED, *COLD)),
    Goal("items loaded", "items loaded", value, 400_000, 700_000, "/s"),
    _most("bytes of a loaded item", "bytes of a loaded item", value, 800, 400, "B"),
    _most("slowest read, Redis frozen", "slowest read, Redis frozen", value, 250, 100, "ms"),
    _most("first write, Redis dead", "first write, Redis dead", seconds, 2.0, 1.5, "s"),
    _most("acknowledged writes lost by SIGKILL", "writes found after SIGKILL", lost, 0, 0, ""),
)
"""In the order of the specification. Violations of coherence are counted by `python -m tests.coherence`."""


def verdicts(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    """Yield the cells of a line for each goal and each place in which the run measured it."""
    for goal in GOALS:
        for row in filter(goal.concerns, rows):
            figure = goal.figure(row, rows)
            if figure is not None:
                sign = "<=" if goal.at_most else ">="
                bounds = (f"{sign} {bound:g} {goal.unit}".strip() for bound in (goal.must, goal.stretch))
                yield goal.quantity, row.stack, row.scale, f"{figure:,.4g}", *bounds, _verdict(goal, row, figure)


def _verdict(goal: Goal, row: Row, figure: float) -> str:
    if row.moved > MOVED and goal.figure is not value:
        return f"no verdict, {row.baseline} moved {row.moved:.0%}"
    if "FAILED" in row.remark:
        return "no verdict, requests failed"
    reached = (goal.reached(figure, goal.stretch), goal.reached(figure, goal.must))
    return "stretch" if reached[0] else "must" if reached[1] else "MISSED"

"""The mixed load for minutes: failures, latencies of each route, and whether the memory of the instances stays flat."""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

import attrs

from tests.benchmarks.client import Driver, Load, note, percentiles, result, run_apart
from tests.benchmarks.operations import Stage, mixed
from tests.benchmarks.rows import Row

CLIENTS = 32
EVERY = 20.0
"""Seconds between two looks at the memory."""
WARM = 0.1
"""Share of the run after which memory has to be flat."""
FLAT = 1.05

_ROUTE = re.compile(rb"(\w+ /api/[a-z-]+(?:/[a-z-]+)*/?\??)")


class _Routed(Driver):
    """Keeps the latencies of each route apart."""

    def answered(self, asked: bytes, status: int, body: bytes, took: float) -> None:
        super().answered(asked, status, body, took)
        route = _ROUTE.match(asked)
        self.routes[route[1].decode() if route else ""].append(took)

    def measured(self) -> tuple[Load, Mapping[str, list[float]]]:
        """Run and return what all and what each route took, in seconds."""
        self.routes: dict[str, list[float]] = defaultdict(list)
        return self.run(CLIENTS), dict(self.routes)


def _told(failed: Counter[str]) -> str:
    told = ", ".join(f"{count} {status}" for status, count in sorted(failed.items()) if count)
    return f"FAILED: {told}" if told else "none failed"


def lasting_rows(stage: Stage, minutes: float) -> Iterator[Row]:
    """Send the mixed load for so many minutes, telling the memory as it goes, and yield what came of it."""
    routes: dict[str, list[float]] = defaultdict(list)
    memory: list[float] = []
    done, failed = 0, Counter[str]()
    begun = time.perf_counter()
    while (spent := time.perf_counter() - begun) < minutes * 60:
        driver = _Routed(stage.addresses, mixed(stage), min(EVERY, max(1.0, minutes * 60 - spent)))
        load, found = result(run_apart(driver.measured))
        for route, latencies in found.items():
            routes[route] += latencies
        done += sum(load.statuses.values())
        failed.update({str(status): n for status, n in load.statuses.items() if not 200 <= status < 400})
        failed["lost"] += load.lost
        memory.append(max(served.resident() for served in stage.engines))
        each = " ".join(f"{served.resident():.0f}" for served in stage.engines)
        note(
            f"{(time.perf_counter() - begun) / 60:5.1f} min  {done:>10,} requests  {_told(failed)}  "
            f"{load.per_second:,.0f}/s  p99 {load.p99:.1f} ms  resident {each} MB"
        )
    warm = memory[min(len(memory) - 1, int(len(memory) * WARM))]
    remark = f"{done:,} requests in {minutes:g} minutes, {_told(failed)}"
    place = Row("", instances=len(stage.engines), clients=CLIENTS)
    yield attrs.evolve(place, name="mixed run", value=done / (minutes * 60), remark=remark, memory=memory[-1])
    flat = "flat" if memory[-1] <= FLAT * warm else "NOT FLAT"
    yield attrs.evolve(
        place, name="mixed run, memory", value=memory[-1], unit=" MB", baseline="warm", theirs=warm, remark=flat
    )
    for route, latencies in sorted(routes.items()):
        p50, p99 = percentiles(latencies)
        name = f"mixed run, {route}"
        yield attrs.evolve(place, name=name, value=len(latencies) / (minutes * 60), p50=p50, p99=p99)

"""What the failures of Redis cost, and whether the memory of an instance stays flat."""

import time
from collections.abc import Callable, Iterator
from statistics import median

from tests.benchmarks.client import measure, note, request
from tests.benchmarks.servers import Served, engine
from tests.benchmarks.world import World
from tests.servers import RedisServer

Line = tuple[str, str, str, float | None]
"""Name, figure, baseline, ratio."""

SECONDS = 2.0
READS = 150
WRITES = 30
MIXED = 20_000


def uncached_read(world: World, database_url: str) -> float:
    """Return the median seconds of one client's reads without a cache; no other engine may be running."""
    with engine(DATABASE_URL=database_url, DEFARM_STORAGE="postgres") as plain:
        return median(
            _seconds(lambda: plain.call("GET", f"/api/items/{world.hot}", token=world.token)) for _ in range(READS)
        )


def outages(served: Served, redis: RedisServer, world: World, uncached: float) -> Iterator[Line]:
    """Measure one client's reads and writes while Redis is frozen and while it is dead, and the way back."""
    path = f"/api/items/{world.hot}"
    for name, hurt, heal in (("frozen", redis.pause, redis.resume), ("dead", redis.kill, redis.start)):
        _in_use(served)
        writes = median(_seconds(lambda: _write(served, world)) for _ in range(WRITES))
        note(f"Redis is {name}")
        hurt()
        reads = [_seconds(lambda: served.call("GET", path, token=world.token)) for _ in range(READS)]
        figure = f"slowest {max(reads) * 1000:.0f} ms, p50 {median(reads) * 1000:.1f} ms"
        base = f"postgres p50 {uncached * 1000:.1f} ms; must 250 ms"
        yield f"reads, Redis {name}", figure, base, round(median(reads) / uncached, 2)
        first = _seconds(lambda: _write(served, world))
        later = median(_seconds(lambda: _write(served, world)) for _ in range(WRITES))
        figure = f"first {first:.2f} s, then p50 {later * 1000:.1f} ms"
        yield f"writes, Redis {name}", figure, f"before p50 {writes * 1000:.1f} ms; must 2 s", round(later / writes, 2)
        heal()
        yield f"in use again, Redis was {name}", f"{_seconds(lambda: _in_use(served)):.1f} s", "", None


def flat_memory(served: Served, world: World) -> Line:
    """Send many requests of several kinds in two halves: what the second half adds is a leak."""
    resident = [served.resident()]
    for _ in range(2):
        done = 0.0
        while done < MIXED / 2:
            done += measure(served.address, _mixed(world), 16, SECONDS).per_second * SECONDS
        resident.append(served.resident())
    figure = " → ".join(f"{each:.0f} MB" for each in resident)
    return f"resident memory, {MIXED:,} mixed requests", figure, "", round(resident[2] / resident[1], 3)


def _mixed(world: World) -> Iterator[bytes]:
    reads = (f"/api/items/{world.hot}", "/api/items?limit=20", f"/api/events/item/{world.hot}", "/api/items/DFID-1")
    for animal in world.new_items():
        yield request("POST", "/api/items", world.token, animal)
        yield from (request("GET", path, world.token) for path in reads)


def _write(served: Served, world: World) -> None:
    served.call("POST", "/api/circuits", {"name": "Novilho Precoce"}, world.token)


def _in_use(served: Served) -> None:
    while served.call("GET", "/health/ready")["checks"]["cache"] != "up":
        time.sleep(0.05)


def _seconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun

"""What the failures of Redis cost, and making it forget."""

import time
from collections.abc import Callable, Iterator
from statistics import median

from redis import Redis

from tests.benchmarks.client import note
from tests.benchmarks.rows import Row
from tests.benchmarks.servers import Served, engine
from tests.benchmarks.world import World
from tests.servers import RedisServer

READS = 150
WRITES = 30


def uncached_read(world: World, database_url: str) -> float:
    """Return the median seconds of one client's reads without a cache; no other engine may be running."""
    with engine(DATABASE_URL=database_url, DEFARM_STORAGE="postgres") as plain:
        return median(
            _seconds(lambda: plain.call("GET", f"/api/items/{world.hot}", token=world.token)) for _ in range(READS)
        )


def outages(served: Served, redis: RedisServer, world: World, uncached: float) -> Iterator[Row]:
    """Measure one client's reads and writes while Redis is frozen and while it is dead, and the way back."""
    path = f"/api/items/{world.hot}"
    for name, hurt, heal in (("frozen", redis.pause, redis.resume), ("dead", redis.kill, redis.start)):
        _in_use(served)
        before = median(_seconds(lambda: _write(served, world)) for _ in range(WRITES))
        note(f"Redis is {name}")
        hurt()
        reads = [_seconds(lambda: served.call("GET", path, token=world.token)) for _ in range(READS)]
        yield _row(f"slowest read, Redis {name}", max(reads))
        yield _row(f"reads, Redis {name}", median(reads), "postgres", uncached)
        yield _row(f"first write, Redis {name}", _seconds(lambda: _write(served, world)))
        later = median(_seconds(lambda: _write(served, world)) for _ in range(WRITES))
        yield _row(f"writes, Redis {name}", later, "before", before)
        heal()
        yield _row(f"in use again, Redis was {name}", _seconds(lambda: _in_use(served)))


def _row(name: str, seconds: float, baseline: str = "", theirs: float | None = None) -> Row:
    ms = None if theirs is None else theirs * 1000
    return Row(name, seconds * 1000, " ms", baseline=baseline, theirs=ms, clients=1)


def evict(redis: RedisServer) -> None:
    """Take out of Redis whatever it may throw away by itself when its memory is short."""
    with Redis.from_url(redis.url, socket_timeout=30) as client:
        keys = list(client.scan_iter(count=10_000))
        lives = client.pipeline(transaction=False)
        for key in keys:
            lives.ttl(key)
        volatile = [key for key, life in zip(keys, lives.execute(), strict=True) if life > 0]
        for begun in range(0, len(volatile), 1000):
            client.unlink(*volatile[begun : begun + 1000])


def _write(served: Served, world: World) -> None:
    served.call("POST", "/api/circuits", {"name": "Novilho Precoce"}, world.token)


def _in_use(served: Served) -> None:
    while served.call("GET", "/health/ready")["checks"]["cache"] != "up":
        time.sleep(0.05)


def _seconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun

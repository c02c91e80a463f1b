"""More than the server can do: what it answers, whether it drops anybody, and how soon it is itself again (http.md 13).

The load is `CROWD` times as many connections as requests may be in flight, each sending its next request as soon as it
has its answer, so the server is never offered less than `CROWD` times what it takes.
"""

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import attrs
import psutil

from tests.benchmarks.client import Load, measure, request, result, run_apart
from tests.benchmarks.rows import Row
from tests.benchmarks.servers import engine
from tests.benchmarks.world import settle

CROWD = 10
IN_FLIGHT, SECONDS = 512, 60.0
"""The bound that servers have by default, and how long the row lasts."""
AFTER = 1.0
"""Seconds within which the server has to be back."""
PATIENCE = 60.0
"""Seconds that a client waits for one answer."""
_ADMITTED_AT_ONCE = 200


@attrs.define
class Answers:
    """What became of the crowd: answers by status, connections lost, refusals that do not say when to come again.

    `waited` are the seconds from a request to its answer, of those that were carried out and of the others.
    """

    statuses: Counter[int] = attrs.field(factory=Counter)
    lost: Counter[str] = attrs.field(factory=Counter)
    silent: int = 0
    waited: tuple[list[float], list[float]] = attrs.field(factory=lambda: ([], []))

    @property
    def done(self) -> int:
        """Requests that were carried out."""
        return len(self.waited[0])

    def p99(self) -> float:
        """Return how long those waited who waited longest of the requests that were carried out."""
        return sorted(self.waited[0])[self.done * 99 // 100]


@attrs.frozen
class Offered:
    """A server before, during and after the crowd.

    `before` and `after` are the same mixture of requests from an eighth of the clients that it takes at once.
    `share` is what was carried out for the crowd, of what is carried out before it. `first_after` are the seconds from
    the end of the load to the first 200, `memory` the resident megabytes before it, and at the end of each third of it.
    """

    before: Load
    crowd: Answers
    share: float
    first_after: float
    after: Load
    memory: tuple[float, ...]


def overload(
    address: str, pid: int, make: Callable[[], Iterator[bytes]], probe: bytes, in_flight: int, seconds: float
) -> Offered:
    """Measure the server alone, offer it `CROWD` times `in_flight` for `seconds`, and measure it again."""
    calm, few = max(1.0, seconds / 10), max(8, in_flight // 8)
    before = measure(address, make(), few, calm)
    memory = [_resident(pid)]
    watcher = threading.Thread(target=_watch, args=(pid, seconds, memory))
    watcher.start()
    crowd = _crowd(address, make, CROWD * in_flight, seconds)
    ended = time.perf_counter()
    watcher.join()
    while measure(address, _once(probe), 1, 1.0).failed:
        if time.perf_counter() - ended > PATIENCE:
            raise TimeoutError("the server does not come back")
    first_after = time.perf_counter() - ended
    time.sleep(max(0.0, AFTER - first_after))
    after = measure(address, make(), few, calm)
    share = crowd.done / seconds / before.per_second
    return Offered(before, crowd, share, first_after, after, tuple(memory))


def _once(one: bytes) -> Iterator[bytes]:
    yield one


def _resident(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss) / 1e6


def _watch(pid: int, seconds: float, memory: list[float]) -> None:
    for _ in range(3):
        time.sleep(seconds / 3)
        memory.append(_resident(pid))


def _crowd(address: str, make: Callable[[], Iterator[bytes]], clients: int, seconds: float) -> Answers:
    """Drive the crowd from another process."""
    found: Answers = result(run_apart(lambda: asyncio.run(_Crowd(address, make(), seconds).run(clients))))
    return found


@attrs.define
class _Crowd:
    address: str
    requests: Iterator[bytes]
    seconds: float
    found: Answers = attrs.field(factory=Answers)
    end: float = 0.0

    async def run(self, clients: int) -> Answers:
        self.end = time.perf_counter() + self.seconds
        gate = asyncio.Semaphore(_ADMITTED_AT_ONCE)
        await asyncio.gather(*(self._client(gate) for _ in range(clients)))
        return self.found

    async def _client(self, gate: asyncio.Semaphore) -> None:
        try:
            parts = urlsplit(self.address)
            async with gate:
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                while time.perf_counter() < self.end:
                    await self._one(reader, writer)
            finally:
                writer.close()
        except (OSError, EOFError, TimeoutError) as error:
            self.found.lost[type(error).__name__] += 1

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun = time.perf_counter()
        writer.write(next(self.requests))
        async with asyncio.timeout(PATIENCE):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            start = head.find(b"content-length: ")
            if start >= 0:
                await reader.readexactly(int(head[start + 16 : head.index(b"\r", start)]))
        status = int(head[9:12])
        self.found.statuses[status] += 1
        self.found.silent += status in (429, 503) and b"\r\nretry-after: " not in head
        self.found.waited[status >= 400].append(time.perf_counter() - begun)


def told(found: Offered) -> str:
    """Return what was found, in one line."""
    crowd = found.crowd
    done, refused = (max(each, default=0.0) for each in crowd.waited)
    return (
        f"{sum(crowd.statuses.values()):,} answers {dict(sorted(crowd.statuses.items()))}, lost {dict(crowd.lost)}, "
        f"{found.share:.2f} of the work done, p99 {crowd.p99():.2f} s, slowest {done:.2f} s, refusal {refused:.2f} s, "
        f"first 200 after {found.first_after:.2f} s, then {_rate(found.after)}, "
        f"memory {' → '.join(f'{each:.0f}' for each in found.memory)} MB"
    )


def _rate(load: Load) -> str:
    return f"{load.per_second:,.0f}/s p50 {load.p50:.1f} ms"


def overload_rows(url: str) -> Iterator[Row]:
    """Yield one row: a minute of ten times the requests that a server takes at once, reads and writes mixed."""
    with engine(DATABASE_URL=url) as served:
        world = settle(served)
        read = request("GET", f"/api/items/{world.hot}", world.token)
        page = request("GET", "/api/items?limit=20", world.token)

        def make() -> Iterator[bytes]:
            writes = (request("POST", "/api/items", world.token, animal) for animal in world.new_items())
            return itertools.chain.from_iterable(zip(itertools.repeat(read), itertools.repeat(page), writes))

        found = overload(served.address, served.process.pid, make, read, IN_FLIGHT, SECONDS)
        name = f"overload, {CROWD * IN_FLIGHT:,} connections for {SECONDS:.0f} s"
        done = found.crowd.done / SECONDS
        yield Row(name, done, baseline="before", theirs=found.before.per_second, remark=told(found))

"""A load generator that costs little: prepared requests over keep-alive sockets, in processes of its own."""

import json
import selectors
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlsplit

import attrs

PATIENCE = 600.0
"""Seconds that a load waits for the next answer."""


@attrs.frozen
class Load:
    """What was measured: requests per second, latencies in milliseconds, and answers that were no success.

    `busy` is the share of one processor that the load process itself took, `lost` the connections that broke,
    `bodies` the successful answers where they were asked for.
    """

    per_second: float
    p50: float
    p99: float
    failed: int
    busy: float = 0.0
    statuses: Mapping[int, int] = attrs.field(factory=dict)
    lost: int = 0
    bodies: Sequence[bytes] = ()


def request(
    method: str, path: str, token: str = "", body: Any = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """Return one HTTP/1.1 request ready to send; a body that is not bytes goes as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        typed = () if isinstance(body, bytes) else ("Content-Type: application/json",)
        lines += [*typed, f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def measure(
    addresses: str | Sequence[str],
    requests: Iterator[bytes],
    clients: int,
    seconds: float,
    *,
    keep: bool = False,
    processes: int = 1,
) -> Load:
    """Drive `clients` connections for `seconds` from another process; each takes the next request in turn.

    Connections go to the addresses in turn. With several `processes` each has its share of the connections and the
    same requests. `keep` returns the bodies of successful answers.
    """
    named = [addresses] if isinstance(addresses, str) else list(addresses)
    shares = [clients // processes + (number < clients % processes) for number in range(processes)]
    waiting = [run_apart(lambda share=share: Driver(named, requests, seconds, keep).run(share)) for share in shares]
    return added(list(map(result, waiting)))


def added(loads: Sequence[Load]) -> Load:
    """Return what several load processes measured together; of latencies and shares the worst."""
    if len(loads) == 1:
        return loads[0]
    statuses: Counter[int] = Counter()
    for load in loads:
        statuses.update(load.statuses)
    return Load(
        sum(load.per_second for load in loads),
        max(load.p50 for load in loads),
        max(load.p99 for load in loads),
        sum(load.failed for load in loads),
        max(load.busy for load in loads),
        statuses,
    )


Apart = tuple[Any, Any]


def run_apart(work: Any) -> Apart:
    """Run `work()` in a forked process; `result` returns what it returned."""
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sender, work))
    process.start()
    sender.close()
    return receiver, process


def result(running: Apart) -> Any:
    """Wait for a process of `run_apart`. Raises RuntimeError with what went wrong there."""
    receiver, process = running
    try:
        found = receiver.recv()
    except EOFError:
        found = RuntimeError("the load process ended without a result")
    process.join()
    if isinstance(found, BaseException):
        raise RuntimeError(f"in the load process: {found}") from found
    return found


def _work(sender: Any, work: Any) -> None:
    try:
        sender.send(work())
    except Exception as error:
        sender.send(RuntimeError(f"{type(error).__name__}: {error}"))


class _Connection:
    __slots__ = ("asked", "begun", "received", "socket")

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.socket = socket.create_connection((parts.hostname or "", parts.port or 80))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        self.asked = b""
        self.begun = 0.0

    def ask(self, one: bytes) -> None:
        self.asked = one
        self.begun = time.perf_counter()
        self.socket.sendall(one)


class Driver:
    """Sends the next request on a connection as soon as its last answer is complete, until the time is over."""

    def __init__(self, addresses: Sequence[str], requests: Iterable[bytes], seconds: float, keep: bool = False) -> None:
        self.addresses = addresses
        self.requests = iter(requests)
        self.seconds = seconds
        self.keep = keep
        self.latencies: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.bodies: list[bytes] = []
        self.lost = 0
        self._selector = selectors.DefaultSelector()

    def run(self, clients: int) -> Load:
        """Drive so many connections and return what was measured."""
        made = [_Connection(self.addresses[number % len(self.addresses)]) for number in range(clients)]
        begun, worked = time.perf_counter(), time.process_time()
        self.end = begun + self.seconds
        for connection in made:
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            self._next(connection)
        self._answers()
        took = time.perf_counter() - begun
        return self.load(took, (time.process_time() - worked) / took)

    def load(self, took: float, busy: float) -> Load:
        """Return the measure of what was answered in `took` seconds."""
        p50, p99 = percentiles(self.latencies)
        failed = sum(count for status, count in self.statuses.items() if not 200 <= status < 400)
        per_second = len(self.latencies) / took
        return Load(per_second, p50, p99, failed, busy, dict(self.statuses), self.lost, self.bodies)

    def _answers(self) -> None:
        while self._selector.get_map():
            ready = self._selector.select(PATIENCE)
            if not ready:
                raise TimeoutError(f"no answer for {PATIENCE:.0f} s")
            for key, _ in ready:
                try:
                    self._receive(key.data)
                except OSError:
                    self._close(key.data)
                    self.lost += 1

    def _receive(self, connection: _Connection) -> None:
        data = connection.socket.recv(1 << 20)
        if not data:
            raise ConnectionResetError
        received = connection.received + data if connection.received else data
        split = split_answer(received)
        if split is None:
            connection.received = received
            return
        connection.received = b""
        self.answered(connection.asked, *split, time.perf_counter() - connection.begun)
        self._next(connection)

    def answered(self, asked: bytes, status: int, body: bytes, took: float) -> None:
        """Take note of a complete answer."""
        self.latencies.append(took)
        self.statuses[status] += 1
        if self.keep and 200 <= status < 300:
            self.bodies.append(body)

    def _next(self, connection: _Connection) -> None:
        one = next(self.requests, None) if time.perf_counter() < self.end else None
        if one is None:
            self._close(connection)
        else:
            connection.ask(one)

    def _close(self, connection: _Connection) -> None:
        self._selector.unregister(connection.socket)
        connection.socket.close()


def split_answer(received: bytes) -> tuple[int, bytes] | None:
    """Return status and body of a complete answer, None while there is more to come."""
    body = received.find(b"\r\n\r\n") + 4
    if body == 3:
        return None
    head = received[:body].lower()
    start = head.find(b"content-length: ")
    status = int(head[9:12])
    if start < 0:
        if status not in (204, 304):
            raise ValueError(f"an answer {status} without a length")
        return status, b""
    if len(received) < body + int(head[start + 16 : head.index(b"\r", start)]):
        return None
    return status, received[body:]


def percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    """Return p50 and p99 in milliseconds."""
    if len(seconds) < 2:
        return (seconds[0] * 1000,) * 2 if seconds else (0.0, 0.0)
    cuts = statistics.quantiles(seconds, n=100)
    return cuts[49] * 1000, cuts[98] * 1000


def note(text: str) -> None:
    """Tell on standard error how far the run is."""
    print(text, file=sys.stderr, flush=True)

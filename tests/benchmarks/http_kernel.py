"""What the chain costs: a Litestar route of constant bytes (R0) against a kernel route of constant bytes.

    python -m tests.benchmarks.http_kernel [rounds] [seconds]

Each is served by uvicorn in a process of its own; 32 connections measure them in turns, and medians are compared.
The processor time per request is told too: it stays meaningful on a machine that others use.
"""

import asyncio
import multiprocessing
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psutil
import uvicorn
import uvloop
from litestar import Litestar, get
from litestar.response import Response

from adapters.memory.storage import MemoryStorage
from domain.access.principal import Principal, PrincipalKind
from domain.items.dfid import parse_dfid
from domain.ports.clock import SystemClock
from entrypoints.http.answers import Ready
from entrypoints.http.app import create_app
from entrypoints.http.health import Health, StoreState
from entrypoints.http.idempotency import Idempotency
from entrypoints.http.kept import KeptAnswers
from entrypoints.http.paging import Cursors
from entrypoints.http.routing import Call, Route
from entrypoints.http.server import server_config
from entrypoints.http.serving import Kernel
from entrypoints.http.settings import HttpSettings
from entrypoints.logging import configure

CONNECTIONS = 32
BODY = b'{"dfid":"DFID-20250108-000042-94E","status":"active","version":1,"data":{"peso_kg":412.5,"raca":"Nelore"}}'
PATH = "/api/items/DFID-20250108-000042-94E"
REQUEST = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer token\r\nUser-Agent: bench\r\n\r\n".encode()
ANA = Principal(PrincipalKind.USER, "018f6f6f-0000-7000-8000-0000000000a1")


def plain() -> Any:
    """Return R0: constant bytes and nothing else."""

    @get("/api/items/{dfid:str}", media_type="application/json")
    async def constant(dfid: str) -> Response[bytes]:
        return Response(BODY, media_type="application/json")

    return Litestar([constant], openapi_config=None, logging_config=None)


class Anybody:
    async def authenticate(self, credential: Any, client: Any) -> Principal:
        return ANA


def kernel() -> Any:
    """Return a route through the whole chain, with a trivial authenticator and real log records."""
    configure("info", "json", instance_id="bench", version="0")
    clock = SystemClock()

    async def store_state() -> StoreState:
        return StoreState(1, 1)

    async def constant(_: Call) -> Any:
        return Ready(BODY, 1)

    health = Health("0", "bench", clock.now(), "memory", clock, store_state, phase="ready")
    idempotency = Idempotency(MemoryStorage(), clock, timedelta(hours=1), bytes, bytes)
    route = Route(
        method="GET",
        path="/api/items/{dfid}",
        handler=constant,
        operation_id="item_show",
        tag="items",
        summary="Constant bytes.",
        any_credential=True,
        versioned=True,
    )
    kernel = Kernel(
        settings=HttpSettings(version="0"),
        authenticator=Anybody(),
        cursors=Cursors((b"k",)),
        idempotency=idempotency,
        limits=None,
        parse_dfid=parse_dfid,
        gate=health,
        kept=KeptAnswers(MemoryStorage(), clock),
    )
    return create_app([route], kernel, health)


def serve(make: Callable[[], Any], listener: socket.socket) -> None:
    """Serve one application until the process is ended, its log thrown away line by line."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    uvicorn.Server(server_config(make())).run([listener])


class Client(asyncio.Protocol):
    """Sends the next request when the answer to the last one is complete."""

    def __init__(self, latencies: list[float]) -> None:
        self.latencies = latencies
        self.received = b""
        self.sent = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.sent = time.perf_counter()
        self.transport.write(REQUEST)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(BODY):
            if not self.received.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(self.received)
            self.latencies.append(time.perf_counter() - self.sent)
            self.received = b""
            self.ask()


async def load(port: int, connections: int, seconds: float, server: psutil.Process) -> tuple[float, float, float]:
    """Return requests per second, the median latency and the server's processor time per request, in seconds."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    made = [await loop.create_connection(lambda: Client(latencies), "127.0.0.1", port) for _ in range(connections)]
    await asyncio.sleep(0.3)
    latencies.clear()
    begun, used = time.perf_counter(), busy(server)
    await asyncio.sleep(seconds)
    count, spent, worked = len(latencies), time.perf_counter() - begun, busy(server) - used
    for transport, _ in made:
        transport.abort()
    return count / spent, statistics.median(latencies), worked / count


def busy(server: psutil.Process) -> float:
    """Return the processor time that a process has used."""
    times = server.cpu_times()
    return float(times.user + times.system)


def main(rounds: int = 5, seconds: float = 2.0) -> None:
    """Measure in turns and print medians."""
    applications = {"R0": plain, "kernel": kernel}
    ports, processes = {}, {}
    for name, make in applications.items():
        listener = socket.create_server(("127.0.0.1", 0))
        ports[name] = listener.getsockname()[1]
        process = multiprocessing.get_context("fork").Process(target=serve, args=(make, listener), daemon=True)
        process.start()
        processes[name] = process
    time.sleep(2)
    found: dict[str, list[tuple[float, ...]]] = {name: [] for name in applications}
    for _ in range(rounds):
        for name, port in ports.items():
            server = psutil.Process(processes[name].pid)
            many, _p50, cost = uvloop.run(load(port, CONNECTIONS, seconds, server))
            _one, p50, _cost = uvloop.run(load(port, 1, seconds / 4, server))
            found[name].append((many, p50 * 1000, cost * 1e6))
    for process in processes.values():
        process.terminate()
    report(found)


def report(found: dict[str, list[tuple[float, ...]]]) -> None:
    """Print the medians and the ratios."""
    medians = {name: [statistics.median(column) for column in zip(*rows, strict=True)] for name, rows in found.items()}
    for name, (many, p50, cost) in medians.items():
        print(
            f"{name:8}{many:8.0f}/s with {CONNECTIONS} connections, {p50:.3f} ms p50 with one, {cost:.1f} us CPU each"
        )
    ours, theirs = medians["kernel"], medians["R0"]
    print(f"ratio to R0: {ours[0] / theirs[0]:.2f} by requests, {theirs[2] / ours[2]:.2f} by processor time")


if __name__ == "__main__":
    main(*(float(argument) if index else int(argument) for index, argument in enumerate(sys.argv[1:])))  # type: ignore[arg-type]

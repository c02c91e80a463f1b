"""A load generator that costs little: prepared requests over keep-alive sockets, in a process of its own."""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from multiprocessing import get_context
from typing import Any
from urllib.parse import urlsplit

import attrs


@attrs.frozen
class Load:
    """What was measured: requests per second, latencies in milliseconds, and answers that were no success."""

    per_second: float
    p50: float
    p99: float
    failed: int


def request(
    method: str, path: str, token: str = "", body: Any = None, headers: Mapping[str, str] | None = None
) -> bytes:
    """Return one HTTP/1.1 request ready to send."""
    content = json.dumps(body).encode() if body is not None else b""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def measure(address: str, requests: Iterator[bytes], clients: int, seconds: float) -> Load:
    """Drive `clients` connections for `seconds` from another process; each takes the next request in turn."""
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_measured, args=(sender, address, requests, clients, seconds))
    process.start()
    load: Load = receiver.recv()
    process.join()
    return load


def _measured(sender: Any, address: str, requests: Iterator[bytes], clients: int, seconds: float) -> None:
    sender.send(asyncio.run(_drive(address, requests, clients, seconds)))


async def _drive(address: str, requests: Iterator[bytes], clients: int, seconds: float) -> Load:
    parts = urlsplit(address)
    latencies: list[float] = []
    failed = 0
    end = time.perf_counter() + seconds

    async def client() -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while (begun := time.perf_counter()) < end:
            one = next(requests, None)
            if one is None:
                break
            writer.write(one)
            status = await _answer(reader)
            latencies.append(time.perf_counter() - begun)
            failed += not 200 <= status < 400
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    took = time.perf_counter() - begun
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    return Load(len(latencies) / took, cuts[49] * 1000, cuts[98] * 1000, failed)


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lower = head.lower()
    start = lower.find(b"content-length: ")
    if start >= 0:
        await reader.readexactly(int(lower[start + 16 : lower.index(b"\r", start)]))
    return int(head[9:12])


def note(text: str) -> None:
    """Tell on standard error how far the run is."""
    print(text, file=sys.stderr, flush=True)

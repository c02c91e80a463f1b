"""Whoever finds no room is told so before anything is done for it, and listened to again when there may be room."""

import asyncio
import json
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import structlog

from entrypoints.http import crowd
from entrypoints.http.exchange import add_request
from tests.http.kernel.conftest import served
from tests.http.kernel.toy import TOKEN, Toy

ASKED = b"GET /api/big HTTP/1.1\r\nhost: x\r\nauthorization: Bearer token-of-ana\r\n"
HELD = 0.3


class Line:
    """One connection, without a client library that would open another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, head: bytes, body: bytes = b"", *, shows: bool = True) -> tuple[int, dict[str, str], bytes]:
        """Send a request and return status, headers and body of the answer."""
        self.writer.write(head + b"\r\n" + body)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = dict(line.split(": ", 1) for line in lines[1:])
        content = await self.reader.readexactly(int(headers["content-length"])) if shows else b""
        return int(lines[0].split(" ")[1]), headers, content


@asynccontextmanager
async def full(toy: Toy) -> AsyncIterator[str]:
    """Serve a toy that takes one request at once, which is there already."""
    async with served(toy.app()) as address, httpx.AsyncClient(base_url=address) as client:
        waiting = asyncio.create_task(client.get("/api/wait", headers=TOKEN))
        await toy.started.wait()
        yield address
        toy.released.set()
        assert (await waiting).status_code == 200


@asynccontextmanager
async def line_to(address: str) -> AsyncIterator[Line]:
    url = httpx.URL(address)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    yield Line(reader, writer)
    writer.close()
    await writer.wait_closed()


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Toy:
    monkeypatch.setattr(crowd, "HELD_SECONDS", HELD)
    return Toy(max_in_flight=1, cors_origins=frozenset({"https://app.example"}))


async def test_the_early_refusal_is_the_one_of_the_chain_with_one_record(toy: Toy) -> None:
    more = b"origin: https://app.example\r\naccept-language: pt-BR\r\nx-request-id: r-1\r\n"
    with structlog.testing.capture_logs(processors=[add_request]) as logs:
        async with full(toy) as address, line_to(address) as first, line_to(address) as second:
            early = await first.ask(ASKED + more)
            chained = await second.ask(ASKED + more + b"expect: 100-continue\r\n")
    changing = {"date", "x-trace-id"}
    for status, headers, _ in (early, chained):
        assert status == 503
        assert headers["retry-after"] == "1" and headers["access-control-allow-origin"] == "https://app.example"
    assert {k: v for k, v in early[1].items() if k not in changing} == {
        k: v for k, v in chained[1].items() if k not in changing
    }
    told = [json.loads(body) | {"trace_id": ""} for _, _, body in (early, chained)]
    assert told[0] == told[1] and told[0]["code"] == "overloaded" and told[0]["title"] != "Overloaded"
    records = [entry for entry in logs if entry["event"] == "http.request" and entry["status"] == 503]
    assert [(entry["log_level"], entry["code"], entry["request_id"]) for entry in records] == [
        ("error", "overloaded", "r-1")
    ] * 2
    assert records[0]["trace_id"] == early[1]["x-trace-id"] and records[0]["bytes_out"] == len(early[2])
    assert toy.records.count(("GET", None, 503)) == 2


async def test_bodies_heads_and_old_clients_are_refused_as_they_ask(toy: Toy) -> None:
    async with full(toy) as address:
        async with line_to(address) as line:
            posted = ASKED.replace(b"GET", b"POST") + b"content-length: 5\r\n"
            assert (await line.ask(posted, b"never"))[0] == 503
            assert (await line.ask(ASKED.replace(b"GET", b"HEAD"), shows=False))[0] == 503
            assert (await line.ask(ASKED))[0] == 503
            assert (await line.ask(ASKED.replace(b"/api/big", b"/health")))[0] == 200
        async with line_to(address) as line:
            _, headers, _ = await line.ask(ASKED.replace(b"1.1", b"1.0"))
            assert headers["connection"] == "close"
            assert await line.reader.read() == b""


async def test_who_does_not_wait_is_heard_when_retry_after_is_over_and_who_waits_at_once(toy: Toy) -> None:
    async with full(toy) as address, line_to(address) as line:
        assert (await line.ask(ASKED))[0] == 503
        begun = time.perf_counter()
        assert (await line.ask(ASKED))[0] == 503
        assert HELD * 0.9 < time.perf_counter() - begun < HELD + 1
        # What else the machine does only adds to it: the quickest of several answers was not held.
        took = [math.inf]
        while min(took) >= HELD * 0.9 and len(took) <= 8:
            await asyncio.sleep(HELD + 0.1)
            begun = time.perf_counter()
            assert (await line.ask(ASKED))[0] == 503
            took.append(time.perf_counter() - begun)
        assert min(took) < HELD * 0.9, took


async def test_a_free_place_goes_to_who_was_refused_without_waiting_for_the_time(
    toy: Toy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "HELD_SECONDS", 30.0)
    async with full(toy) as address, line_to(address) as line:
        assert (await line.ask(ASKED))[0] == 503
        again = asyncio.create_task(line.ask(ASKED))
        await asyncio.sleep(0.05)
        assert not again.done()
        toy.released.set()
        async with asyncio.timeout(5):
            assert (await again)[0] == 200


async def test_who_leaves_while_held_is_forgotten(toy: Toy) -> None:
    async with full(toy) as address:
        async with line_to(address) as line:
            assert (await line.ask(ASKED))[0] == 503
        await asyncio.sleep(HELD + 0.1)
        async with line_to(address) as line:
            assert (await line.ask(ASKED))[0] == 503


async def test_a_request_on_its_way_when_the_server_ends_is_told_so(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """An idle connection is not closed under a request; without one it goes by itself."""
    links: list[crowd.Connection] = []
    begin = crowd.Connection.connection_made
    monkeypatch.setattr(
        crowd.Connection, "connection_made", lambda link, transport: (links.append(link), begin(link, transport))
    )
    async with served(toy.app()) as address, line_to(address) as busy, line_to(address) as idle:
        for line in (busy, idle):
            assert (await line.ask(ASKED))[0] == 200
        toy.health.closing = True
        for link in links:
            link.shutdown()
        status, headers, body = await busy.ask(ASKED)
        assert (status, headers["connection"], json.loads(body)["code"]) == (503, "close", "draining")
        async with asyncio.timeout(10):
            assert [await line.reader.read() for line in (busy, idle)] == [b"", b""]

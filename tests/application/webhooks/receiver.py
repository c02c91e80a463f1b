"""A receiver of deliveries: a small HTTP server that answers as a test says."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs


@attrs.frozen
class Request:
    """One request as it came; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: str


DROP = b""
OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def status(code: int, *fields: str) -> bytes:
    """Return an answer with this status and these header lines."""
    lines = "".join(f"{field}\r\n" for field in fields)
    return f"HTTP/1.1 {code} Said So\r\ncontent-length: 0\r\n{lines}\r\n".encode()


@attrs.define
class Receiver:
    """Keeps what it was sent. `answer` says what a request is answered with; DROP closes the connection."""

    port: int = 0
    answer: Callable[[Request], bytes] = lambda request: OK
    hold: asyncio.Event | None = None
    requests: list[Request] = attrs.field(factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            self.requests.append(request)
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            if self.hold is not None:
                await self.hold.wait()
            self.at_once -= 1
            writer.write(self.answer(request))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *fields = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(line.split(" ")[1], headers, body.decode())


@asynccontextmanager
async def receiving(context: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Run a receiver on a free port of this machine."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()

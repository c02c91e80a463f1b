"""Calls of the ASGI application without a client library: the matrix makes thousands."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import attrs

from entrypoints.http.app import App

VERSIONS = ", ".join(f'"{version}"' for version in range(1, 100))
"""An If-Match that accepts whatever version the object is at."""

PER_REQUEST = frozenset({"date", "x-request-id", "x-trace-id"})
"""Headers that differ between any two answers."""


@attrs.frozen
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str | None:
        """The code of a problem, None for any other answer."""
        problem = self.headers.get("content-type") == "application/problem+json"
        return self.json["code"] if problem else None

    @property
    def text(self) -> str:
        """Everything that was sent, for the search of what should not have been."""
        return "\n".join((*self.headers.values(), self.body.decode("utf-8", "replace")))

    @property
    def comparable(self) -> Any:
        """What has to be equal for two answers that must not be told apart (circuits.md 2.8, law 6)."""
        told = {name: value for name, value in self.headers.items() if name not in PER_REQUEST}
        return self.status, told, self.json | {"trace_id": None} if self.code else self.body


async def call(
    app: App, method: str, path: str, *, credential: Mapping[str, str], body: Any = None, upload: str | None = None
) -> Answer:
    """Send one request; `upload` is the text of a CSV file."""
    content = b"" if body is None else json.dumps(body).encode()
    headers = {"host": "engine", "if-match": VERSIONS, **credential}
    if body is not None:
        headers["content-type"] = "application/json"
    if upload is not None:
        content, headers["content-type"] = upload.encode(), "text/csv"
    address, _, query = path.partition("?")
    return await sent(app, method, quote(address, safe="/-_.~"), query, headers, content)


async def sent(
    app: App, method: str, address: str, query: str, headers: Mapping[str, str], content: bytes, *, empty: bool = False
) -> Answer:
    """Send one request as it is: `address` is escaped already; a header without a value is sent if `empty`."""
    every = {"content-length": str(len(content))} | {**headers}
    told = {name: value for name, value in every.items() if value or empty}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(address),
        "raw_path": address.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in told.items()],
        "client": ("203.0.113.7", 4711),
        "server": ("engine", 80),
    }
    return await _exchanged(app, scope, content)


async def _exchanged(app: App, scope: dict[str, Any], content: bytes) -> Answer:
    status, headers, parts = 0, {}, []
    waiting = [{"type": "http.request", "body": content, "more_body": False}]

    async def receive() -> Any:
        if not waiting:
            # The client stays until it has its answer, however slow the machine is.
            await asyncio.Event().wait()
        return waiting.pop()

    async def send(message: Any) -> None:
        nonlocal status, headers
        if message["type"] == "http.response.start":
            status = message["status"]
            headers = {name.decode().lower(): value.decode("latin-1") for name, value in message["headers"]}
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    return Answer(status, headers, b"".join(parts))

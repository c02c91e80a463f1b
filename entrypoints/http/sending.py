"""Sending answers: headers that every answer has, CORS, compression (http.md 8, 12, 13, 14)."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from typing import Final

from entrypoints.http.answers import Answer, Stream, stream_headers
from entrypoints.http.conditional import VARY
from entrypoints.http.exchange import WHOLE, Exchange
from entrypoints.http.settings import HttpSettings

MIN_COMPRESSED: Final = 1024
IN_THREAD: Final = 256 * 1024
METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
REQUEST_HEADERS: Final = (
    "Authorization, X-API-Key, X-Page-Token, Content-Type, If-Match, If-None-Match, Idempotency-Key, "
    "Last-Event-ID, X-Request-Id, traceparent, Accept-Language"
)
EXPOSED: Final = (
    "ETag, Location, Content-Location, Link, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed, "
    "X-Request-Id, X-Trace-Id, Deprecation, Sunset, Content-Disposition"
)
POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
_PACKED_TYPES: Final = re.compile(r"(application|text)/")
_GZIP: Final = re.compile(rb"(?:^|[,\s])(?:gzip|x-gzip|\*)\s*(?:;\s*q\s*=\s*(0(?:\.0{0,3})?)(?=\s*(?:,|$)))?")
Raw = tuple[bytes, bytes]


class Sender:
    """Sends answers. `policy` of an answer may replace the Content-Security-Policy."""

    def __init__(self, settings: HttpSettings) -> None:
        self.origins = settings.cors_origins
        base = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"vary", VARY.encode()),
            *([(b"strict-transport-security", b"max-age=31536000")] if settings.hsts else []),
        ]
        self.plain = (*base, (b"cross-origin-resource-policy", b"same-origin"))
        self.shared = (
            *base,
            (b"cross-origin-resource-policy", b"cross-origin"),
            (b"access-control-expose-headers", EXPOSED.encode()),
        )
        self.preflight = (
            ("access-control-allow-methods", METHODS),
            ("access-control-allow-headers", REQUEST_HEADERS),
            ("access-control-max-age", "600"),
        )

    def allows(self, origin: str | None) -> bool:
        """Tell whether scripts of an origin may read answers."""
        return origin is not None and ("*" in self.origins or origin in self.origins)

    def _common(self, exchange: Exchange) -> list[Raw]:
        identity = [
            (b"x-request-id", exchange.request_id.encode()),
            (b"x-trace-id", exchange.trace_id.encode()),
        ]
        origin = exchange.headers.get(b"origin")
        if origin is None or not self.allows(origin.decode("latin-1")):
            return [*self.plain, *identity]
        allowed = b"*" if "*" in self.origins else origin
        return [*self.shared, (b"access-control-allow-origin", allowed), *identity]

    def _headers(self, exchange: Exchange, own: tuple[tuple[str, str], ...]) -> list[Raw]:
        headers = self._common(exchange)
        headers += [(name.encode(), value.encode("latin-1")) for name, value in own]
        headers += [(name.encode(), value.encode("latin-1")) for name, value in exchange.extra_headers]
        if not any(name == "content-security-policy" for name, _ in own):
            headers.append((b"content-security-policy", POLICY.encode()))
        return headers

    def headers(self, exchange: Exchange, answer: Answer) -> list[Raw]:
        """Return the headers of a small answer with a body."""
        return [*self._headers(exchange, answer.headers), (b"content-length", b"%d" % len(answer.body))]

    async def send(self, exchange: Exchange, answer: Answer) -> None:
        """Send a complete answer; without its body for HEAD."""
        headers = self._headers(exchange, answer.headers)
        body = answer.body
        if len(body) >= MIN_COMPRESSED and not answer.secret and _takes_gzip(exchange, answer):
            body = await _packed(body)
            headers.append((b"content-encoding", b"gzip"))
        if answer.status not in (204, 304):
            headers.append((b"content-length", b"%d" % len(body)))
        if exchange.method == "HEAD":
            body = b""
        exchange.bytes_out = len(body)
        if exchange.whole:
            await exchange.send({"type": WHOLE, "status": answer.status, "headers": headers, "body": body})
            return
        await exchange.send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await exchange.send({"type": "http.response.body", "body": body})

    async def stream(self, exchange: Exchange, stream: Stream) -> None:
        """Send a stream as it comes, and close its source whatever happens."""
        headers = self._headers(exchange, stream_headers(stream))
        await exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
        try:
            await self._chunks(exchange, stream.chunks)
        finally:
            close = getattr(stream.chunks, "aclose", None)
            if close is not None:
                await close()
        await exchange.send({"type": "http.response.body", "body": b""})

    async def _chunks(self, exchange: Exchange, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            exchange.bytes_out += len(chunk)
            await exchange.send({"type": "http.response.body", "body": chunk, "more_body": True})


def _takes_gzip(exchange: Exchange, answer: Answer) -> bool:
    accepted = exchange.headers.get(b"accept-encoding")
    if accepted is None:
        return False
    match = _GZIP.search(accepted.lower())
    kind = next((value for name, value in answer.headers if name == "content-type"), "")
    return match is not None and match[1] is None and _PACKED_TYPES.match(kind) is not None


async def _packed(body: bytes) -> bytes:
    if len(body) < IN_THREAD:
        return gzip.compress(body, 1, mtime=0)
    return await asyncio.to_thread(gzip.compress, body, 1, mtime=0)

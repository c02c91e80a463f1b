"""Reading request bodies: media type, size, pace (http.md 2, 13)."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from email.message import Message as Headers
from typing import Final

from domain.errors import Refusal
from entrypoints.http.exchange import Exchange
from entrypoints.http.routing import Route, Upload
from entrypoints.http.settings import HttpSettings

MAX_INFLATION: Final = 100


class ClientGone(Exception):
    """The client closed the connection before its request was read or answered."""


def body_limit(route: Route, settings: HttpSettings) -> int:
    """Return how many bytes a route takes."""
    if route.body_limit is not None:
        return route.body_limit
    if route.uploads:
        return settings.max_import_body
    if route.bulk:
        return settings.max_bulk_body
    return settings.max_auth_body if route.path.startswith("/api/auth/") else settings.max_body


async def read_body(exchange: Exchange, route: Route, limit: int, idle: float) -> bytes:
    """Return the whole body, empty when none was sent. Raises Refusal 413 for a declared size, 415, 413, 408."""
    refuse_declared(exchange, limit)
    if b"content-type" in exchange.headers:
        media_type(exchange, route)
    if b"content-encoding" in exchange.headers:
        raise Refusal("media_type_unsupported", "Bodies are not compressed here.")
    chunks: list[bytes] = []
    while not exchange.body_read:
        chunks.append(await _chunk(exchange, limit, idle))
    body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    if body and b"content-type" not in exchange.headers:
        media_type(exchange, route)
    return body


def refuse_declared(exchange: Exchange, limit: int) -> None:
    """Raise Refusal `body_too_large` when the declared size is beyond the bound."""
    declared = exchange.headers.get(b"content-length", b"0")
    if declared.isdigit() and int(declared) > limit:
        raise too_large(limit)


def too_large(limit: int) -> Refusal:
    """Return the refusal that names the bound in bytes."""
    return Refusal("body_too_large", f"This route takes {limit} bytes.")


def media_type(exchange: Exchange, route: Route) -> Headers:
    """Return the parsed Content-Type. Raises Refusal `media_type_unsupported`."""
    raw = exchange.header(b"content-type")
    parsed = Headers()
    if raw == "application/json" and not route.uploads:
        parsed["content-type"] = raw
        return parsed
    if raw is not None:
        parsed["content-type"] = raw
    charset = str(parsed.get_param("charset", "utf-8")).lower()
    json_like = not route.uploads
    if raw is None or parsed.get_content_type() not in route.media_types or (json_like and charset != "utf-8"):
        raise Refusal("media_type_unsupported", f"Send {' or '.join(route.media_types)}.")
    return parsed


def open_upload(exchange: Exchange, route: Route, limit: int, idle: float) -> Upload:
    """Return a body that is read as it comes, decompressed. Raises Refusal 415, 413."""
    refuse_declared(exchange, limit)
    parsed = media_type(exchange, route)
    chunks = _received(exchange, limit, idle)
    coding = (exchange.header(b"content-encoding") or "identity").strip().lower()
    if coding not in ("identity", "gzip"):
        raise Refusal("media_type_unsupported", "Bodies are gzip-coded or not at all.")
    parameters = {name: value for name, value in parsed.get_params([])[1:] if isinstance(value, str)}
    return Upload(parsed.get_content_type(), parameters, _inflated(chunks, limit) if coding == "gzip" else chunks)


async def _received(exchange: Exchange, limit: int, idle: float) -> AsyncIterator[bytes]:
    """Yield what arrives."""
    while not exchange.body_read:
        chunk = await _chunk(exchange, limit, idle)
        if chunk:
            yield chunk


async def _chunk(exchange: Exchange, limit: int, idle: float) -> bytes:
    """Return what arrives next, counting it."""
    try:
        async with asyncio.timeout(idle):
            message = await exchange.receive()
    except TimeoutError:
        raise Refusal("request_timeout", f"No byte arrived for {idle:g} seconds.") from None
    if message["type"] == "http.disconnect":
        raise ClientGone
    exchange.body_read = not message.get("more_body", False)
    chunk: bytes = message.get("body", b"")
    exchange.bytes_in += len(chunk)
    if exchange.bytes_in > limit:
        raise too_large(limit)
    return chunk


async def _inflated(chunks: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    inflater = zlib.decompressobj(wbits=31)
    coded = decoded = 0
    async for chunk in chunks:
        coded += len(chunk)
        rest = chunk
        while rest:
            try:
                part = inflater.decompress(rest, 256 * 1024)
            except zlib.error:
                raise Refusal("body_unparsable", "The body is not gzip.") from None
            rest = inflater.unconsumed_tail
            decoded += len(part)
            if decoded > limit or decoded > coded * MAX_INFLATION:
                raise too_large(limit)
            if part:
                yield part
    if not inflater.eof:
        raise Refusal("body_unparsable", "The gzip body ends too soon.")

"""What a route answers, before it is sent: status, headers, ready bytes or a stream of them."""

from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import attrs

JSON: Final = "application/json; charset=utf-8"
NO_STORE: Final = "no-store"


@attrs.frozen(slots=False)
class Answer:
    """`headers` bear lower-case names. `secret` answers are neither compressed nor kept by anyone."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    secret: bool = False
    code: str | None = None


@attrs.frozen
class Stream:
    """Bytes that are sent as they come: exports and live streams. `filename` makes it an attachment.

    `sha256` is the digest of all of it, in hexadecimal, where it is known before. A `live` stream is counted neither as
    a request in flight nor against the time budget.
    """

    chunks: AsyncIterator[bytes]
    media_type: str
    filename: str | None = None
    live: bool = False
    sha256: str | None = None


@attrs.frozen
class Socket:
    """A WebSocket that is accepted and lived by `run`, which is given what receives and what sends ASGI messages."""

    run: Callable[[Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]


@attrs.frozen(slots=False)
class Ready:
    """A representation whose bytes are at hand, with the version it has, and its tag where that is known already."""

    body: bytes
    version: int | None = None
    tag: str | None = None


def header(answer: Answer, name: str) -> str | None:
    """Return one header of an answer."""
    return next((value for key, value in answer.headers if key == name), None)


def stream_headers(stream: Stream) -> tuple[tuple[str, str], ...]:
    """Return the headers of a stream."""
    named: tuple[tuple[str, str], ...] = ()
    if stream.filename is not None:
        named = (("content-disposition", f'attachment; filename="{stream.filename}"'),)
    if stream.sha256 is not None:
        digest = b64encode(bytes.fromhex(stream.sha256)).decode()
        named = (*named, ("content-digest", f"sha-256=:{digest}:"))
    return (("content-type", stream.media_type), ("cache-control", NO_STORE), *named)


def mapping_member(value: Any, name: str) -> Any:
    """Return a member of an attrs value or a mapping, None when it has none."""
    return value.get(name) if isinstance(value, dict) else getattr(value, name, None)

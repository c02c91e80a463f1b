"""Heads of requests that never become one: no HTTP, too long, or not sent (http.md 4, 13).

The server library waits for ever for the end of a head and answers what it cannot read in a form of its own.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from domain.errors import Refusal
from entrypoints.http.cycle import head_of
from entrypoints.http.sending import Raw

MAX_REQUEST_LINE: Final = 8 * 1024
MAX_HEADERS: Final = 32 * 1024
HEAD_IDLE: Final = 10.0
"""Seconds without a byte while a head is expected."""
Unread = Callable[[Refusal, str | None], tuple[int, list[Raw], bytes]]
"""Returns status, headers and body for a refusal of what was no request, sent from an address."""


class Heads(HttpToolsProtocol):
    """A connection that bounds the heads of its requests in size and time, and refuses what is none as any other."""

    def __init__(self, unread: Unread, **options: Any) -> None:
        super().__init__(**options)
        self._unread = unread
        self._heading = False
        self._head_bytes = 0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._wait_no_more()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._heading, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """End a head."""
        self._heading = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and look what they leave unfinished."""
        if self._heading:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._heading or self.transport.is_closing():
            self._wait_no_more()
        elif len(self.url) > MAX_REQUEST_LINE:
            self._give_up(Refusal("uri_too_long", f"The request line is longer than {MAX_REQUEST_LINE} bytes."))
        elif self._head_bytes > MAX_REQUEST_LINE + MAX_HEADERS:
            self._give_up(Refusal("headers_too_large", f"The headers are larger than {MAX_HEADERS} bytes."))
        else:
            self._wait()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser cannot read; an answer that is under way is broken off instead."""
        if self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete:
            self.transport.close()
        else:
            self._give_up(Refusal("header_invalid", "This is no HTTP request."))

    def _wait(self) -> None:
        self._wait_no_more()
        self._patience = self.loop.call_later(HEAD_IDLE, self._late)

    def _wait_no_more(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _late(self) -> None:
        if self._heading:
            self._give_up(Refusal("request_timeout", f"No byte of the headers arrived for {HEAD_IDLE:g} seconds."))
        else:
            self.transport.close()

    def _give_up(self, refused: Refusal) -> None:
        """Answer and close."""
        self._wait_no_more()
        self.answer(*self._unread(refused, self.client[0] if self.client else None))
        self.transport.close()

    def answer(self, status: int, headers: list[Raw], body: bytes) -> None:
        """Answer without the chain."""
        head = head_of(status, (*self.server_state.default_headers, *headers))
        if head is not None:
            self.transport.write(head + body)

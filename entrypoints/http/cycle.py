"""A request on a connection of ours, which may be answered in one piece."""

from collections.abc import Iterable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from entrypoints.http.exchange import WHOLE
from entrypoints.http.sending import Raw

OFFERED: Final[dict[str, dict[object, object]]] = {WHOLE: {}}
"""The extensions of ASGI that these requests have."""


class Cycle(RequestResponseCycle):
    """Takes an answer whose body is at hand as one message; the two of ASGI are looked through header by header."""

    async def send(self, message: Any) -> None:
        """Send a message of ASGI, or a whole answer."""
        if message["type"] != WHOLE:
            await super().send(message)
        elif not self._written(message):
            start: Any = {**message, "type": "http.response.start"}
            await super().send(start)
            await super().send({"type": "http.response.body", "body": message["body"], "more_body": False})

    def _written(self, message: Any) -> bool:
        """Write an answer and end the request; False, and nothing is written, where that takes more."""
        if self.response_started or self.disconnected or self.flow.write_paused or not self.keep_alive:
            return False
        head = head_of(message["status"], (*self.default_headers, *message["headers"]))
        if head is None or b"\r\nconnection: " in head:
            return False
        self.response_started = self.response_complete = True
        self.transport.write(head + message["body"])
        self.message_event.set()
        self.on_response()
        return True


def head_of(status: int, headers: Iterable[Raw]) -> bytes | None:
    """Return the head of an answer; None for a header with the end of a line in it."""
    lines = [b"%s: %s\r\n" % header for header in headers]
    head = b"".join((STATUS_LINE[status], *lines, b"\r\n"))
    return head if head.count(b"\r") == head.count(b"\n") == len(lines) + 2 else None

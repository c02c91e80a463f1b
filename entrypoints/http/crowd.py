"""Those for whom there is no room (http.md 13).

Thousands of refusals in every turn of the loop keep the work that was let in from going on. So a refusal is made right
after the headers, without a task and without the chain, and the next request of that connection is read only when
somebody's place is free or `Retry-After` is over. Clients that do wait that long notice nothing of it.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import httptools

from entrypoints.http.cycle import OFFERED, Cycle
from entrypoints.http.heads import Heads, Unread
from entrypoints.http.sending import Raw

HELD_SECONDS: Final = 1.0
"""What `Retry-After` says of a full server."""
LAST_CALL: Final = 0.2
"""Seconds that a connection without a request stays open when the server ends (platform.md 12.2)."""
EVERY: Final = 0.01
AT_ONCE: Final = 16
"""Connections that are listened to again at one time when their second is over: what refusing may cost."""
Refuse = Callable[[Any], tuple[list[Raw], bytes] | None]
"""Returns headers and body of the refusal when there is no room for a request, and None when it is to be served."""


class Crowd:
    """The connections of a process that were refused and are not listened to now, the one that waits longest first.

    `unread` answers what is no request.
    """

    def __init__(self, refuse: Refuse, unread: Unread) -> None:
        self.refuse, self.unread = refuse, unread
        self._held: deque[tuple[float, Connection]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def hold(self, connection: "Connection") -> None:
        """Listen to a connection later."""
        loop = asyncio.get_running_loop()
        self._held.append((loop.time() + HELD_SECONDS, connection))
        if self._timer is None:
            self._timer = loop.call_later(HELD_SECONDS, self._go_on, loop)

    def call(self) -> None:
        """Listen to the connection that was held last, whose client waited least: a place is free."""
        if self._held:
            self._held.pop()[1].listen()

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        for _ in range(AT_ONCE):
            if self._held and self._held[0][0] <= now:
                self._held.popleft()[1].listen()
        self._timer = loop.call_later(EVERY, self._go_on, loop) if self._held else None


class Connection(Heads):
    """A connection of a server that may be full."""

    def __init__(self, crowd: Crowd, **options: Any) -> None:
        super().__init__(crowd.unread, **options)
        self._crowd = crowd
        self._refused = self._held = False

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._refused = False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Refuse the request, or serve it."""
        self._heading = False
        upgrades = self.parser.should_upgrade()
        self._complete()
        if upgrades and self._should_upgrade():
            return
        free = self.cycle is None or self.cycle.response_complete
        refusal = self._crowd.refuse(self.scope) if free and not (self.expect_100_continue or upgrades) else None
        if refusal is None:
            self._serve(free)
        else:
            self._refused = True
            self._send(*refusal)

    def _complete(self) -> None:
        """Put into the scope what the request line says."""
        url, scope = httptools.parse_url(self.url), self.scope
        path = url.path.decode("ascii")
        scope["method"] = self.parser.get_method().decode("ascii")
        scope["http_version"] = self.parser.get_http_version()
        scope["path"] = unquote(path) if "%" in path else path
        scope["raw_path"], scope["query_string"] = url.path, url.query or b""
        scope["extensions"] = OFFERED

    def _serve(self, free: bool) -> None:
        """Begin with the request, or keep it until those before it on this connection are answered."""
        cycle = self.cycle = Cycle(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        if free:
            self._start_asgi_task(cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((cycle, self.app))

    def _send(self, headers: list[Raw], body: bytes) -> None:
        keeps = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        if not keeps:
            headers = [*headers, (b"connection", b"close")]
        self.answer(HTTPStatus.SERVICE_UNAVAILABLE, headers, body)
        if not keeps:
            self.transport.close()
        elif not self._held:
            self._held = True
            self.flow.pause_reading()
            self._crowd.hold(self)

    def on_body(self, body: bytes) -> None:
        """Take a part of a body, unless its request is refused already."""
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if not self._refused:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request, here and where somebody waits for the place."""
        super().on_response_complete()
        self._crowd.call()

    def shutdown(self) -> None:
        """End after the answer under way; where there is none, a request on its way is still told that all ends."""
        if self.cycle is None or self.cycle.response_complete:
            self.loop.call_later(LAST_CALL, super().shutdown)
        else:
            super().shutdown()

    def listen(self) -> None:
        """Go on with the next request."""
        self._held = False
        super().on_response_complete()

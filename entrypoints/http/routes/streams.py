"""Routes of the live streams (platform.md 8.4)."""

from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import urlsplit

import attrs

from application.notifications import Notifications
from application.notifications.live import Connection, Live, Transport
from application.notifications.service import Position
from domain.errors import Refusal
from entrypoints.http.answers import Socket, Stream
from entrypoints.http.conversing import Conversation, Events
from entrypoints.http.messages import EVENTS, FRAMES
from entrypoints.http.routing import Call, Route

READ, TAG = "notifications:read", "notifications"


@attrs.frozen
class Resumption:
    """From where to go on; without a position the stream begins now."""

    after_position: Position | None = None


class StreamHandlers:
    """Each opens one stream."""

    def __init__(self, live: Live, notifications: Notifications, origins: Collection[str]) -> None:
        self.live, self.notifications, self.origins = live, notifications, origins

    async def events(self, call: Call) -> Stream:
        after = call.query.after_position
        if after is None and call.last_event_id is not None and call.last_event_id.isdecimal():
            after = int(call.last_event_id[:15])
        return Stream(Events(self._opened(call, Transport.SSE), after), "text/event-stream; charset=utf-8", live=True)

    async def socket(self, call: Call) -> Socket:
        if not call.upgrade:
            raise Refusal("route_not_found", "This path is a WebSocket: send Upgrade and Connection.")
        connection = self._opened(call, Transport.WEBSOCKET)
        talk = Conversation(connection, self.notifications, call.principal, call.query.after_position)
        return Socket(talk.run)

    def _opened(self, call: Call, transport: Transport) -> Connection:
        """Take a place. Raises Refusal `origin_not_allowed`, `too_many_streams`."""
        if call.origin is not None and not self._at_home(call):
            raise Refusal("origin_not_allowed", "Streams are not opened from this origin.")
        return self.live.open(call.principal, transport)

    def _at_home(self, call: Call) -> bool:
        return "*" in self.origins or call.origin in self.origins or urlsplit(call.origin or "").netloc == call.host


def stream_routes(live: Live, notifications: Notifications, origins: Collection[str]) -> Sequence[Route]:
    """Return the routes of streams; `origins` are those besides the own host from which browsers may open one."""
    do = StreamHandlers(live, notifications, origins)
    opens: dict[str, Any] = {
        "method": "GET",
        "tag": TAG,
        "scope": READ,
        "ticket": True,
        "query": Resumption,
        "problems": ("origin_not_allowed", "too_many_streams"),
    }
    return (
        Route(
            path="/api/notifications/stream",
            handler=do.events,
            operation_id="notification_stream",
            summary="Follow notifications as server-sent events",
            live=True,
            media_type="text/event-stream",
            messages=EVENTS,
            **opens,
        ),
        Route(
            path="/api/notifications/ws",
            handler=do.socket,
            operation_id="notification_socket",
            summary="Follow notifications over a WebSocket",
            socket=True,
            media_type="application/json",
            messages=FRAMES,
            **{**opens, "problems": (*opens["problems"], "route_not_found")},
        ),
    )

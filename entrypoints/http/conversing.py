"""The two forms of a live stream: server-sent events and WebSocket (platform.md 8.4)."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import attrs
import msgspec

from application.notifications import Notifications
from application.notifications.live import Beat, Bye, Connection, Gap, Hello, Message, Read, Told, UnreadCount
from domain.access.principal import Principal
from domain.errors import DomainError, Invalid, Refusal
from domain.ids import parse_id
from domain.ports.errors import StorageError
from entrypoints.http.codec import encode

MAX_SOCKET_MESSAGE: Final = 4 * 1024
MOST_PER_SECOND: Final = 10
MOST_IDS: Final = 100
RETRY_MS: Final = 3000
CLOSED: Final = {"max_age": 4408, "shutdown": 1001, "unavailable": 1013}
REVOKED: Final = 4401
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Events:
    """A connection as server-sent events. Closing it gives its place back, also when nothing was read of it."""

    def __init__(self, connection: Connection, after_position: int | None) -> None:
        self._connection = connection
        self._messages = connection.messages(after_position)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return event(await self._messages.__anext__())

    async def aclose(self) -> None:
        """End the stream."""
        self._connection.release()
        close = getattr(self._messages, "aclose", None)
        if close is not None:
            await close()


def event(message: Message) -> bytes:
    """Return a message as an event; a sign of life is a comment."""
    match message:
        case Hello(unread=unread):
            return b"retry: %d\n\n" % RETRY_MS + _event("unread_count", {"unread": unread})
        case Told(position, data):
            return _event("notification", data, position)
        case UnreadCount(unread):
            return _event("unread_count", {"unread": unread})
        case Read():
            return _event("read", _read(message))
        case Gap():
            return _event("gap", {"type": "gap"})
        case Beat():
            return b": still here\n\n"
        case Bye(reason):
            return _event("bye", {"reason": reason, "retry_ms": RETRY_MS})


def _event(name: str, data: Any, position: int | None = None) -> bytes:
    line = b"id: %d\n" % position if position is not None else b""
    return b"event: " + name.encode() + b"\n" + line + b"data: " + encode(data) + b"\n\n"


def _read(message: Read) -> dict[str, Any]:
    if message.up_to_position is not None:
        return {"up_to_position": message.up_to_position}
    return {"notification_ids": list(message.notification_ids)}


def frame(message: Message) -> dict[str, Any]:
    """Return a message as a WebSocket carries it."""
    match message:
        case Hello(position, unread):
            return {"type": "hello", "position": position, "unread": unread}
        case Told(position, data):
            return {"type": "notification", "position": position, "data": data}
        case UnreadCount(unread):
            return {"type": "unread_count", "unread": unread}
        case Read():
            return {"type": "read", **_read(message)}
        case Gap():
            return {"type": "gap"}
        case Beat():
            return {"type": "ping"}
        case Bye(reason):
            return {"type": "bye", "reason": reason, "retry_ms": RETRY_MS}


@attrs.define
class Conversation:
    """A connection as a WebSocket: tells what happens, and does what the client asks for."""

    connection: Connection
    notifications: Notifications
    principal: Principal
    after_position: int | None
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    _asked: deque[float] = attrs.field(factory=lambda: deque(maxlen=MOST_PER_SECOND))

    async def run(self, receive: Receive, send: Send) -> None:
        """Live until one side ends it. Raises OSError when the client is gone."""
        await send({"type": "websocket.accept"})
        both = {asyncio.create_task(self._tell(send)), asyncio.create_task(self._hear(receive, send))}
        try:
            done, _ = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            self.connection.release()
            for task in both:
                task.cancel()
            await asyncio.wait(both)

    async def _say(self, send: Send, value: Any) -> None:
        async with self._turn:
            await send({"type": "websocket.send", "text": encode(value).decode()})

    async def _tell(self, send: Send) -> None:
        async for message in self.connection.messages(self.after_position):
            await self._say(send, frame(message))
            if isinstance(message, Bye):
                await send({"type": "websocket.close", "code": CLOSED.get(message.reason, REVOKED)})

    async def _hear(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            asked: Any = None
            try:
                asked = _decoded(text)
                self._count()
                await self._do(asked)
                answer = {"type": "ack", "ref": asked.get("ref")}
            except (DomainError, StorageError) as error:
                ref = asked.get("ref") if isinstance(asked, dict) else None
                answer = {"type": "error", "ref": ref, **_told(error)}
            await self._say(send, answer)

    def _count(self) -> None:
        now = time.monotonic()
        if len(self._asked) == MOST_PER_SECOND and now - self._asked[0] < 1:
            raise Refusal("rate_limited", f"At most {MOST_PER_SECOND} messages per second.")
        self._asked.append(now)

    async def _do(self, asked: dict[str, Any]) -> None:
        """Do what a message asks for. Raises Refusal."""
        match asked:
            case {"action": "ping"}:
                return
            case {"action": "mark_read", "ids": [*ids]} if len(ids) <= MOST_IDS:
                self._may_write()
                known = [parse_id(each) if isinstance(each, str) else None for each in ids]
                if None in known:
                    raise Refusal("validation_failed", "ids are the ids of notifications.")
                await self.notifications.mark_many(self.principal, [each for each in known if each is not None])
            case {"action": "mark_all_read"}:
                self._may_write()
                await self.notifications.mark_all(self.principal, _position(asked))
            case _:
                raise Refusal(
                    "validation_failed", "The actions are mark_read with at most 100 ids, mark_all_read, ping."
                )

    def _may_write(self) -> None:
        if not self.principal.holds_scope("notifications:write"):
            raise Refusal("scope_missing", "The key lacks the scope notifications:write.")


def _position(asked: dict[str, Any]) -> int | None:
    position = asked.get("up_to_position")
    if position is not None and (not isinstance(position, int) or isinstance(position, bool) or position < 0):
        raise Refusal("validation_failed", "up_to_position is the position of a notification.")
    return position


def _decoded(text: str | None) -> dict[str, Any]:
    try:
        asked = msgspec.json.decode(text or "")
    except msgspec.DecodeError:
        asked = None
    if not isinstance(asked, dict):
        raise Refusal("body_unparsable", "A message is one JSON object.")
    return asked


def _told(error: Exception) -> dict[str, Any]:
    match error:
        case Refusal(code=code, detail=detail):
            return {"code": code, "detail": detail}
        case Invalid():
            return {"code": "validation_failed", "detail": str(error)}
        case _:
            return {"code": "unavailable", "detail": "The store does not answer; try again."}

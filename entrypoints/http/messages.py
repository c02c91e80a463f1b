"""What the live streams send, as the document describes it (platform.md 8.4, http.md 15)."""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from application.notifications.service import NotificationView
from domain.shape import UNSET, Unset


@attrs.frozen
class UnreadMessage:
    """How many notifications are unread."""

    unread: int


@attrs.frozen
class ReadMessage:
    """Another device marked these, or all up to a position."""

    notification_ids: tuple[str, ...] | Unset = UNSET
    up_to_position: int | Unset = UNSET


@attrs.frozen
class GapMessage:
    """What lay between the point of resumption and what follows is no longer kept."""


@attrs.frozen
class ByeMessage:
    """The stream ends; come again after so many milliseconds."""

    reason: str
    retry_ms: int


@attrs.frozen
class HelloMessage:
    """Where a WebSocket begins."""

    position: int
    unread: int


@attrs.frozen
class ToldMessage:
    """A notification over a WebSocket."""

    position: int
    data: NotificationView


@attrs.frozen
class PingMessage:
    """A sign of life."""


@attrs.frozen
class AckMessage:
    """What was asked for is done."""

    ref: Any


@attrs.frozen
class ErrorMessage:
    """What was asked for is not done."""

    ref: Any
    code: str
    detail: str


EVENTS: Final[Mapping[str, Any]] = {
    "notification": NotificationView,
    "unread_count": UnreadMessage,
    "read": ReadMessage,
    "gap": GapMessage,
    "bye": ByeMessage,
}
"""The data of server-sent events by the name of the event."""
FRAMES: Final[Mapping[str, Any]] = {
    "hello": HelloMessage,
    "notification": ToldMessage,
    "unread_count": UnreadMessage,
    "read": ReadMessage,
    "gap": GapMessage,
    "ping": PingMessage,
    "bye": ByeMessage,
    "ack": AckMessage,
    "error": ErrorMessage,
}
"""The members of WebSocket messages besides `type`, by type."""

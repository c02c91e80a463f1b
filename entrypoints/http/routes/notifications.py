"""Routes of notifications (platform.md 8.3)."""

from collections.abc import Sequence
from typing import Any

import attrs

from application.notifications import (
    NotificationFilter,
    Notifications,
    NotificationView,
    Preferences,
    Unread,
)
from application.notifications.service import MarkAllRead, MarkRead, Updated
from domain.ports.queries import Page
from entrypoints.http.routes.lists import Cursor, Limit
from entrypoints.http.routing import Call, Route

READ, WRITE, TAG = "notifications:read", "notifications:write", "notifications"
ROOT = "/api/notifications"


@attrs.frozen
class NotificationList(NotificationFilter):
    """Filters and page of notifications."""

    limit: Limit = 50
    cursor: Cursor = None


@attrs.frozen
class Removal:
    """What to remove: all that were read."""

    read: bool


class NotificationHandlers:
    """Each decodes nothing, decides nothing, and calls one use case."""

    def __init__(self, notifications: Notifications) -> None:
        self.notifications = notifications

    async def page(self, call: Call) -> Page[NotificationView]:
        return await self.notifications.page(call.principal, call.query, call.after, call.limit)

    async def unread(self, call: Call) -> Unread:
        return await self.notifications.unread(call.principal)

    async def get(self, call: Call) -> NotificationView:
        return await self.notifications.get(call.principal, call.path["notification_id"])

    async def mark(self, call: Call) -> NotificationView:
        return await self.notifications.mark(call.principal, call.path["notification_id"], call.body.read)

    async def mark_all(self, call: Call) -> Updated:
        return await self.notifications.mark_all(call.principal, call.body.up_to_position)

    async def remove(self, call: Call) -> None:
        await self.notifications.remove(call.principal, call.path["notification_id"])

    async def remove_read(self, call: Call) -> None:
        await self.notifications.remove_read(call.principal, call.query.read)

    async def preferences(self, call: Call) -> Preferences:
        return await self.notifications.preferences(call.principal)

    async def prefer(self, call: Call) -> Preferences:
        return await self.notifications.prefer(call.principal, call.body)


def notification_routes(notifications: Notifications) -> Sequence[Route]:
    """Return the routes of notifications."""
    do = NotificationHandlers(notifications)
    return (*_reading(do), *_changing(do))


def _reading(do: NotificationHandlers) -> Sequence[Route]:
    reads: dict[str, Any] = {"method": "GET", "tag": TAG, "scope": READ}
    return (
        Route(
            path=ROOT,
            handler=do.page,
            operation_id="notification_list",
            summary="List what the caller was told",
            query=NotificationList,
            page=True,
            answer=NotificationView,
            **reads,
        ),
        Route(
            path=f"{ROOT}/unread-count",
            handler=do.unread,
            operation_id="notification_unread_count",
            summary="Count what is unread",
            answer=Unread,
            **reads,
        ),
        Route(
            path=f"{ROOT}/preferences",
            handler=do.preferences,
            operation_id="notification_preferences_get",
            summary="Read which types are muted",
            answer=Preferences,
            **reads,
        ),
        Route(
            path=f"{ROOT}/{{notification_id}}",
            handler=do.get,
            operation_id="notification_get",
            summary="Read a notification",
            answer=NotificationView,
            **reads,
        ),
    )


def _changing(do: NotificationHandlers) -> Sequence[Route]:
    changes: dict[str, Any] = {"tag": TAG, "scope": WRITE}
    return (
        Route(
            method="PATCH",
            path=f"{ROOT}/{{notification_id}}",
            handler=do.mark,
            operation_id="notification_mark",
            summary="Mark a notification as read or unread",
            body=MarkRead,
            answer=NotificationView,
            request_example={"read": True},
            **changes,
        ),
        Route(
            method="POST",
            path=f"{ROOT}/mark-all-read",
            handler=do.mark_all,
            operation_id="notification_mark_all",
            summary="Mark everything up to a position as read",
            body=MarkAllRead,
            answer=Updated,
            request_example={"up_to_position": 12},
            **changes,
        ),
        Route(
            method="DELETE",
            path=f"{ROOT}/{{notification_id}}",
            handler=do.remove,
            operation_id="notification_remove",
            summary="Remove a notification",
            success=(204,),
            **changes,
        ),
        Route(
            method="DELETE",
            path=ROOT,
            handler=do.remove_read,
            operation_id="notification_remove_read",
            summary="Remove everything that was read",
            query=Removal,
            success=(204,),
            **changes,
        ),
        Route(
            method="PUT",
            path=f"{ROOT}/preferences",
            handler=do.prefer,
            operation_id="notification_preferences_set",
            summary="Choose which types are muted",
            body=Preferences,
            answer=Preferences,
            request_example={"muted": ["item_reshared"]},
            **changes,
        ),
    )

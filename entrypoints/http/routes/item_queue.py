"""Routes of the queue of submissions that wait for a person (items-events.md 8)."""

from collections.abc import Sequence

import attrs

from application.items import Items
from application.items.queue import PendingFilter, PendingView, Resolution, ResolvePending
from domain.ports.queries import Page
from entrypoints.http.routes.lists import Cursor, Limit
from entrypoints.http.routing import Call, Route

READ, WRITE, TAG = "items:read", "items:write", "items"


@attrs.frozen
class PendingList(PendingFilter):
    """Filters and page of the queue."""

    limit: Limit = 50
    cursor: Cursor = None


class QueueHandlers:
    """Each decodes nothing, decides nothing, and calls one use case."""

    def __init__(self, items: Items) -> None:
        self.items = items

    async def page(self, call: Call) -> Page[PendingView]:
        return await self.items.queue(call.principal, call.query, call.after, call.limit)

    async def get(self, call: Call) -> PendingView:
        return await self.items.pending(call.principal, call.path["pending_id"])

    async def resolve(self, call: Call) -> Resolution:
        return await self.items.resolve(call.principal, call.path["pending_id"], call.body, call.if_match)


def queue_routes(items: Items) -> Sequence[Route]:
    """Return the routes of the queue."""
    do = QueueHandlers(items)
    return (
        Route(
            method="GET",
            path="/api/items/pending",
            handler=do.page,
            operation_id="pending_list",
            tag=TAG,
            summary="List submissions that wait for a person, the most urgent first",
            scope=READ,
            query=PendingList,
            page=True,
            answer=PendingView,
        ),
        Route(
            method="GET",
            path="/api/items/pending/{pending_id}",
            handler=do.get,
            operation_id="pending_get",
            tag=TAG,
            summary="Read a submission that waits",
            scope=READ,
            versioned=True,
            version_of=lambda view: view.version,
            answer=PendingView,
        ),
        Route(
            method="POST",
            path="/api/items/pending/{pending_id}/resolve",
            handler=do.resolve,
            operation_id="pending_resolve",
            tag=TAG,
            summary="Decide what becomes of a submission that waits",
            scope=WRITE,
            body=ResolvePending,
            if_match="honoured",
            versioned=True,
            version_of=lambda done: done.pending.version,
            answer=Resolution,
            problems=(
                "pending_closed",
                "action_not_allowed",
                "push_again",
                "identifier_conflict",
                "identifier_claimed",
                "identifier_contradiction",
                "item_not_active",
                "item_merged",
                "local_item_held",
                "not_owner",
            ),
            request_example={"action": "modify", "identifiers": [{"key": "sisbov", "value": "076000000000002"}]},
        ),
    )

"""Routes of contributions and numbers (items-events.md 9.2, 9.3)."""

from collections.abc import Sequence

from application.items import Items
from application.items.drafts import Duplicates
from application.items.histories import ContributionView
from application.items.stats import Stats
from domain.ports.queries import Page
from entrypoints.http.routes.lists import PageQuery
from entrypoints.http.routing import Call, Route

READ, TAG = "items:read", "items"


class HistoryHandlers:
    """Each decodes nothing, decides nothing, and calls one use case."""

    def __init__(self, items: Items) -> None:
        self.items = items

    async def contributions(self, call: Call) -> Page[ContributionView]:
        return await self.items.contributions(call.principal, call.path["dfid"], call.after, call.limit)

    async def duplicates(self, call: Call) -> Page[Duplicates]:
        return await self.items.item_duplicates(call.principal, call.after, call.limit)

    async def stats(self, call: Call) -> Stats:
        return await self.items.stats(call.principal)


def history_routes(items: Items) -> Sequence[Route]:
    """Return the routes of contributions and numbers."""
    do = HistoryHandlers(items)
    return (
        Route(
            method="GET",
            path="/api/items/{dfid}/contributions",
            handler=do.contributions,
            operation_id="contribution_list",
            tag=TAG,
            summary="List what was contributed to an item, the newest first",
            scope=READ,
            query=PageQuery,
            page=True,
            answer=ContributionView,
        ),
        Route(
            method="GET",
            path="/api/items/stats",
            handler=do.stats,
            operation_id="item_stats",
            tag=TAG,
            summary="Count the items of the own workspace",
            scope=READ,
            answer=Stats,
        ),
        Route(
            method="GET",
            path="/api/items/duplicates",
            handler=do.duplicates,
            operation_id="item_duplicates",
            tag=TAG,
            summary="List own items that share a value and may be one",
            scope=READ,
            query=PageQuery,
            page=True,
            answer=Duplicates,
        ),
    )

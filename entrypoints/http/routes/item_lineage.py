"""Routes by which items become one and one becomes many (items-events.md 6.8 to 6.10)."""

from collections.abc import Sequence
from typing import Any

import attrs

from application.items import Items, ItemView
from application.items.lineage import MergeItems, Split, SplitItem, Unmerged, UnmergeItem
from entrypoints.http.routing import Call, Route

WRITE, TAG = "items:write", "items"
_CONFLICTS = ("not_owner", "item_merged", "item_not_active")


class LineageHandlers:
    """Each decodes nothing, decides nothing, and calls one use case."""

    def __init__(self, items: Items) -> None:
        self.items = items

    async def merge(self, call: Call) -> ItemView:
        return await self.items.merge(call.principal, call.path["dfid"], call.body, call.if_match)

    async def unmerge(self, call: Call) -> Unmerged:
        return await self.items.unmerge(call.principal, call.path["dfid"], call.body.reason, call.if_match)

    async def split(self, call: Call) -> Split:
        return await self.items.split(call.principal, call.path["dfid"], call.body, call.if_match)


def _restored(done: Unmerged) -> dict[str, Any]:
    members = {field.name: getattr(done.item, field.name) for field in attrs.fields(ItemView)}
    return members | {"previous_target": done.previous_target}


def lineage_routes(items: Items) -> Sequence[Route]:
    """Return the routes of merge, unmerge and split."""
    do = LineageHandlers(items)
    return (
        Route(
            method="POST",
            path="/api/items/{dfid}/merge",
            handler=do.merge,
            operation_id="item_merge",
            tag=TAG,
            summary="Absorb another own item",
            scope=WRITE,
            body=MergeItems,
            if_match="honoured",
            versioned=True,
            version_of=lambda view: view.version,
            answer=ItemView,
            problems=(*_CONFLICTS, "identifier_contradiction", "merge_with_itself"),
            request_example={"source_dfid": "DFID-20250108-000042-94E", "strategy": "keep_first"},
        ),
        Route(
            method="POST",
            path="/api/items/{dfid}/unmerge",
            handler=do.unmerge,
            operation_id="item_unmerge",
            tag=TAG,
            summary="Take an absorbed item out again",
            scope=WRITE,
            body=UnmergeItem,
            if_match="honoured",
            versioned=True,
            view=_restored,
            version_of=lambda done: done.item.version,
            answer=ItemView,
            problems=(*_CONFLICTS, "not_merged"),
            request_example={"reason": "two animals after all"},
        ),
        Route(
            method="POST",
            path="/api/items/{dfid}/split",
            handler=do.split,
            operation_id="item_split",
            tag=TAG,
            summary="Divide an item into parts, or take identifiers off it",
            scope=WRITE,
            body=SplitItem,
            success=(201,),
            location=lambda done: f"/api/items/{done.parts[0].dfid}",
            if_match="honoured",
            answer=Split,
            problems=(*_CONFLICTS, "identifier_on_merged_item", "identifier_conflict", "identifier_claimed"),
            request_example={
                "mode": "divide",
                "parts": [
                    {"identifiers": [{"key": "lote", "value": "L-77-A"}], "data": {"kg": 600}},
                    {"identifiers": [{"key": "lote", "value": "L-77-B"}]},
                ],
            },
        ),
    )

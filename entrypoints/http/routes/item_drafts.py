"""Routes by which drafts become one (items-events.md 6.7, 6.9, 9.3, 9.4)."""

from collections.abc import Sequence
from typing import Any

import attrs

from application.items import Items, ItemView
from application.items.drafts import (
    Duplicates,
    MergedDrafts,
    MergeDrafts,
    Organized,
    OrganizeDrafts,
    UnmergedDraft,
    UnmergeDraft,
)
from domain.ports.queries import Page
from entrypoints.http.routes.lists import PageQuery
from entrypoints.http.routing import Call, Route

READ, WRITE, TAG = "items:read", "items:write", "items"
_LID = "018f3a00-0000-7000-8000-0000000000c1"
_OTHER = "018f3a00-0000-7000-8000-0000000000c2"


class DraftHandlers:
    """Each decodes nothing, decides nothing, and calls one use case."""

    def __init__(self, items: Items) -> None:
        self.items = items

    async def merge(self, call: Call) -> MergedDrafts:
        return await self.items.merge_drafts(call.principal, call.body)

    async def unmerge(self, call: Call) -> UnmergedDraft:
        return await self.items.unmerge_draft(call.principal, call.body)

    async def duplicates(self, call: Call) -> Page[Duplicates]:
        return await self.items.draft_duplicates(call.principal, call.after, call.limit)

    async def organize(self, call: Call) -> Organized:
        return await self.items.organize(call.principal, call.body)


def _restored(done: UnmergedDraft) -> dict[str, Any]:
    members = {field.name: getattr(done.item, field.name) for field in attrs.fields(ItemView)}
    return members | {"previous_target": done.previous_target}


def draft_routes(items: Items) -> Sequence[Route]:
    """Return the routes of draft merges and duplicates."""
    do = DraftHandlers(items)
    return (
        Route(
            method="POST",
            path="/api/items/local/merge",
            handler=do.merge,
            operation_id="draft_merge",
            tag=TAG,
            summary="Absorb drafts in another one",
            scope=WRITE,
            body=MergeDrafts,
            answer=MergedDrafts,
            problems=("not_found", "item_merged", "local_item_held", "merge_with_itself"),
            request_example={"master_lid": _LID, "merge_lids": [_OTHER], "strategy": "append"},
        ),
        Route(
            method="POST",
            path="/api/items/local/unmerge",
            handler=do.unmerge,
            operation_id="draft_unmerge",
            tag=TAG,
            summary="Take an absorbed draft out again",
            scope=WRITE,
            body=UnmergeDraft,
            view=_restored,
            answer=ItemView,
            problems=("not_found", "not_merged", "item_merged", "local_item_held"),
            request_example={"merged_lid": _OTHER},
        ),
        Route(
            method="POST",
            path="/api/items/local/organize",
            handler=do.organize,
            operation_id="draft_organize",
            tag=TAG,
            summary="Merge every group of draft duplicates",
            scope=WRITE,
            body=OrganizeDrafts,
            answer=Organized,
            request_example={"action": "deduplicate", "dry_run": True},
        ),
        Route(
            method="GET",
            path="/api/items/local/duplicates",
            handler=do.duplicates,
            operation_id="draft_duplicates",
            tag=TAG,
            summary="List drafts that say the same",
            scope=READ,
            query=PageQuery,
            page=True,
            answer=Duplicates,
        ),
    )

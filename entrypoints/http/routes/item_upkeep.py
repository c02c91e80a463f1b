"""Routes of an item's status and of its shares (items-events.md 6.11, 6.12)."""

from collections.abc import Sequence
from typing import Any

from application.items import Items, ItemView
from application.items.requests import StatusChange
from application.items.sharing import Shared, SharedItem, ShareItem, ShareView, Sharing
from domain.ports.queries import Page
from entrypoints.http.routes.lists import PageQuery
from entrypoints.http.routing import Call, Route

READ, WRITE, TAG = "items:read", "items:write", "items"
_STATES = ("not_owner", "item_not_active")


class UpkeepHandlers:
    """Each decodes nothing, decides nothing, and calls one use case."""

    def __init__(self, items: Items) -> None:
        self.items = items

    async def deprecate(self, call: Call) -> ItemView:
        return await self.items.deprecate(call.principal, call.path["dfid"], call.body.reason, call.if_match)

    async def restore(self, call: Call) -> ItemView:
        return await self.items.restore(call.principal, call.path["dfid"], call.body.reason, call.if_match)

    async def delete(self, call: Call) -> None:
        await self.items.deprecate(call.principal, call.path["dfid"], accepted=call.if_match)

    async def share(self, call: Call) -> Shared:
        return await self.items.share(call.principal, call.path["dfid"], call.body)

    async def shares(self, call: Call) -> Page[ShareView]:
        return await self.items.shares(call.principal, call.path["dfid"], call.after, call.limit)

    async def revoke(self, call: Call) -> None:
        await self.items.revoke(call.principal, call.path["dfid"], call.path["share_id"])

    async def shared_to(self, call: Call) -> Page[SharedItem]:
        return await self.items.shared_to(call.principal, call.path["user_id"], call.after, call.limit)

    async def shared_with(self, call: Call) -> Sharing:
        return await self.items.shared_with(call.principal, call.path["dfid"], call.path["user_id"])


def upkeep_routes(items: Items) -> Sequence[Route]:
    """Return the routes of status changes and shares."""
    do = UpkeepHandlers(items)
    one: dict[str, Any] = {
        "versioned": True,
        "version_of": lambda view: view.version,
        "answer": ItemView,
        "if_match": "honoured",
        "problems": _STATES,
    }
    return (
        Route(
            method="PUT",
            path="/api/items/{dfid}/deprecate",
            handler=do.deprecate,
            operation_id="item_deprecate",
            tag=TAG,
            summary="Take an item out of use",
            scope=WRITE,
            body=StatusChange,
            request_example={"reason": "died"},
            **one,
        ),
        Route(
            method="PUT",
            path="/api/items/{dfid}/restore",
            handler=do.restore,
            operation_id="item_restore",
            tag=TAG,
            summary="Bring a deprecated item back into use",
            scope=WRITE,
            body=StatusChange,
            request_example={"reason": "deprecated by mistake"},
            **one,
        ),
        Route(
            method="DELETE",
            path="/api/items/{dfid}",
            handler=do.delete,
            operation_id="item_delete",
            tag=TAG,
            summary="Deprecate an item; nothing is erased",
            scope=WRITE,
            success=(204,),
            if_match="honoured",
            problems=_STATES,
        ),
        *_share_routes(do),
    )


def _share_routes(do: UpkeepHandlers) -> Sequence[Route]:
    return (
        Route(
            method="POST",
            path="/api/items/{dfid}/share",
            handler=do.share,
            operation_id="item_share",
            tag=TAG,
            summary="Let a user of another workspace read an item",
            scope=WRITE,
            body=ShareItem,
            success=(201, 200),
            status_of=lambda shared: 201 if shared.created else 200,
            view=lambda shared: shared.share,
            location=lambda shared: f"/api/items/{shared.share.dfid}/shared-with/{shared.share.recipient_user_id}",
            answer=ShareView,
            problems=("not_owner", "item_merged", "recipient_unknown", "recipient_has_access"),
            request_example={
                "recipient_user_id": "018f3a00-0000-7000-8000-0000000000b1",
                "expires_at": "2036-12-31T00:00:00Z",
            },
        ),
        Route(
            method="GET",
            path="/api/items/{dfid}/shares",
            handler=do.shares,
            operation_id="share_list",
            tag=TAG,
            summary="List the shares of an own item",
            scope=READ,
            query=PageQuery,
            page=True,
            answer=ShareView,
            problems=("not_owner",),
        ),
        Route(
            method="DELETE",
            path="/api/items/{dfid}/share/{share_id}",
            handler=do.revoke,
            operation_id="share_revoke",
            tag=TAG,
            summary="End a share",
            scope=WRITE,
            success=(204,),
            problems=("not_owner",),
        ),
        Route(
            method="GET",
            path="/api/items/shared-to/{user_id}",
            handler=do.shared_to,
            operation_id="share_list_received",
            tag=TAG,
            summary="List the items shared with the caller; `me` stands for the own id",
            scope=READ,
            query=PageQuery,
            kinds={"user_id": "text"},
            page=True,
            answer=SharedItem,
        ),
        Route(
            method="GET",
            path="/api/items/{dfid}/shared-with/{user_id}",
            handler=do.shared_with,
            operation_id="share_check",
            tag=TAG,
            summary="Tell whether an own item is shared with a user",
            scope=READ,
            answer=Sharing,
        ),
    )

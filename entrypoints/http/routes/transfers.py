"""Routes of items that change hands (items-events.md 6.11a, 12.1)."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs

from application.items.transfers import (
    DecideTransfers,
    OfferItem,
    OfferItems,
    TransferBatch,
    TransferFilter,
    Transfers,
    TransferView,
)
from domain.items.transferring import TransferDecision
from domain.ports.queries import Page
from entrypoints.http.routes.lists import Cursor, Limit
from entrypoints.http.routing import Call, Route

TAG, READ, WRITE = "transfers", "items:read", "items:write"
ROOT = "/api/items/transfers"
OFFERING = (
    "not_owner",
    "manager_required",
    "item_merged",
    "item_not_active",
    "transfer_open",
    "recipient_unknown",
    "recipient_has_access",
)
TAKING = ("item_merged", "item_not_active", "identifier_conflict")
WORKSPACE = "01941f60-6a80-7000-8000-0000000000a2"


@attrs.frozen
class TransferQuery(TransferFilter):
    """Offers made and received."""

    limit: Limit = 50
    cursor: Cursor = None


class TransferHandlers:
    """Each calls one use case."""

    def __init__(self, transfers: Transfers) -> None:
        self.transfers = transfers

    async def offer(self, call: Call) -> TransferView:
        return await self.transfers.offer(call.principal, call.path["dfid"], call.body, call.if_match)

    async def offer_many(self, call: Call) -> TransferBatch:
        return await self.transfers.offer_many(call.principal, call.body)

    async def page(self, call: Call) -> Page[TransferView]:
        return await self.transfers.page(call.principal, call.query, call.after, call.limit)

    async def get(self, call: Call) -> TransferView:
        return await self.transfers.get(call.principal, call.path["transfer_id"])

    def deciding(self, decision: TransferDecision) -> Callable[[Call], Awaitable[TransferView]]:
        """Return the handler of one decision."""

        async def decide(call: Call) -> TransferView:
            return await self.transfers.decide(call.principal, call.path["transfer_id"], decision, call.if_match)

        return decide

    async def decide_many(self, call: Call) -> TransferBatch:
        return await self.transfers.decide_many(call.principal, call.body)


def transfer_routes(transfers: Transfers) -> Sequence[Route]:
    """Return the routes of offers of items."""
    do = TransferHandlers(transfers)
    one: dict[str, Any] = {"tag": TAG, "versioned": True, "answer": TransferView}
    ending: dict[str, Any] = one | {"method": "POST", "scope": WRITE, "if_match": "honoured"}
    return (
        Route(
            method="POST",
            path="/api/items/{dfid}/transfer",
            handler=do.offer,
            operation_id="transfer_offer",
            summary="Offer an item to another workspace",
            scope=WRITE,
            body=OfferItem,
            if_match="honoured",
            success=(201,),
            location=lambda view: f"{ROOT}/{view.transfer_id}",
            problems=OFFERING,
            request_example={"to_workspace_id": WORKSPACE, "reason": "sold"},
            **one,
        ),
        Route(
            method="POST",
            path=ROOT,
            handler=do.offer_many,
            operation_id="transfer_offer_many",
            tag=TAG,
            summary="Offer up to 1,000 items to one workspace in one unit",
            scope=WRITE,
            body=OfferItems,
            bulk=True,
            request_example={"dfids": ["DFID-20250108-000042-94E"], "to_workspace_id": WORKSPACE},
            answer=TransferBatch,
        ),
        Route(
            method="GET",
            path=ROOT,
            handler=do.page,
            operation_id="transfer_list",
            tag=TAG,
            summary="List offers made and received",
            scope=READ,
            query=TransferQuery,
            page=True,
            answer=TransferView,
        ),
        Route(
            method="GET",
            path=f"{ROOT}/{{transfer_id}}",
            handler=do.get,
            operation_id="transfer_get",
            summary="Read an offer",
            scope=READ,
            **one,
        ),
        Route(
            path=f"{ROOT}/{{transfer_id}}/accept",
            handler=do.deciding(TransferDecision.ACCEPT),
            operation_id="transfer_accept",
            summary="Take an offered item over",
            problems=("manager_required", "transfer_closed", *TAKING),
            **ending,
        ),
        Route(
            path=f"{ROOT}/{{transfer_id}}/decline",
            handler=do.deciding(TransferDecision.DECLINE),
            operation_id="transfer_decline",
            summary="Turn an offered item down",
            problems=("manager_required", "transfer_closed"),
            **ending,
        ),
        Route(
            path=f"{ROOT}/{{transfer_id}}/cancel",
            handler=do.deciding(TransferDecision.CANCEL),
            operation_id="transfer_cancel",
            summary="Take an offer back",
            problems=("not_owner", "transfer_closed"),
            **ending,
        ),
        Route(
            method="POST",
            path=f"{ROOT}/decisions",
            handler=do.decide_many,
            operation_id="transfer_decide_many",
            tag=TAG,
            summary="End up to 1,000 offers alike in one unit",
            scope=WRITE,
            body=DecideTransfers,
            bulk=True,
            request_example={"decision": "accept", "transfer_ids": ["01941f60-6a80-7000-8000-0000000000f2"]},
            answer=TransferBatch,
        ),
    )

"""Routes of administrators about identifiers and events (items-events.md 6.14, 10.8, 12.3)."""

from collections.abc import Sequence
from typing import Any

import attrs

from application.events import Events
from application.events.erasing import EraseEvent
from application.items.administration import (
    ConfirmIdentifier,
    Dispute,
    DisputeFilter,
    ItemAdministration,
    TakeIdentifier,
)
from domain.ports.queries import Page
from entrypoints.http.routes.lists import Cursor, Limit
from entrypoints.http.routing import Call, Route

TAG = "administration"


@attrs.frozen
class DisputeList(DisputeFilter):
    """Status and page of the disputes."""

    limit: Limit = 50
    cursor: Cursor = None


class AdministrationHandlers:
    """Each decodes nothing, decides nothing, and calls one use case."""

    def __init__(self, items: ItemAdministration, events: Events) -> None:
        self.items = items
        self.events = events

    async def confirm(self, call: Call) -> None:
        await self.items.confirm(call.principal, call.path["dfid"], call.body)

    async def release(self, call: Call) -> None:
        await self.items.release(call.principal, call.path["dfid"], call.body)

    async def erase(self, call: Call) -> None:
        await self.items.erase(call.principal, call.path["dfid"], call.body)

    async def erase_event(self, call: Call) -> None:
        await self.events.erase(call.principal, call.path["event_id"], call.body)

    async def disputes(self, call: Call) -> Page[Dispute]:
        return await self.items.disputes(call.query, call.after, call.limit)


def item_administration_routes(items: ItemAdministration, events: Events) -> Sequence[Route]:
    """Return the routes of administrators about identifiers and events."""
    do = AdministrationHandlers(items, events)
    change: dict[str, Any] = {
        "method": "POST",
        "tag": TAG,
        "scope": "admin:write",
        "admin": True,
        "success": (204,),
    }
    problems = ("identifier_absent", "identifier_on_merged_item")
    return (
        Route(
            method="GET",
            path="/api/admin/pending",
            handler=do.disputes,
            operation_id="dispute_list",
            tag=TAG,
            summary="List submissions of all workspaces that met a claim of somebody else",
            scope="admin:read",
            admin=True,
            query=DisputeList,
            page=True,
            answer=Dispute,
        ),
        Route(
            path="/api/admin/items/{dfid}/identifiers/confirm",
            handler=do.confirm,
            operation_id="identifier_confirm",
            summary="Record that an authority confirmed an identifier",
            body=ConfirmIdentifier,
            problems=problems,
            request_example={
                "key": "sisbov",
                "value": "076000000000001",
                "source": "SISBOV",
                "confirmed_at": "2026-03-01T12:00:00Z",
            },
            **change,
        ),
        Route(
            path="/api/admin/items/{dfid}/identifiers/release",
            handler=do.release,
            operation_id="identifier_release",
            summary="Take an identifier and its claim from an item",
            body=TakeIdentifier,
            problems=problems,
            request_example={"key": "sisbov", "value": "076000000000001", "reason": "registered by mistake"},
            **change,
        ),
        Route(
            path="/api/admin/items/{dfid}/identifiers/erase",
            handler=do.erase,
            operation_id="identifier_erase",
            summary="Take the number of a person from an item and blank it in everything contributed to it",
            body=TakeIdentifier,
            problems=problems,
            request_example={"key": "cpf", "value": "529.982.247-25", "reason": "asked for by the person"},
            **change,
        ),
        Route(
            path="/api/admin/events/{event_id}/erase",
            handler=do.erase_event,
            operation_id="event_erase",
            summary="Remove the payload of an event; the chain stays valid",
            body=EraseEvent,
            request_example={"reason": "personal data"},
            **change,
        ),
    )

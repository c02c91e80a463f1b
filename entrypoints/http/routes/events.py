"""Routes of events and item timelines (items-events.md 10.7, 12.2)."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import attrs

from application.events import Events
from application.events.requests import AppendEvent, AppendEvents, EventFilter
from application.events.views import EventBatch, EventView, TimelineEntry, Verification
from domain.events.export import export_line
from domain.events.values import Event
from domain.ports.queries import Page
from entrypoints.http.answers import Stream
from entrypoints.http.routes.lists import Cursor, Limit, PageQuery
from entrypoints.http.routing import Call, Route

READ, WRITE, TAG = "events:read", "events:write", "events"
NDJSON = "application/x-ndjson"

_APPEND = {
    "dfid": "DFID-20250108-000042-94E",
    "category": "vaccination",
    "occurred_at": "2025-01-08T06:30:00-03:00",
    "payload": {"vacina": "aftosa", "dose_ml": 2},
}
_REFUSALS = (
    "not_found",
    "event_write_denied",
    "item_merged",
    "event_id_taken",
    "circuit_not_usable",
    "event_type_not_allowed",
    "visibility_not_allowed",
    "recipient_unknown",
    "corrects_invalid",
)


@attrs.frozen
class EventList(EventFilter):
    """Filters and page of a list of events."""

    limit: Limit = 50
    cursor: Cursor = None


class EventHandlers:
    """Each calls one use case."""

    def __init__(self, events: Events) -> None:
        self.events = events

    async def append(self, call: Call) -> tuple[EventView, bool]:
        return await self.events.append(call.principal, call.body)

    async def append_many(self, call: Call) -> EventBatch:
        return await self.events.append_many(call.principal, call.body)

    async def page(self, call: Call) -> Page[EventView]:
        return await self.events.page(call.principal, call.query, call.after, call.limit)

    async def get(self, call: Call) -> EventView:
        return await self.events.get(call.principal, call.path["event_id"])

    async def of_item(self, call: Call) -> Page[EventView]:
        return await self.events.of_item(call.principal, call.path["dfid"], call.after, call.limit)

    async def verify(self, call: Call) -> Verification:
        return await self.events.verify(call.principal, call.path["dfid"])

    async def export(self, call: Call) -> Stream:
        dfid = call.path["dfid"]
        exported = await self.events.export(call.principal, dfid)
        return Stream(_lines(exported), NDJSON, filename=f"{dfid}.ndjson")

    async def timeline(self, call: Call) -> Page[TimelineEntry]:
        return await self.events.timeline(call.principal, call.path["dfid"], call.after, call.limit)

    async def at_position(self, call: Call) -> EventView:
        return await self.events.at_position(call.principal, call.path["dfid"], call.path["position"])


async def _lines(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    async for event in events:
        yield export_line(event)


def event_routes(events: Events) -> Sequence[Route]:
    """Return the routes of events."""
    do = EventHandlers(events)
    listed: dict[str, Any] = {"method": "GET", "tag": TAG, "scope": READ, "page": True, "answer": EventView}
    return (
        Route(
            method="POST",
            path="/api/events",
            handler=do.append,
            operation_id="event_append",
            tag=TAG,
            summary="Record or certify an event of an item",
            scope=WRITE,
            body=AppendEvent,
            success=(201, 200),
            status_of=lambda appended: 201 if appended[1] else 200,
            location=lambda appended: f"/api/events/{appended[0].event_id}",
            view=lambda appended: appended[0],
            answer=EventView,
            problems=_REFUSALS,
            request_example=_APPEND,
        ),
        Route(
            method="POST",
            path="/api/events/batch",
            handler=do.append_many,
            operation_id="event_append_batch",
            tag=TAG,
            summary="Record up to 1,000 events in one unit",
            scope=WRITE,
            body=AppendEvents,
            bulk=True,
            answer=EventBatch,
            request_example={"events": [_APPEND]},
        ),
        Route(
            path="/api/events",
            handler=do.page,
            operation_id="event_list",
            summary="List events",
            query=EventList,
            **listed,
        ),
        Route(
            path="/api/events/timeline",
            handler=do.page,
            operation_id="event_timeline",
            summary="List events of a period",
            query=EventList,
            **listed,
        ),
        Route(
            path="/api/events/item/{dfid}",
            handler=do.of_item,
            operation_id="event_list_of_item",
            summary="List the events of an item by position",
            query=PageQuery,
            **listed,
        ),
        Route(
            method="GET",
            path="/api/events/item/{dfid}/verify",
            handler=do.verify,
            operation_id="event_chain_verify",
            tag=TAG,
            summary="Recompute the whole chain of an item",
            scope=READ,
            answer=Verification,
        ),
        Route(
            method="GET",
            path="/api/events/item/{dfid}/export",
            handler=do.export,
            operation_id="event_chain_export",
            tag=TAG,
            summary="Export the visible events of an item with all hash inputs",
            scope=READ,
            media_type=NDJSON,
            export=True,
        ),
        Route(
            method="GET",
            path="/api/events/{event_id}",
            handler=do.get,
            operation_id="event_get",
            tag=TAG,
            summary="Read an event",
            scope=READ,
            answer=EventView,
        ),
        *_timeline_routes(do),
    )


def _timeline_routes(do: EventHandlers) -> Sequence[Route]:
    return (
        Route(
            method="GET",
            path="/api/items/{dfid}/timeline",
            handler=do.timeline,
            operation_id="item_timeline",
            tag="items",
            summary="Read what happened to an item, oldest first",
            scope=READ,
            query=PageQuery,
            page=True,
            answer=TimelineEntry,
        ),
        Route(
            method="GET",
            path="/api/items/{dfid}/timeline/{position}",
            handler=do.at_position,
            operation_id="item_timeline_position",
            tag="items",
            summary="Read the event at a position of an item's chain",
            scope=READ,
            kinds={"position": "integer"},
            answer=EventView,
        ),
    )

"""Telling of appended events: audit, activity, recipients, webhooks (items-events.md 10.5, platform.md 6 to 8)."""

from collections.abc import Iterable, Mapping, Sequence

from domain.access.vocabulary import EventVisibility
from domain.act import Act
from domain.circuits.reading import placements_of
from domain.events.values import Event, EventType
from domain.ids import new_id
from domain.ports.schema import CIRCUITS
from domain.webhooks.triggers import Trigger, fire


async def tell(act: Act, events: Sequence[Event]) -> None:
    """Write the audit and activity entries, one of each per kind of event and circuit, and tell those concerned."""
    call_id = new_id()
    groups: dict[tuple[EventType, str | None], list[Event]] = {}
    for event in events:
        shown_in = event.circuit_id if event.visibility is EventVisibility.CIRCUIT_ONLY else None
        groups.setdefault((event.event_type, shown_in), []).append(event)
    for (event_type, circuit_id), group in groups.items():
        resource = ("event", group[0].event_id) if len(group) == 1 else ("event_batch", call_id)
        dfids = list(dict.fromkeys(event.dfid for event in group))
        details = {"count": len(group), "dfid": dfids[0] if len(dfids) == 1 else None}
        await act.audit(
            f"event.{event_type}", resource, circuit_id=circuit_id, workspace_id=act.workspace_id, details=details
        )
        activity_id = await act.activity("event_recorded", resource, circuit_id=circuit_id, dfids=dfids)
        await _tell_recipients(act, group, activity_id)
    await _trigger(act, events)


async def _tell_recipients(act: Act, events: Iterable[Event], activity_id: str) -> None:
    """Tell each recipient of direct events, once per call and recipient."""
    received: dict[str, list[Event]] = {}
    for event in events:
        if event.recipient_user_id is not None:
            received.setdefault(event.recipient_user_id, []).append(event)
    for recipient, group in received.items():
        first = group[0]
        await act.notify(
            "event_received",
            [recipient],
            source_id=first.event_id if len(group) == 1 else activity_id,
            dfid=first.dfid,
            data={"category": first.category, "event_id": first.event_id, "count": len(group)},
        )


async def _trigger(act: Act, events: Sequence[Event]) -> None:
    """Leave one trigger per event and circuit that may see it and listens."""
    public = sorted({event.dfid for event in events if event.visibility is EventVisibility.PUBLIC})
    standing: dict[str, list[str]] = {}
    for placement in await placements_of(act.unit, public) if public else ():
        standing.setdefault(placement.dfid, []).append(placement.circuit_id)
    seen_in = {event.event_id: _circuits(event, standing) for event in events}
    circuits = await act.unit.get_many(CIRCUITS, sorted({one for ids in seen_in.values() for one in ids}))
    for event in events:
        for circuit_id in seen_in[event.event_id]:
            if (circuit := circuits.get(circuit_id)) is not None:
                await fire(act, circuit, Trigger.EVENT_RECORDED, dfid=event.dfid, event_id=event.event_id)


def _circuits(event: Event, standing: Mapping[str, list[str]]) -> list[str]:
    """Return the circuits that may see an event of an item that stands in these."""
    if event.visibility is EventVisibility.PUBLIC:
        return standing.get(event.dfid, [])
    through = event.circuit_id if event.visibility is EventVisibility.CIRCUIT_ONLY else None
    return [] if through is None else [through]

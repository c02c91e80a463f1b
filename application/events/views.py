"""What a reader gets of events (items-events.md 10.3, 12.2)."""

from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from application.facts import about, items_facts
from application.items.views import BatchError
from application.storage_history import StorageRecordView
from domain.access.decide import Action, decide
from domain.access.facts import EventFact, Facts
from domain.access.principal import Principal
from domain.access.vocabulary import EventVisibility
from domain.document import Document
from domain.events.chain import ChainFault
from domain.events.values import Event, EventType
from domain.items.values import Outcome
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import EVENTS, ITEMS
from domain.ports.storage import Reader
from domain.ports.walking import walk


@attrs.frozen
class EventView:
    """An event with everything its hash covers; `corrected_by` names the corrections this reader may see."""

    event_id: str
    dfid: str
    position: int
    event_type: EventType
    category: str | None
    visibility: EventVisibility
    circuit_id: str | None
    recipient_user_id: str | None
    author_user_id: str | None
    author_workspace_id: str | None
    occurred_at: datetime
    recorded_at: datetime
    corrects: str | None
    corrected_by: tuple[str, ...]
    payload: Document | None
    salt: str | None
    payload_hash: str
    prev_hash: str
    hash: str
    erased_at: datetime | None


@attrs.frozen
class EventResult:
    """What became of one element of a batch; of a refused one only `errors` tells."""

    index: int
    outcome: Outcome
    event_id: str | None
    dfid: str | None
    position: int | None
    errors: tuple[BatchError, ...]


@attrs.frozen
class EventBatch:
    """`counts` are numbers of results by outcome: created, unchanged, refused."""

    batch_id: str
    counts: Document
    results: tuple[EventResult, ...]


@attrs.frozen
class FirstFault:
    position: int
    fault: ChainFault


@attrs.frozen
class Verification:
    """The result of checking a whole chain, also those parts the reader does not see (10.6)."""

    dfid: str
    valid: bool
    algorithm: str
    length: int
    head_hash: str | None
    erased: int
    checked_at: datetime
    first_fault: FirstFault | None


@attrs.frozen
class TimelineEntry:
    """One thing that happened to an item: an `event`, or a `record` of kind `storage` (10.7)."""

    kind: str
    at: datetime
    event: EventView | None = None
    record: StorageRecordView | None = None


def event_fact(event: Event) -> EventFact:
    """Return what a decision knows of an event."""
    return EventFact(
        event_id=event.event_id,
        dfid=event.dfid,
        visibility=event.visibility,
        author_workspace_id=event.author_workspace_id or "",
        circuit_id=event.circuit_id,
        recipient_user_id=event.recipient_user_id,
    )


async def visible(reader: Reader, principal: Principal, events: Sequence[Event], now: datetime) -> list[Event]:
    """Return those of the events that the principal may see, in order, in a fixed number of queries."""

    def sees(event: Event, facts: Facts) -> bool:
        asked = about(attrs.evolve(facts, events=(event_fact(event),)), event_id=event.event_id)
        return decide(principal, Action.EVENT_VIEW, asked, now).allowed

    by_themselves = {event.event_id for event in events if sees(event, Facts())}
    others = {event.dfid for event in events if event.event_id not in by_themselves}
    if not others:
        return list(events)
    items = list((await reader.get_many(ITEMS, sorted(others))).values())
    facts = await items_facts(reader, principal, items, own=True)
    return [event for event in events if event.event_id in by_themselves or sees(event, facts)]


async def event_views(reader: Reader, principal: Principal, events: Sequence[Event], now: datetime) -> list[EventView]:
    """Return the views of events that the principal may see, in order."""
    corrections = await visible(reader, principal, await _corrections(reader, events), now)
    by: dict[str | None, list[str]] = {}
    for correction in corrections:
        by.setdefault(correction.corrects, []).append(correction.event_id)
    return [event_view(event, by.get(event.event_id, ())) for event in events]


async def _corrections(reader: Reader, events: Sequence[Event]) -> list[Event]:
    dfids = tuple(sorted({event.dfid for event in events}))
    corrected = tuple(event.event_id for event in events)
    query = Select({"dfid": AnyOf(dfids), "corrects": AnyOf(corrected)}, ("dfid", "position"))
    return [event async for event in walk(reader, EVENTS, query)]


def event_view(event: Event, corrected_by: Iterable[str] = ()) -> EventView:
    """Return the view of an event."""
    return EventView(
        event_id=event.event_id,
        dfid=event.dfid,
        position=event.position,
        event_type=event.event_type,
        category=event.category,
        visibility=event.visibility,
        circuit_id=event.circuit_id,
        recipient_user_id=event.recipient_user_id,
        author_user_id=event.author_user_id,
        author_workspace_id=event.author_workspace_id,
        occurred_at=event.occurred_at,
        recorded_at=event.recorded_at,
        corrects=event.corrects,
        corrected_by=tuple(corrected_by),
        payload=event.payload,
        salt=event.salt,
        payload_hash=event.payload_hash,
        prev_hash=event.prev_hash,
        hash=event.hash,
        erased_at=event.erased_at,
    )

"""Requests of the events service (items-events.md 10.5, 10.7)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import attrs

from domain.access.vocabulary import EventVisibility
from domain.document import EMPTY, Document
from domain.errors import Fault, Invalid, Refusal
from domain.events.chain import EventDraft
from domain.events.values import EventType
from domain.items.data_rules import data_faults
from domain.items.dfid import parse_dfid
from domain.ports.queries import Between
from domain.shape import About, Count, Dfid, Faulty, Id, Line, Pattern

MAX_BATCH = 1000
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
AHEAD = timedelta(hours=24)
POSTED = frozenset({EventType.RECORDED, EventType.CERTIFIED})
"""The types that may be posted; the others are part of what they tell of."""

Category = Annotated[
    str,
    Line(1, 64),
    Pattern(r"[a-z][a-z0-9_.-]{0,63}", "a-z, 0-9, _ . - after a letter, at most 64.", fold=True),
]


@attrs.frozen
class AppendEvent:
    """An event to be recorded on an item, or certified in a circuit."""

    dfid: Dfid
    category: Category | None = None
    event_type: EventType = EventType.RECORDED
    visibility: EventVisibility = EventVisibility.PRIVATE
    event_id: Annotated[Id, About("Minted by the client, so that repeating changes nothing.")] | None = None
    circuit_id: Id | None = None
    recipient_user_id: Id | None = None
    occurred_at: datetime | None = None
    corrects: Annotated[Id, About("An earlier event of the item by the same workspace.")] | None = None
    payload: Document = EMPTY

    @property
    def certified(self) -> bool:
        return self.event_type is EventType.CERTIFIED

    @property
    def stored_circuit_id(self) -> str | None:
        """The circuit the event belongs to; one named only for the right to write is not kept (10.5)."""
        kept = self.certified or self.visibility is EventVisibility.CIRCUIT_ONLY
        return self.circuit_id if kept else None

    def faults(self, now: datetime) -> Iterator[Fault]:
        """Yield what is wrong whatever is stored."""
        if parse_dfid(self.dfid) is None:
            yield Fault("format", "This is no DFID.", pointer="/dfid")
        if self.category is None:
            yield Fault("category_required", "Name the category of what happened.", pointer="/category")
        if self.visibility is EventVisibility.CIRCUIT_ONLY and self.circuit_id is None:
            yield Fault("required", "circuit_only needs a circuit.", pointer="/circuit_id")
        direct = self.visibility is EventVisibility.DIRECT
        if direct and self.recipient_user_id is None:
            yield Fault("required", "A direct event needs a recipient.", pointer="/recipient_user_id")
        if not direct and self.recipient_user_id is not None:
            yield Fault("not_allowed", "Only a direct event has a recipient.", pointer="/recipient_user_id")
        if self.occurred_at is not None and not EARLIEST <= self.occurred_at <= now + AHEAD:
            detail = "From 1900 to 24 hours ahead."
            yield Fault("occurred_at_out_of_range", detail, pointer="/occurred_at")
        yield from data_faults(self.payload, "/payload", reserved=False)

    def check(self, now: datetime) -> None:
        """Refuse what is wrong whatever is stored. Raises Invalid, or Refusal `event_type_not_allowed`."""
        if faults := tuple(self.faults(now)):
            raise Invalid(faults)
        if self.event_type not in POSTED:
            raise Refusal("event_type_not_allowed", "Only recorded and certified events can be posted.")

    def draft(self) -> EventDraft:
        """Return the event to be linked, of a request without faults."""
        return EventDraft(
            dfid=parse_dfid(self.dfid) or self.dfid,
            event_type=self.event_type,
            visibility=self.visibility,
            payload=self.payload,
            circuit_id=self.stored_circuit_id,
            recipient_user_id=self.recipient_user_id,
            category=self.category,
            occurred_at=self.occurred_at,
            corrects=self.corrects,
            event_id=self.event_id,
        )


@attrs.frozen
class AppendEvents:
    """1 to 1,000 events in one unit; each stands or is refused on its own."""

    events: Annotated[tuple[AppendEvent | Faulty, ...], Count(1, MAX_BATCH)]


class Author(StrEnum):
    """Whose events: the caller's own, or those of the caller's workspace."""

    ME = "me"
    WORKSPACE = "workspace"


class Time(StrEnum):
    """The time by which events are listed and limited."""

    RECORDED = "recorded"
    OCCURRED = "occurred"


class Direction(StrEnum):
    ASC = "asc"
    DESC = "desc"


@attrs.frozen
class EventFilter:
    """Which events to list (10.7); `from_` is inclusive, `to` exclusive."""

    dfid: Dfid | None = None
    event_type: frozenset[EventType] = frozenset()
    category: Category | None = None
    visibility: EventVisibility | None = None
    circuit_id: Id | None = None
    author: Author | None = None
    from_: datetime | None = None
    to: datetime | None = None
    time: Time = Time.RECORDED
    order: Direction = Direction.DESC

    @property
    def period(self) -> Between | None:
        return None if self.from_ is None and self.to is None else Between(self.from_, self.to)

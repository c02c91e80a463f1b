"""The chain of an item's events: how they are hashed and linked (items-events.md 10.4)."""

import os
from collections.abc import Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from operator import attrgetter
from typing import Any

import attrs

from domain.access.principal import Principal
from domain.access.vocabulary import EventVisibility
from domain.canonical import digest
from domain.document import Document
from domain.events.values import ChainHead, Event, EventType
from domain.evolving import evolve
from domain.ids import new_id
from domain.instants import strictly_after, wire

ALGORITHM = "defarm-event/1"
NO_HASH = "0" * 64
"""`prev_hash` of the first event of a chain."""


@attrs.frozen
class EventDraft:
    """An event before it has its place in the chain. `occurred_at` is the time of recording when left out."""

    dfid: str
    event_type: EventType
    visibility: EventVisibility
    payload: Document
    circuit_id: str | None = None
    recipient_user_id: str | None = None
    category: str | None = None
    occurred_at: datetime | None = None
    corrects: str | None = None
    event_id: str | None = None


class ChainFault(StrEnum):
    """What can be wrong at a position, in the order in which it is looked for (items-events.md 10.6)."""

    GAP = "gap"
    ORDER = "order"
    PAYLOAD = "payload"
    LINK = "link"
    HASH = "hash"
    HEAD = "head"
    CONTRIBUTION = "contribution"


def new_salt() -> str:
    """Return 16 random bytes in hexadecimal, which keep a hash from being guessed."""
    return os.urandom(16).hex()


def payload_hash(salt: str | None, payload: Any) -> str:
    """Return the hash that commits a payload."""
    return digest({"v": "defarm-payload/1", "salt": salt, "payload": payload}, payload)


def event_hash(event: Event) -> str:
    """Return the hash of an event, over everything but the payload itself and what erasure leaves behind."""
    return _hash(_members(event))


def hashed_members(event: Event) -> dict[str, Any]:
    """Return what the hash of an event covers, with the tag of the rule."""
    return _tagged(_members(event))


HASHED = (
    "event_id",
    "dfid",
    "position",
    "event_type",
    "category",
    "visibility",
    "circuit_id",
    "recipient_user_id",
    "author_user_id",
    "author_workspace_id",
    "occurred_at",
    "recorded_at",
    "corrects",
    "payload_hash",
    "prev_hash",
)
"""The members of an event that its hash covers, beside the tag of the rule."""
_hashed = attrgetter(*HASHED)


def _members(event: Event) -> dict[str, Any]:
    return dict(zip(HASHED, _hashed(event), strict=True))


def _tagged(members: dict[str, Any]) -> dict[str, Any]:
    occurred_at, recorded_at = wire(members["occurred_at"]), wire(members["recorded_at"])
    return {**members, "v": ALGORITHM, "occurred_at": occurred_at, "recorded_at": recorded_at}


def _hash(members: dict[str, Any]) -> str:
    return digest(_tagged(members), members["position"])


def link(draft: EventDraft, head: ChainHead | None, author: Principal, now: datetime, salt: str) -> Event:
    """Return the event that continues the chain that ends at `head` (None: that begins)."""
    recorded_at = strictly_after(head.recorded_at if head else None, now)
    members: dict[str, Any] = {
        "event_id": draft.event_id or new_id(),
        "dfid": draft.dfid,
        "position": head.version + 1 if head else 1,
        "event_type": draft.event_type,
        "category": draft.category,
        "visibility": draft.visibility,
        "circuit_id": draft.circuit_id,
        "recipient_user_id": draft.recipient_user_id,
        "author_user_id": author.user_id,
        "author_workspace_id": author.workspace_id,
        "occurred_at": draft.occurred_at or recorded_at,
        "recorded_at": recorded_at,
        "corrects": draft.corrects,
        "payload_hash": payload_hash(salt, draft.payload),
        "prev_hash": head.hash if head else NO_HASH,
    }
    return Event(**members, payload=draft.payload, salt=salt, hash=_hash(members))


def head_of(event: Event, before: ChainHead | None = None) -> ChainHead:
    """Return the head of a chain that ends with `event`, which stood at `before`."""
    counted = 0 if before is None else before.public
    return ChainHead(
        dfid=event.dfid,
        hash=event.hash,
        recorded_at=event.recorded_at,
        version=event.position,
        public=counted + (event.visibility is EventVisibility.PUBLIC),
    )


def faults(events: Sequence[Event], head: ChainHead | None) -> Iterator[tuple[int, ChainFault]]:
    """Yield (position, fault) for everything wrong with a chain given in order of position, in that order.

    Erased payloads are not checked: their hash stays and still binds the chain.
    """
    previous: Event | None = None
    for place, event in enumerate(events, start=1):
        yield from ((place, fault) for fault in _faults_of(event, place, previous))
        previous = event
    length = head.version if head else 0
    if length != len(events):
        yield min(length, len(events)) + 1, ChainFault.HEAD
    elif previous is not None and head is not None and evolve(head_of(previous), public=head.public) != head:
        yield length, ChainFault.HEAD


def _faults_of(event: Event, place: int, previous: Event | None) -> Iterator[ChainFault]:
    if event.position != place:
        yield ChainFault.GAP
    if previous is not None and event.recorded_at <= previous.recorded_at:
        yield ChainFault.ORDER
    if not is_erased(event) and payload_hash(event.salt, event.payload) != event.payload_hash:
        yield ChainFault.PAYLOAD
    if event.prev_hash != (previous.hash if previous else NO_HASH):
        yield ChainFault.LINK
    if event_hash(event) != event.hash:
        yield ChainFault.HASH


def is_erased(event: Event) -> bool:
    """Tell whether the payload was removed by erasure (items-events.md 10.8)."""
    return event.erased_at is not None and event.payload is None and event.salt is None

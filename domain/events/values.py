"""Events and the chain of an item (items-events.md 10)."""

from datetime import datetime
from enum import StrEnum

import attrs

from domain.access.vocabulary import EventVisibility
from domain.document import Document


class EventType(StrEnum):
    CREATED = "created"
    ENRICHED = "enriched"
    UPDATED = "updated"
    MERGED = "merged"
    UNMERGED = "unmerged"
    SPLIT = "split"
    STATUS_CHANGED = "status_changed"
    PUSHED_TO_CIRCUIT = "pushed_to_circuit"
    PULLED_FROM_CIRCUIT = "pulled_from_circuit"
    WITHDRAWN = "withdrawn"
    TRANSFERRED = "transferred"
    CERTIFIED = "certified"
    RECORDED = "recorded"


@attrs.frozen
class Event:
    """One entry of an item's chain; append-only. `payload` and `salt` are None only after erasure."""

    event_id: str
    dfid: str
    position: int
    event_type: EventType
    visibility: EventVisibility
    author_user_id: str | None
    author_workspace_id: str | None
    occurred_at: datetime
    recorded_at: datetime
    payload: Document | None
    salt: str | None
    payload_hash: str
    prev_hash: str
    hash: str
    category: str | None = None
    circuit_id: str | None = None
    recipient_user_id: str | None = None
    corrects: str | None = None
    erased_at: datetime | None = None


@attrs.frozen
class ChainHead:
    """The end of an item's chain. `version` is its length, so that an append is a compare-and-set; `public` is
    how many of its events are public."""

    dfid: str
    hash: str
    recorded_at: datetime
    version: int
    public: int = 0

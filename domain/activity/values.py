"""Activity entries (platform.md 7)."""

from datetime import datetime
from enum import StrEnum

import attrs

from domain.document import EMPTY, Document


class ActivityKind(StrEnum):
    """Everything that the feed can tell; the set is closed."""

    CIRCUIT_CREATED = "circuit_created"
    CIRCUIT_UPDATED = "circuit_updated"
    CIRCUIT_STATUS_CHANGED = "circuit_status_changed"
    OWNERSHIP_TRANSFERRED = "ownership_transferred"
    MEMBER_JOINED = "member_joined"
    MEMBER_ADDED = "member_added"
    MEMBER_REMOVED = "member_removed"
    MEMBER_LEFT = "member_left"
    ROLE_CHANGED = "role_changed"
    JOIN_REQUESTED = "join_requested"
    JOIN_APPROVED = "join_approved"
    JOIN_REJECTED = "join_rejected"
    PUSH_REQUESTED = "push_requested"
    ITEM_PUSHED = "item_pushed"
    ITEM_TOKENIZED = "item_tokenized"
    ITEMS_PUSHED = "items_pushed"
    PULL_REQUESTED = "pull_requested"
    ITEM_PULLED = "item_pulled"
    ITEM_WITHDRAWN = "item_withdrawn"
    OPERATION_APPROVED = "operation_approved"
    OPERATION_REJECTED = "operation_rejected"
    OPERATION_CANCELLED = "operation_cancelled"
    ITEM_PUBLISHED = "item_published"
    ITEM_UNPUBLISHED = "item_unpublished"
    ITEM_CREATED = "item_created"
    ITEMS_IMPORTED = "items_imported"
    ITEM_ENRICHED = "item_enriched"
    ITEM_UPDATED = "item_updated"
    ITEMS_MERGED = "items_merged"
    ITEM_UNMERGED = "item_unmerged"
    ITEM_SPLIT = "item_split"
    ITEM_STATUS_CHANGED = "item_status_changed"
    ITEM_SHARED = "item_shared"
    SHARE_REVOKED = "share_revoked"
    ITEM_TRANSFER_OFFERED = "item_transfer_offered"
    ITEM_TRANSFERRED = "item_transferred"
    EVENT_RECORDED = "event_recorded"
    API_KEY_CREATED = "api_key_created"
    API_KEY_REVOKED = "api_key_revoked"
    DRAFT_CREATED = "draft_created"
    DRAFTS_MERGED = "drafts_merged"
    PENDING_RESOLVED = "pending_resolved"
    MEMBER_FROZEN = "member_frozen"
    MEMBER_UNFROZEN = "member_unfrozen"
    REPORT_REQUESTED = "report_requested"


@attrs.frozen
class Activity:
    activity_id: str
    at: datetime
    actor_user_id: str | None
    workspace_id: str | None
    kind: str
    resource: Document
    trace_id: str
    circuit_id: str | None = None
    dfids: tuple[str, ...] = ()
    item_count: int = 0
    status: str = "success"
    data: Document = EMPTY


@attrs.frozen
class Tally:
    """How many entries of a kind there are on a UTC day, `2026-03-01`."""

    day: str
    kind: str
    count: int

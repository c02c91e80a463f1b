"""Notifications (platform.md 8)."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import attrs

from domain.document import EMPTY, Document


class NotificationType(StrEnum):
    """Everything that users are told; the set is closed (platform.md 8.2)."""

    JOIN_REQUEST_RECEIVED = "join_request_received"
    JOIN_REQUEST_APPROVED = "join_request_approved"
    JOIN_REQUEST_REJECTED = "join_request_rejected"
    MEMBER_ADDED = "member_added"
    MEMBER_REMOVED = "member_removed"
    MEMBER_LEFT = "member_left"
    ROLE_CHANGED = "role_changed"
    OWNERSHIP_TRANSFERRED = "ownership_transferred"
    CIRCUIT_UPDATED = "circuit_updated"
    OPERATION_PENDING = "operation_pending"
    OPERATION_APPROVED = "operation_approved"
    OPERATION_REJECTED = "operation_rejected"
    OPERATION_CANCELLED = "operation_cancelled"
    ITEM_WITHDRAWN = "item_withdrawn"
    ITEM_PUBLISHED = "item_published"
    ITEM_UNPUBLISHED = "item_unpublished"
    ITEM_RESHARED = "item_reshared"
    ITEM_CONTRIBUTED = "item_contributed"
    IDENTIFIER_CONFLICT = "identifier_conflict"
    IDENTIFIER_CLAIM_DISPUTED = "identifier_claim_disputed"
    IDENTIFIER_RELEASED = "identifier_released"
    ITEM_SHARED = "item_shared"
    SHARE_REVOKED = "share_revoked"
    ITEM_TRANSFER_OFFERED = "item_transfer_offered"
    ITEM_TRANSFER_DECIDED = "item_transfer_decided"
    EVENT_RECEIVED = "event_received"
    EVENT_ERASED = "event_erased"
    WEBHOOK_DISABLED = "webhook_disabled"
    IMPORT_FINISHED = "import_finished"
    REPORT_READY = "report_ready"
    INVITATION_ACCEPTED = "invitation_accepted"
    ACCOUNT_UPDATED = "account_updated"
    ACCOUNT_UNFROZEN = "account_unfrozen"
    WORKSPACE_ROLE_CHANGED = "workspace_role_changed"
    PASSWORD_CHANGED = "password_changed"  # noqa: S105 - a kind of message
    SESSION_REUSE_DETECTED = "session_reuse_detected"
    API_KEY_CREATED = "api_key_created"
    API_KEY_EXPIRING = "api_key_expiring"
    INCIDENT_OPENED = "incident_opened"


NEVER_MUTED: Final = frozenset(
    {
        NotificationType.PASSWORD_CHANGED,
        NotificationType.SESSION_REUSE_DETECTED,
        NotificationType.API_KEY_CREATED,
        NotificationType.INCIDENT_OPENED,
    }
)


@attrs.frozen
class Notification:
    """`position` is given at commit, under the user's counter; it is 0 before."""

    notification_id: str
    user_id: str
    type: str
    source_id: str
    created_at: datetime
    data: Document = EMPTY
    actor_user_id: str | None = None
    circuit_id: str | None = None
    dfid: str | None = None
    read_at: datetime | None = None
    position: int = 0
    version: int = 1


@attrs.frozen
class LastPosition:
    """Up to where the notifications of a user were counted."""

    position: int

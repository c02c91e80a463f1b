"""Wire values that access is decided on (circuits.md 1.9, items-events.md 1.10)."""

from enum import StrEnum


class CircuitStatus(StrEnum):
    """`archived` is final."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    ARCHIVED = "archived"


class MembershipStatus(StrEnum):
    """The row of a member stays after the end."""

    ACTIVE = "active"
    LEFT = "left"
    REMOVED = "removed"


class JoinRequestStatus(StrEnum):
    """All but `pending` are final."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class OperationType(StrEnum):
    """What an operation of a circuit does with an item."""

    PUSH = "push"
    PULL = "pull"


class OperationStatus(StrEnum):
    """All but `pending` are final."""

    PENDING = "pending"
    COMPLETED = "completed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class PublicAccessMode(StrEnum):
    """How the public page of a circuit opens once its switch is on."""

    PUBLIC = "public"
    PROTECTED = "protected"
    SCHEDULED = "scheduled"


class PageState(StrEnum):
    """What the public page of a circuit is at an instant; derived, never stored (circuits.md 2.5)."""

    CLOSED = "closed"
    OPEN = "open"
    PROTECTED = "protected"


class ItemStatus(StrEnum):
    """`local` items are drafts: known by a LID and seen by their own workspace only."""

    LOCAL = "local"
    ACTIVE = "active"
    DEPRECATED = "deprecated"
    MERGED = "merged"
    SPLIT = "split"


class TransferStatus(StrEnum):
    """`expired` is derived from `open` and the clock, and written by the next offer of the item."""

    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class EventVisibility(StrEnum):
    """Who reads an event besides the workspace that wrote it (items-events.md 10.3)."""

    PUBLIC = "public"
    PRIVATE = "private"
    CIRCUIT_ONLY = "circuit_only"
    DIRECT = "direct"

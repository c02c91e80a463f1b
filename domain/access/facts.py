"""What is known when access is decided (circuits.md 2.1).

A fact that is absent is false, and a fact about another user, circuit or item than the one asked about is
ignored; so more facts than needed do no harm, and fewer deny. Where facts contradict each other, the first
that fits counts.
"""

from collections.abc import Iterable
from datetime import datetime

import attrs

from domain.access.permissions import Permission
from domain.access.vocabulary import (
    CircuitStatus,
    EventVisibility,
    ItemStatus,
    JoinRequestStatus,
    MembershipStatus,
    OperationStatus,
    OperationType,
    PublicAccessMode,
    TransferStatus,
)


def _permission_set(given: Iterable[Permission]) -> frozenset[Permission]:
    return frozenset(given)


@attrs.frozen
class CircuitFact:
    """A circuit with its switches; `scheduled_date` counts in mode `scheduled` only."""

    circuit_id: str
    status: CircuitStatus
    owner_id: str
    require_approval_for_push: bool = False
    require_approval_for_pull: bool = False
    allow_resharing: bool = False
    allow_public_visibility: bool = False
    access_mode: PublicAccessMode = PublicAccessMode.PUBLIC
    scheduled_date: datetime | None = None
    password_version: int = 0


@attrs.frozen
class MemberFact:
    """A membership: of the principal, or of the member acted upon, or of the requester of an operation.

    `role` is the name shown: that of the custom role, else of the base role.
    """

    circuit_id: str
    user_id: str
    status: MembershipStatus
    permissions: frozenset[Permission] = attrs.field(converter=_permission_set)
    joined_at: datetime
    role: str = ""


@attrs.frozen
class ItemFact:
    """An item; `dfid` is the LID for a draft."""

    dfid: str
    workspace_id: str
    status: ItemStatus = ItemStatus.ACTIVE


@attrs.frozen
class ShareFact:
    """A share of an item with a user. At `expires_at` it no longer counts."""

    dfid: str
    recipient_user_id: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    share_id: str | None = None


@attrs.frozen
class TransferFact:
    """An offer of an item from one workspace to another. At `expires_at` it no longer counts."""

    dfid: str
    from_workspace_id: str
    to_workspace_id: str
    status: TransferStatus
    expires_at: datetime
    transfer_id: str | None = None


@attrs.frozen
class PlacementFact:
    """An item standing in a circuit; `item_workspace_id` is the item's owner of now."""

    circuit_id: str
    dfid: str
    placement_id: str
    item_workspace_id: str
    placed_by_workspace_id: str
    resharable: bool = False
    published: bool = False
    placed_at: datetime | None = None


@attrs.frozen
class PullFact:
    """A completed pull. It counts for the placement it read and the membership it was made under only."""

    circuit_id: str
    dfid: str
    requester_id: str
    placement_id: str
    member_since: datetime
    operation_id: str | None = None


@attrs.frozen
class EventFact:
    """An event of an item. `circuit_id` counts for `circuit_only`, `recipient_user_id` for `direct`."""

    event_id: str
    dfid: str
    visibility: EventVisibility
    author_workspace_id: str
    circuit_id: str | None = None
    recipient_user_id: str | None = None


@attrs.frozen
class OperationFact:
    """A push or pull; `member_since` is `joined_at` of the requester's membership when it was asked for."""

    operation_id: str
    circuit_id: str
    type: OperationType
    requester_id: str
    requester_workspace_id: str
    status: OperationStatus
    member_since: datetime | None = None


@attrs.frozen
class RequestFact:
    """Somebody asking to join a circuit."""

    request_id: str
    circuit_id: str
    requester_id: str
    status: JoinRequestStatus = JoinRequestStatus.PENDING


@attrs.frozen
class PageFact:
    """The claims of a verified page token (circuits.md 4.16)."""

    circuit_id: str
    password_version: int
    expires_at: datetime


@attrs.frozen(slots=False)  # cheaper to make, and every request makes one
class Target:
    """What the question is about. A member left out is not part of the question.

    - `circuit_id`: the circuit of circuit, placement and operation actions; for views of items it narrows the
      answer to that circuit, for `item.push`, `item.enrich` and `event.append` it is the one acted through.
    - `user_id`: the member acted upon, the recipient of a notification, the actor of an activity entry.
    - `granted`, `grants_owner`: permissions of the role to be given (rule S1), and whether it is `owner`.
    - `defined`: old and new permissions of the custom role (rule S3).
    - `visibility`, `certified`: of the event to be appended; not certified means `recorded`.
    """

    circuit_id: str | None = None
    dfid: str | None = None
    event_id: str | None = None
    operation_id: str | None = None
    request_id: str | None = None
    transfer_id: str | None = None
    user_id: str | None = None
    granted: frozenset[Permission] | None = None
    grants_owner: bool = False
    defined: tuple[frozenset[Permission], ...] = ()
    visibility: EventVisibility | None = None
    certified: bool = False


@attrs.frozen(slots=False)  # as Target
class Facts:
    """The target and everything known that bears on it."""

    target: Target = Target()
    circuits: tuple[CircuitFact, ...] = ()
    members: tuple[MemberFact, ...] = ()
    items: tuple[ItemFact, ...] = ()
    shares: tuple[ShareFact, ...] = ()
    transfers: tuple[TransferFact, ...] = ()
    placements: tuple[PlacementFact, ...] = ()
    pulls: tuple[PullFact, ...] = ()
    events: tuple[EventFact, ...] = ()
    operations: tuple[OperationFact, ...] = ()
    requests: tuple[RequestFact, ...] = ()
    pages: tuple[PageFact, ...] = ()

"""What the access decision is told of stored rows (circuits.md 2.1)."""

from domain.access.facts import (
    CircuitFact,
    ItemFact,
    MemberFact,
    OperationFact,
    PlacementFact,
    PullFact,
    RequestFact,
    ShareFact,
    TransferFact,
)
from domain.circuits.values import Circuit, JoinRequest, Membership, Operation, Placement
from domain.items.values import Item, Share, Transfer


def role_name(circuit: Circuit | None, membership: Membership) -> str:
    """Return the name a member's role is shown by: that of the custom role, else of the base role."""
    if circuit is not None and membership.custom_role_id is not None:
        for role in circuit.roles:
            if role.role_id == membership.custom_role_id:
                return role.name
    return membership.base_role.value


def circuit_fact(circuit: Circuit) -> CircuitFact:
    """Return a circuit as a decision knows it."""
    page = circuit.public_settings
    return CircuitFact(
        circuit.circuit_id,
        circuit.status,
        circuit.owner_id,
        require_approval_for_push=circuit.require_approval_for_push,
        require_approval_for_pull=circuit.require_approval_for_pull,
        allow_resharing=circuit.allow_resharing,
        allow_public_visibility=circuit.allow_public_visibility,
        access_mode=page.access_mode,
        scheduled_date=page.scheduled_date,
        password_version=page.password_version,
    )


def member_fact(circuit: Circuit | None, membership: Membership) -> MemberFact:
    """Return a membership as a decision knows it."""
    return MemberFact(
        membership.circuit_id,
        membership.user_id,
        membership.status,
        membership.permissions,
        membership.joined_at,
        role_name(circuit, membership),
    )


def item_fact(item: Item) -> ItemFact:
    """Return an item or a draft as a decision knows it."""
    return ItemFact(item.key, item.workspace_id, item.status)


def share_fact(share: Share) -> ShareFact:
    """Return a share as a decision knows it."""
    return ShareFact(share.dfid, share.recipient_user_id, share.expires_at, share.revoked_at, share.share_id)


def transfer_fact(transfer: Transfer) -> TransferFact:
    """Return an offer of an item as a decision knows it."""
    return TransferFact(
        transfer.dfid,
        transfer.from_workspace_id,
        transfer.to_workspace_id,
        transfer.status,
        transfer.expires_at,
        transfer.transfer_id,
    )


def placement_fact(placement: Placement) -> PlacementFact:
    """Return a placement as a decision knows it."""
    return PlacementFact(
        placement.circuit_id,
        placement.dfid,
        placement.placement_id,
        placement.item_workspace_id,
        placement.placed_by_workspace_id,
        placement.resharable,
        placement.published,
        placement.placed_at,
    )


def pull_fact(operation: Operation) -> PullFact:
    """Return what a completed pull proves."""
    return PullFact(
        operation.circuit_id,
        operation.dfid or "",
        operation.requester_id,
        operation.placement_id or "",
        operation.member_since,
        operation.operation_id,
    )


def operation_fact(operation: Operation) -> OperationFact:
    """Return an operation as a decision knows it."""
    return OperationFact(
        operation.operation_id,
        operation.circuit_id,
        operation.operation_type,
        operation.requester_id,
        operation.requester_workspace_id,
        operation.status,
        operation.member_since,
    )


def request_fact(request: JoinRequest) -> RequestFact:
    """Return a request to join as a decision knows it."""
    return RequestFact(request.request_id, request.circuit_id, request.requester_id, request.status)

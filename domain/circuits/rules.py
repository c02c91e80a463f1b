"""What circuits decide (circuits.md 3 to 5): pure functions from stored values to the values to be stored."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from domain.access.permissions import ALL_PERMISSIONS, ROLE_PERMISSIONS, BaseRole, Permission
from domain.access.principal import Principal
from domain.access.vocabulary import (
    CircuitStatus,
    ItemStatus,
    JoinRequestStatus,
    MembershipStatus,
    OperationStatus,
    OperationType,
)
from domain.circuits.values import (
    Circuit,
    CustomRole,
    JoinRequest,
    Membership,
    Operation,
    OperationOrigin,
    Placement,
)
from domain.errors import Refusal
from domain.evolving import evolve
from domain.ids import new_id
from domain.instants import strictly_after
from domain.items.values import Item

ASSIGNABLE = (BaseRole.ADMIN, BaseRole.MEMBER, BaseRole.VIEWER)


@attrs.frozen
class Role:
    """A role that a member may be given: a base role, or a custom one (`custom_role_id`)."""

    name: str
    permissions: frozenset[Permission]
    base_role: BaseRole | None = None
    custom_role_id: str | None = None

    @property
    def is_owner(self) -> bool:
        return self.base_role is BaseRole.OWNER


def custom_role(circuit: Circuit, name: str) -> CustomRole | None:
    """Return the custom role of that name."""
    return next((role for role in circuit.roles if role.name == name), None)


def role_named(circuit: Circuit, name: str) -> Role | None:
    """Return the role of that name in a circuit, base or custom."""
    if name in set(BaseRole):
        base = BaseRole(name)
        return Role(name, ROLE_PERMISSIONS[base], base_role=base)
    custom = custom_role(circuit, name)
    return None if custom is None else Role(name, custom.permissions, custom_role_id=custom.role_id)


def role_unknown(name: str) -> Refusal:
    """The answer for a role that the circuit does not have."""
    return Refusal("role_unknown", f"This circuit has no role {name}.")


def owner_of(circuit: Circuit) -> Membership:
    """Return the membership of the creator of a new circuit."""
    return Membership(
        circuit_id=circuit.circuit_id,
        user_id=circuit.owner_id,
        base_role=BaseRole.OWNER,
        permissions=ALL_PERMISSIONS,
        joined_at=circuit.created_at,
        joined_via="created",
    )


def changed(circuit: Circuit, now: datetime, **changes: Any) -> Circuit:
    """Return the circuit with `changes`, one version on; the same circuit when they change nothing.

    `public_since` follows the visibility switch.
    """
    after = attrs.evolve(circuit, **changes)
    if after == circuit:
        return circuit
    if after.allow_public_visibility != circuit.allow_public_visibility:
        after = attrs.evolve(after, public_since=now if after.allow_public_visibility else None)
    return attrs.evolve(after, updated_at=strictly_after(circuit.updated_at, now), version=circuit.version + 1)


def differences(before: Any, after: Any, names: Mapping[str, Any] | tuple[str, ...]) -> dict[str, tuple[Any, Any]]:
    """Return old and new value of the members that differ."""
    pairs = {name: (getattr(before, name), getattr(after, name)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def joined(
    earlier: Membership | None,
    circuit: Circuit,
    user_id: str,
    role: Role,
    now: datetime,
    *,
    via: str,
    added_by: str | None = None,
) -> Membership:
    """Return the membership of somebody who joins now; an ended one lives again, strictly later than before.

    A custom role stands on the base role `viewer`.
    """
    return Membership(
        circuit_id=circuit.circuit_id,
        user_id=user_id,
        base_role=role.base_role or BaseRole.VIEWER,
        permissions=role.permissions,
        joined_at=strictly_after(None if earlier is None else earlier.ended_at or earlier.joined_at, now),
        joined_via=via,
        added_by=added_by,
        custom_role_id=role.custom_role_id,
        was_removed=earlier is not None and earlier.was_removed,
        version=1 if earlier is None else earlier.version + 1,
    )


def with_role(membership: Membership, role: Role | None) -> Membership:
    """Return the membership with a role put on; None takes the custom role off. Unchanged when it is so already."""
    base = membership.base_role if role is None or role.base_role is None else role.base_role
    after = attrs.evolve(
        membership,
        base_role=base,
        custom_role_id=None if role is None else role.custom_role_id,
        permissions=ROLE_PERMISSIONS[base] if role is None else role.permissions,
    )
    return membership if after == membership else attrs.evolve(after, version=membership.version + 1)


def ended(membership: Membership, now: datetime, by: str) -> Membership:
    """Return the membership after its end, by the member or by somebody else."""
    return attrs.evolve(
        membership,
        status=MembershipStatus.LEFT if by == membership.user_id else MembershipStatus.REMOVED,
        custom_role_id=None,
        permissions=ROLE_PERMISSIONS[membership.base_role],
        ended_at=strictly_after(membership.joined_at, now),
        ended_by=by,
        was_removed=membership.was_removed or by != membership.user_id,
        version=membership.version + 1,
    )


def decided(
    request: JoinRequest,
    status: JoinRequestStatus,
    now: datetime,
    *,
    by: str | None = None,
    role: str | None = None,
    reason: str | None = None,
) -> JoinRequest:
    """Return a join request after its decision. Raises Refusal `request_decided`."""
    if request.status is not JoinRequestStatus.PENDING:
        raise Refusal("request_decided", "This request is decided.", current_status=request.status.value)
    return attrs.evolve(
        request,
        status=status,
        decided_at=now,
        decided_by=by,
        role=role,
        reason=reason,
        version=request.version + 1,
    )


def moved(circuit: Circuit, status: CircuitStatus, now: datetime) -> Circuit:
    """Return the circuit in another status; which steps exist is the access decision's to say."""
    return changed(circuit, now, status=status)


def approval_needed(circuit: Circuit, member: Membership, kind: OperationType) -> bool:
    """Tell whether an operation of this member waits for somebody else."""
    push = kind is OperationType.PUSH
    required = circuit.require_approval_for_push if push else circuit.require_approval_for_pull
    return required and Permission.APPROVE not in member.permissions


def new_operation(
    circuit: Circuit,
    member: Membership,
    requester: Principal,
    kind: OperationType,
    now: datetime,
    **more: Any,
) -> Operation:
    """Return a waiting operation of `requester`."""
    assert requester.user_id is not None
    assert requester.workspace_id is not None
    return Operation(
        operation_id=new_id(),
        circuit_id=circuit.circuit_id,
        requester_id=requester.user_id,
        requester_workspace_id=requester.workspace_id,
        operation_type=kind,
        origin=more.pop("origin", OperationOrigin.DFID),
        member_since=member.joined_at,
        requested_at=now,
        status=OperationStatus.PENDING,
        **more,
    )


def completed_at_once(circuit: Circuit, operation: Operation, now: datetime, **more: Any) -> Operation:
    """Return an operation that needs nobody else: decided by the requester where approval was required."""
    push = operation.operation_type is OperationType.PUSH
    required = circuit.require_approval_for_push if push else circuit.require_approval_for_pull
    return evolve(
        operation,
        status=OperationStatus.COMPLETED,
        decided_at=now,
        decided_by=operation.requester_id if required else None,
        **more,
    )


def closed(
    operation: Operation,
    status: OperationStatus,
    now: datetime,
    *,
    by: str | None = None,
    reason: str | None = None,
    **more: Any,
) -> Operation:
    """Return a waiting operation in its final status. Raises Refusal `operation_decided`.

    The staged extras of a draft go with the decision.
    """
    if operation.status is not OperationStatus.PENDING:
        raise Refusal("operation_decided", "This operation is decided.", current_status=operation.status.value)
    return attrs.evolve(
        operation,
        status=status,
        decided_at=now,
        decided_by=by,
        reason=reason,
        approved=status is OperationStatus.COMPLETED and by != operation.requester_id,
        identifiers=None,
        data=None,
        version=operation.version + 1,
        **more,
    )


def superseded(operation: Operation, now: datetime) -> Operation:
    """Return a waiting operation after its requester did the same without approval."""
    return closed(operation, OperationStatus.CANCELLED, now, reason="superseded")


def placed(circuit: Circuit, item: Item, operation: Operation, now: datetime) -> Placement:
    """Return the placement a completed push makes (circuits.md 4.11).

    Only the owner's workspace publishes by pushing.
    """
    assert item.dfid is not None
    own = operation.requester_workspace_id == item.workspace_id
    published = own and circuit.public_settings.auto_publish_pushed_items
    return Placement(
        placement_id=new_id(),
        circuit_id=circuit.circuit_id,
        dfid=item.dfid,
        item_workspace_id=item.workspace_id,
        placed_by=operation.requester_id,
        placed_by_workspace_id=operation.requester_workspace_id,
        placed_at=now,
        operation_id=operation.operation_id,
        resharable=circuit.allow_resharing,
        published=published,
        published_at=now if published else None,
    )


def published(placement: Placement, now: datetime, by: str | None) -> Placement:
    """Return the placement on the page; the same when it is there already."""
    if placement.published:
        return placement
    return attrs.evolve(placement, published=True, published_at=now, published_by=by, version=placement.version + 1)


def unpublished(placement: Placement) -> Placement:
    """Return the placement off the page; the same when it is not there."""
    if not placement.published:
        return placement
    return attrs.evolve(placement, published=False, published_at=None, published_by=None, version=placement.version + 1)


def check_active(item: Item) -> None:
    """Refuse an item that has ended. Raises Refusal `item_merged` with `merged_into`, or `item_not_active`."""
    if item.status is ItemStatus.MERGED:
        raise Refusal("item_merged", "This item was merged into another.", merged_into=item.lineage.merged_into)
    if item.status is not ItemStatus.ACTIVE:
        raise Refusal("item_not_active", f"This item is {item.status}.", current_status=item.status.value)

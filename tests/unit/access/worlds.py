"""A small world to ask about: item D of workspace `farm`, circuits C and E, reader `ana` of workspace `mill`."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.access.facts import (
    CircuitFact,
    EventFact,
    ItemFact,
    MemberFact,
    OperationFact,
    PageFact,
    PlacementFact,
    PullFact,
    ShareFact,
    TransferFact,
)
from domain.access.permissions import ALL_PERMISSIONS, Permission
from domain.access.principal import Principal, PrincipalKind, WorkspaceRole
from domain.access.vocabulary import (
    CircuitStatus,
    EventVisibility,
    ItemStatus,
    MembershipStatus,
    OperationStatus,
    OperationType,
    TransferStatus,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
JOINED = NOW - timedelta(days=30)
ALL = ALL_PERMISSIONS
ACTIVE, INACTIVE, ARCHIVED = CircuitStatus.ACTIVE, CircuitStatus.INACTIVE, CircuitStatus.ARCHIVED


def user(user_id: str = "ana", workspace_id: str = "mill", **more: Any) -> Principal:
    return Principal(PrincipalKind.USER, user_id, workspace_id, **more)


def manager(user_id: str = "ana", workspace_id: str = "mill") -> Principal:
    return user(user_id, workspace_id, workspace_role=WorkspaceRole.MANAGER)


ANA, FARMER = user(), user("bento", "farm")


def circuit(circuit_id: str = "C", status: CircuitStatus = ACTIVE, **more: Any) -> CircuitFact:
    return CircuitFact(circuit_id, status, more.pop("owner_id", "olga"), **more)


def member(
    permissions: Iterable[Permission] = ALL,
    circuit_id: str = "C",
    user_id: str = "ana",
    status: MembershipStatus = MembershipStatus.ACTIVE,
    joined_at: datetime = JOINED,
) -> MemberFact:
    return MemberFact(circuit_id, user_id, status, frozenset(permissions), joined_at, role="some")


def item(workspace_id: str = "farm", status: ItemStatus = ItemStatus.ACTIVE, dfid: str = "D") -> ItemFact:
    return ItemFact(dfid, workspace_id, status)


def share(**more: Any) -> ShareFact:
    return ShareFact(**{"dfid": "D", "recipient_user_id": "ana", "share_id": "S"} | more)


def transfer(**more: Any) -> TransferFact:
    usual = {
        "dfid": "D",
        "from_workspace_id": "farm",
        "to_workspace_id": "mill",
        "status": TransferStatus.OPEN,
        "expires_at": LATER,
        "transfer_id": "T",
    }
    return TransferFact(**usual | more)


def placement(circuit_id: str = "C", **more: Any) -> PlacementFact:
    usual = {
        "dfid": "D",
        "placement_id": f"P{circuit_id}",
        "item_workspace_id": "farm",
        "placed_by_workspace_id": "farm",
        "placed_at": EARLIER,
    }
    return PlacementFact(circuit_id, **usual | more)


def pull(circuit_id: str = "C", **more: Any) -> PullFact:
    usual = {
        "dfid": "D",
        "requester_id": "ana",
        "placement_id": f"P{circuit_id}",
        "member_since": JOINED,
        "operation_id": "O",
    }
    return PullFact(circuit_id, **usual | more)


def event(visibility: EventVisibility = EventVisibility.PUBLIC, **more: Any) -> EventFact:
    return EventFact("V", "D", visibility, more.pop("author_workspace_id", "farm"), **more)


def operation(**more: Any) -> OperationFact:
    usual = {
        "operation_id": "O",
        "circuit_id": "C",
        "type": OperationType.PUSH,
        "requester_id": "rita",
        "requester_workspace_id": "dairy",
        "status": OperationStatus.PENDING,
        "member_since": JOINED,
    }
    return OperationFact(**usual | more)


def page(**more: Any) -> PageFact:
    return PageFact(**{"circuit_id": "C", "password_version": 0, "expires_at": LATER} | more)

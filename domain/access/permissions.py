"""What members of a circuit may do, and which roles they may hand on (circuits.md 3)."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from domain.errors import Refusal


class Permission(StrEnum):
    """One thing a member may be allowed in a circuit (circuits.md 3.1)."""

    PUSH = "push"
    PULL = "pull"
    INVITE = "invite"
    MANAGE_MEMBERS = "manage_members"
    MANAGE_ROLES = "manage_roles"
    MANAGE_SETTINGS = "manage_settings"
    APPROVE = "approve"
    PUBLISH = "publish"
    CERTIFY = "certify"
    AUDIT = "audit"
    DELETE = "delete"


class BaseRole(StrEnum):
    """The four roles every circuit has."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


ALL_PERMISSIONS: Final = frozenset(Permission)

ROLE_PERMISSIONS: Final[Mapping[BaseRole, frozenset[Permission]]] = MappingProxyType(
    {
        BaseRole.OWNER: ALL_PERMISSIONS,
        BaseRole.ADMIN: ALL_PERMISSIONS - {Permission.DELETE},
        BaseRole.MEMBER: frozenset({Permission.PUSH, Permission.PULL}),
        BaseRole.VIEWER: frozenset({Permission.PULL}),
    }
)


def may_grant(actor: frozenset[Permission], granted: frozenset[Permission], *, as_owner: bool = False) -> bool:
    """S1: a role is given only within the actor's permissions, and the role `owner` never."""
    return not as_owner and granted <= actor


def may_define(actor: frozenset[Permission], *sets: frozenset[Permission]) -> bool:
    """S3: a custom role is made, changed from or to, and deleted only within the actor's permissions."""
    return all(permissions <= actor for permissions in sets)


def target_outranks(actor: frozenset[Permission], target: frozenset[Permission]) -> bool:
    """S2: the target holds something that the actor does not. Equals do not outrank each other."""
    return not target <= actor


def check_grant(actor: frozenset[Permission], granted: frozenset[Permission], *, as_owner: bool = False) -> None:
    """Apply S1. Raises Refusal `role_not_grantable`."""
    if not may_grant(actor, granted, as_owner=as_owner):
        raise Refusal("role_not_grantable", "A role can be given only within one's own permissions.")


def check_touch(actor: frozenset[Permission], target: frozenset[Permission]) -> None:
    """Apply S2 to a member other than the owner. Raises Refusal `target_outranks`."""
    if target_outranks(actor, target):
        raise Refusal("target_outranks", "This member holds permissions that you do not hold.")


def check_define(actor: frozenset[Permission], *sets: frozenset[Permission]) -> None:
    """Apply S3 to the old and new sets of a custom role. Raises Refusal `role_not_grantable`."""
    if not may_define(actor, *sets):
        raise Refusal("role_not_grantable", "A role can be defined only within one's own permissions.")


def check_auto_approve(actor: frozenset[Permission], role: frozenset[Permission]) -> None:
    """Apply S4, when auto-approval is switched on or its role widened.

    Raises Refusal `permission_missing` without `invite`, `role_not_grantable` when the role exceeds it.
    """
    if Permission.INVITE not in actor:
        raise Refusal(
            "permission_missing", "This needs the permission invite in this circuit.", needed=[Permission.INVITE.value]
        )
    check_grant(actor, role)

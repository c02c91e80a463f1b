"""What a decision says: allowed on which grounds, or denied for which reason (circuits.md 2.2, 2.6)."""

from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

import attrs

from domain.access.vocabulary import CircuitStatus, PublicAccessMode
from domain.errors import Refusal, not_found


class GroundKind(StrEnum):
    """Why something is allowed, in the order in which grounds are listed."""

    OWN_WORKSPACE = "own_workspace"
    SHARE = "share"
    TRANSFER_OFFER = "transfer_offer"
    CIRCUIT_MEMBER = "circuit_member"
    APPROVED_PULL = "approved_pull"
    PUBLISHED = "published"
    PAGE = "page"
    AUTHOR_WORKSPACE = "author_workspace"
    RECIPIENT = "recipient"
    MEMBERSHIP = "membership"
    PERMISSION = "permission"
    CIRCUIT_OWNER = "circuit_owner"
    REQUESTER = "requester"
    REQUESTER_WORKSPACE = "requester_workspace"
    SELF = "self"
    ADMINISTRATOR = "administrator"


_RANK: Final = {kind: rank for rank, kind in enumerate(GroundKind)}

_SHOWN: Final = MappingProxyType(
    {
        GroundKind.SHARE: ("share_id", "expires_at"),
        GroundKind.TRANSFER_OFFER: ("transfer_id", "expires_at"),
        GroundKind.CIRCUIT_MEMBER: ("circuit_id", "role", "placed_at"),
        GroundKind.APPROVED_PULL: ("circuit_id", "role", "operation_id"),
        GroundKind.PUBLISHED: ("circuit_id",),
        GroundKind.PAGE: ("circuit_id", "access_mode"),
        GroundKind.MEMBERSHIP: ("circuit_id", "role"),
        GroundKind.PERMISSION: ("circuit_id", "role", "permission"),
        GroundKind.CIRCUIT_OWNER: ("circuit_id",),
    }
)


@attrs.frozen
class Ground:
    """One sufficient reason to allow. Only the fields that `circuits.md` 2.2 lists for its kind are set."""

    ground: GroundKind
    circuit_id: str | None = None
    role: str | None = None
    permission: str | None = None
    share_id: str | None = None
    transfer_id: str | None = None
    operation_id: str | None = None
    request_id: str | None = None
    expires_at: datetime | None = None
    placed_at: datetime | None = None
    access_mode: PublicAccessMode | None = None

    def shown(self) -> dict[str, Any]:
        """Return the members an explanation shows, `ground` first; null ones of its kind included."""
        names = _SHOWN.get(self.ground, ())
        if self.ground in (GroundKind.REQUESTER, GroundKind.REQUESTER_WORKSPACE):
            names = ("operation_id",) if self.operation_id is not None else ("request_id",)
        return {"ground": self.ground} | {name: getattr(self, name) for name in names}


def listing_key(ground: Ground) -> tuple[int, str]:
    """Order grounds as they are listed: by kind, then by circuit."""
    return _RANK[ground.ground], ground.circuit_id or ""


class Reason(StrEnum):
    """Why something is denied. All but the ones hidden behind 404 are codes of the catalogue."""

    NOT_FOUND = "not_found"
    NOT_A_MEMBER = "not_a_member"
    PERMISSION_MISSING = "permission_missing"
    NOT_OWNER = "not_owner"
    OWNER_REQUIRED = "owner_required"
    OWNER_MUST_PUBLISH = "owner_must_publish"
    OWN_OPERATION = "own_operation"
    ROLE_NOT_GRANTABLE = "role_not_grantable"
    TARGET_OUTRANKS = "target_outranks"
    PULL_APPROVAL_REQUIRED = "pull_approval_required"
    RESHARING_NOT_ALLOWED = "resharing_not_allowed"
    CIRCUIT_NOT_ACTIVE = "circuit_not_active"
    PAGE_CLOSED = "page_closed"
    PAGE_PASSWORD_REQUIRED = "page_password_required"  # noqa: S105
    SCOPE_MISSING = "scope_missing"
    MANAGER_REQUIRED = "manager_required"
    ADMIN_REQUIRED = "admin_required"
    APPROVAL_REQUIRED = "approval_required"
    CIRCUIT_NOT_USABLE = "circuit_not_usable"
    EVENT_WRITE_DENIED = "event_write_denied"
    VISIBILITY_NOT_ALLOWED = "visibility_not_allowed"
    OWNER_CANNOT_LEAVE = "owner_cannot_leave"
    OWNER_ROLE_FIXED = "owner_role_fixed"


_HIDDEN: Final = frozenset({Reason.NOT_FOUND, Reason.PULL_APPROVAL_REQUIRED, Reason.PAGE_CLOSED})

_DETAILS: Final = MappingProxyType(
    {
        Reason.NOT_A_MEMBER: "Only members of this circuit may do this.",
        Reason.NOT_OWNER: "Only the workspace that owns this may do it.",
        Reason.OWNER_REQUIRED: "Only the owner of this circuit may do this.",
        Reason.OWNER_MUST_PUBLISH: "An item passed on by others is published by its owner only.",
        Reason.OWN_OPERATION: "Somebody else must decide your own operation.",
        Reason.ROLE_NOT_GRANTABLE: "A role can be given or defined only within your own permissions.",
        Reason.TARGET_OUTRANKS: "This member holds permissions that you do not hold.",
        Reason.RESHARING_NOT_ALLOWED: "You may read this item but not pass it on.",
        Reason.CIRCUIT_NOT_ACTIVE: "The status of this circuit does not allow this.",
        Reason.PAGE_PASSWORD_REQUIRED: "This page asks for a password.",
        Reason.MANAGER_REQUIRED: "This needs a manager of the workspace.",
        Reason.ADMIN_REQUIRED: "This needs an administrator.",
        Reason.APPROVAL_REQUIRED: "This circuit approves what comes in; push instead.",
        Reason.CIRCUIT_NOT_USABLE: "The circuit is not active for you, or the item does not stand in it.",
        Reason.EVENT_WRITE_DENIED: "You may read this item but not record events on it.",
        Reason.VISIBILITY_NOT_ALLOWED: "You may not record an event of this visibility here.",
        Reason.OWNER_CANNOT_LEAVE: "The owner stays until ownership is transferred.",
        Reason.OWNER_ROLE_FIXED: "The owner's role changes by transfer of ownership only.",
    }
)


@attrs.frozen
class Decision:
    """The answer. Denied: no grounds and a reason. `needed` names what is missing: a permission or a scope.

    `current_status` is set with `circuit_not_active`. `hides` tells the audit that something exists that the asker
    may not know of; it is no part of the answer.
    """

    allowed: bool
    grounds: tuple[Ground, ...] = ()
    reason: Reason | None = None
    needed: tuple[str, ...] = ()
    current_status: CircuitStatus | None = None
    hides: bool = attrs.field(default=False, eq=False, repr=False)

    @property
    def offer_only(self) -> bool:
        """Tell whether an open offer is all that allows: identifiers and public events may be shown, no more."""
        return bool(self.grounds) and all(held.ground is GroundKind.TRANSFER_OFFER for held in self.grounds)


OWN: Final = (Ground(GroundKind.OWN_WORKSPACE),)
_ALLOWED_AS_OWN: Final = Decision(True, OWN)
_DENIED: Final = MappingProxyType({reason: Decision(False, reason=reason) for reason in Reason})


def allow(grounds: tuple[Ground, ...]) -> Decision:
    """Allow on `grounds`, given in their order."""
    return _ALLOWED_AS_OWN if grounds is OWN else Decision(True, grounds)


def deny(reason: Reason, *needed: str) -> Decision:
    """Deny for `reason`."""
    return Decision(False, reason=reason, needed=tuple(map(str, needed))) if needed else _DENIED[reason]


def hide(reason: Reason = Reason.NOT_FOUND) -> Decision:
    """Deny as if there were nothing, though there is."""
    return Decision(False, reason=reason, hides=True)


def refusal(decision: Decision) -> Refusal:
    """Return what a denied decision is answered with: the code of its reason, or `not_found` where it hides."""
    reason = decision.reason
    if reason is None or reason in _HIDDEN:
        return not_found(hides=decision.hides)
    if decision.needed:
        names = ", ".join(decision.needed)
        what = f"scope {names}" if reason is Reason.SCOPE_MISSING else f"permission {names} in this circuit"
        return Refusal(reason.value, f"This needs the {what}.", needed=list(decision.needed))
    if decision.current_status is not None:
        return Refusal(reason.value, _DETAILS[reason], current_status=decision.current_status.value)
    return Refusal(reason.value, _DETAILS.get(reason, ""))


def require(decision: Decision) -> Decision:
    """Return an allowed decision. Raises the Refusal that a denied one is answered with (circuits.md 0)."""
    if not decision.allowed:
        raise refusal(decision)
    return decision

"""The one access decision (circuits.md 2.1). Every path of every entrypoint asks it; there is no second rule.

`RULES` reads like the tables of circuits.md 2.3 and 2.4: the row of each action, and the scopes of the routes
that ask it, any one of which lets a key through (platform.md 1.4).
"""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

import attrs

from domain.access import circuit_rules as c
from domain.access import item_rules as i
from domain.access.actions import Action
from domain.access.circuit_rules import AI, AIX, A, I, Judge, membership, permitted
from domain.access.decision import Decision, Ground, GroundKind, Reason, deny, refusal, require
from domain.access.facts import Facts
from domain.access.permissions import Permission as P
from domain.access.principal import Principal, PrincipalKind, Scope
from domain.access.question import ask, page_state

__all__ = [
    "RULES",
    "Action",
    "Decision",
    "Ground",
    "GroundKind",
    "Reason",
    "decide",
    "page_state",
    "refusal",
    "require",
]


@attrs.frozen
class Rule:
    """A row: how it is judged, the scopes of its routes (none: no scope needed), whether visitors may ask."""

    judge: Judge
    scopes: tuple[Scope, ...] = ()
    anonymous: bool = False


_READ_ITEM = (
    Scope.ITEMS_READ,
    Scope.ITEMS_WRITE,
    Scope.EVENTS_READ,
    Scope.EVENTS_WRITE,
    Scope.CIRCUITS_READ,
    Scope.CIRCUITS_PUSH,
    Scope.CIRCUITS_MANAGE,
    Scope.ACTIVITY_READ,
)
_READ_EVENT = (
    Scope.EVENTS_READ,
    Scope.EVENTS_WRITE,
    Scope.ITEMS_READ,
    Scope.CIRCUITS_READ,
    Scope.CIRCUITS_PUSH,
)
_READ_CIRCUIT = (
    Scope.CIRCUITS_READ,
    Scope.CIRCUITS_PUSH,
    Scope.CIRCUITS_MANAGE,
    Scope.ITEMS_READ,
    Scope.EVENTS_READ,
    Scope.ACTIVITY_READ,
    Scope.AUDIT_READ,
)
_CIRCUITS = (Scope.CIRCUITS_READ, Scope.CIRCUITS_PUSH, Scope.CIRCUITS_MANAGE)
_PUSH = (Scope.CIRCUITS_PUSH,)
_MANAGE = (Scope.CIRCUITS_MANAGE,)
_WRITE_ITEM = (Scope.ITEMS_WRITE,)

RULES: Final[Mapping[Action, Rule]] = MappingProxyType(
    {
        Action.ITEM_VIEW: Rule(i.item_view, _READ_ITEM),
        Action.ITEM_VIEW_PUBLIC: Rule(i.item_view_public, anonymous=True),
        Action.ITEM_VIEW_OFFER: Rule(i.item_view, _READ_ITEM),
        Action.ITEM_CHANGE: Rule(i.item_change, _WRITE_ITEM),
        Action.ITEM_ENRICH: Rule(i.item_enrich, (Scope.ITEMS_WRITE, Scope.CIRCUITS_PUSH)),
        Action.ITEM_PUSH: Rule(i.item_push, _PUSH),
        Action.ITEM_WITHDRAW: Rule(i.item_withdraw, _PUSH),
        Action.ITEM_PUBLISH: Rule(i.item_publish, _PUSH),
        Action.ITEM_UNPUBLISH: Rule(i.item_unpublish, _PUSH),
        Action.PLACEMENT_VIEW: Rule(i.placement_view, (*_CIRCUITS, Scope.ITEMS_READ)),
        Action.TRANSFER_OFFER: Rule(i.transfer_offer, _WRITE_ITEM),
        Action.TRANSFER_VIEW: Rule(i.transfer_view, (Scope.ITEMS_READ, Scope.ITEMS_WRITE)),
        Action.TRANSFER_DECIDE: Rule(i.transfer_decide, _WRITE_ITEM),
        Action.TRANSFER_CANCEL: Rule(i.transfer_cancel, _WRITE_ITEM),
        Action.EVENT_VIEW: Rule(i.event_view, _READ_EVENT, anonymous=True),
        Action.EVENT_VIEW_PUBLIC: Rule(i.event_view_public, anonymous=True),
        Action.EVENT_APPEND: Rule(i.event_append, (Scope.EVENTS_WRITE,)),
        Action.CIRCUIT_CREATE: Rule(c.circuit_create, _MANAGE),
        Action.CIRCUIT_VIEW: Rule(membership(AIX), _READ_CIRCUIT),
        Action.CIRCUIT_STATS: Rule(membership(AIX), _READ_CIRCUIT),
        Action.CIRCUIT_VIEW_PAGE: Rule(c.circuit_view_page, anonymous=True),
        Action.CIRCUIT_VIEW_SETTINGS: Rule(permitted(P.MANAGE_SETTINGS, AIX), _MANAGE),
        Action.CIRCUIT_UPDATE: Rule(permitted(P.MANAGE_SETTINGS, A), _MANAGE),
        Action.CIRCUIT_PUBLIC_SETTINGS: Rule(permitted(P.MANAGE_SETTINGS, A), _MANAGE),
        Action.CIRCUIT_DEACTIVATE: Rule(permitted(P.MANAGE_SETTINGS, A), _MANAGE),
        Action.CIRCUIT_ACTIVATE: Rule(permitted(P.MANAGE_SETTINGS, I), _MANAGE),
        Action.CIRCUIT_ARCHIVE: Rule(permitted(P.DELETE, AI), _MANAGE),
        Action.CIRCUIT_TRANSFER: Rule(c.circuit_transfer, _MANAGE),
        Action.CIRCUIT_PUSH: Rule(permitted(P.PUSH, A), _PUSH),
        Action.CIRCUIT_PULL: Rule(permitted(P.PULL, A, c.item_stands), _PUSH),
        Action.WEBHOOK_VIEW: Rule(permitted(P.MANAGE_SETTINGS, AIX), _MANAGE),
        Action.WEBHOOK_CHANGE: Rule(permitted(P.MANAGE_SETTINGS, A), _MANAGE),
        Action.MEMBER_LIST: Rule(membership(AIX), _READ_CIRCUIT),
        Action.MEMBER_VIEW_OWN: Rule(membership(AIX), _READ_CIRCUIT),
        Action.MEMBER_ADD: Rule(permitted(P.INVITE, A, c.grants), _MANAGE),
        Action.MEMBER_CHANGE_ROLE: Rule(
            permitted(
                P.MANAGE_MEMBERS,
                A,
                c.touches,
                c.grants_to_member,
                known=c.target_is_member,
                conflict=c.owner_role_stays,
            ),
            _MANAGE,
        ),
        Action.MEMBER_REMOVE: Rule(
            permitted(P.MANAGE_MEMBERS, A, c.touches, known=c.target_is_member, conflict=c.owner_stays),
            _MANAGE,
        ),
        Action.MEMBER_LEAVE: Rule(c.member_leave, _MANAGE),
        Action.ROLE_LIST: Rule(membership(AIX), _READ_CIRCUIT),
        Action.ROLE_CREATE: Rule(permitted(P.MANAGE_ROLES, A, c.defines), _MANAGE),
        Action.ROLE_UPDATE: Rule(permitted(P.MANAGE_ROLES, A, c.defines), _MANAGE),
        Action.ROLE_DELETE: Rule(permitted(P.MANAGE_ROLES, A, c.defines), _MANAGE),
        Action.JOIN_REQUEST: Rule(c.join_request, _PUSH),
        Action.JOIN_LIST: Rule(permitted(P.MANAGE_MEMBERS, AIX), (Scope.CIRCUITS_READ, Scope.CIRCUITS_MANAGE)),
        Action.JOIN_DECIDE: Rule(permitted(P.MANAGE_MEMBERS, A, c.request_stands, c.grants), _MANAGE),
        Action.JOIN_VIEW: Rule(c.join_view, _CIRCUITS),
        Action.JOIN_CANCEL: Rule(c.join_cancel, _PUSH),
        Action.OPERATION_VIEW: Rule(c.operation_view, _CIRCUITS),
        Action.OPERATION_PREVIEW: Rule(c.operation_preview, _CIRCUITS),
        Action.OPERATION_DECIDE: Rule(c.operation_decide, _MANAGE),
        Action.OPERATION_CANCEL: Rule(c.operation_cancel, _PUSH),
        Action.ACTIVITY_VIEW: Rule(c.activity_view, (Scope.ACTIVITY_READ, Scope.CIRCUITS_READ)),
        Action.AUDIT_VIEW_CIRCUIT: Rule(permitted(P.AUDIT, AIX), (Scope.AUDIT_READ,)),
        Action.AUDIT_VIEW_ALL: Rule(c.audit_view_all, (Scope.AUDIT_READ, Scope.ADMIN_READ, Scope.ADMIN_WRITE)),
        Action.NOTIFICATION_VIEW: Rule(c.own_only, (Scope.NOTIFICATIONS_READ, Scope.NOTIFICATIONS_WRITE)),
        Action.NOTIFICATION_CHANGE: Rule(c.own_only, (Scope.NOTIFICATIONS_WRITE,)),
        Action.PREVIEW_AS_MEMBER: Rule(permitted(P.MANAGE_MEMBERS, AIX), _MANAGE),
    }
)


def decide(principal: Principal, action: Action, facts: Facts, now: datetime) -> Decision:
    """Decide whether `principal` may do `action` on `facts.target`, by `facts` alone, at `now` (aware).

    Pure, total and deterministic: never raises, reads no clock. All grounds that hold are listed.
    """
    rule = RULES[action]
    if principal.kind is not PrincipalKind.USER or principal.scopes is not None:
        stopped = _gate(principal, rule)
        if stopped is not None:
            return stopped
    return rule.judge(ask(principal, facts, now))


def _gate(principal: Principal, rule: Rule) -> Decision | None:
    """Stop visitors at what is not for them, and keys at what their scopes leave out."""
    if principal.kind in (PrincipalKind.ANONYMOUS, PrincipalKind.SYSTEM):
        return None if rule.anonymous else deny(Reason.NOT_FOUND)
    if rule.scopes and not any(map(principal.holds_scope, rule.scopes)):
        return deny(Reason.SCOPE_MISSING, rule.scopes[0])
    return None

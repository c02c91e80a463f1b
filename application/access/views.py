"""How access is told (circuits.md 2.6, 2.7)."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

import attrs

from domain.access.decide import Action, Decision, Ground
from domain.access.decision import listing_key
from domain.document import Document
from domain.instants import wire
from domain.ports.queries import Page


@attrs.frozen
class Subject:
    """Whose access is told; null is somebody who only would have the role."""

    user_id: str | None


@attrs.frozen
class Explanation:
    """A decision with all its grounds. `object` holds the ids that the question named."""

    action: Action
    subject: Subject
    object: Document
    allowed: bool
    grounds: tuple[Document, ...]
    reason: str | None
    needed: tuple[str, ...]
    evaluated_at: datetime


@attrs.frozen
class PreviewedAction:
    """What a member may do in the circuit."""

    action: Action
    allowed: bool
    reason: str | None


@attrs.frozen
class PreviewedItem:
    """Whether a member reads an item of the circuit."""

    dfid: str
    allowed: bool
    grounds: tuple[Document, ...]
    reason: str | None


@attrs.frozen
class PreviewedItems:
    """A page of what stands in the circuit, as far as the asker sees it."""

    items: tuple[PreviewedItem, ...]
    next_cursor: str | None


@attrs.frozen
class PreviewView:
    """What a member, or somebody with a role, would see and may do."""

    subject: Subject
    role: str
    permissions: frozenset[str]
    actions: tuple[PreviewedAction, ...]
    items: PreviewedItems


@attrs.frozen
class Previewed(Page[PreviewedItem]):
    """A page of items with what it is a preview of."""

    frame: Mapping[str, Any] = attrs.field(factory=dict)


def told(decision: Decision, roles_of: Collection[str] | None = None) -> tuple[Document, ...]:
    """Return the grounds of a decision in their order; `roles_of` names the circuits whose roles may be shown."""
    return tuple(_shown(ground, roles_of) for ground in sorted(decision.grounds, key=listing_key))


def _shown(ground: Ground, roles_of: Collection[str] | None) -> Document:
    members = {name: wire(value) if isinstance(value, datetime) else value for name, value in ground.shown().items()}
    if roles_of is not None and ground.circuit_id not in roles_of:
        members.pop("role", None)
    return Document(members)


def reason_of(decision: Decision) -> str | None:
    """Return why something is denied, None when it is allowed."""
    return None if decision.reason is None else decision.reason.value

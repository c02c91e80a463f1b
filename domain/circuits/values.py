"""Circuits, members, placements and operations (circuits.md 1)."""

from datetime import datetime
from enum import StrEnum

import attrs

from domain.access.permissions import BaseRole, Permission
from domain.access.vocabulary import (
    CircuitStatus,
    JoinRequestStatus,
    MembershipStatus,
    OperationStatus,
    OperationType,
    PublicAccessMode,
)
from domain.document import Document
from domain.webhooks.triggers import Trigger


class OperationOrigin(StrEnum):
    DFID = "dfid"
    LOCAL = "local"


@attrs.frozen
class AliasConfig:
    """What a tokenising push must bring (circuits.md 1.2)."""

    required_canonical: tuple[str, ...] = ()
    required_contextual: tuple[str, ...] = ()
    allowed_namespaces: tuple[str, ...] | None = None
    use_fingerprint: bool = True
    auto_apply_namespace: bool = True
    minimum_evidence: str = "check_failed"


@attrs.frozen
class PublicSettings:
    """The public page (circuits.md 1.3). `password_hash` never leaves the engine."""

    access_mode: PublicAccessMode = PublicAccessMode.PUBLIC
    scheduled_date: datetime | None = None
    password_hash: str | None = None
    password_version: int = 0
    public_name: str | None = None
    public_description: str = ""
    primary_color: str | None = None
    secondary_color: str | None = None
    logo_url: str | None = None
    tagline: str = ""
    footer_text: str = ""
    public_data_keys: tuple[str, ...] | None = None
    auto_approve_members: bool = False
    auto_approve_role: str = "member"
    auto_publish_pushed_items: bool = False


@attrs.frozen
class CustomRole:
    role_id: str
    name: str
    display_name: str
    description: str
    color: str | None
    permissions: frozenset[Permission]
    created_by: str
    created_at: datetime
    updated_at: datetime
    version: int = 1


@attrs.frozen
class Circuit:
    """Settings of a circuit. `triggers` is what some enabled webhook of it listens to."""

    circuit_id: str
    name: str
    owner_id: str
    created_at: datetime
    updated_at: datetime
    description: str = ""
    status: CircuitStatus = CircuitStatus.ACTIVE
    default_namespace: str = "generic"
    alias_config: AliasConfig = AliasConfig(use_fingerprint=False)
    require_approval_for_push: bool = False
    require_approval_for_pull: bool = False
    allow_resharing: bool = False
    allow_public_visibility: bool = False
    public_settings: PublicSettings = PublicSettings()
    post_actions_enabled: bool = True
    triggers: frozenset[Trigger] = frozenset()
    public_since: datetime | None = None
    roles: tuple[CustomRole, ...] = ()
    version: int = 1


@attrs.frozen
class Membership:
    """One user in one circuit; the row stays when the membership ends. `was_removed` tells that some membership
    of it was ended by somebody else; it never goes back."""

    circuit_id: str
    user_id: str
    base_role: BaseRole
    permissions: frozenset[Permission]
    joined_at: datetime
    joined_via: str
    added_by: str | None = None
    custom_role_id: str | None = None
    status: MembershipStatus = MembershipStatus.ACTIVE
    ended_at: datetime | None = None
    ended_by: str | None = None
    was_removed: bool = False
    version: int = 1


@attrs.frozen
class JoinRequest:
    request_id: str
    circuit_id: str
    requester_id: str
    requested_at: datetime
    message: str | None = None
    status: JoinRequestStatus = JoinRequestStatus.PENDING
    role: str | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    version: int = 1


@attrs.frozen
class Operation:
    """A push or a pull, decided or waiting (circuits.md 1.6)."""

    operation_id: str
    circuit_id: str
    requester_id: str
    requester_workspace_id: str
    operation_type: OperationType
    origin: OperationOrigin
    member_since: datetime
    requested_at: datetime
    status: OperationStatus
    batch_id: str | None = None
    dfid: str | None = None
    local_id: str | None = None
    identifiers: tuple[Document, ...] | None = None
    data: Document | None = None
    placement_id: str | None = None
    outcome: str | None = None
    item_outcome: str | None = None
    approved: bool = False
    decided_by: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None
    version: int = 1


@attrs.frozen
class Placement:
    """An item standing in a circuit."""

    placement_id: str
    circuit_id: str
    dfid: str
    item_workspace_id: str
    placed_by: str
    placed_by_workspace_id: str
    placed_at: datetime
    operation_id: str
    resharable: bool
    published: bool = False
    published_at: datetime | None = None
    published_by: str | None = None
    version: int = 1


@attrs.frozen
class FingerprintEntry:
    circuit_id: str
    fingerprint: str
    dfid: str

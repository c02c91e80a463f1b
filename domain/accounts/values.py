"""Workspaces, accounts, sessions and refresh tokens (platform.md 2 and 3)."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import attrs

from domain.access.principal import WorkspaceRole


class AccountStatus(StrEnum):
    ACTIVE = "active"
    FROZEN = "frozen"


@attrs.frozen
class Workspace:
    """A tenant. `folded_name` is the unique form of its name."""

    workspace_id: str
    name: str
    folded_name: str
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    version: int = 1


@attrs.frozen
class Account:
    user_id: str
    workspace_id: str
    username: str
    email: str
    password_hash: str | None
    created_at: datetime
    updated_at: datetime
    display_name: str = ""
    status: AccountStatus = AccountStatus.ACTIVE
    is_admin: bool = False
    workspace_role: WorkspaceRole = WorkspaceRole.MANAGER
    token_epoch: int = 0
    locale: str = "en"
    muted: frozenset[str] = frozenset()
    last_login_at: datetime | None = None
    password_changed_at: datetime | None = None
    frozen_at: datetime | None = None
    frozen_by: str | None = None
    frozen_reason: str | None = None
    erased_at: datetime | None = None
    version: int = 1


@attrs.frozen
class Session:
    session_id: str
    user_id: str
    epoch: int
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    ends_at: datetime
    address: str | None = None
    user_agent: str | None = None
    revoked_at: datetime | None = None
    revoke_reason: str | None = None
    version: int = 1


@attrs.frozen
class RefreshToken:
    """`successor_sealed` opens only with the token it replaced (platform.md 3.5)."""

    token_hash: str
    session_id: str
    issued_at: datetime
    used_at: datetime | None = None
    successor_sealed: str | None = None
    version: int = 1


@attrs.frozen
class Invitation:
    """A place in a workspace for whoever presents the token; `email`, when set, is the only address that may."""

    invitation_id: str
    workspace_id: str
    workspace_role: WorkspaceRole
    email: str | None
    token_hash: str
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    used_by: str | None = None
    revoked_at: datetime | None = None
    version: int = 1


@attrs.frozen
class PasswordReset:
    """A token that sets a new password once. One that is void is removed."""

    reset_id: str
    user_id: str
    token_hash: str
    created_by: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    version: int = 1


ROSTER_ID: Final = "administrators"
"""The key of the one roster."""


@attrs.frozen
class AdminRoster:
    """The ids of active administrators; saved by every change of one, so that the last one stays."""

    roster_id: str
    user_ids: frozenset[str]
    version: int = 1

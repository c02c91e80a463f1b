"""What administrators ask, and what they are answered (platform.md 9.1, 9.2)."""

from datetime import datetime
from typing import Annotated

import attrs

from application.accounts.values import shown_name
from domain.access.principal import WorkspaceRole
from domain.accounts.values import Account, AccountStatus, Workspace
from domain.shape import Id, Line

Prefix = Annotated[str, Line(1, 254)]


@attrs.frozen
class UserFilter:
    """`username` and `email` are prefixes, in any case."""

    username: Prefix | None = None
    email: Prefix | None = None
    status: frozenset[AccountStatus] = frozenset()
    is_admin: bool | None = None
    workspace_id: Id | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


@attrs.frozen
class WorkspaceFilter:
    """`name` is a prefix, in any case."""

    name: Annotated[str, Line(1, 120)] | None = None


@attrs.frozen
class UserView:
    """An account as administrators see it."""

    user_id: str
    workspace_id: str
    username: str
    email: str
    display_name: str
    status: AccountStatus
    is_admin: bool
    workspace_role: WorkspaceRole
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime | None
    password_changed_at: datetime | None
    frozen_at: datetime | None
    frozen_by: str | None
    frozen_reason: str | None
    erased_at: datetime | None
    version: int

    @classmethod
    def of(cls, account: Account) -> "UserView":
        members = {field.name: getattr(account, field.name) for field in attrs.fields(UserView)}
        return UserView(**members | {"display_name": shown_name(account)})


@attrs.frozen
class UserCounts:
    """`items` are those of the user's workspace."""

    items: int
    circuits_owned: int
    memberships: int
    active_sessions: int
    active_keys: int


@attrs.frozen
class UserDetail(UserView):
    counts: UserCounts = attrs.field(kw_only=True)

    @classmethod
    def with_counts(cls, account: Account, counts: UserCounts) -> "UserDetail":
        return cls(**attrs.asdict(UserView.of(account), recurse=False), counts=counts)


@attrs.frozen
class IssuedUser:
    """The one answer that tells the reset token; None when a password was given."""

    user: UserView
    reset_token: str | None = attrs.field(repr=False)


@attrs.frozen
class WorkspaceEntry:
    workspace_id: str
    name: str
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    version: int

    @classmethod
    def of(cls, workspace: Workspace) -> "WorkspaceEntry":
        return WorkspaceEntry(**{each.name: getattr(workspace, each.name) for each in attrs.fields(WorkspaceEntry)})


@attrs.frozen
class WorkspaceCounts:
    users: int
    items: int
    active_keys: int


@attrs.frozen
class WorkspaceDetail(WorkspaceEntry):
    counts: WorkspaceCounts = attrs.field(kw_only=True)

    @classmethod
    def with_counts(cls, workspace: Workspace, counts: WorkspaceCounts) -> "WorkspaceDetail":
        return cls(**attrs.asdict(WorkspaceEntry.of(workspace), recurse=False), counts=counts)

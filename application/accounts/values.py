"""What callers ask of accounts, and what they are answered (platform.md 2.3, 3.2, 3.5)."""

from datetime import datetime
from typing import Annotated, Literal

import attrs

from domain.access.principal import WorkspaceRole
from domain.accounts.values import Account, AccountStatus, Invitation, Session, Workspace
from domain.shape import UNSET, Id, Line, Pattern, Range, Raw, Unset

Username = Annotated[
    str,
    Line(3, 64),
    Pattern("[a-z0-9][a-z0-9._-]*[a-z0-9]", "Letters a to z, digits, and . _ - inside.", fold=True),
]
EmailText = Annotated[str, Line(3, 254)]
DisplayName = Annotated[str, Line(0, 120)]
WorkspaceName = Annotated[str, Line(1, 120)]
Password = Annotated[str, Raw()]
Token = Annotated[str, Raw(1, 200)]
Locale = Literal["en", "pt_br"]


@attrs.frozen
class Registration:
    username: Username
    email: EmailText
    password: Password = attrs.field(repr=False)
    display_name: DisplayName = ""
    workspace_name: WorkspaceName | None = None
    invitation_token: Token | None = attrs.field(default=None, repr=False)
    locale: Locale = "en"


@attrs.frozen
class Setup:
    """The first administrator, proven by the setup token."""

    setup_token: Token = attrs.field(repr=False)
    username: Username
    email: EmailText
    password: Password = attrs.field(repr=False)
    display_name: DisplayName = ""
    workspace_name: WorkspaceName | None = None
    locale: Locale = "en"


@attrs.frozen
class NewAdministrator:
    """An administrator made from the command line."""

    username: Username
    email: EmailText
    password: Password = attrs.field(repr=False)
    display_name: DisplayName = ""
    workspace_name: WorkspaceName | None = None
    locale: Locale = "en"


@attrs.frozen
class NewUser:
    """An account made by an administrator: in a workspace that exists, or in a new one.

    Without a password it gets one by the reset token of the answer.
    """

    username: Username
    email: EmailText
    password: Password | None = attrs.field(default=None, repr=False)
    display_name: DisplayName = ""
    workspace_id: Id | None = None
    workspace_name: WorkspaceName | None = None
    workspace_role: WorkspaceRole | None = None
    is_admin: bool = False
    locale: Locale = "en"


@attrs.frozen
class UserPatch:
    """What an administrator changes about an account."""

    email: EmailText | Unset = UNSET
    display_name: DisplayName | Unset = UNSET
    is_admin: bool | Unset = UNSET
    workspace_role: WorkspaceRole | Unset = UNSET


@attrs.frozen
class InvitationRequest:
    """`email`, when set, is the only address that may register with it; seven days without `expires_in_seconds`."""

    workspace_role: WorkspaceRole = WorkspaceRole.MEMBER
    email: EmailText | None = None
    expires_in_seconds: Annotated[int, Range(3600, 30 * 86_400)] = 7 * 86_400


@attrs.frozen
class Login:
    """`username` may be the e-mail."""

    username: Annotated[str, Line(1, 254)]
    password: Password = attrs.field(repr=False)


@attrs.frozen
class Refresh:
    refresh_token: Token = attrs.field(repr=False)


@attrs.frozen
class ProfilePatch:
    display_name: DisplayName | Unset = UNSET
    locale: Locale | Unset = UNSET
    email: EmailText | Unset = UNSET
    current_password: Password | Unset = attrs.field(default=UNSET, repr=False)


@attrs.frozen
class PasswordChange:
    current_password: Password = attrs.field(repr=False)
    new_password: Password = attrs.field(repr=False)


@attrs.frozen
class PasswordResetUse:
    reset_token: Token = attrs.field(repr=False)
    new_password: Password = attrs.field(repr=False)


@attrs.frozen
class WorkspacePatch:
    name: WorkspaceName


@attrs.frozen
class RolePatch:
    workspace_role: WorkspaceRole


@attrs.frozen
class Freeze:
    reason: Annotated[str, Line(1, 500)]


@attrs.frozen
class NamedWorkspace:
    workspace_id: str
    name: str

    @classmethod
    def of(cls, workspace: Workspace) -> "NamedWorkspace":
        return cls(workspace.workspace_id, workspace.name)


@attrs.frozen
class SignedIn:
    """The user of a token pair."""

    user_id: str
    username: str
    display_name: str
    is_admin: bool
    workspace_role: WorkspaceRole


@attrs.frozen
class TokenPair:
    """The one answer that tells these two tokens. `expires_in` in seconds."""

    access_token: str = attrs.field(repr=False)
    token_type: str
    expires_in: int
    expires_at: datetime
    refresh_token: str = attrs.field(repr=False)
    refresh_expires_at: datetime
    session_id: str
    user: SignedIn
    workspace: NamedWorkspace


@attrs.frozen
class Profile:
    """An account as its user sees it."""

    user_id: str
    workspace_id: str
    username: str
    email: str
    display_name: str
    is_admin: bool
    workspace_role: WorkspaceRole
    locale: str
    muted: frozenset[str]
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime | None
    password_changed_at: datetime | None
    version: int
    workspace: NamedWorkspace

    @classmethod
    def of(cls, account: Account, workspace: Workspace) -> "Profile":
        own = [field.name for field in attrs.fields(cls) if field.name != "workspace"]
        return cls(**{name: getattr(account, name) for name in own}, workspace=NamedWorkspace.of(workspace))


@attrs.frozen
class SessionView:
    session_id: str
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str | None
    user_agent: str | None
    current: bool

    @classmethod
    def of(cls, session: Session, current: str | None) -> "SessionView":
        own = [field.name for field in attrs.fields(cls) if field.name != "current"]
        return cls(**{name: getattr(session, name) for name in own}, current=session.session_id == current)


@attrs.frozen
class KnownUser:
    """What anybody learns who knows the user name."""

    user_id: str
    username: str
    display_name: str
    workspace: NamedWorkspace


@attrs.frozen
class WorkspaceView:
    workspace_id: str
    name: str
    created_by: str | None
    created_at: datetime
    updated_at: datetime
    version: int
    member_count: int


@attrs.frozen
class Member:
    """A user of a workspace; `email` is told to its managers only."""

    user_id: str
    username: str
    display_name: str
    email: str | None
    workspace_role: WorkspaceRole
    status: AccountStatus
    created_at: datetime
    last_login_at: datetime | None
    version: int

    @classmethod
    def of(cls, account: Account, *, with_email: bool) -> "Member":
        return cls(
            user_id=account.user_id,
            username=account.username,
            display_name=shown_name(account),
            email=account.email if with_email else None,
            workspace_role=account.workspace_role,
            status=account.status,
            created_at=account.created_at,
            last_login_at=account.last_login_at,
            version=account.version,
        )


@attrs.frozen
class InvitationView:
    invitation_id: str
    workspace_id: str
    workspace_role: WorkspaceRole
    email: str | None
    created_by: str
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None
    used_by: str | None
    revoked_at: datetime | None
    version: int

    @classmethod
    def of(cls, invitation: Invitation) -> "InvitationView":
        return cls(**{field.name: getattr(invitation, field.name) for field in attrs.fields(cls)})


@attrs.frozen
class IssuedInvitation:
    """The one answer that tells the secret."""

    invitation: InvitationView
    secret: str = attrs.field(repr=False)


@attrs.frozen
class IssuedReset:
    """The one answer that tells the secret."""

    secret: str = attrs.field(repr=False)
    expires_at: datetime


def shown_name(account: Account) -> str:
    """Return the display name as others see it."""
    return account.display_name if account.erased_at is None else "erased user"

"""Who acts (platform.md 1.1): made once per request from the credential, and the only word on it."""

from datetime import datetime
from enum import StrEnum
from typing import Final

import attrs


class PrincipalKind(StrEnum):
    """What kind of credential a request came with; `system` stands for workers and the command line."""

    USER = "user"
    API_KEY = "api_key"
    SYSTEM = "system"
    ANONYMOUS = "anonymous"


class WorkspaceRole(StrEnum):
    """Standing of a user in their own workspace (platform.md 2.1)."""

    MANAGER = "manager"
    MEMBER = "member"


class Scope(StrEnum):
    """What an API key may be limited to (platform.md 1.4). No `…:write` includes its `…:read`."""

    ITEMS_READ = "items:read"
    ITEMS_WRITE = "items:write"
    EVENTS_READ = "events:read"
    EVENTS_WRITE = "events:write"
    CIRCUITS_READ = "circuits:read"
    CIRCUITS_PUSH = "circuits:push"
    CIRCUITS_MANAGE = "circuits:manage"
    ACTIVITY_READ = "activity:read"
    NOTIFICATIONS_READ = "notifications:read"
    NOTIFICATIONS_WRITE = "notifications:write"
    AUDIT_READ = "audit:read"
    ADMIN_READ = "admin:read"
    ADMIN_WRITE = "admin:write"


@attrs.frozen(slots=False)  # cheaper to make, and every request makes one
class Principal:
    """The acting party, with the stored standing of its account (never a claim of a token).

    `user_id` of a key is the user who created it. `scopes` is None for a user's own token (unrestricted) and
    a set for keys. `user_agent` comes cut to 256 characters; `locale` is `en` or `pt_br`. `expires_at` is when the
    credential ends by itself; `per_minute` and `per_day` are the limits that a key has of its own.
    """

    kind: PrincipalKind
    user_id: str | None = None
    workspace_id: str | None = None
    is_admin: bool = False
    workspace_role: WorkspaceRole | None = None
    scopes: frozenset[str] | None = None
    session_id: str | None = None
    key_id: str | None = None
    address: str | None = None
    user_agent: str | None = None
    locale: str = "en"
    trace_id: str = ""
    expires_at: datetime | None = None
    per_minute: int | None = None
    per_day: int | None = None

    def holds_scope(self, scope: str) -> bool:
        """Tell whether the credential opens routes of `scope`: a user's token all, a key those it names."""
        if self.scopes is None:
            return self.kind is PrincipalKind.USER
        return scope in self.scopes


ANONYMOUS: Final = Principal(PrincipalKind.ANONYMOUS)


def system(trace_id: str = "") -> Principal:
    """Return the principal of workers and the command line: no user, no workspace, hence no grounds."""
    return Principal(PrincipalKind.SYSTEM, trace_id=trace_id)

"""What every use case of accounts works with."""

import hmac
from collections.abc import Iterable
from datetime import datetime

import attrs
from email_validator import EmailNotValidError, validate_email

from application.accounts.settings import AccountSettings
from application.denials import Denials
from application.passwords import Passwords, password_faults
from application.secrets import Peppers
from application.tokens import AccessTokens
from application.units import Units
from domain.access.principal import Principal, PrincipalKind
from domain.accounts.values import Account, Workspace
from domain.audit.record import audit_entry
from domain.errors import Fault, Refusal
from domain.ports.limits import RateLimiter
from domain.ports.queries import Select
from domain.ports.schema import ACCOUNTS, AUDIT, WORKSPACES
from domain.ports.storage import Reader, Unit, transact


@attrs.frozen(kw_only=True)
class Desk:
    """The tools of the account use cases."""

    units: Units
    passwords: Passwords
    tokens: AccessTokens
    peppers: Peppers
    limiter: RateLimiter
    settings: AccountSettings
    denials: Denials = attrs.field(
        default=attrs.Factory(lambda desk: Denials(desk.units.storage, desk.units.clock), takes_self=True)
    )

    def now(self) -> datetime:
        return self.units.clock.now()

    def name_digest(self, name: str) -> str:
        """Return what stands in the audit for a name that nobody bears."""
        return hmac.digest(self.settings.name_key, name.encode(), "sha256").hex()

    async def record_denial(
        self,
        principal: Principal,
        action: str,
        resource: tuple[str, str],
        reason: str,
        *,
        workspace_id: str | None = None,
        details: dict[str, str] | None = None,
        submitted_name: str | None = None,
    ) -> None:
        """Append an audit entry of something refused, in a unit of its own."""
        entry = audit_entry(
            principal,
            self.now(),
            action,
            resource,
            workspace_id=workspace_id,
            outcome="denied",
            reason=reason,
            details=details,
            submitted_name=submitted_name,
        )

        async def record(unit: Unit) -> None:
            await unit.add(AUDIT, entry)

        await transact(self.units.storage, record)

    def password_faults(self, password: str, *, username: str, email: str, pointer: str) -> tuple[Fault, ...]:
        """Return what the policy has against a password."""
        return password_faults(
            password,
            username=username,
            email=email,
            shortest=self.settings.password_min_length,
            pointer=pointer,
        )


def normal_email(text: str, faults: list[Fault], pointer: str = "/email") -> str:
    """Return the normalised address; for one that is none, adds a fault and returns the text."""
    try:
        email = validate_email(text, check_deliverability=False).normalized
    except EmailNotValidError:
        faults.append(Fault("format", "This is no e-mail address.", pointer))
        return text
    if len(email) > 254:
        faults.append(Fault("too_long", "An e-mail address has at most 254 characters.", pointer))
    return email


async def account_named(reader: Reader, name: str) -> Account | None:
    """Return the account with this folded user name or e-mail, told apart by the `@`."""
    column = "email_key" if "@" in name else "username"
    page = await reader.page(ACCOUNTS, Select({column: name}), limit=1)
    return page.items[0] if page.items else None


async def workspace_named(reader: Reader, folded: str) -> Workspace | None:
    """Return the workspace whose name folds to this."""
    page = await reader.page(WORKSPACES, Select({"folded_name": folded}), limit=1)
    return page.items[0] if page.items else None


async def refuse_taken(reader: Reader, names: Iterable[str]) -> None:
    """Raise Refusal `account_exists` when one of these user names or e-mails belongs to somebody."""
    if await taken(reader, names):
        raise account_exists()


async def taken(reader: Reader, names: Iterable[str]) -> bool:
    """Tell whether one of these user names or e-mails belongs to somebody."""
    for name in names:
        if await account_named(reader, name) is not None:
            return True
    return False


def account_exists() -> Refusal:
    """The answer to whoever asks for a name that is taken."""
    return Refusal("account_exists", "The user name or the e-mail belongs to an account already.")


def changed(account: Account, now: datetime, **members: object) -> Account:
    """Return the next version of an account."""
    return attrs.evolve(account, updated_at=now, version=account.version + 1, **members)  # type: ignore[arg-type]


def as_user(principal: Principal, account: Account, session_id: str | None = None) -> Principal:
    """Return who acts once a password or a one-time secret has proven it."""
    return attrs.evolve(
        principal,
        kind=PrincipalKind.USER,
        user_id=account.user_id,
        workspace_id=account.workspace_id,
        is_admin=account.is_admin,
        workspace_role=account.workspace_role,
        session_id=session_id,
        locale=account.locale,
    )


def principal_of(account: Account) -> Principal:
    """Return the principal that stands for an account without a session."""
    return Principal(
        PrincipalKind.USER,
        user_id=account.user_id,
        workspace_id=account.workspace_id,
        is_admin=account.is_admin,
        workspace_role=account.workspace_role,
        locale=account.locale,
    )

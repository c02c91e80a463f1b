"""From a credential to the principal (platform.md 3.1, 3.3): one check for each way a credential can come."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import attrs

from application.ahead import Ahead
from application.denials import Denial, Denials
from application.tokens import AccessClaims, AccessTokens, Forged
from domain.access.principal import ANONYMOUS, Principal, PrincipalKind
from domain.accounts.rules import dies_at, is_active, session_holds
from domain.accounts.values import Account, Session
from domain.errors import Refusal
from domain.ports.clock import Clock
from domain.ports.schema import ACCOUNTS, SESSIONS
from domain.ports.storage import Storage


class Client(Protocol):
    """Who is on the line, whatever they show."""

    @property
    def address(self) -> str | None: ...
    @property
    def user_agent(self) -> str | None: ...
    @property
    def trace_id(self) -> str: ...
    @property
    def ahead(self) -> Ahead: ...


class Carrier(Protocol):
    """In what a credential came; `value` names it."""

    @property
    def value(self) -> str: ...


class Credential(Protocol):
    """What a request shows, unchecked."""

    @property
    def carrier(self) -> Carrier: ...
    @property
    def text(self) -> str: ...


class Check(Protocol):
    """Judges the credentials of one carrier."""

    async def __call__(self, text: str, client: Client) -> Principal:
        """Return the principal. Raises Refusal (401, 403), and Unavailable rather than let anybody pass."""
        ...


@attrs.frozen
class Authentication:
    """Hands a credential to the check of its carrier; what no check is for is not valid.

    `checks` by the value of the carrier: `token`, `api_key`, `ticket`.
    """

    checks: Mapping[str, Check]

    async def authenticate(self, credential: Credential, client: Client) -> Principal:
        """Return the principal of a credential. Raises Refusal (401, 403)."""
        check = self.checks.get(credential.carrier.value)
        if check is None:
            raise Refusal("unauthenticated", "The credential is not valid.")
        return await check(credential.text, client)


@attrs.frozen
class AccessTokenCheck:
    """Judges access tokens: first what they say, then whether the store still agrees."""

    tokens: AccessTokens
    storage: Storage
    clock: Clock
    denials: Denials | None = None

    async def __call__(self, text: str, client: Client) -> Principal:
        """Return the user. Raises Refusal `unauthenticated`, `token_expired`, `token_revoked`."""
        now = self.clock.now()
        claims = self._verified(text, now, client)
        async with self.storage.read() as reader:
            places = (ACCOUNTS, claims.user_id), (SESSIONS, claims.session_id)
            account, session = await client.ahead.read(reader, claims.user_id, *places)
        if account is None or session is None or not _agrees(claims, account):
            raise revoked()
        if not session_holds(session, account, now):
            raise revoked()
        return user_principal(account, session, client, min(claims.expires_at, dies_at(session)))

    def _verified(self, text: str, now: datetime, client: Client) -> AccessClaims:
        """Read a token; one that somebody else signed is told to the audit as `token.forged`."""
        try:
            return self.tokens.verify(text, now)
        except Forged as forged:
            if self.denials is not None:
                self.denials.note(forgery(client, "access", forged))
            raise


def _agrees(claims: AccessClaims, account: Account) -> bool:
    return is_active(account) and (claims.epoch, claims.workspace_id, claims.is_admin) == (
        account.token_epoch,
        account.workspace_id,
        account.is_admin,
    )


def user_principal(account: Account, session: Session, client: Client, expires_at: datetime | None) -> Principal:
    """Return the user of a session, with the standing that the store knows."""
    return Principal(
        kind=PrincipalKind.USER,
        user_id=account.user_id,
        workspace_id=account.workspace_id,
        is_admin=account.is_admin,
        workspace_role=account.workspace_role,
        session_id=session.session_id,
        address=client.address,
        user_agent=client.user_agent,
        locale=account.locale,
        trace_id=client.trace_id,
        expires_at=expires_at,
    )


def forgery(client: Client, kind: str, forged: Forged) -> Denial:
    """Return what is told to the audit of a token of this kind that somebody else signed."""
    return Denial(_nobody(client), "token.forged", ("token", kind), forged.code)


def _nobody(client: Client) -> Principal:
    return attrs.evolve(ANONYMOUS, address=client.address, user_agent=client.user_agent, trace_id=client.trace_id)


def revoked() -> Refusal:
    """The answer to a token whose session or account no longer stands."""
    return Refusal("token_revoked", "The session, or the standing of the account, has ended.")

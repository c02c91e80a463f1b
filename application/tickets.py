"""Stream tickets: half a minute in which a browser may open a stream (platform.md 3.7)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from application.authentication import Client, forgery, revoked, user_principal
from application.denials import Denials
from application.keys.checking import ApiKeyCheck, key_principal
from application.tokens import Forged, SignedTokens
from domain.access.principal import Principal, PrincipalKind
from domain.accounts.rules import session_holds
from domain.errors import Refusal
from domain.ids import new_id
from domain.ports.clock import Clock
from domain.ports.schema import ACCOUNTS, API_KEYS, SESSIONS
from domain.ports.storage import Storage

LIFE = timedelta(seconds=30)


@attrs.frozen
class Ticket:
    """The one answer that tells the ticket."""

    ticket: str = attrs.field(repr=False)
    expires_at: datetime


@attrs.frozen
class Standing:
    """Judges again who was admitted a while ago, as a stream does while it is open (platform.md 8.5)."""

    storage: Storage
    clock: Clock
    keys: ApiKeyCheck

    async def require(self, principal: Principal) -> None:
        """Demand that a request with the same credential would be admitted now.

        Raises Refusal `token_expired`, `token_revoked` for users, what ApiKeyCheck raises for keys.
        """
        if principal.kind is PrincipalKind.API_KEY:
            await self.keys.again(principal)
            return
        now = self.clock.now()
        if principal.expires_at is not None and now >= principal.expires_at:
            raise Refusal("token_expired", "The access token has expired.")
        async with self.storage.read() as reader:
            account = await reader.find(ACCOUNTS, principal.user_id or "")
            session = await reader.find(SESSIONS, principal.session_id or "")
        if account is None or session is None or not session_holds(session, account, now):
            raise revoked()


@attrs.frozen
class Tickets:
    """Issues tickets, and judges them as the check of the carrier `ticket`."""

    tokens: SignedTokens
    standing: Standing
    denials: Denials

    def issue(self, principal: Principal) -> Ticket:
        """Return a ticket for the caller, good for 30 seconds."""
        now = self.standing.clock.now()
        claims: dict[str, Any] = {"sub": principal.user_id, "jti": new_id()}
        claims |= {"sid": principal.session_id} if principal.key_id is None else {"key": principal.key_id}
        if principal.expires_at is not None:
            claims["until"] = int(principal.expires_at.timestamp())
        issued = self.tokens.sign(claims, now, now + LIFE)
        return Ticket(issued.text, issued.expires_at)

    async def __call__(self, text: str, client: Client) -> Principal:
        """Return who a ticket stands for, with what their own credential allows; a forged one is told to the audit.

        Raises Refusal `unauthenticated`, `token_expired`, and what Standing raises.
        """
        try:
            claims = self.tokens.read(text)
        except Forged as forged:
            self.denials.note(forgery(client, "ticket", forged))
            raise
        if claims["exp"] <= self.standing.clock.now().timestamp():
            raise Refusal("token_expired", "The ticket has expired; ask for a fresh one.")
        principal = await self._found(claims, client)
        await self.standing.require(principal)
        return principal

    async def _found(self, claims: dict[str, Any], client: Client) -> Principal:
        async with self.standing.storage.read() as reader:
            account = await reader.find(ACCOUNTS, claims["sub"])
            key = await reader.find(API_KEYS, claims.get("key", ""))
            session = await reader.find(SESSIONS, claims.get("sid", ""))
        if account is not None and key is not None:
            return key_principal(key, account, client)
        if account is None or session is None:
            raise revoked()
        until = claims.get("until")
        return user_principal(account, session, client, None if until is None else datetime.fromtimestamp(until, UTC))

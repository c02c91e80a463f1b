"""Ending and listing one's sessions (platform.md 3.4, 3.5)."""

from collections.abc import Sequence
from datetime import datetime

import attrs

from application.accounts.desk import Desk, changed
from application.accounts.opening import ended
from application.accounts.values import SessionView
from domain.access.principal import Principal
from domain.accounts.rules import session_holds, standing_of
from domain.accounts.values import Account, Session
from domain.act import Act
from domain.errors import not_found
from domain.instants import MICROSECOND
from domain.ports.queries import AnyOf, Between, Condition, Cursor, Page, Select
from domain.ports.schema import ACCOUNTS, REFRESH_TOKENS, SESSIONS
from domain.ports.storage import MAX_PAGE, Reader, Unit
from domain.precondition import Versions, require_version


@attrs.frozen
class Sessions:
    """What users do with their own sessions."""

    desk: Desk

    async def logout(self, principal: Principal) -> None:
        """End the caller's session."""
        await self._end(principal, principal.session_id or "", "logout")

    async def revoke(self, principal: Principal, session_id: str, if_match: Versions = None) -> None:
        """End one of the caller's sessions; one that has ended stays so. Raises Refusal `not_found`."""
        await self._end(principal, session_id, "revoked", if_match)

    async def _end(self, principal: Principal, session_id: str, reason: str, if_match: Versions = None) -> None:
        async def work(act: Act) -> None:
            session = await act.unit.find(SESSIONS, session_id)
            if session is None or session.user_id != act.user_id:
                raise not_found(hides=session is not None)
            require_version(if_match, session.version)
            account = await act.unit.get(ACCOUNTS, act.user_id)
            if session_holds(session, account, act.now):
                await act.unit.save(SESSIONS, ended(session, act, reason))
                act.told.add(act.user_id)
                await act.audit("session.closed", ("session", session_id), workspace_id=account.workspace_id)

        await self.desk.units.perform(principal, work)

    async def logout_all(self, principal: Principal) -> None:
        """End every session of the caller."""

        async def work(act: Act) -> None:
            account = await act.unit.get(ACCOUNTS, act.user_id)
            await act.unit.save(ACCOUNTS, changed(account, act.now, token_epoch=account.token_epoch + 1))
            act.told.add(act.user_id)
            await act.audit("session.closed", ("user", account.user_id), workspace_id=account.workspace_id)

        await self.desk.units.perform(principal, work)

    async def page(self, principal: Principal, after: Cursor | None, limit: int) -> Page[SessionView]:
        """Return the caller's active sessions, newest first."""
        async with self.desk.units.storage.read() as reader:
            account = await reader.get(ACCOUNTS, principal.user_id or "")
            return await active_sessions(reader, account, self.desk.now(), after, limit, principal.session_id)


async def active_sessions(
    reader: Reader, account: Account, now: datetime, after: Cursor | None, limit: int, current: str | None = None
) -> Page[SessionView]:
    """Return the active sessions of an account, newest first; `current` is the caller's own."""
    query = Select(alive(account, now), ("created_at",), descending=True)
    page = await reader.page(SESSIONS, query, after, limit)
    return Page(tuple(SessionView.of(session, current) for session in page.items), page.after)


def alive(account: Account, now: datetime) -> dict[str, Condition]:
    """Return what the active sessions of an account have in common."""
    standing = standing_of(account.user_id, account.token_epoch)
    return {"standing": standing, "dies_at": Between(now + MICROSECOND)}


async def remove_with_tokens(unit: Unit, sessions: Sequence[Session]) -> None:
    """Remove sessions and their refresh tokens; of very many tokens a part, and the sessions another time."""
    ids = tuple(session.session_id for session in sessions)
    tokens = await unit.page(REFRESH_TOKENS, Select({"session_id": AnyOf(ids)}), limit=MAX_PAGE)
    await unit.remove(REFRESH_TOKENS, *tokens.items)
    if tokens.after is None:
        await unit.remove(SESSIONS, *sessions)

"""Signing in, and changing what one signs in with (platform.md 3.5)."""

import asyncio
from collections.abc import MutableMapping
from weakref import WeakValueDictionary

import attrs

from application.accounts.desk import Desk, account_named, as_user
from application.accounts.guard import LoginGuard
from application.accounts.opening import open_session, token_pair
from application.accounts.resets import tell_password_changed, void_resets, with_password
from application.accounts.values import Login, PasswordChange, TokenPair
from application.passwords import same_password
from domain.access.principal import Principal
from domain.accounts.rules import is_active, session_holds
from domain.accounts.values import Account
from domain.act import Act
from domain.errors import Fault, Invalid, Refusal
from domain.ports.errors import Contention
from domain.ports.schema import ACCOUNTS, SESSIONS, WORKSPACES

ATTEMPTS = 5


@attrs.frozen
class Verified:
    """An account whose password was right a moment ago, and its new hash when one is due."""

    account: Account
    rehashed: str | None = attrs.field(repr=False)


@attrs.frozen
class Logins:
    """Compares passwords, outside any unit; the unit that follows relies on the very hash that was compared."""

    desk: Desk
    guard: LoginGuard
    _turns: MutableMapping[str, asyncio.Lock] = attrs.field(factory=WeakValueDictionary, init=False, repr=False)

    async def login(self, principal: Principal, request: Login) -> TokenPair:
        """Open a session. Raises Refusal `login_limited`, `overloaded`, `login_failed`, `account_frozen`."""
        name = request.username.lower()
        await self.guard.admit(principal, name)
        for _ in range(ATTEMPTS):
            verified = await self._proven(principal, name, request.password)
            # Each opening saves the account: many at once of one user would lose race after race to each other.
            async with self._turns.setdefault(name, asyncio.Lock()):
                pair = await self._enter(principal, verified)
            if pair is not None:
                await self.guard.passed(principal, name)
                return pair
        raise Contention("the password kept changing")

    async def _proven(self, principal: Principal, name: str, password: str) -> Verified:
        async with self.desk.units.storage.read() as reader:
            account = await account_named(reader, name)
        verdict = await self.desk.passwords.verify(account.password_hash if account else None, password)
        if account is None or not verdict.ok:
            await self.guard.failed(principal, name, account, "login_failed")
            raise Refusal("login_failed", "The name or the password is wrong.")
        if not is_active(account):
            await self.guard.failed(principal, name, account, "account_frozen")
            raise Refusal("account_frozen", "This account is frozen.")
        return Verified(account, await self.desk.passwords.hash(password) if verdict.needs_rehash else None)

    async def _enter(self, principal: Principal, verified: Verified) -> TokenPair | None:
        """Open a session; None when the password or the standing of the account has changed meanwhile."""
        known = verified.account

        async def work(act: Act) -> TokenPair | None:
            account = await act.unit.get(ACCOUNTS, known.user_id)
            if account.password_hash != known.password_hash or not is_active(account):
                return None
            workspace = await act.unit.get(WORKSPACES, account.workspace_id)
            account = attrs.evolve(
                account,
                last_login_at=act.now,
                password_hash=verified.rehashed or account.password_hash,
                version=account.version + 1,
            )
            await act.unit.save(ACCOUNTS, account)
            opened = await open_session(self.desk, act, account)
            acting = attrs.evolve(act, principal=as_user(act.principal, account, opened.session.session_id))
            await acting.audit(
                "session.opened", ("session", opened.session.session_id), workspace_id=account.workspace_id
            )
            return token_pair(self.desk, act, account, workspace, opened)

        return await self.desk.units.perform(principal, work)

    async def prove(self, principal: Principal, account: Account, password: str) -> None:
        """Check the current password of a signed-in user; a wrong one counts as a failed login.

        Raises Refusal `login_limited`, `password_wrong`, `overloaded`.
        """
        await self.guard.admit(principal, account.username)
        verdict = await self.desk.passwords.verify(account.password_hash, password)
        if not verdict.ok:
            await self.guard.failed(principal, account.username, account, "password_wrong")
            raise Refusal("password_wrong", "The current password is another one.")
        await self.guard.passed(principal, account.username)

    async def change_password(self, principal: Principal, request: PasswordChange) -> TokenPair:
        """Set a new password, end every session and open a new one for the caller.

        Raises Refusal `login_limited`, `password_wrong`, `token_revoked`; Invalid.
        """
        async with self.desk.units.storage.read() as reader:
            known = await reader.get(ACCOUNTS, principal.user_id or "")
        await self.prove(principal, known, request.current_password)
        self._refuse_unfit(known, request)
        encoded = await self.desk.passwords.hash(request.new_password)

        async def work(act: Act) -> TokenPair:
            account = await act.unit.get(ACCOUNTS, known.user_id)
            await self._require_session(act, account)
            account = with_password(account, act, encoded)
            await act.unit.save(ACCOUNTS, account)
            await void_resets(act.unit, account.user_id)
            opened = await open_session(self.desk, act, account)
            await act.audit("password.changed", ("user", account.user_id), workspace_id=account.workspace_id)
            await tell_password_changed(act, account, "self")
            workspace = await act.unit.get(WORKSPACES, account.workspace_id)
            return token_pair(self.desk, act, account, workspace, opened)

        return await self.desk.units.perform(principal, work)

    def _refuse_unfit(self, account: Account, request: PasswordChange) -> None:
        faults = self.desk.password_faults(
            request.new_password, username=account.username, email=account.email, pointer="/new_password"
        )
        if not faults and same_password(request.new_password, request.current_password):
            faults = (Fault("password_unchanged", "The password is the same as before.", "/new_password"),)
        if faults:
            raise Invalid(faults)

    async def _require_session(self, act: Act, account: Account) -> None:
        """Refuse a caller whose session ended while the passwords were being compared."""
        session = await act.unit.find(SESSIONS, act.principal.session_id or "")
        if session is None or not session_holds(session, account, act.now):
            raise Refusal("token_revoked", "The session has ended.")

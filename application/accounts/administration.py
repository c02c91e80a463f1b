"""What administrators and the command line do to accounts (platform.md 9.2, 13)."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import attrs

from application.accounts.desk import Desk, account_named, normal_email, refuse_taken
from application.accounts.erasing import erase
from application.accounts.resets import PasswordResets
from application.accounts.roster import administrators
from application.accounts.standing import (
    change_account,
    end_sessions,
    freeze,
    refuse_erased,
    set_admin,
    unfreeze,
)
from application.accounts.values import IssuedReset, UserPatch
from domain.access.principal import Principal
from domain.accounts.values import Account
from domain.act import Act
from domain.errors import Fault, Invalid, not_found
from domain.ports.schema import ACCOUNTS
from domain.precondition import Versions, require_version
from domain.shape import UNSET

R = TypeVar("R")


@attrs.frozen
class Administration:
    """Acts on any account. Whether the principal may was checked before; the command line acts as `system`."""

    desk: Desk
    resets: PasswordResets

    async def administrators(self) -> list[Account]:
        """Return the active administrators by user name."""
        async with self.desk.units.storage.read() as reader:
            found = await reader.get_many(ACCOUNTS, sorted(await administrators(reader)))
        return sorted(found.values(), key=lambda account: account.username)

    async def named(self, name: str) -> Account:
        """Return the account with this user name or e-mail. Raises Refusal `not_found`."""
        async with self.desk.units.storage.read() as reader:
            account = await account_named(reader, name.lower())
        if account is None:
            raise not_found()
        return account

    async def freeze(self, principal: Principal, user_id: str, reason: str, if_match: Versions = None) -> Account:
        """Freeze an account. Raises Refusal `not_found`, `self_forbidden`, `last_admin`."""
        return await self._on(principal, user_id, lambda act, account: freeze(act, account, reason), if_match)

    async def unfreeze(self, principal: Principal, user_id: str, if_match: Versions = None) -> Account:
        """Unfreeze an account. Raises Refusal `not_found`, `account_erased`."""
        return await self._on(principal, user_id, unfreeze, if_match)

    async def set_admin(self, principal: Principal, user_id: str, is_admin: bool, if_match: Versions = None) -> Account:
        """Grant or take the standing of an administrator.

        Raises Refusal `not_found`, `self_forbidden`, `last_admin`, `account_erased`.
        """
        return await self._on(principal, user_id, lambda act, account: set_admin(act, account, is_admin), if_match)

    async def update(self, principal: Principal, user_id: str, request: UserPatch, if_match: Versions) -> Account:
        """Change an account.

        Raises Invalid; Refusal `not_found`, `self_forbidden`, `last_admin`, `last_manager`, `account_exists`,
        `account_erased`.
        """
        faults: list[Fault] = []
        wanted = {field.name: getattr(request, field.name) for field in attrs.fields(UserPatch)}
        wanted = {name: value for name, value in wanted.items() if value is not UNSET}
        if "email" in wanted:
            wanted["email"] = normal_email(wanted["email"], faults)
        if faults:
            raise Invalid(faults)

        async def change(act: Act, account: Account) -> Account:
            folded = wanted.get("email", account.email).lower()
            refuse_erased(account)
            if folded != account.email.lower():
                await refuse_taken(act.unit, [folded])
            return await change_account(act, account, wanted)

        return await self._on(principal, user_id, change, if_match)

    async def erase(self, principal: Principal, user_id: str, reason: str, if_match: Versions = None) -> Account:
        """Erase the person behind a frozen account.

        Raises Refusal `not_found`, `not_frozen`, `owns_circuits`, `account_erased`.
        """
        return await self._on(principal, user_id, lambda act, account: erase(act, account, reason), if_match)

    async def logout_all(self, principal: Principal, user_id: str, if_match: Versions = None) -> Account:
        """End every session of a user. Raises Refusal `not_found`."""
        return await self._on(principal, user_id, end_sessions, if_match)

    async def issue_reset(self, principal: Principal, user_id: str) -> IssuedReset:
        """Issue a password reset token. Raises Refusal `not_found`, `account_not_active`."""

        async def issue(act: Act, account: Account) -> IssuedReset:
            issued = await self.resets.issue(act, account)
            await act.audit("password.reset_issued", ("user", user_id), workspace_id=account.workspace_id)
            return issued

        return await self._on(principal, user_id, issue)

    async def _on(
        self,
        principal: Principal,
        user_id: str,
        change: Callable[[Act, Account], Awaitable[R]],
        if_match: Versions = None,
    ) -> R:
        async def work(act: Act) -> R:
            account = await act.unit.find(ACCOUNTS, user_id)
            if account is None:
                raise not_found()
            require_version(if_match, account.version)
            return await change(act, account)

        return await self.desk.units.perform(principal, work)

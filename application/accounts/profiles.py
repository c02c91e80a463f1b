"""One's own account, and what others may look up (platform.md 2.3)."""

from typing import Any

import attrs

from application.accounts.desk import Desk, account_named, changed, normal_email, refuse_taken
from application.accounts.logins import Logins
from application.accounts.values import KnownUser, NamedWorkspace, Profile, ProfilePatch, shown_name
from domain.access.principal import Principal
from domain.accounts.rules import is_active
from domain.accounts.values import Account
from domain.act import Act
from domain.errors import Fault, Invalid, not_found
from domain.ports.schema import ACCOUNTS, WORKSPACES
from domain.precondition import Versions, require_version
from domain.shape import UNSET


@attrs.frozen
class Profiles:
    desk: Desk
    logins: Logins

    async def get(self, principal: Principal) -> Profile:
        """Return the caller's account."""
        async with self.desk.units.storage.read() as reader:
            account = await reader.get(ACCOUNTS, principal.user_id or "")
            return Profile.of(account, await reader.get(WORKSPACES, account.workspace_id))

    async def patch(self, principal: Principal, request: ProfilePatch, if_match: Versions) -> Profile:
        """Change the caller's account; another e-mail needs the current password.

        Raises Invalid; Refusal `login_limited`, `password_wrong`, `version_mismatch`, `account_exists`.
        """
        wanted = _wanted(request)
        async with self.desk.units.storage.read() as reader:
            known = await reader.get(ACCOUNTS, principal.user_id or "")
        if wanted.get("email", known.email) != known.email:
            await self._prove(principal, known, request)

        async def work(act: Act) -> Profile:
            account = await act.unit.get(ACCOUNTS, act.user_id)
            require_version(if_match, account.version)
            workspace = await act.unit.get(WORKSPACES, account.workspace_id)
            changes = {name: value for name, value in wanted.items() if getattr(account, name) != value}
            if not changes:
                return Profile.of(account, workspace)
            email = str(changes.get("email", account.email)).lower()
            if email != account.email.lower():
                await refuse_taken(act.unit, [email])
            account = changed(account, act.now, **changes)
            await act.unit.save(ACCOUNTS, account)
            await act.audit(
                "account.updated",
                ("user", account.user_id),
                workspace_id=account.workspace_id,
                details={"changed": sorted(changes)},
            )
            return Profile.of(account, workspace)

        return await self.desk.units.perform(principal, work)

    async def _prove(self, principal: Principal, account: Account, request: ProfilePatch) -> None:
        if not isinstance(request.current_password, str):
            raise Invalid([Fault("required", "Another e-mail needs the current password.", "/current_password")])
        await self.logins.prove(principal, account, request.current_password)

    async def look_up(self, username: str) -> KnownUser:
        """Return the user of exactly this name. Raises Refusal `not_found`, also for frozen and erased ones."""
        name = username.lower()
        async with self.desk.units.storage.read() as reader:
            account = None if "@" in name else await account_named(reader, name)
            if account is None or not is_active(account):
                raise not_found()
            workspace = await reader.get(WORKSPACES, account.workspace_id)
        return KnownUser(account.user_id, account.username, shown_name(account), NamedWorkspace.of(workspace))


def _wanted(request: ProfilePatch) -> dict[str, Any]:
    """Return the members to set. Raises Invalid for an e-mail that is none."""
    faults: list[Fault] = []
    wanted: dict[str, Any] = {"display_name": request.display_name, "locale": request.locale}
    if isinstance(request.email, str):
        wanted["email"] = normal_email(request.email, faults)
    if faults:
        raise Invalid(faults)
    return {name: value for name, value in wanted.items() if value is not UNSET}

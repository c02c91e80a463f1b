"""Accounts that administrators make for others (platform.md 9.2)."""

import attrs

from application.accounts.desk import Desk, normal_email, refuse_taken
from application.accounts.registration import Newcomer, found_workspace, new_account
from application.accounts.resets import PasswordResets
from application.accounts.roster import enrol
from application.accounts.standing import touch_workspace
from application.accounts.values import NewUser
from domain.access.principal import Principal, WorkspaceRole
from domain.accounts.roles import managers_of
from domain.accounts.values import Account
from domain.act import Act
from domain.errors import Fault, Invalid
from domain.ids import new_id
from domain.ports.schema import ACCOUNTS, WORKSPACES


@attrs.frozen
class MadeUser:
    """A new account, and the token with which its user sets a password."""

    account: Account
    reset_token: str | None = attrs.field(repr=False)


@attrs.frozen
class Provisioning:
    """Makes accounts without signing anybody in."""

    desk: Desk
    resets: PasswordResets

    async def create(self, principal: Principal, request: NewUser) -> MadeUser:
        """Make an account. Raises Invalid; Refusal `account_exists`, `workspace_name_taken`."""
        newcomer = await self._checked(request)

        async def work(act: Act) -> MadeUser:
            await refuse_taken(act.unit, (newcomer.username, newcomer.email.lower()))
            account = await self._placed(act, newcomer, request)
            await act.unit.add(ACCOUNTS, account)
            if account.is_admin:
                await enrol(act, account.user_id)
            issued = None if account.password_hash is not None else await self.resets.issue_first(act, account)
            details = {"is_admin": account.is_admin, "workspace_role": account.workspace_role.value}
            resource = ("user", account.user_id)
            await act.audit("account.created", resource, workspace_id=account.workspace_id, details=details)
            return MadeUser(account, None if issued is None else issued.secret)

        return await self.desk.units.perform(principal, work)

    async def _checked(self, request: NewUser) -> Newcomer:
        """Return what the request amounts to. Raises Invalid with every fault."""
        faults: list[Fault] = []
        email = normal_email(request.email, faults)
        if request.password is not None:
            faults += self.desk.password_faults(
                request.password, username=request.username, email=email, pointer="/password"
            )
        if request.workspace_id is not None and request.workspace_name is not None:
            faults.append(Fault("not_allowed", "Name a workspace or its id, not both.", "/workspace_name"))
        if request.workspace_id is None and request.workspace_role is WorkspaceRole.MEMBER:
            faults.append(Fault("not_allowed", "The first user of a workspace manages it.", "/workspace_role"))
        if faults:
            raise Invalid(faults)
        return Newcomer(
            username=request.username,
            email=email,
            password_hash=None if request.password is None else await self.desk.passwords.hash(request.password),
            display_name=request.display_name,
            workspace_name=request.workspace_name,
            locale=request.locale,
        )

    async def _placed(self, act: Act, newcomer: Newcomer, request: NewUser) -> Account:
        """Return the account in its workspace, which is made when none was named."""
        if request.workspace_id is None:
            account = new_account(act, newcomer, new_id(), WorkspaceRole.MANAGER, is_admin=request.is_admin)
            await found_workspace(act, newcomer, account)
            return account
        if await act.unit.find(WORKSPACES, request.workspace_id) is None:
            raise Invalid([Fault("not_allowed", "There is no workspace of this id.", "/workspace_id")])
        await touch_workspace(act, request.workspace_id)
        role = request.workspace_role or WorkspaceRole.MEMBER
        if not await managers_of(act.unit, request.workspace_id):
            role = WorkspaceRole.MANAGER
        return new_account(act, newcomer, request.workspace_id, role, is_admin=request.is_admin)

"""One's own workspace and its members (platform.md 2.3)."""

from collections.abc import Awaitable, Callable

import attrs

from application.accounts.desk import Desk, workspace_named
from application.accounts.standing import freeze, set_role, unfreeze
from application.accounts.values import Freeze, Member, RolePatch, WorkspacePatch, WorkspaceView
from domain.access.principal import Principal, WorkspaceRole
from domain.accounts.rules import folded_name
from domain.accounts.values import Account, Workspace
from domain.act import Act
from domain.errors import Refusal, not_found
from domain.ports.queries import Cursor, Page, Select
from domain.ports.schema import ACCOUNTS, WORKSPACES
from domain.ports.storage import Reader
from domain.precondition import Versions, require_version

_MEMBERS = ("created_at", "user_id")


@attrs.frozen
class Workspaces:
    """The caller's own workspace. Whether they manage it was checked before the changing operations."""

    desk: Desk

    async def get(self, principal: Principal) -> WorkspaceView:
        """Return the caller's workspace."""
        async with self.desk.units.storage.read() as reader:
            return await _view(reader, await reader.get(WORKSPACES, principal.workspace_id or ""))

    async def rename(self, principal: Principal, request: WorkspacePatch, if_match: Versions) -> WorkspaceView:
        """Rename the caller's workspace. Raises Refusal `version_mismatch`, `workspace_name_taken`."""

        async def work(act: Act) -> WorkspaceView:
            workspace = await act.unit.get(WORKSPACES, act.workspace_id)
            require_version(if_match, workspace.version)
            if request.name != workspace.name:
                workspace = await rename_workspace(act, workspace, request.name)
            return await _view(act.unit, workspace)

        return await self.desk.units.perform(principal, work)

    async def members(self, principal: Principal, after: Cursor | None, limit: int) -> Page[Member]:
        """Return the users of the caller's workspace, newest first; e-mails for managers only."""
        with_email = principal.workspace_role is WorkspaceRole.MANAGER
        query = Select({"workspace_id": principal.workspace_id}, _MEMBERS, descending=True)
        async with self.desk.units.storage.read() as reader:
            page = await reader.page(ACCOUNTS, query, after, limit)
        return Page(tuple(Member.of(account, with_email=with_email) for account in page.items), page.after)

    async def set_role(self, principal: Principal, user_id: str, request: RolePatch, if_match: Versions) -> Member:
        """Change a member's role. Raises Refusal `not_found`, `version_mismatch`, `last_manager`."""

        async def change(act: Act, account: Account) -> Account:
            return await set_role(act, account, request.workspace_role)

        return await self._on_member(principal, user_id, change, if_match)

    async def freeze(self, principal: Principal, user_id: str, request: Freeze, if_match: Versions = None) -> Member:
        """Freeze a member. Raises Refusal `not_found`, `admin_required`, `self_forbidden`, `last_manager`."""

        async def change(act: Act, account: Account) -> Account:
            if account.user_id != act.user_id:
                _refuse_administrator(account)
            return await freeze(act, account, request.reason, by_manager=True)

        return await self._on_member(principal, user_id, change, if_match)

    async def unfreeze(self, principal: Principal, user_id: str, if_match: Versions = None) -> Member:
        """Unfreeze a member. Raises Refusal `not_found`, `admin_required`, `account_erased`."""

        async def change(act: Act, account: Account) -> Account:
            _refuse_administrator(account)
            return await unfreeze(act, account)

        return await self._on_member(principal, user_id, change, if_match)

    async def _on_member(
        self,
        principal: Principal,
        user_id: str,
        change: Callable[[Act, Account], Awaitable[Account]],
        if_match: Versions,
    ) -> Member:
        async def work(act: Act) -> Member:
            account = await act.unit.find(ACCOUNTS, user_id)
            if account is None or account.workspace_id != act.workspace_id:
                raise not_found(hides=account is not None)
            require_version(if_match, account.version)
            return Member.of(await change(act, account), with_email=True)

        return await self.desk.units.perform(principal, work)


async def rename_workspace(act: Act, workspace: Workspace, name: str) -> Workspace:
    """Rename a workspace, with its audit entry. Raises Refusal `workspace_name_taken`."""
    folded = folded_name(name)
    holder = await workspace_named(act.unit, folded)
    if holder is not None and holder.workspace_id != workspace.workspace_id:
        raise Refusal("workspace_name_taken", "Another workspace bears this name.")
    details = {"name": {"old": workspace.name, "new": name}}
    workspace = attrs.evolve(
        workspace, name=name, folded_name=folded, updated_at=act.now, version=workspace.version + 1
    )
    await act.unit.save(WORKSPACES, workspace)
    resource = ("workspace", workspace.workspace_id)
    await act.audit("workspace.updated", resource, workspace_id=workspace.workspace_id, details=details)
    return workspace


async def _view(reader: Reader, workspace: Workspace) -> WorkspaceView:
    own = ("workspace_id", "name", "created_by", "created_at", "updated_at", "version")
    here = workspace.workspace_id
    members = await reader.count(ACCOUNTS, {"workspace_id": here}, "workspace_id")
    return WorkspaceView(**{name: getattr(workspace, name) for name in own}, member_count=members.get(here, 0))


def _refuse_administrator(account: Account) -> None:
    if account.is_admin:
        raise Refusal("admin_required", "Only an administrator does this to an administrator.")

"""All accounts and workspaces, as administrators see and change them (platform.md 9.1, 9.2)."""

from typing import TypeVar

import attrs

from application.accounts.desk import workspace_named
from application.accounts.sessions import active_sessions, alive
from application.accounts.values import SessionView, WorkspacePatch
from application.accounts.workspaces import rename_workspace
from application.admin.values import (
    UserCounts,
    UserDetail,
    UserFilter,
    UserView,
    WorkspaceCounts,
    WorkspaceDetail,
    WorkspaceEntry,
    WorkspaceFilter,
)
from application.units import Units
from domain.access.principal import Principal
from domain.accounts.rules import folded_name
from domain.accounts.values import Account, AccountStatus, Workspace
from domain.act import Act
from domain.errors import Refusal, not_found
from domain.ids import new_id
from domain.instants import MICROSECOND
from domain.ports.queries import AnyOf, Between, Condition, Cursor, Page, Select, StartsWith
from domain.ports.schema import ACCOUNTS, API_KEYS, CIRCUITS, ITEMS, MEMBERSHIPS, SESSIONS, WORKSPACES, Facet
from domain.ports.storage import Reader
from domain.precondition import Versions, require_version

V = TypeVar("V")


@attrs.frozen
class Directory:
    """Whether the caller is an administrator was checked before."""

    units: Units

    async def users(self, wanted: UserFilter, after: Cursor | None, limit: int) -> Page[UserView]:
        """Return the accounts that match, newest first."""
        query = Select(_conditions(wanted), ("created_at",), descending=True)
        async with self.units.storage.read() as reader:
            page = await reader.page(ACCOUNTS, query, after, limit)
        return Page(tuple(map(UserView.of, page.items)), page.after)

    async def user(self, user_id: str) -> UserDetail:
        """Return one account with what it has. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            account = await _found(reader, ACCOUNTS, user_id)
            return UserDetail.with_counts(account, await self._counts(reader, account))

    async def sessions(self, user_id: str, after: Cursor | None, limit: int) -> Page[SessionView]:
        """Return the active sessions of a user, newest first. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            account = await _found(reader, ACCOUNTS, user_id)
            return await active_sessions(reader, account, self.units.clock.now(), after, limit)

    async def workspaces(self, wanted: WorkspaceFilter, after: Cursor | None, limit: int) -> Page[WorkspaceEntry]:
        """Return the workspaces that match, newest first."""
        where: dict[str, Condition] = {}
        if wanted.name is not None:
            where["folded_name"] = StartsWith(folded_name(wanted.name))
        async with self.units.storage.read() as reader:
            page = await reader.page(WORKSPACES, Select(where, ("created_at",), descending=True), after, limit)
        return Page(tuple(map(WorkspaceEntry.of, page.items)), page.after)

    async def workspace(self, workspace_id: str) -> WorkspaceDetail:
        """Return one workspace with what it has. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            return await self._detail(reader, await _found(reader, WORKSPACES, workspace_id))

    async def found(self, principal: Principal, request: WorkspacePatch) -> WorkspaceDetail:
        """Make a workspace without users. Raises Refusal `workspace_name_taken`."""

        async def work(act: Act) -> WorkspaceDetail:
            folded = folded_name(request.name)
            if await workspace_named(act.unit, folded) is not None:
                raise Refusal("workspace_name_taken", "Another workspace bears this name.")
            made = Workspace(new_id(), request.name, folded, act.principal.user_id, act.now, act.now)
            await act.unit.add(WORKSPACES, made)
            resource = ("workspace", made.workspace_id)
            await act.audit("workspace.created", resource, workspace_id=made.workspace_id)
            return WorkspaceDetail.with_counts(made, WorkspaceCounts(0, 0, 0))

        return await self.units.perform(principal, work)

    async def rename(
        self, principal: Principal, workspace_id: str, request: WorkspacePatch, if_match: Versions
    ) -> WorkspaceDetail:
        """Rename a workspace. Raises Refusal `not_found`, `version_mismatch`, `workspace_name_taken`."""

        async def work(act: Act) -> WorkspaceDetail:
            workspace = await _found(act.unit, WORKSPACES, workspace_id)
            require_version(if_match, workspace.version)
            if request.name != workspace.name:
                workspace = await rename_workspace(act, workspace, request.name)
            return await self._detail(act.unit, workspace)

        return await self.units.perform(principal, work)

    async def _counts(self, reader: Reader, account: Account) -> UserCounts:
        user_id = account.user_id
        working: dict[str, Condition] = {"created_by": user_id, "works_until_at": self._still}
        return UserCounts(
            items=await _sum(reader, ITEMS, {"workspace_id": account.workspace_id}, "profile"),
            circuits_owned=await _sum(reader, CIRCUITS, {"owner_id": user_id}, "status"),
            memberships=await _sum(reader, MEMBERSHIPS, {"user_id": user_id, "status": "active"}, "status"),
            active_sessions=await _sum(reader, SESSIONS, alive(account, self.units.clock.now()), "user_id"),
            active_keys=await _sum(reader, API_KEYS, working, "created_by"),
        )

    async def _detail(self, reader: Reader, workspace: Workspace) -> WorkspaceDetail:
        own: dict[str, Condition] = {"workspace_id": workspace.workspace_id}
        counts = WorkspaceCounts(
            users=await _sum(reader, ACCOUNTS, own, "workspace_id"),
            items=await _sum(reader, ITEMS, own, "profile"),
            active_keys=await _sum(reader, API_KEYS, own | {"works_until_at": self._still}, "workspace_id"),
        )
        return WorkspaceDetail.with_counts(workspace, counts)

    @property
    def _still(self) -> Between:
        return Between(self.units.clock.now() + MICROSECOND)


def _conditions(wanted: UserFilter) -> dict[str, Condition]:
    where: dict[str, Condition] = {}
    if wanted.username is not None:
        where["username"] = StartsWith(wanted.username.lower())
    if wanted.email is not None:
        where["email_key"] = StartsWith(wanted.email.lower())
    if len(wanted.status) == 1:
        frozen = AccountStatus.FROZEN in wanted.status
        where["place"] = AnyOf(("frozen", "erased")) if frozen else "active"
    if wanted.is_admin is not None:
        where["is_admin"] = wanted.is_admin
    if wanted.workspace_id is not None:
        where["workspace_id"] = wanted.workspace_id
    if wanted.created_from is not None or wanted.created_to is not None:
        where["created_at"] = Between(wanted.created_from, wanted.created_to)
    return where


async def _found(reader: Reader, facet: Facet[V], key: str) -> V:
    value = await reader.find(facet, key)
    if value is None:
        raise not_found()
    return value


async def _sum(reader: Reader, facet: Facet[V], where: dict[str, Condition], by: str) -> int:
    return sum((await reader.count(facet, where, by)).values())

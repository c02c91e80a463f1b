"""Routes with which administrators manage accounts and workspaces (platform.md 9.1, 9.2)."""

from collections.abc import Sequence
from typing import Any

import attrs

from application.accounts import Accounts
from application.accounts.provisioning import MadeUser
from application.accounts.values import Freeze, IssuedReset, NewUser, SessionView, UserPatch, WorkspacePatch
from application.admin.directory import Directory
from application.admin.values import (
    IssuedUser,
    UserDetail,
    UserFilter,
    UserView,
    WorkspaceDetail,
    WorkspaceEntry,
    WorkspaceFilter,
)
from domain.accounts.values import Account
from domain.ports.queries import Page
from entrypoints.http.routes.lists import Cursor, Limit, PageQuery
from entrypoints.http.routing import Call, Route

TAG = "administration"
READ: dict[str, Any] = {"tag": TAG, "scope": "admin:read", "admin": True}
WRITE: dict[str, Any] = {"tag": TAG, "scope": "admin:write", "admin": True}
USERS, WORKSPACES = "/api/admin/users", "/api/admin/workspaces"


@attrs.frozen
class UserList(UserFilter):
    """Filters and page of all accounts."""

    limit: Limit = 50
    cursor: Cursor = None


@attrs.frozen
class WorkspaceList(WorkspaceFilter):
    """Filters and page of all workspaces."""

    limit: Limit = 50
    cursor: Cursor = None


class AdminHandlers:
    """Each calls one use case."""

    def __init__(self, accounts: Accounts, directory: Directory) -> None:
        self.accounts, self.directory = accounts.administration, directory
        self.provisioning = accounts.provisioning

    async def users(self, call: Call) -> Page[UserView]:
        return await self.directory.users(call.query, call.after, call.limit)

    async def user(self, call: Call) -> UserDetail:
        return await self.directory.user(call.path["user_id"])

    async def sessions(self, call: Call) -> Page[SessionView]:
        return await self.directory.sessions(call.path["user_id"], call.after, call.limit)

    async def create(self, call: Call) -> MadeUser:
        return await self.provisioning.create(call.principal, call.body)

    async def update(self, call: Call) -> Account:
        return await self.accounts.update(call.principal, call.path["user_id"], call.body, call.if_match)

    async def freeze(self, call: Call) -> Account:
        return await self.accounts.freeze(call.principal, call.path["user_id"], call.body.reason, call.if_match)

    async def unfreeze(self, call: Call) -> Account:
        return await self.accounts.unfreeze(call.principal, call.path["user_id"], call.if_match)

    async def reset_password(self, call: Call) -> IssuedReset:
        return await self.accounts.issue_reset(call.principal, call.path["user_id"])

    async def logout_all(self, call: Call) -> None:
        await self.accounts.logout_all(call.principal, call.path["user_id"], call.if_match)

    async def erase(self, call: Call) -> Account:
        return await self.accounts.erase(call.principal, call.path["user_id"], call.body.reason, call.if_match)

    async def workspaces(self, call: Call) -> Page[WorkspaceEntry]:
        return await self.directory.workspaces(call.query, call.after, call.limit)

    async def workspace(self, call: Call) -> WorkspaceDetail:
        return await self.directory.workspace(call.path["workspace_id"])

    async def found(self, call: Call) -> WorkspaceDetail:
        return await self.directory.found(call.principal, call.body)

    async def rename(self, call: Call) -> WorkspaceDetail:
        return await self.directory.rename(call.principal, call.path["workspace_id"], call.body, call.if_match)


def admin_account_routes(accounts: Accounts, directory: Directory) -> Sequence[Route]:
    """Return the routes of all accounts and workspaces."""
    do = AdminHandlers(accounts, directory)
    return (*_reading(do), *_changing(do), *_standing(do), *_workspaces(do))


def _reading(do: AdminHandlers) -> Sequence[Route]:
    return (
        Route(
            method="GET",
            path=USERS,
            handler=do.users,
            operation_id="admin_user_list",
            summary="List all accounts, newest first",
            query=UserList,
            page=True,
            answer=UserView,
            **READ,
        ),
        Route(
            method="GET",
            path=USERS + "/{user_id}",
            handler=do.user,
            operation_id="admin_user_get",
            summary="Read an account and what it has",
            versioned=True,
            answer=UserDetail,
            **READ,
        ),
        Route(
            method="GET",
            path=USERS + "/{user_id}/sessions",
            handler=do.sessions,
            operation_id="admin_user_sessions",
            summary="List the active sessions of a user",
            query=PageQuery,
            page=True,
            answer=SessionView,
            **READ,
        ),
    )


def _changing(do: AdminHandlers) -> Sequence[Route]:
    return (
        Route(
            method="POST",
            path=USERS,
            handler=do.create,
            operation_id="admin_user_create",
            summary="Make an account; without a password it gets one by a reset token",
            body=NewUser,
            success=(201,),
            secret=True,
            location=lambda made: f"{USERS}/{made.account.user_id}",
            versioned=True,
            version_of=lambda made: made.account.version,
            view=lambda made: IssuedUser(UserView.of(made.account), made.reset_token),
            answer=IssuedUser,
            problems=("account_exists", "workspace_name_taken", "overloaded"),
            request_example={"username": "bia.lima", "email": "bia@fazenda.example.com", "display_name": "Bia Lima"},
            **WRITE,
        ),
        Route(
            method="PATCH",
            path=USERS + "/{user_id}",
            handler=do.update,
            operation_id="admin_user_update",
            summary="Change an account, its role, or its standing as administrator",
            body=UserPatch,
            if_match="required",
            versioned=True,
            view=UserView.of,
            answer=UserView,
            problems=("self_forbidden", "last_admin", "last_manager", "account_exists", "account_erased"),
            request_example={"is_admin": True},
            **WRITE,
        ),
        Route(
            method="POST",
            path=USERS + "/{user_id}/password-reset",
            handler=do.reset_password,
            operation_id="admin_user_reset_password",
            summary="Issue a token with which the user sets a password within the hour",
            success=(201,),
            secret=True,
            answer=IssuedReset,
            problems=("account_not_active",),
            **WRITE,
        ),
    )


def _standing(do: AdminHandlers) -> Sequence[Route]:
    acts: dict[str, Any] = {"method": "POST", "if_match": "honoured", **WRITE}
    shown: dict[str, Any] = {"versioned": True, "view": UserView.of, "answer": UserView}
    return (
        Route(
            path=USERS + "/{user_id}/freeze",
            handler=do.freeze,
            operation_id="admin_user_freeze",
            summary="Freeze an account: nothing it holds works any more",
            body=Freeze,
            problems=("self_forbidden", "last_admin"),
            request_example={"reason": "left the cooperative"},
            **acts,
            **shown,
        ),
        Route(
            path=USERS + "/{user_id}/unfreeze",
            handler=do.unfreeze,
            operation_id="admin_user_unfreeze",
            summary="Let a frozen account in again",
            problems=("account_erased",),
            **acts,
            **shown,
        ),
        Route(
            path=USERS + "/{user_id}/erase",
            handler=do.erase,
            operation_id="admin_user_erase",
            summary="Erase the person behind a frozen account",
            body=Freeze,
            problems=("not_frozen", "owns_circuits", "account_erased"),
            request_example={"reason": "asked to be forgotten"},
            **acts,
            **shown,
        ),
        Route(
            path=USERS + "/{user_id}/logout-all",
            handler=do.logout_all,
            operation_id="admin_user_logout_all",
            summary="End every session of a user",
            success=(204,),
            **acts,
        ),
    )


def _workspaces(do: AdminHandlers) -> Sequence[Route]:
    shown: dict[str, Any] = {"versioned": True, "answer": WorkspaceDetail}
    return (
        Route(
            method="GET",
            path=WORKSPACES,
            handler=do.workspaces,
            operation_id="admin_workspace_list",
            summary="List all workspaces, newest first",
            query=WorkspaceList,
            page=True,
            answer=WorkspaceEntry,
            **READ,
        ),
        Route(
            method="GET",
            path=WORKSPACES + "/{workspace_id}",
            handler=do.workspace,
            operation_id="admin_workspace_get",
            summary="Read a workspace and what it has",
            **shown,
            **READ,
        ),
        Route(
            method="POST",
            path=WORKSPACES,
            handler=do.found,
            operation_id="admin_workspace_create",
            summary="Make a workspace without users",
            body=WorkspacePatch,
            success=(201,),
            location=lambda made: f"{WORKSPACES}/{made.workspace_id}",
            problems=("workspace_name_taken",),
            request_example={"name": "Fazenda Boa Vista"},
            **shown,
            **WRITE,
        ),
        Route(
            method="PATCH",
            path=WORKSPACES + "/{workspace_id}",
            handler=do.rename,
            operation_id="admin_workspace_update",
            summary="Rename a workspace",
            body=WorkspacePatch,
            if_match="required",
            problems=("workspace_name_taken",),
            request_example={"name": "Fazenda Boa Vista"},
            **shown,
            **WRITE,
        ),
    )

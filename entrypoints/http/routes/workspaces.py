"""Routes of one's own workspace: members and invitations (platform.md 2.3)."""

from collections.abc import Sequence
from typing import Any

from application.accounts import Accounts
from application.accounts.values import (
    Freeze,
    InvitationRequest,
    InvitationView,
    IssuedInvitation,
    Member,
    RolePatch,
    WorkspacePatch,
    WorkspaceView,
)
from domain.ports.queries import Page
from entrypoints.http.routes.lists import PageQuery
from entrypoints.http.routing import Call, Route

TAG = "workspace"


class WorkspaceHandlers:
    """Each calls one use case."""

    def __init__(self, accounts: Accounts) -> None:
        self.workspaces, self.invitations = accounts.workspaces, accounts.invitations

    async def get(self, call: Call) -> WorkspaceView:
        return await self.workspaces.get(call.principal)

    async def rename(self, call: Call) -> WorkspaceView:
        return await self.workspaces.rename(call.principal, call.body, call.if_match)

    async def members(self, call: Call) -> Page[Member]:
        return await self.workspaces.members(call.principal, call.after, call.limit)

    async def set_role(self, call: Call) -> Member:
        return await self.workspaces.set_role(call.principal, call.path["user_id"], call.body, call.if_match)

    async def freeze(self, call: Call) -> Member:
        return await self.workspaces.freeze(call.principal, call.path["user_id"], call.body, call.if_match)

    async def unfreeze(self, call: Call) -> Member:
        return await self.workspaces.unfreeze(call.principal, call.path["user_id"], call.if_match)

    async def invite(self, call: Call) -> IssuedInvitation:
        return await self.invitations.create(call.principal, call.body)

    async def list_invitations(self, call: Call) -> Page[InvitationView]:
        return await self.invitations.page(call.principal, call.after, call.limit)

    async def invitation(self, call: Call) -> InvitationView:
        return await self.invitations.get(call.principal, call.path["invitation_id"])

    async def revoke_invitation(self, call: Call) -> None:
        await self.invitations.revoke(call.principal, call.path["invitation_id"], call.if_match)


def workspace_routes(accounts: Accounts) -> Sequence[Route]:
    """Return the routes of the caller's workspace."""
    do = WorkspaceHandlers(accounts)
    return (*_workspace(do), *_members(do), *_invitations(do))


def _workspace(do: WorkspaceHandlers) -> Sequence[Route]:
    return (
        Route(
            method="GET",
            path="/api/workspace",
            handler=do.get,
            operation_id="workspace_get",
            tag=TAG,
            summary="Read the own workspace",
            any_credential=True,
            versioned=True,
            answer=WorkspaceView,
        ),
        Route(
            method="PATCH",
            path="/api/workspace",
            handler=do.rename,
            operation_id="workspace_update",
            tag=TAG,
            summary="Rename the own workspace",
            session=True,
            manager=True,
            body=WorkspacePatch,
            if_match="required",
            versioned=True,
            answer=WorkspaceView,
            problems=("workspace_name_taken",),
            request_example={"name": "Fazenda Boa Vista"},
        ),
    )


def _members(do: WorkspaceHandlers) -> Sequence[Route]:
    managed: dict[str, Any] = {"tag": TAG, "session": True, "manager": True, "versioned": True, "answer": Member}
    return (
        Route(
            method="GET",
            path="/api/workspace/members",
            handler=do.members,
            operation_id="workspace_member_list",
            tag=TAG,
            summary="List the users of the own workspace",
            any_credential=True,
            query=PageQuery,
            page=True,
            answer=Member,
        ),
        Route(
            method="PATCH",
            path="/api/workspace/members/{user_id}",
            handler=do.set_role,
            operation_id="workspace_member_update",
            summary="Change the role of a user in the own workspace",
            body=RolePatch,
            if_match="required",
            problems=("last_manager", "account_erased"),
            request_example={"workspace_role": "manager"},
            **managed,
        ),
        Route(
            method="POST",
            path="/api/workspace/members/{user_id}/freeze",
            handler=do.freeze,
            operation_id="workspace_member_freeze",
            summary="Freeze a user of the own workspace",
            body=Freeze,
            if_match="honoured",
            problems=("self_forbidden", "admin_required", "last_manager"),
            request_example={"reason": "left the farm"},
            **managed,
        ),
        Route(
            method="POST",
            path="/api/workspace/members/{user_id}/unfreeze",
            handler=do.unfreeze,
            operation_id="workspace_member_unfreeze",
            summary="Let a frozen user of the own workspace in again",
            if_match="honoured",
            problems=("admin_required", "account_erased"),
            **managed,
        ),
    )


def _invitations(do: WorkspaceHandlers) -> Sequence[Route]:
    managed: dict[str, Any] = {"tag": TAG, "session": True, "manager": True}
    return (
        Route(
            method="POST",
            path="/api/workspace/invitations",
            handler=do.invite,
            operation_id="invitation_create",
            summary="Invite somebody into the own workspace",
            body=InvitationRequest,
            success=(201,),
            secret=True,
            location=lambda issued: f"/api/workspace/invitations/{issued.invitation.invitation_id}",
            versioned=True,
            version_of=lambda issued: issued.invitation.version,
            answer=IssuedInvitation,
            problems=("quota_reached",),
            request_example={"email": "bia@fazenda.example.com"},
            **managed,
        ),
        Route(
            method="GET",
            path="/api/workspace/invitations",
            handler=do.list_invitations,
            operation_id="invitation_list",
            summary="List the invitations of the own workspace",
            query=PageQuery,
            page=True,
            answer=InvitationView,
            **managed,
        ),
        Route(
            method="GET",
            path="/api/workspace/invitations/{invitation_id}",
            handler=do.invitation,
            operation_id="invitation_get",
            summary="Read an invitation",
            versioned=True,
            answer=InvitationView,
            **managed,
        ),
        Route(
            method="DELETE",
            path="/api/workspace/invitations/{invitation_id}",
            handler=do.revoke_invitation,
            operation_id="invitation_revoke",
            summary="Revoke an invitation",
            success=(204,),
            if_match="honoured",
            problems=("invitation_used",),
            **managed,
        ),
    )

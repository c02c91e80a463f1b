"""Routes of members, roles and join requests of circuits (circuits.md 6)."""

from collections.abc import Sequence
from typing import Any

import attrs

from application.circuits import Circuits
from application.circuits.pages import Pages
from application.circuits.requests import (
    AddMember,
    ApproveJoin,
    AskToJoin,
    ChangeRole,
    CreateRole,
    JoinPage,
    MemberFilter,
    UpdateRole,
    WithReason,
)
from application.circuits.views import JoinAnswer, JoinRequestView, JoinWaiting, MemberView, RoleView
from domain.access.vocabulary import JoinRequestStatus
from domain.ports.queries import Page
from entrypoints.http.routes.circuits import GUARDED, MANAGE, MEMBER_ONLY, ONE, PUSH, READ, ROOT, TAG
from entrypoints.http.routes.lists import Cursor, Limit, PageQuery
from entrypoints.http.routing import Call, Route

ROLES = (*GUARDED, "role_not_grantable", "role_fixed")


@attrs.frozen
class MemberQuery(MemberFilter):
    """Members by role and name."""

    limit: Limit = 50
    cursor: Cursor = None


@attrs.frozen
class RequestQuery(PageQuery):
    """Join requests by status."""

    status: frozenset[JoinRequestStatus] = frozenset()


class MembershipHandlers:
    """Each calls one use case."""

    def __init__(self, circuits: Circuits, pages: Pages) -> None:
        self.circuits, self.pages = circuits, pages

    async def add_member(self, call: Call) -> MemberView:
        return await self.circuits.add_member(call.principal, call.path["circuit_id"], call.body)

    async def members(self, call: Call) -> Page[MemberView]:
        return await self.circuits.members(call.principal, call.path["circuit_id"], call.query, call.after, call.limit)

    async def member(self, call: Call) -> MemberView:
        return await self.circuits.member(call.principal, call.path["circuit_id"], call.path["user_id"])

    async def me(self, call: Call) -> MemberView:
        return await self.circuits.member(call.principal, call.path["circuit_id"], str(call.principal.user_id))

    async def change_role(self, call: Call) -> MemberView:
        return await self.circuits.change_role(
            call.principal, call.path["circuit_id"], call.path["user_id"], call.body, call.if_match
        )

    async def remove_member(self, call: Call) -> None:
        await self.circuits.remove_member(call.principal, call.path["circuit_id"], call.path["user_id"], call.if_match)

    async def leave(self, call: Call) -> None:
        await self.circuits.leave(call.principal, call.path["circuit_id"], call.if_match)

    async def roles(self, call: Call) -> Page[RoleView]:
        return await self.circuits.roles(call.principal, call.path["circuit_id"], call.after, call.limit)

    async def role(self, call: Call) -> RoleView:
        return await self.circuits.role(call.principal, call.path["circuit_id"], call.path["name"])

    async def create_role(self, call: Call) -> RoleView:
        return await self.circuits.create_role(call.principal, call.path["circuit_id"], call.body)

    async def update_role(self, call: Call) -> RoleView:
        return await self.circuits.update_role(
            call.principal, call.path["circuit_id"], call.path["name"], call.body, call.if_match
        )

    async def delete_role(self, call: Call) -> None:
        await self.circuits.delete_role(call.principal, call.path["circuit_id"], call.path["name"], call.if_match)

    async def ask(self, call: Call) -> JoinAnswer:
        return await self._asked(call, call.body or AskToJoin())

    async def ask_at_page(self, call: Call) -> JoinAnswer:
        return await self._asked(call, call.body or JoinPage())

    async def _asked(self, call: Call, request: AskToJoin) -> JoinAnswer:
        proved = self.pages.proved(call.page_token)
        return await self.circuits.ask_to_join(call.principal, call.path["circuit_id"], request, proved)

    async def requests(self, call: Call) -> Page[JoinRequestView]:
        return await self.circuits.join_requests(
            call.principal, call.path["circuit_id"], call.query.status, call.after, call.limit
        )

    async def pending_requests(self, call: Call) -> Page[JoinRequestView]:
        return await self.circuits.join_requests(
            call.principal, call.path["circuit_id"], (JoinRequestStatus.PENDING,), call.after, call.limit
        )

    async def my_requests(self, call: Call) -> Page[JoinRequestView]:
        return await self.circuits.my_join_requests(call.principal, call.after, call.limit)

    async def request(self, call: Call) -> JoinRequestView:
        return await self.circuits.join_request(call.principal, *_asked(call))

    async def approve_join(self, call: Call) -> JoinRequestView:
        return await self.circuits.approve_join(
            call.principal, *_asked(call), call.body or ApproveJoin(), call.if_match
        )

    async def reject_join(self, call: Call) -> JoinRequestView:
        reason = call.body.reason if call.body is not None else None
        return await self.circuits.reject_join(call.principal, *_asked(call), reason, call.if_match)

    async def cancel_join(self, call: Call) -> None:
        await self.circuits.cancel_join(call.principal, *_asked(call), call.if_match)


def _asked(call: Call) -> tuple[str, str]:
    return call.path["circuit_id"], call.path["request_id"]


def membership_routes(circuits: Circuits, pages: Pages) -> Sequence[Route]:
    """Return the routes of members, roles and join requests."""
    do = MembershipHandlers(circuits, pages)
    return (*_members(do), *_roles(do), *_joining(do))


def _members(do: MembershipHandlers) -> Sequence[Route]:
    member: dict[str, Any] = {"tag": TAG, "versioned": True, "answer": MemberView}
    one = f"{ONE}/members/{{user_id}}"
    touching = (*GUARDED, "role_not_grantable", "target_outranks", "role_unknown", "owner_role_fixed")
    return (
        Route(
            method="POST",
            path=f"{ONE}/members",
            handler=do.add_member,
            operation_id="member_add",
            summary="Add a member",
            scope=MANAGE,
            body=AddMember,
            success=(201,),
            location=lambda member: member.user_id,
            problems=(
                *GUARDED,
                "role_not_grantable",
                "role_unknown",
                "member_unknown",
                "already_member",
                "quota_reached",
            ),
            request_example={"username": "rui", "role": "member"},
            **member,
        ),
        Route(
            method="GET",
            path=f"{ONE}/members",
            handler=do.members,
            operation_id="member_list",
            tag=TAG,
            summary="List members",
            scope=READ,
            query=MemberQuery,
            page=True,
            problems=MEMBER_ONLY,
            answer=MemberView,
        ),
        Route(
            method="GET",
            path=f"{ONE}/members/me",
            handler=do.me,
            operation_id="member_get_own",
            summary="Read the own membership",
            scope=READ,
            problems=MEMBER_ONLY,
            **member,
        ),
        Route(
            method="GET",
            path=one,
            handler=do.member,
            operation_id="member_get",
            summary="Read a membership",
            scope=READ,
            problems=MEMBER_ONLY,
            **member,
        ),
        Route(
            method="PATCH",
            path=one,
            handler=do.change_role,
            operation_id="member_change_role",
            summary="Change the role of a member",
            scope=MANAGE,
            body=ChangeRole,
            if_match="required",
            problems=touching,
            request_example={"role": "viewer"},
            **member,
        ),
        Route(
            method="DELETE",
            path=f"{ONE}/members/me",
            handler=do.leave,
            operation_id="member_leave",
            tag=TAG,
            summary="Leave a circuit",
            scope=MANAGE,
            success=(204,),
            if_match="honoured",
            problems=(*GUARDED, "owner_cannot_leave"),
        ),
        Route(
            method="DELETE",
            path=one,
            handler=do.remove_member,
            operation_id="member_remove",
            tag=TAG,
            summary="Remove a member",
            scope=MANAGE,
            success=(204,),
            if_match="honoured",
            problems=(*GUARDED, "target_outranks", "owner_cannot_leave"),
        ),
    )


def _roles(do: MembershipHandlers) -> Sequence[Route]:
    role: dict[str, Any] = {"tag": TAG, "versioned": True, "answer": RoleView}
    one = f"{ONE}/roles/{{name}}"
    return (
        Route(
            method="POST",
            path=f"{ONE}/roles",
            handler=do.create_role,
            operation_id="role_create",
            summary="Define a role",
            scope=MANAGE,
            body=CreateRole,
            success=(201,),
            location=lambda role: role.name,
            problems=(*ROLES, "role_exists", "quota_reached"),
            request_example={"name": "inspetor", "permissions": ["pull", "certify"]},
            **role,
        ),
        Route(
            method="GET",
            path=f"{ONE}/roles",
            handler=do.roles,
            operation_id="role_list",
            tag=TAG,
            summary="List roles",
            scope=READ,
            query=PageQuery,
            page=True,
            problems=MEMBER_ONLY,
            answer=RoleView,
        ),
        Route(
            method="GET",
            path=one,
            handler=do.role,
            operation_id="role_get",
            summary="Read a role",
            scope=READ,
            kinds={"name": "text"},
            problems=MEMBER_ONLY,
            **role,
        ),
        Route(
            method="PATCH",
            path=one,
            handler=do.update_role,
            operation_id="role_update",
            summary="Change a role",
            scope=MANAGE,
            body=UpdateRole,
            if_match="required",
            kinds={"name": "text"},
            problems=ROLES,
            request_example={"permissions": ["pull"]},
            **role,
        ),
        Route(
            method="DELETE",
            path=one,
            handler=do.delete_role,
            operation_id="role_delete",
            tag=TAG,
            summary="Delete a role",
            scope=MANAGE,
            success=(204,),
            if_match="honoured",
            kinds={"name": "text"},
            problems=(*ROLES, "role_in_use"),
        ),
    )


def _joining(do: MembershipHandlers) -> Sequence[Route]:
    asking: dict[str, Any] = {
        "tag": TAG,
        "scope": PUSH,
        "policy": "join",
        "success": (201, 202),
        "status_of": lambda answer: 202 if answer.requires_approval else 201,
        "location": _joined_at,
        "view": _join_view,
        "answer": JoinAnswer,
        "answers": {202: JoinWaiting},
        "problems": ("already_member", "circuit_not_active", "request_pending", "join_cool_down", "quota_reached"),
    }
    request: dict[str, Any] = {"tag": TAG, "versioned": True, "answer": JoinRequestView}
    listed: dict[str, Any] = {"tag": TAG, "scope": READ, "page": True, "answer": JoinRequestView}
    one = f"{ONE}/requests/{{request_id}}"
    return (
        Route(
            method="POST",
            path=f"{ONE}/requests",
            handler=do.ask,
            operation_id="join_request_create",
            summary="Ask to join",
            body=AskToJoin,
            **asking,
        ),
        Route(
            method="POST",
            path=f"{ONE}/public/join",
            handler=do.ask_at_page,
            operation_id="join_request_create_at_page",
            summary="Ask to join from the public page",
            body=JoinPage,
            **asking | {"problems": (*asking["problems"], "page_password_wrong")},
        ),
        Route(
            method="GET",
            path=f"{ONE}/requests",
            handler=do.requests,
            operation_id="join_request_list",
            summary="List join requests",
            query=RequestQuery,
            problems=GUARDED,
            **listed,
        ),
        Route(
            method="GET",
            path=f"{ONE}/requests/pending",
            handler=do.pending_requests,
            operation_id="join_request_list_pending",
            summary="List join requests that wait",
            query=PageQuery,
            problems=GUARDED,
            **listed,
        ),
        Route(
            method="GET",
            path=f"{ROOT}/requests/mine",
            handler=do.my_requests,
            operation_id="join_request_list_own",
            summary="List own join requests",
            query=PageQuery,
            **listed,
        ),
        Route(
            method="GET",
            path=one,
            handler=do.request,
            operation_id="join_request_get",
            summary="Read a join request",
            scope=READ,
            **request,
        ),
        Route(
            method="POST",
            path=f"{one}/approve",
            handler=do.approve_join,
            operation_id="join_request_approve",
            summary="Admit somebody",
            scope=MANAGE,
            body=ApproveJoin,
            if_match="honoured",
            problems=(
                *GUARDED,
                "role_not_grantable",
                "role_unknown",
                "request_decided",
                "already_member",
                "requester_frozen",
                "quota_reached",
            ),
            **request,
        ),
        Route(
            method="POST",
            path=f"{one}/reject",
            handler=do.reject_join,
            operation_id="join_request_reject",
            summary="Turn somebody down",
            scope=MANAGE,
            body=WithReason,
            if_match="honoured",
            problems=(*GUARDED, "request_decided"),
            **request,
        ),
        Route(
            method="DELETE",
            path=one,
            handler=do.cancel_join,
            operation_id="join_request_cancel",
            tag=TAG,
            summary="Take a request back",
            scope=PUSH,
            success=(204,),
            if_match="honoured",
            problems=("request_decided", "circuit_not_active"),
        ),
    )


def _joined_at(answer: JoinAnswer) -> str:
    circuit = f"{ROOT}/{answer.request.circuit_id}"
    if answer.requires_approval:
        return f"{circuit}/requests/{answer.request.request_id}"
    return f"{circuit}/members/{answer.request.requester_id}"


def _join_view(answer: JoinAnswer) -> JoinAnswer | JoinWaiting:
    return JoinWaiting(True, answer.request) if answer.requires_approval else answer

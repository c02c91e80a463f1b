"""Routes of circuits and their settings (circuits.md 6)."""

from collections.abc import Sequence
from typing import Any

import attrs

from application.circuits import Circuits
from application.circuits.requests import (
    CircuitFilter,
    CreateCircuit,
    PublicRequest,
    TransferCircuit,
    UpdateCircuit,
    WithReason,
)
from application.circuits.views import (
    CircuitStats,
    CircuitView,
    PublicSettingsAnswer,
    PublicSettingsView,
)
from domain.access.vocabulary import CircuitStatus
from domain.ports.queries import Page
from entrypoints.http.routes.lists import Cursor, Limit
from entrypoints.http.routing import Call, Route

READ, PUSH, MANAGE, TAG = "circuits:read", "circuits:push", "circuits:manage", "circuits"
ROOT = "/api/circuits"
ONE = f"{ROOT}/{{circuit_id}}"
MEMBER_ONLY = ("not_a_member",)
GUARDED = ("not_a_member", "permission_missing", "circuit_not_active")


@attrs.frozen
class CircuitQuery(CircuitFilter):
    """Own circuits by status, role and name."""

    limit: Limit = 50
    cursor: Cursor = None


class CircuitHandlers:
    """Each calls one use case."""

    def __init__(self, circuits: Circuits) -> None:
        self.circuits = circuits

    async def create(self, call: Call) -> CircuitView:
        return await self.circuits.create(call.principal, call.body)

    async def page(self, call: Call) -> Page[CircuitView]:
        return await self.circuits.page(call.principal, call.query, call.after, call.limit)

    async def get(self, call: Call) -> CircuitView:
        return await self.circuits.get(call.principal, call.path["circuit_id"])

    async def update(self, call: Call) -> CircuitView:
        return await self.circuits.update(call.principal, call.path["circuit_id"], call.body, call.if_match)

    async def deactivate(self, call: Call) -> CircuitView:
        return await self._status(call, CircuitStatus.INACTIVE)

    async def activate(self, call: Call) -> CircuitView:
        return await self._status(call, CircuitStatus.ACTIVE)

    async def archive(self, call: Call) -> CircuitView:
        return await self._status(call, CircuitStatus.ARCHIVED)

    async def _status(self, call: Call, status: CircuitStatus) -> CircuitView:
        reason = call.body.reason if call.body is not None else None
        return await self.circuits.change_status(call.principal, call.path["circuit_id"], status, reason, call.if_match)

    async def transfer(self, call: Call) -> CircuitView:
        return await self.circuits.transfer(call.principal, call.path["circuit_id"], call.body, call.if_match)

    async def settings(self, call: Call) -> PublicSettingsAnswer:
        return await self.circuits.public_settings(call.principal, call.path["circuit_id"])

    async def change_settings(self, call: Call) -> PublicSettingsAnswer:
        circuit_id = call.path["circuit_id"]
        return await self.circuits.change_public_settings(call.principal, circuit_id, call.body, call.if_match)

    async def stats(self, call: Call) -> CircuitStats:
        return await self.circuits.stats(call.principal, call.path["circuit_id"])


def circuit_routes(circuits: Circuits) -> Sequence[Route]:
    """Return the routes of circuits and their settings."""
    do = CircuitHandlers(circuits)
    circuit: dict[str, Any] = {"tag": TAG, "versioned": True, "answer": CircuitView}
    changed: dict[str, Any] = circuit | {"scope": MANAGE, "if_match": "honoured", "problems": GUARDED}
    settings: dict[str, Any] = {
        "tag": TAG,
        "scope": MANAGE,
        "versioned": True,
        "version_of": lambda result: result.version,
        "view": lambda result: result.settings,
        "answer": PublicSettingsView,
    }
    return (
        Route(
            method="POST",
            path=ROOT,
            handler=do.create,
            operation_id="circuit_create",
            summary="Create a circuit",
            scope=MANAGE,
            body=CreateCircuit,
            success=(201,),
            location=lambda view: f"{ROOT}/{view.circuit_id}",
            problems=("quota_reached", "password_required", "scheduled_date_required"),
            request_example={"name": "Novilho Precoce MS", "require_approval_for_push": True},
            **circuit,
        ),
        Route(
            method="GET",
            path=ROOT,
            handler=do.page,
            operation_id="circuit_list",
            tag=TAG,
            summary="List own circuits",
            scope=READ,
            query=CircuitQuery,
            page=True,
            answer=CircuitView,
        ),
        Route(
            method="GET",
            path=ONE,
            handler=do.get,
            operation_id="circuit_get",
            summary="Read a circuit",
            scope=READ,
            problems=MEMBER_ONLY,
            **circuit,
        ),
        Route(
            method="PATCH",
            path=ONE,
            handler=do.update,
            operation_id="circuit_update",
            summary="Change a circuit",
            scope=MANAGE,
            body=UpdateCircuit,
            if_match="required",
            problems=GUARDED,
            request_example={"description": "Bezerros de corte"},
            **circuit,
        ),
        Route(
            method="PUT",
            path=f"{ONE}/deactivate",
            handler=do.deactivate,
            operation_id="circuit_deactivate",
            summary="Close a circuit for the time being",
            body=WithReason,
            **changed,
        ),
        Route(
            method="PUT",
            path=f"{ONE}/activate",
            handler=do.activate,
            operation_id="circuit_activate",
            summary="Open a circuit again",
            body=WithReason,
            **changed,
        ),
        Route(
            method="PUT",
            path=f"{ONE}/archive",
            handler=do.archive,
            operation_id="circuit_archive",
            summary="Close a circuit for good",
            body=WithReason,
            **changed,
        ),
        Route(
            method="POST",
            path=f"{ONE}/transfer",
            handler=do.transfer,
            operation_id="circuit_transfer",
            summary="Hand a circuit over to another member",
            body=TransferCircuit,
            **changed | {"problems": (*GUARDED, "owner_required", "member_unknown", "quota_reached")},
        ),
        Route(
            method="GET",
            path=f"{ONE}/public-settings",
            handler=do.settings,
            operation_id="circuit_get_public_settings",
            summary="Read the settings of the public page",
            problems=GUARDED,
            **settings,
        ),
        Route(
            method="PATCH",
            path=f"{ONE}/public-settings",
            handler=do.change_settings,
            operation_id="circuit_update_public_settings",
            summary="Change the settings of the public page",
            body=PublicRequest,
            if_match="required",
            problems=(*GUARDED, "role_not_grantable", "password_required", "scheduled_date_required"),
            request_example={"tagline": "Do campo ao prato"},
            **settings,
        ),
        Route(
            method="GET",
            path=f"{ONE}/stats",
            handler=do.stats,
            operation_id="circuit_stats",
            tag=TAG,
            summary="Count what stands and waits in a circuit",
            scope=READ,
            problems=MEMBER_ONLY,
            answer=CircuitStats,
        ),
    )

"""Routes of incidents (platform.md 6.6)."""

from collections.abc import Sequence
from typing import Any

import attrs

from application.audit.incidents import (
    AddNote,
    IncidentFilter,
    Incidents,
    IncidentView,
    OpenIncident,
    UpdateIncident,
)
from domain.ports.queries import Page
from entrypoints.http.routes.lists import Cursor, Limit
from entrypoints.http.routing import Call, Route

READ, WRITE, TAG = "audit:read", "admin:write", "audit"
ROOT = "/api/audit/incidents"


@attrs.frozen
class IncidentList(IncidentFilter):
    """Filters and page of incidents."""

    limit: Limit = 50
    cursor: Cursor = None


class IncidentHandlers:
    """Each decodes nothing, decides nothing, and calls one use case."""

    def __init__(self, incidents: Incidents) -> None:
        self.incidents = incidents

    async def page(self, call: Call) -> Page[IncidentView]:
        return await self.incidents.page(call.principal, call.query, call.after, call.limit)

    async def get(self, call: Call) -> IncidentView:
        return await self.incidents.get(call.principal, call.path["incident_id"])

    async def open(self, call: Call) -> IncidentView:
        return await self.incidents.open(call.principal, call.body)

    async def update(self, call: Call) -> IncidentView:
        return await self.incidents.update(call.principal, call.path["incident_id"], call.body, call.if_match)

    async def note(self, call: Call) -> IncidentView:
        return await self.incidents.note(call.principal, call.path["incident_id"], call.body, call.if_match)


def incident_routes(incidents: Incidents) -> Sequence[Route]:
    """Return the routes of incidents."""
    do = IncidentHandlers(incidents)
    reads: dict[str, Any] = {"method": "GET", "tag": TAG, "scope": READ, "admin": True, "answer": IncidentView}
    writes: dict[str, Any] = {"tag": TAG, "scope": WRITE, "admin": True, "answer": IncidentView, "versioned": True}
    return (
        Route(
            path=ROOT,
            handler=do.page,
            operation_id="incident_list",
            summary="List incidents, the newest first",
            query=IncidentList,
            page=True,
            **reads,
        ),
        Route(
            method="POST",
            path=ROOT,
            handler=do.open,
            operation_id="incident_open",
            summary="Open an incident",
            body=OpenIncident,
            success=(201,),
            location=lambda view: f"{ROOT}/{view.incident_id}",
            request_example={"title": "Stolen laptop", "severity": "high", "category": "credential_abuse"},
            **writes,
        ),
        Route(
            path=f"{ROOT}/{{incident_id}}",
            handler=do.get,
            operation_id="incident_get",
            summary="Read an incident",
            versioned=True,
            **reads,
        ),
        Route(
            method="PATCH",
            path=f"{ROOT}/{{incident_id}}",
            handler=do.update,
            operation_id="incident_update",
            summary="Acknowledge, assign, resolve or reopen an incident",
            body=UpdateIncident,
            if_match="required",
            problems=("incident_state",),
            request_example={"status": "resolved", "resolution": "The password was changed."},
            **writes,
        ),
        Route(
            method="POST",
            path=f"{ROOT}/{{incident_id}}/notes",
            handler=do.note,
            operation_id="incident_note",
            summary="Add a note to an incident",
            body=AddNote,
            if_match="honoured",
            success=(201,),
            location=lambda incident: f"{ROOT}/{incident.incident_id}",
            problems=("quota_reached",),
            request_example={"text": "Called the owner of the account."},
            **writes,
        ),
    )

"""Routes of the audit and its log (platform.md 6.4, 6.5)."""

from collections.abc import Sequence
from typing import Annotated, Any

import attrs

from application.audit import Audit
from application.audit.dashboard import Dashboard, DashboardPeriod, Dashboards
from application.audit.exporting import empty_export, export
from application.audit.requests import AuditFilter, ExportFormat
from application.audit.service import AuditEntryView, ConsistencyProof, InclusionProof
from domain.audit.log import Checkpoint
from domain.ports.queries import Page
from domain.shape import Range
from entrypoints.http.answers import Stream
from entrypoints.http.routes.lists import Cursor, Limit
from entrypoints.http.routing import Call, Route

READ, TAG = "audit:read", "audit"
ENTRIES, LOG = "/api/audit/entries", "/api/audit/log"
MEDIA_TYPES = {ExportFormat.NDJSON: "application/x-ndjson", ExportFormat.CSV: "text/csv; charset=utf-8"}
Size = Annotated[int, Range(1, 2**53 - 1)]


@attrs.frozen
class AuditList(AuditFilter):
    """Filters and page of entries."""

    limit: Limit = 50
    cursor: Cursor = None


@attrs.frozen
class AuditExport(AuditFilter):
    """What to take out, and how."""

    format: ExportFormat = ExportFormat.NDJSON


@attrs.frozen
class ProofQuery:
    """The size of the log to prove it for, by default the newest."""

    tree_size: Size | None = None


@attrs.frozen
class ConsistencyQuery:
    """Two sizes of the log; the later one is the newest unless said otherwise."""

    from_: Size
    to: Size | None = None


class AuditHandlers:
    """Each decodes nothing, decides nothing, and calls one use case."""

    def __init__(self, audit: Audit, dashboards: Dashboards) -> None:
        self.audit, self.dashboards = audit, dashboards

    async def dashboard(self, call: Call) -> Dashboard:
        return await self.dashboards.show(call.principal, call.query)

    async def page(self, call: Call) -> Page[AuditEntryView]:
        return await self.audit.page(call.principal, call.query, call.after, call.limit)

    async def get(self, call: Call) -> AuditEntryView:
        return await self.audit.get(call.principal, call.path["entry_id"])

    async def export(self, call: Call) -> Stream:
        form = call.query.format
        chunks = await export(self.audit, call.principal, call.query, form)
        return Stream(chunks, MEDIA_TYPES[form], filename=f"audit.{form}")

    async def checkpoint(self, call: Call) -> Checkpoint:
        return await self.audit.checkpoint(call.principal)

    async def inclusion(self, call: Call) -> InclusionProof:
        return await self.audit.inclusion(call.principal, call.path["entry_id"], call.query.tree_size)

    async def consistency(self, call: Call) -> ConsistencyProof:
        return await self.audit.consistency(call.principal, call.query.from_, call.query.to)


def audit_routes(audit: Audit, dashboards: Dashboards) -> Sequence[Route]:
    """Return the routes of entries and of the log."""
    do = AuditHandlers(audit, dashboards)
    reads: dict[str, Any] = {"method": "GET", "tag": TAG, "scope": READ}
    proves: dict[str, Any] = reads | {"admin": True}
    return (
        Route(
            path=ENTRIES,
            handler=do.page,
            operation_id="audit_entry_list",
            summary="List audit entries, the newest first",
            query=AuditList,
            page=True,
            answer=AuditEntryView,
            problems=("admin_required", "permission_missing", "not_a_member", "not_found"),
            **reads,
        ),
        Route(
            path=f"{ENTRIES}/{{entry_id}}",
            handler=do.get,
            operation_id="audit_entry_get",
            summary="Read an audit entry",
            answer=AuditEntryView,
            **reads,
        ),
        Route(
            path="/api/audit/export",
            handler=do.export,
            operation_id="audit_export",
            summary="Take entries out in the order of the log",
            query=AuditExport,
            export=True,
            policy="export",
            media_type="application/x-ndjson",
            other_forms={"text/csv": empty_export()},
            **proves,
        ),
        Route(
            path="/api/audit/dashboard",
            handler=do.dashboard,
            operation_id="audit_dashboard_get",
            summary="Count what was audited in a period",
            query=DashboardPeriod,
            answer=Dashboard,
            **proves,
        ),
        Route(
            path=f"{LOG}/checkpoint",
            handler=do.checkpoint,
            operation_id="audit_checkpoint_get",
            summary="Read the newest checkpoint of the log",
            answer=Checkpoint,
            problems=("not_sequenced",),
            **proves,
        ),
        Route(
            path=f"{LOG}/entries/{{entry_id}}/proof",
            handler=do.inclusion,
            operation_id="audit_entry_prove",
            summary="Prove that an entry is in the log",
            query=ProofQuery,
            answer=InclusionProof,
            problems=("not_sequenced",),
            **proves,
        ),
        Route(
            path=f"{LOG}/consistency",
            handler=do.consistency,
            operation_id="audit_log_prove",
            summary="Prove that the log only grew",
            query=ConsistencyQuery,
            answer=ConsistencyProof,
            problems=("not_sequenced",),
            **proves,
        ),
    )

"""Routes of compliance reports (platform.md 6.7)."""

from collections.abc import Sequence
from typing import Any

from application.audit.reports import AskReport, Reports
from domain.audit.reports import UNFINISHED, Report
from domain.ports.queries import Page
from entrypoints.http.answers import Stream
from entrypoints.http.routes.lists import PageQuery
from entrypoints.http.routing import Call, Route

TAG = "audit"
ROOT = "/api/audit/reports"


class ReportHandlers:
    """Each decodes nothing, decides nothing, and calls one use case."""

    def __init__(self, reports: Reports) -> None:
        self.reports = reports

    async def ask(self, call: Call) -> Report:
        return await self.reports.ask(call.principal, call.body)

    async def page(self, call: Call) -> Page[Report]:
        return await self.reports.page(call.principal, call.after, call.limit)

    async def get(self, call: Call) -> Report:
        return await self.reports.get(call.principal, call.path["report_id"])

    async def content(self, call: Call) -> Stream:
        found = await self.reports.content(call.principal, call.path["report_id"])
        return Stream(found.chunks, "application/x-ndjson", filename="report.ndjson", sha256=found.sha256)


def report_routes(reports: Reports) -> Sequence[Route]:
    """Return the routes of reports."""
    do = ReportHandlers(reports)
    own: dict[str, Any] = {"tag": TAG, "session": True}
    return (
        Route(
            method="POST",
            path=ROOT,
            handler=do.ask,
            operation_id="report_ask",
            summary="Ask for a report",
            body=AskReport,
            success=(202,),
            location=lambda report: f"{ROOT}/{report.report_id}",
            policy="export",
            answer=Report,
            problems=("admin_required", "user_unknown", "report_running"),
            request_example={"kind": "subject_access", "regulation": "lgpd"},
            **own,
        ),
        Route(
            method="GET",
            path=ROOT,
            handler=do.page,
            operation_id="report_list",
            summary="List reports, the newest first",
            query=PageQuery,
            page=True,
            answer=Report,
            **own,
        ),
        Route(
            method="GET",
            path=f"{ROOT}/{{report_id}}",
            handler=do.get,
            operation_id="report_get",
            summary="Read what became of a report",
            versioned=True,
            unfinished=lambda report: report.status in UNFINISHED,
            answer=Report,
            **own,
        ),
        Route(
            method="GET",
            path=f"{ROOT}/{{report_id}}/content",
            handler=do.content,
            operation_id="report_content",
            summary="Read the content of a report",
            export=True,
            media_type="application/x-ndjson",
            problems=("report_not_ready", "report_expired"),
            **own,
        ),
    )

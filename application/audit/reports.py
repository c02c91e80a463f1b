"""Asking for reports and handing them out (platform.md 6.7)."""

import gzip
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

import attrs

from application.audit.building import CHUNKS_AT_ONCE, remove_chunks
from application.units import Units
from domain.access.principal import Principal
from domain.act import Act
from domain.audit.reports import Regulation, Report, ReportKind, ReportStatus, unfinished
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.ids import new_id
from domain.ports.queries import Between, Condition, Cursor, Page, Select
from domain.ports.schema import ACCOUNTS, REPORT_CHUNKS, REPORTS
from domain.ports.walking import pages
from domain.shape import Id

LONGEST: Final = timedelta(days=366)


@attrs.frozen
class AskReport:
    """What is asked for; a period is needed for all kinds but `subject_access`."""

    kind: ReportKind
    regulation: Regulation | None = None
    subject_user_id: Id | None = None
    period_from: datetime | None = None
    period_to: datetime | None = None


@attrs.frozen
class Digested:
    """Content with the SHA-256 of all of it."""

    chunks: AsyncIterator[bytes]
    sha256: str


@attrs.frozen
class Reports:
    """Own reports; administrators all."""

    units: Units

    async def ask(self, principal: Principal, request: AskReport) -> Report:
        """Leave a report to be built. Raises Refusal `admin_required`, `user_unknown`, `report_running`; Invalid."""
        subject = request.subject_user_id
        if request.kind is ReportKind.SUBJECT_ACCESS:
            subject = subject or principal.user_id
        own = request.kind is ReportKind.SUBJECT_ACCESS and subject == principal.user_id
        if not own and not principal.is_admin:
            raise Refusal("admin_required", "Only an administrator may ask for this report.")
        _check_period(request)

        async def work(act: Act) -> Report:
            if subject is not None and await act.unit.find(ACCOUNTS, subject) is None:
                raise Refusal("user_unknown", "There is no such user.")
            report = Report(
                report_id=new_id(),
                kind=request.kind,
                requested_by=act.user_id,
                created_at=act.now,
                regulation=request.regulation,
                subject_user_id=subject,
                period_from=request.period_from,
                period_to=request.period_to,
            )
            waiting = Select({"unfinished": unfinished(report)})
            if (await act.unit.page(REPORTS, waiting, limit=1)).items:
                raise Refusal("report_running", "Such a report is being built already.")
            await act.unit.add(REPORTS, report)
            await act.job("report", {"report_id": report.report_id})
            resource = ("report", report.report_id)
            await act.audit("report.requested", resource, details={"kind": report.kind.value, "subject": subject})
            await act.activity("report_requested", resource, data={"kind": report.kind.value})
            return report

        return await self.units.perform(principal, work)

    async def page(self, principal: Principal, after: Cursor | None = None, limit: int = 50) -> Page[Report]:
        """Return reports, the newest first."""
        where: dict[str, Condition] = {} if principal.is_admin else {"requested_by": principal.user_id}
        async with self.units.storage.read() as reader:
            return await reader.page(REPORTS, Select(where, ("created_at", "report_id"), descending=True), after, limit)

    async def get(self, principal: Principal, report_id: str) -> Report:
        """Return one. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            report = await reader.find(REPORTS, report_id)
        if report is None or not (principal.is_admin or report.requested_by == principal.user_id):
            raise not_found()
        return report

    async def content(self, principal: Principal, report_id: str) -> Digested:
        """Return the content. Raises Refusal `not_found`, `report_not_ready`, `report_expired`."""
        report = await self.get(principal, report_id)
        if report.status is not ReportStatus.COMPLETED or report.sha256 is None or report.expires_at is None:
            raise Refusal("report_not_ready", f"The report is {report.status}.")
        if report.expires_at <= self.units.clock.now():
            raise Refusal("report_expired", "The content was kept for 30 days.")

        async def record(act: Act) -> None:
            await act.audit("report.downloaded", ("report", report_id))

        await self.units.perform(principal, record)
        return Digested(self._chunks(report_id), report.sha256)

    async def _chunks(self, report_id: str) -> AsyncIterator[bytes]:
        query = Select({"report_id": report_id}, ("place",))
        async with self.units.storage.read() as reader:
            async for chunks in pages(reader, REPORT_CHUNKS, query, size=4):
                for chunk in chunks:
                    yield gzip.decompress(b64decode(chunk.packed))


def _check_period(request: AskReport) -> None:
    """Refuse a period or a subject where it has no place, and one that is missing or too long. Raises Invalid."""
    start, end = request.period_from, request.period_to
    period = {"/period_from": start, "/period_to": end}
    if request.kind is ReportKind.SUBJECT_ACCESS:
        faults = [
            Fault("not_allowed", "This report has no period.", at) for at, one in period.items() if one is not None
        ]
    else:
        faults = [Fault("required", "A period is needed.", at) for at, one in period.items() if one is None]
        if request.subject_user_id is not None:
            faults.append(Fault("not_allowed", "This report is about nobody.", "/subject_user_id"))
    if not faults and start is not None and end is not None and not timedelta() < end - start <= LONGEST:
        faults.append(Fault("out_of_range", "At most 366 days, of which the first comes first.", "/period_to"))
    if faults:
        raise Invalid(faults)


async def remove_expired(act: Act) -> int:
    """Remove the content of reports that are past their time, some chunks at once; return how many rows changed."""
    over: dict[str, Condition] = {"content_until_at": Between(None, act.now)}
    for report in (await act.unit.page(REPORTS, Select(over, ("content_until_at",)), limit=1)).items:
        count = await remove_chunks(act.unit, report.report_id)
        if count < CHUNKS_AT_ONCE:
            await act.unit.save(REPORTS, attrs.evolve(report, removed=True, version=report.version + 1))
        return count + 1
    return 0

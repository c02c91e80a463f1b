"""Asking for reports, building them, handing them out (platform.md 6.7)."""

import gzip
import hashlib
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Final

import attrs
import msgspec

from application.audit.reporting import SECTIONS, lines
from application.units import Units
from domain.access.principal import Principal
from domain.act import Act
from domain.audit.reports import (
    KEPT,
    MOST_TRIES,
    Regulation,
    Report,
    ReportChunk,
    ReportKind,
    ReportStatus,
    Section,
    unfinished,
)
from domain.document import Document
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.ids import new_id
from domain.outbox.values import OutboxRow
from domain.ports.queries import Between, Condition, Cursor, Page, Select
from domain.ports.schema import ACCOUNTS, REPORT_CHUNKS, REPORTS
from domain.ports.storage import MAX_PAGE, Reader
from domain.shape import Id

LONGEST: Final = timedelta(days=366)
CHUNK: Final = 512 * 1024
"""Bytes of content in one chunk, before packing."""


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
        after = None
        async with self.units.storage.read() as reader:
            while True:
                query = Select({"report_id": report_id}, ("place",))
                page = await reader.page(REPORT_CHUNKS, query, after, 4)
                for chunk in page.items:
                    yield gzip.decompress(b64decode(chunk.packed))
                if (after := page.after) is None:
                    return


def _check_period(request: AskReport) -> None:
    if request.kind is ReportKind.SUBJECT_ACCESS:
        return
    if request.subject_user_id is not None:
        raise Invalid([Fault("not_allowed", "This report is about nobody.", pointer="/subject_user_id")])
    if request.period_from is None or request.period_to is None:
        raise Invalid([Fault("required", "A period is needed.", pointer="/period_from")])
    if not timedelta() < request.period_to - request.period_from <= LONGEST:
        raise Invalid([Fault("out_of_range", "At most 366 days.", pointer="/period_to")])


async def build(act: Act, row: OutboxRow) -> Document | None:
    """Carry out a job `report`: content, counts, digest and the news of it in one unit, or the end of all tries."""
    report = await act.unit.find(REPORTS, str(row.data["report_id"]))
    if report is None or report.status is not ReportStatus.PENDING:
        return None
    if row.attempts > MOST_TRIES:
        await _end(act, attrs.evolve(report, status=ReportStatus.FAILED, error="it could not be built in time"))
        return None
    content = await _content(act.unit, report, act.now)
    for number, packed in enumerate(content.packed):
        await act.unit.add(REPORT_CHUNKS, ReportChunk(report.report_id, number, packed))
    sections = tuple(Section(name, content.counts[name]) for name in SECTIONS[report.kind])
    done = attrs.evolve(
        report,
        status=ReportStatus.COMPLETED,
        as_of=act.now,
        sections=sections,
        size_bytes=content.size,
        sha256=content.digest.hexdigest(),
        expires_at=act.now + KEPT,
    )
    await _end(act, done)
    return None


async def _end(act: Act, report: Report) -> None:
    ended = attrs.evolve(report, completed_at=act.now, version=report.version + 1)
    await act.unit.save(REPORTS, ended)
    told = {"kind": ended.kind.value, "status": ended.status.value}
    await act.notify("report_ready", [ended.requested_by], source_id=ended.report_id, data=told, myself=True)


@attrs.define
class _Content:
    """Lines on their way into chunks."""

    counts: Counter[str] = attrs.field(factory=Counter)
    packed: list[str] = attrs.field(factory=list)
    size: int = 0
    digest: "hashlib._Hash" = attrs.field(factory=hashlib.sha256)
    _open: bytearray = attrs.field(factory=bytearray)

    def add(self, line: bytes) -> None:
        self._open += line
        if len(self._open) >= CHUNK:
            self.close()

    def close(self) -> None:
        """Pack what is open."""
        if self._open:
            self.size += len(self._open)
            self.digest.update(self._open)
            self.packed.append(b64encode(gzip.compress(self._open, mtime=0)).decode())
            self._open = bytearray()


async def _content(reader: Reader, report: Report, as_of: datetime) -> _Content:
    content = _Content()
    async for section, line in lines(reader, report, as_of):
        content.counts[section] += 1
        content.add(msgspec.json.encode({"section": section, **line}) + b"\n")
    content.close()
    return content


async def remove_expired(act: Act) -> int:
    """Remove the content of reports that are past their time, up to 1,000 chunks; return how many chunks went."""
    over: dict[str, Condition] = {"content_until_at": Between(None, act.now)}
    for report in (await act.unit.page(REPORTS, Select(over, ("content_until_at",)), limit=1)).items:
        chunks = (await act.unit.page(REPORT_CHUNKS, Select({"report_id": report.report_id}), limit=MAX_PAGE)).items
        await act.unit.remove(REPORT_CHUNKS, *chunks)
        if len(chunks) < MAX_PAGE:
            await act.unit.save(REPORTS, attrs.evolve(report, removed=True, version=report.version + 1))
        return len(chunks) + 1
    return 0

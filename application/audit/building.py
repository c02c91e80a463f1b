"""Building reports, however long it takes (platform.md 6.7)."""

import asyncio
import gzip
import hashlib
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs
import msgspec

from application.audit.reporting import SECTIONS, Pages, lines
from application.outbox import Hold
from domain.act import Act
from domain.audit.reports import KEPT, MOST_TRIES, UNFINISHED, Report, ReportChunk, ReportStatus, Section
from domain.document import Document
from domain.instants import wire
from domain.ports.queries import Select
from domain.ports.schema import REPORT_CHUNKS, REPORTS
from domain.ports.storage import Unit

CHUNK: Final = 512 * 1024
"""Bytes of content in one chunk, before packing."""
CHUNKS_AT_ONCE: Final = 16
"""Chunks removed in one unit."""


async def build(hold: Hold) -> None:
    """Carry out a job `report`: chunk by chunk, then counts, digest and the news of it in one unit.

    Content is read as of the beginning of the build. A build that broke off begins again; after five tries the
    report has failed.
    """
    report_id = str(hold.row.data["report_id"])
    tries = max(hold.row.attempts, int(hold.row.data.get("tries", 0)) + 1)
    await _remove_all_chunks(hold, report_id)
    report = await _begun(hold, report_id, tries)
    if report is not None:
        await _Build(hold, report).run()


async def _remove_all_chunks(hold: Hold, report_id: str) -> None:
    count = CHUNKS_AT_ONCE

    async def some(act: Act) -> Document:
        nonlocal count
        count = await remove_chunks(act.unit, report_id)
        return hold.row.data

    while count == CHUNKS_AT_ONCE:
        await hold.perform(some)


async def remove_chunks(unit: Unit, report_id: str) -> int:
    """Remove up to CHUNKS_AT_ONCE chunks of a report and return how many went."""
    found = (await unit.page(REPORT_CHUNKS, Select({"report_id": report_id}), limit=CHUNKS_AT_ONCE)).items
    await unit.remove(REPORT_CHUNKS, *found)
    return len(found)


async def _begun(hold: Hold, report_id: str, tries: int) -> Report | None:
    """Return the report that is to be built now, None when there is nothing to do or it was tried often enough."""
    begun: Report | None = None

    async def begin(act: Act) -> Document | None:
        nonlocal begun
        begun = None
        report = await act.unit.find(REPORTS, report_id)
        if report is None or report.status not in UNFINISHED:
            return None
        if tries > MOST_TRIES:
            failed = attrs.evolve(report, status=ReportStatus.FAILED, error="it could not be built")
            await _end(act, failed)
            return None
        begun = attrs.evolve(report, status=ReportStatus.RUNNING, as_of=act.now, version=report.version + 1)
        await act.unit.save(REPORTS, begun)
        return Document(report_id=report_id, tries=tries)

    await hold.perform(begin)
    return begun


async def _end(act: Act, report: Report) -> None:
    ended = attrs.evolve(report, completed_at=act.now, version=report.version + 1)
    await act.unit.save(REPORTS, ended)
    told = {"kind": ended.kind.value, "status": ended.status.value}
    await act.notify("report_ready", [ended.requested_by], source_id=ended.report_id, data=told, myself=True)


def _told(value: Any) -> Any:
    """Return a stored value as answers tell it: instants with six digits, sets in order (http.md 2)."""
    if isinstance(value, datetime):
        return wire(value)
    if isinstance(value, frozenset):
        return sorted(map(_told, value))
    if isinstance(value, Mapping):
        return {name: _told(member) for name, member in value.items()}
    if isinstance(value, tuple | list):
        return [_told(member) for member in value]
    return _told(attrs.asdict(value, recurse=False)) if attrs.has(type(value)) else value


@attrs.define
class _Build:
    """Lines on their way into chunks; one chunk is held at a time."""

    hold: Hold
    report: Report
    counts: Counter[str] = attrs.field(factory=Counter)
    number: int = 0
    size: int = 0
    digest: "hashlib._Hash" = attrs.field(factory=hashlib.sha256)
    _open: bytearray = attrs.field(factory=bytearray)

    async def run(self) -> None:
        """Write the content and complete the report."""
        async with self.hold.units.storage.read() as reader:
            async for section, line in lines(Pages(reader, self.hold.keep), self.report):
                self.counts[section] += 1
                self._open += msgspec.json.encode(_told({"section": section, **line})) + b"\n"
                if len(self._open) >= CHUNK:
                    await self._close()
        if self._open:
            await self._close()
        await self.hold.perform(self._complete)

    async def _close(self) -> None:
        """Pack and keep what is open. A report that somebody changed meanwhile is not built on."""
        whole, self._open = bytes(self._open), bytearray()
        self.size += len(whole)
        self.digest.update(whole)
        packed = b64encode(await asyncio.to_thread(gzip.compress, whole, 6, mtime=0)).decode()
        chunk = ReportChunk(self.report.report_id, self.number, packed)
        self.number += 1

        async def keep(act: Act) -> Document:
            await act.unit.confirm(REPORTS, self.report)
            await act.unit.add(REPORT_CHUNKS, chunk)
            return self.hold.row.data

        await self.hold.perform(keep)

    async def _complete(self, act: Act) -> None:
        done = attrs.evolve(
            self.report,
            status=ReportStatus.COMPLETED,
            sections=tuple(Section(name, self.counts[name]) for name in SECTIONS[self.report.kind]),
            size_bytes=self.size,
            sha256=self.digest.hexdigest(),
            expires_at=act.now + KEPT,
        )
        await _end(act, done)

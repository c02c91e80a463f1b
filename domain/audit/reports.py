"""Compliance reports: who asked for what, and what became of it (platform.md 6.7)."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import attrs

KEPT: Final = timedelta(days=30)
MOST_TRIES: Final = 5


class ReportKind(StrEnum):
    SUBJECT_ACCESS = "subject_access"
    AUDIT_TRAIL = "audit_trail"
    INCIDENT_SUMMARY = "incident_summary"


class Regulation(StrEnum):
    GDPR = "gdpr"
    LGPD = "lgpd"


class ReportStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


UNFINISHED: Final = frozenset({ReportStatus.PENDING, ReportStatus.RUNNING})


@attrs.frozen
class Section:
    """How many lines of the content belong to a section."""

    name: str
    count: int


@attrs.frozen
class Report:
    """The content lies in chunks beside it until `expires_at`; `sha256` is that of the unpacked content."""

    report_id: str
    kind: ReportKind
    requested_by: str
    created_at: datetime
    regulation: Regulation | None = None
    subject_user_id: str | None = None
    period_from: datetime | None = None
    period_to: datetime | None = None
    status: ReportStatus = ReportStatus.PENDING
    as_of: datetime | None = None
    sections: tuple[Section, ...] = ()
    size_bytes: int | None = None
    sha256: str | None = None
    error: str | None = None
    completed_at: datetime | None = None
    expires_at: datetime | None = None
    removed: bool = False
    version: int = 1


@attrs.frozen
class ReportChunk:
    """A part of the content: gzip, in base64."""

    report_id: str
    number: int
    packed: str


def unfinished(report: Report) -> str | None:
    """Return what there is one unfinished report of: requester, kind and subject."""
    if report.status not in UNFINISHED:
        return None
    return f"{report.requested_by} {report.kind} {report.subject_user_id}"


def content_until(report: Report) -> datetime | None:
    """Return until when there is content, None where there is none."""
    return None if report.removed else report.expires_at

"""What administrators see of the engine at work: jobs and configuration (platform.md 9.1)."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated

import attrs

from application.filtered import filtered_page
from application.units import Units
from domain.access.principal import Principal
from domain.act import Act
from domain.errors import Refusal, not_found
from domain.outbox.values import OutboxRow
from domain.ports.queries import Condition, Cursor, Page, Select
from domain.ports.schema import OUTBOX
from domain.shape import Line


class JobStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DEAD = "dead"


@attrs.frozen
class JobFilter:
    kind: Annotated[str, Line(1, 64)] | None = None
    status: frozenset[JobStatus] = frozenset()


@attrs.frozen
class JobView:
    """A row of the outbox without what it carries."""

    job_id: str
    kind: str
    status: JobStatus
    attempts: int
    created_at: datetime
    due_at: datetime | None
    last_error: str | None
    circuit_id: str | None
    trace_id: str

    @classmethod
    def of(cls, row: OutboxRow, now: datetime) -> "JobView":
        own = ("kind", "attempts", "created_at", "due_at", "last_error", "circuit_id", "trace_id")
        return cls(job_id=row.row_id, status=_status(row, now), **{name: getattr(row, name) for name in own})


@attrs.frozen
class Jobs:
    """Work that units left for after their commit."""

    units: Units

    async def page(self, wanted: JobFilter, after: Cursor | None, limit: int) -> Page[JobView]:
        """Return the jobs that match, newest first."""
        where: dict[str, Condition] = {} if wanted.kind is None else {"kind": wanted.kind}
        stored = {"dead" if each is JobStatus.DEAD else "pending" for each in wanted.status}
        if len(stored) == 1:
            where["status"] = stored.pop()
        now = self.units.clock.now()

        async def shown(rows: Sequence[OutboxRow]) -> list[JobView | None]:
            views = [JobView.of(row, now) for row in rows]
            return [view if not wanted.status or view.status in wanted.status else None for view in views]

        query = Select(where, ("created_at",), descending=True)
        async with self.units.storage.read() as reader:
            return await filtered_page(reader, OUTBOX, query, after, limit, shown)

    async def retry(self, principal: Principal, job_id: str) -> JobView:
        """Give a dead job another chance, as if it had never been tried. Raises Refusal `not_found`, `job_state`."""

        async def work(act: Act) -> JobView:
            row = await act.unit.find(OUTBOX, job_id)
            if row is None:
                raise not_found()
            status = _status(row, act.now)
            if status is not JobStatus.DEAD:
                raise Refusal("job_state", "Only a dead job can be tried again.", current_status=status.value)
            revived = attrs.evolve(
                row, status="pending", attempts=0, due_at=None, lease_until=None, version=row.version + 1
            )
            await act.unit.save(OUTBOX, revived)
            await act.audit("job.retried", ("job", job_id), details={"kind": row.kind})
            return JobView.of(revived, act.now)

        return await self.units.perform(principal, work)


def _status(row: OutboxRow, now: datetime) -> JobStatus:
    if row.status == "dead":
        return JobStatus.DEAD
    held = row.lease_until is not None and now < row.lease_until
    return JobStatus.RUNNING if held else JobStatus.PENDING

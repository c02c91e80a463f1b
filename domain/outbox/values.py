"""Effects to deliver after commit (architecture.md 6)."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs

from domain.document import EMPTY, Document

LEASE = timedelta(seconds=60)
"""How long a worker holds a row; after that another one may take it over."""

MOST_ATTEMPTS = 12
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=2), timedelta(hours=1)


@attrs.frozen
class OutboxRow:
    """One effect: a webhook trigger or a job of the same kind. `lease_until` is set while a worker holds it.

    `status` is `pending` or, after too many failures, `dead`; what is done is removed. `attempts` counts the times
    that a worker took the row, so that one which kills its worker is given up too.
    """

    row_id: str
    kind: str
    created_at: datetime
    trace_id: str
    circuit_id: str | None = None
    data: Document = EMPTY
    status: str = "pending"
    attempts: int = 0
    due_at: datetime | None = None
    lease_until: datetime | None = None
    last_error: str | None = None
    version: int = 1


def ready_at(row: OutboxRow) -> datetime | None:
    """Return the instant from which a worker may take the row, None for a dead one."""
    if row.status == "dead":
        return None
    return row.lease_until or row.due_at or row.created_at


def claimed(row: OutboxRow, now: datetime, lease: timedelta = LEASE) -> OutboxRow:
    """Return the row held by a worker, or dead when it was taken often enough."""
    if row.attempts >= MOST_ATTEMPTS:
        return _next(row, status="dead", lease_until=None)
    return _next(row, attempts=row.attempts + 1, lease_until=now + lease)


def released(row: OutboxRow) -> OutboxRow:
    """Return a held row as if nobody had taken it."""
    return _next(row, attempts=row.attempts - 1, lease_until=None)


def continued(row: OutboxRow, left: Document, now: datetime, lease: timedelta = LEASE) -> OutboxRow:
    """Return a held row with what is left of it; what was done counts as success."""
    return _next(row, data=left, attempts=1, lease_until=now + lease, last_error=None)


def failed(row: OutboxRow, now: datetime, error: str, spread: Callable[[], float] = random.random) -> OutboxRow:
    """Return a held row after a failure: due again after a pause that doubles, each ±20 % at random, or dead."""
    if row.attempts >= MOST_ATTEMPTS:
        return _next(row, status="dead", lease_until=None, last_error=error)
    pause = min(FIRST_PAUSE * 2 ** (row.attempts - 1), LONGEST_PAUSE) * (0.8 + 0.4 * spread())
    return _next(row, due_at=now + pause, lease_until=None, last_error=error)


def _next(row: OutboxRow, **changes: object) -> OutboxRow:
    return attrs.evolve(row, version=row.version + 1, **changes)  # type: ignore[arg-type]

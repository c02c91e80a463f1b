"""Effects to deliver after commit (architecture.md 6)."""

from datetime import datetime

import attrs

from domain.document import EMPTY, Document


@attrs.frozen
class OutboxRow:
    """One effect: a webhook trigger or a job of the same kind. `lease_until` is set while a worker holds it."""

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
    version: int = 1

"""Activity entries (platform.md 7)."""

from datetime import datetime

import attrs

from domain.document import EMPTY, Document


@attrs.frozen
class Activity:
    activity_id: str
    at: datetime
    actor_user_id: str | None
    workspace_id: str | None
    kind: str
    resource: Document
    trace_id: str
    circuit_id: str | None = None
    dfids: tuple[str, ...] = ()
    item_count: int = 0
    status: str = "success"
    data: Document = EMPTY

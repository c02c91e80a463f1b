"""Audit entries (platform.md 6)."""

from datetime import datetime

import attrs

from domain.document import EMPTY, Document


@attrs.frozen
class AuditEntry:
    """Who did what to what. `actor`, `resource` and `personal` have the members of platform.md 6.1."""

    entry_id: str
    at: datetime
    actor: Document
    action: str
    resource: Document
    circuit_id: str | None
    workspace_id: str | None
    outcome: str
    severity: str
    trace_id: str
    entry_hash: str
    reason: str | None = None
    count: int = 1
    details: Document = EMPTY
    personal: Document | None = None
    personal_salt: str | None = None
    personal_digest: str | None = None
    log_index: int | None = None
    version: int = 1

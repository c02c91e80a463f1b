"""Stored answers of requests that carry an Idempotency-Key (http.md 9)."""

from datetime import datetime

import attrs

RUNNING = "running"
DONE = "done"


@attrs.frozen
class IdempotencyRecord:
    """`key` is the text `user_id method path key`. `body` is compressed, and sealed when it holds a secret or a
    personal identifier."""

    key: str
    user_id: str
    fingerprint: str | None
    state: str
    lease_until: datetime
    created_at: datetime
    expires_at: datetime
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    sealed: bool = False
    version: int = 1

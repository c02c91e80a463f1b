"""Notifications (platform.md 8)."""

from datetime import datetime

import attrs

from domain.document import EMPTY, Document


@attrs.frozen
class Notification:
    """`position` is given at commit, under the user's counter; it is 0 before."""

    notification_id: str
    user_id: str
    type: str
    source_id: str
    created_at: datetime
    data: Document = EMPTY
    actor_user_id: str | None = None
    circuit_id: str | None = None
    dfid: str | None = None
    read_at: datetime | None = None
    position: int = 0
    version: int = 1

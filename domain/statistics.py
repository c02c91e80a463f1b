"""Numbers of the whole store, and the instances that serve it (platform.md 9.1)."""

from datetime import datetime

import attrs

from domain.document import Document


@attrs.frozen
class StatisticsRecord:
    """What was counted at an instant; `name` is that of the one set of numbers there is."""

    name: str
    as_of: datetime
    numbers: Document
    version: int = 1


@attrs.frozen
class Instance:
    """A serving process, as it announces itself: where it counts limits (`memory`, `redis`, or `degraded` while its
    Redis is out of reach), and what carries its wake-ups."""

    instance_id: str
    release: str
    started_at: datetime
    last_seen_at: datetime
    limiter: str = ""
    bus: str = ""
    version: int = 1

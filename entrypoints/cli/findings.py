"""What a check of `defarm doctor` yields (platform.md 13.4)."""

from enum import StrEnum

import attrs

from container import Container


class Level(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


Found = tuple[Level, str, str]
"""A level, one sentence, and what to do about it."""


@attrs.frozen
class Finding:
    """What one check found."""

    check: str
    level: Level
    text: str
    hint: str = ""


class NotCurrent(Exception):
    """The schema waits for migrations, so that nothing can be read."""


async def opened_store(container: Container) -> None:
    """Make the store readable. Raises NotCurrent, and what a Backing raises."""
    backing = container.backing()
    await backing.connect()
    if (await backing.schema()).pending:
        raise NotCurrent("This cannot be read before the schema is current.")
    await backing.open()

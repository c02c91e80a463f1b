"""What a unit demands of the rights to the cache as it commits (docs/decisions/0006)."""

from datetime import datetime

import attrs

from domain.ports.errors import Contention


@attrs.frozen
class Guard:
    """The unit commits only while the row of rights stands like this and the database's clock is before `deadline`.

    `life` counts only while the row is open.
    """

    generation: int
    open: bool
    life: str
    deadline: datetime


class GuardRefused(Contention):
    """The row of rights is another one, or the deadline has passed; nothing was committed."""

"""Waking the streams of users, on every instance (platform.md 8.5).

The store is the truth and a stream looks there from time to time anyway: whatever is lost here costs seconds, never a
notification.
"""

from collections.abc import Callable
from typing import Final, Literal, Protocol

import attrs


@attrs.frozen
class Wake:
    """Something changed for these users. `read_ids` or `read_up_to` hint at what one of them has just read."""

    user_ids: tuple[str, ...]
    read_ids: tuple[str, ...] = ()
    read_up_to: int | None = None


Hear = Callable[[Wake], None]

BusState = Literal["up", "degraded", "off"]


class Announcer(Protocol):
    """Where changes are made known."""

    def publish(self, wake: Wake) -> None:
        """Tell every instance soon, this one at once. Never waits and never fails; called after the commit."""
        ...


class Bus(Announcer, Protocol):
    """Carries wake-ups between instances."""

    @property
    def state(self) -> BusState:
        """`up` while wake-ups come and go, `degraded` while a link is broken, `off` where none leave the process."""
        ...

    def listen(self, hear: Hear) -> None:
        """Call `hear` with every wake-up from now on; it must not wait."""
        ...

    async def run(self) -> None:
        """Carry wake-ups until cancelled; a broken link is made again."""
        ...


class _Silent:
    def publish(self, wake: Wake) -> None:
        return None


SILENT: Final[Announcer] = _Silent()
"""Where nobody listens."""

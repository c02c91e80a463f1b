"""The bus within a process, and what the buses between processes have in common."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from domain.ids import new_id
from domain.ports.bus import BusState, Hear, Wake

JOINED_WITHIN: Final = 0.02
"""Seconds for which wake-ups are collected into one message."""
MOST_USERS: Final = 150
"""Users named in one message; PostgreSQL carries 8,000 bytes."""
MOST_WAITING: Final = 1000
PAUSE: Final = 1.0
QUIET: Final = 5.0
"""Seconds of silence after which the server is asked for a sign of life; after as many again the link is broken.

What a network has dropped is silent like a server that has nothing to tell.
"""


class LocalBus:
    """Reaches the streams of this process."""

    def __init__(self) -> None:
        self._hearers: list[Hear] = []

    @property
    def state(self) -> BusState:
        return "off"

    def publish(self, wake: Wake) -> None:
        for hear in self._hearers:
            hear(wake)

    def listen(self, hear: Hear) -> None:
        self._hearers.append(hear)

    async def run(self) -> None:
        """Wait to be cancelled: nothing has to be carried anywhere."""
        await asyncio.Event().wait()


class JoiningBus(LocalBus, ABC):
    """Tells this process at once, and the others in messages that join what comes within 20 ms."""

    def __init__(self, quiet: float = QUIET) -> None:
        super().__init__()
        self.quiet = quiet
        self._me = new_id()
        self._users: set[str] = set()
        self._hints: list[Wake] = []
        self._filled = asyncio.Event()
        self._links: set[str] = set()

    @property
    def state(self) -> BusState:
        return "up" if self._links == {"hearing", "sending"} else "degraded"

    @contextmanager
    def linked(self, way: str) -> Iterator[None]:
        """Count a link as standing while the block runs."""
        self._links.add(way)
        try:
            yield
        finally:
            self._links.discard(way)

    def publish(self, wake: Wake) -> None:
        super().publish(wake)
        if len(self._users) + len(self._hints) < MOST_WAITING:
            if wake.read_ids or wake.read_up_to is not None:
                self._hints.append(wake)
            else:
                self._users.update(wake.user_ids)
            self._filled.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self._again(self._hearing))
            both.create_task(self._again(self._sending))

    async def _again(self, work: Any) -> None:
        """Keep doing it, whatever becomes of the link."""
        while True:
            try:
                await work()
            except self.broken:
                await asyncio.sleep(PAUSE)

    async def _sending(self) -> None:
        async with self.sender() as send:
            with self.linked("sending"):
                await self._carry(send)

    async def _carry(self, send: Any) -> None:
        while True:
            await self._filled.wait()
            await asyncio.sleep(JOINED_WITHIN)
            self._filled.clear()
            for message in self._taken():
                await send(message)

    def _taken(self) -> Iterator[str]:
        """Yield the messages of what waits, and forget it: what cannot be sent is lost."""
        users, hints = sorted(self._users), self._hints
        self._users, self._hints = set(), []
        wakes = [Wake(tuple(users[at : at + MOST_USERS])) for at in range(0, len(users), MOST_USERS)]
        for wake in (*wakes, *hints):
            yield msgspec.json.encode([self._me, wake]).decode()

    def hear(self, message: str | bytes) -> None:
        """Take a message of another instance; one's own is known already, and what cannot be read is passed over."""
        try:
            sender, wake = msgspec.json.decode(message, type=tuple[str, Wake])
        except msgspec.MsgspecError:
            return
        if sender != self._me:
            super().publish(wake)

    @property
    @abstractmethod
    def broken(self) -> tuple[type[Exception], ...]:
        """What a broken link raises."""

    @abstractmethod
    def sender(self) -> Any:
        """Open a link and return what sends a message on it, as an asynchronous context."""

    @abstractmethod
    async def _hearing(self) -> None:
        """Open a link and hear what comes on it, `linked` while it stands."""

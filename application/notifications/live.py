"""Following what a user is told, as it happens (platform.md 8.4, 8.5).

A connection remembers the last position it sent and reads what comes after it, when it is woken and in any case every
15 seconds. Nothing is queued for it, so a slow reader slows only itself.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import attrs

from application.notifications.service import NotificationView, count_unread, views
from application.tickets import Standing
from domain.access.principal import Principal
from domain.errors import Refusal, not_found
from domain.ports.bus import Bus, Wake
from domain.ports.clock import Clock
from domain.ports.errors import StorageError
from domain.ports.queries import Between, Select
from domain.ports.schema import NOTIFICATIONS
from domain.ports.storage import Reader, Storage
from domain.ports.views import LastPositionView

EVERY: Final = 15.0
"""Seconds after which a connection looks for itself, shows a sign of life and has its principal judged again."""
AT_ONCE: Final = 100
MOST_HINTS: Final = 100


@attrs.frozen
class Hello:
    """The connection stands, at this position."""

    position: int
    unread: int


@attrs.frozen
class Told:
    """A notification."""

    position: int
    data: NotificationView


@attrs.frozen
class UnreadCount:
    """How many are unread now."""

    unread: int


@attrs.frozen
class Read:
    """What was read elsewhere."""

    notification_ids: tuple[str, ...] = ()
    up_to_position: int | None = None


@attrs.frozen
class Gap:
    """Something between the point of resumption and what follows is no longer kept."""


@attrs.frozen
class Beat:
    """A sign of life."""


@attrs.frozen
class Bye:
    """The end. `reason` is `max_age`, `shutdown`, or the code with which a request would be refused now."""

    reason: str


class Transport(StrEnum):
    """In which form a stream is carried."""

    SSE = "sse"
    WEBSOCKET = "websocket"


Message = Hello | Told | UnreadCount | Read | Gap | Beat | Bye


@attrs.define(eq=False)
class Connection:
    """One open stream of a user. `release` it when it ends; releasing twice does no harm."""

    live: "Live"
    principal: Principal
    user_id: str
    opened_at: datetime
    transport: Transport
    woken: asyncio.Event = attrs.field(factory=asyncio.Event)
    hints: deque[Read] = attrs.field(factory=lambda: deque(maxlen=MOST_HINTS))
    ended: bool = False

    def release(self) -> None:
        """Give the place back."""
        self.ended = True
        self.live.forget(self)

    async def messages(self, after_position: int | None) -> AsyncIterator[Message]:
        """Yield what happens from a position on, from now on without one, until a Bye."""
        position, count = 0, -1
        async with self.live.storage.read() as reader:
            last = await self._last(reader)
            position = last if after_position is None else min(after_position, last)
            count = await count_unread(reader, self.user_id)
            gap = after_position not in (None, last) and await self._misses(reader, position)
        yield Hello(position, count)
        if gap:
            yield Gap()
        beat_at = time.monotonic() + self.live.every
        while True:
            self.woken.clear()
            async for message in self._news(position):
                position = message.position
                yield message
                self._carried(message)
            while self.hints:
                yield self.hints.popleft()
            unread = await self._unread()
            if unread != count:
                count = unread
                yield UnreadCount(count)
            await self._rest(beat_at - time.monotonic())
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + self.live.every
                yield Beat()
            reason = await self._why_to_end()
            if reason is not None:
                yield Bye(reason)
                return

    async def _last(self, reader: Reader) -> int:
        """Return the last position that was given, whether what had it is still kept or not."""
        found = (await reader.view(LastPositionView(self.user_id), limit=1)).items
        return found[0].position if found else 0

    async def _misses(self, reader: Reader, after_position: int) -> bool:
        """Tell whether what came first after a position, which is not the last one, is gone."""
        beyond = Select({"user_id": self.user_id, "position": Between(after_position + 1)}, ("position",))
        found = (await reader.page(NOTIFICATIONS, beyond, limit=1)).items
        return not found or found[0].position > after_position + 1

    async def _news(self, position: int) -> AsyncIterator[Told]:
        while True:
            query = Select({"user_id": self.user_id, "position": Between(position + 1)}, ("position",))
            async with self.live.storage.read() as reader:
                rows = (await reader.page(NOTIFICATIONS, query, limit=AT_ONCE)).items
                shown = await views(reader, rows, self.principal.locale, self.live.base)
            for view in shown:
                position = view.position
                yield Told(position, view)
            if len(rows) < AT_ONCE:
                return

    def _carried(self, told: Told) -> None:
        """Say how long it took from the news to its reader, who has taken it; old news was not late."""
        if told.data.created_at >= self.opened_at:
            seconds = (self.live.clock.now() - told.data.created_at).total_seconds()
            self.live.delivered(self.transport, max(0.0, seconds))

    async def _unread(self) -> int:
        async with self.live.storage.read() as reader:
            return await count_unread(reader, self.user_id)

    async def _rest(self, seconds: float) -> None:
        """Wait until woken, at most so long."""
        if not self.live.closing:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.woken.wait()

    async def _why_to_end(self) -> str | None:
        if self.live.closing:
            return "shutdown"
        if self.live.clock.now() - self.opened_at > self.live.max_age:
            return "max_age"
        try:
            await self.live.standing.require(self.principal)
        except Refusal as refused:
            return refused.code
        except StorageError:
            return "unavailable"
        return None


@attrs.define(eq=False)
class Live:
    """The open streams of this process. Links in what they tell begin with `base`."""

    storage: Storage
    clock: Clock
    standing: Standing
    bus: Bus
    per_user: int
    max_age: timedelta
    base: str = ""
    every: float = EVERY
    closing: bool = False
    delivered: Callable[[str, float], None] = lambda transport, seconds: None
    _open: dict[str, set[Connection]] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.bus.listen(self._hear)

    def open(self, principal: Principal, transport: Transport) -> Connection:
        """Take a place for a stream. Raises Refusal `too_many_streams`."""
        if principal.user_id is None:
            raise not_found()
        own = self._open.setdefault(principal.user_id, set())
        if len(own) >= self.per_user:
            raise Refusal(
                "too_many_streams", f"At most {self.per_user} streams may be open at once.", retry_after_seconds=15
            )
        connection = Connection(self, principal, principal.user_id, self.clock.now(), transport)
        own.add(connection)
        return connection

    def forget(self, connection: Connection) -> None:
        """Give the place of a connection back."""
        own = self._open.get(connection.user_id, set())
        own.discard(connection)
        if not own:
            self._open.pop(connection.user_id, None)

    def counts(self) -> dict[Transport, int]:
        """Return how many streams are open."""
        found = Counter(connection.transport for connection in self._all())
        return {transport: found[transport] for transport in Transport}

    def shut(self) -> None:
        """Say goodbye to everybody."""
        self.closing = True
        for connection in self._all():
            connection.woken.set()

    def _all(self) -> Iterator[Connection]:
        for own in tuple(self._open.values()):
            yield from tuple(own)

    def _hear(self, wake: Wake) -> None:
        hint: Any = None
        if wake.read_ids or wake.read_up_to is not None:
            hint = Read(wake.read_ids, wake.read_up_to)
        for user_id in wake.user_ids:
            for connection in self._open.get(user_id, ()):
                if hint is not None:
                    connection.hints.append(hint)
                connection.woken.set()

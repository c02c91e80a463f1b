"""What an open stream tells besides its news (platform.md 8.4)."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
import pytest

from adapters.bus import LocalBus
from adapters.memory.storage import MemoryStorage
from application.notifications.live import Beat, Gap, Hello, Live, Message, Told, Transport
from domain.access.principal import Principal, PrincipalKind
from domain.ids import new_id
from domain.notifications.values import Notification
from domain.ports.bus import Wake
from domain.ports.clock import SystemClock
from domain.ports.queries import Select
from domain.ports.schema import NOTIFICATIONS

ME = Principal(PrincipalKind.USER, "u", "w")


class Everybody:
    """Lets everybody in for ever."""

    async def require(self, principal: Principal) -> None:
        return None


@attrs.define
class Post:
    """A user whose notifications come and go."""

    storage: MemoryStorage = attrs.field(factory=MemoryStorage)
    bus: LocalBus = attrs.field(factory=LocalBus)

    async def told(self, times: int) -> None:
        now = SystemClock().now()
        rows = [Notification(new_id(), "u", "account_updated", new_id(), now) for _ in range(times)]
        async with self.storage.write() as unit:
            await unit.add(NOTIFICATIONS, *rows)

    async def pruned(self, *positions: int) -> None:
        async with self.storage.write() as unit:
            rows = (await unit.page(NOTIFICATIONS, Select({"user_id": "u"}, ("position",)))).items
            await unit.remove(NOTIFICATIONS, *(row for row in rows if row.position in positions))

    async def heard(self, after: int | None, enough: Callable[[list[Message]], bool]) -> list[Message]:
        everybody: Any = Everybody()
        live = Live(self.storage, SystemClock(), everybody, self.bus, 1, timedelta(hours=1), every=0.05)
        messages = live.open(ME, Transport.SSE).messages(after)
        found: list[Message] = []
        async with asyncio.timeout(5):
            while not enough(found):
                found.append(await anext(messages))
        return found


@pytest.mark.parametrize(
    ("gone", "after", "begins"),
    [
        ((), 1, [2, 3]),
        ((), 3, []),
        ((1, 2, 3), 3, []),
        ((1, 2), 1, [Gap, 3]),
        ((2, 3), 1, [Gap]),
        ((1, 2, 3), 0, [Gap]),
        ((), 9, [Gap]),
    ],
)
async def test_a_stream_that_resumes_before_what_is_gone_begins_with_a_gap(
    gone: tuple[int, ...], after: int, begins: list[Any]
) -> None:
    """Also when nothing is left behind that point, or the store never counted so far."""
    post = Post()
    await post.told(3)
    await post.pruned(*gone)
    heard = await post.heard(after, lambda found: Beat() in found)
    told = [one.position if isinstance(one, Told) else type(one) for one in heard if not isinstance(one, Hello | Beat)]
    assert told == begins
    assert heard[0] == Hello(min(after, 3), 3 - len(gone))


async def test_a_stream_without_a_point_begins_behind_all_that_ever_was() -> None:
    post = Post()
    assert await post.heard(None, bool) == [Hello(0, 0)]
    await post.told(3)
    await post.pruned(2, 3)
    assert await post.heard(None, bool) == [Hello(3, 1)]


async def test_signs_of_life_come_in_time_however_often_there_is_news() -> None:
    post = Post()

    async def woken() -> None:
        while True:
            post.bus.publish(Wake(("u",)))
            await asyncio.sleep(0.01)

    waking = asyncio.create_task(woken())
    heard = await post.heard(None, lambda found: found.count(Beat()) == 2)
    waking.cancel()
    assert heard == [Hello(0, 0), Beat(), Beat()]

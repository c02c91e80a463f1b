"""A consumer that applies by id ends with what a list shows, whatever is lost, repeated, cut or begun again."""

import asyncio
from datetime import timedelta
from random import Random
from typing import Any

import attrs
import pytest

from adapters.bus import LocalBus
from adapters.memory.storage import MemoryStorage
from application.notifications.live import Bye, Connection, Gap, Hello, Live, Read, Told, Transport, UnreadCount
from application.notifications.service import NotificationFilter, Notifications
from application.units import DfidSource, Units
from domain.access.principal import Principal, PrincipalKind, system
from domain.accounts.values import Account
from domain.act import Act
from domain.ids import new_id
from domain.ports.bus import Wake
from domain.ports.clock import SystemClock
from domain.ports.errors import Contention
from domain.ports.schema import ACCOUNTS

ME = Principal(PrincipalKind.USER, "u", "w")


class LossyBus(LocalBus):
    """Loses some wake-ups and repeats others."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._random = random

    def publish(self, wake: Wake) -> None:
        for _ in range(self._random.choice((0, 1, 1, 2))):
            super().publish(wake)


class Everybody:
    """Lets everybody in for ever."""

    async def require(self, principal: Principal) -> None:
        return None


@attrs.define
class Consumer:
    """Keeps what it is told, by id; survives every cut, and now and then begins again from an older position."""

    live: Live
    random: Random
    known: dict[str, Any] = attrs.field(factory=dict)
    order: list[int] = attrs.field(factory=list)
    position: int = 0
    unread: int = 0

    async def run(self) -> None:
        while True:
            connection = self.live.open(ME, Transport.SSE)
            try:
                await self._follow(connection)
            finally:
                connection.release()
            if self.random.random() < 0.2:
                self.position = max(0, self.position - self.random.randint(0, 5))

    async def _follow(self, connection: Connection) -> None:
        patience = self.random.randint(1, 12)
        async for message in connection.messages(self.position):
            match message:
                case Told(position, data):
                    self.position = position
                    self.known[data.notification_id] = data
                case UnreadCount(unread) | Hello(unread=unread):
                    self.unread = unread
                case Read() | Gap():
                    pass
                case Bye():
                    return
            patience -= 1
            if patience < 0:
                return


@pytest.mark.parametrize("seed", range(6))
async def test_a_consumer_converges_to_the_list(seed: int) -> None:
    random, storage, clock = Random(seed), MemoryStorage(), SystemClock()
    bus = LossyBus(random)
    units = Units(storage, clock, DfidSource(storage, clock), bus)
    notifications = Notifications(units)
    async with storage.write() as unit:
        now = clock.now()
        await unit.add(ACCOUNTS, Account("u", "w", "ana", "ana@example.com", None, now, now))
    standing: Any = Everybody()
    live = Live(storage, clock, standing, bus, 3, timedelta(hours=1), every=0.05)
    consumers = [Consumer(live, random) for _ in range(2)]
    following = [asyncio.create_task(consumer.run()) for consumer in consumers]

    async def tell(act: Act) -> None:
        await act.notify("account_updated", ["u"], source_id=new_id(), data={"changed": ["email"]})
        if random.random() < 0.1:
            raise Contention("the first try is lost")

    async def busy() -> None:
        for _ in range(40):
            await units.perform(system(), tell)
            await asyncio.sleep(random.random() * 0.004)
            if random.random() < 0.1:
                await notifications.mark_all(ME, random.randint(1, 50))

    await asyncio.gather(busy(), busy())
    listed = (await notifications.page(ME, NotificationFilter(after_position=0), limit=200)).items
    assert [view.position for view in listed] == list(range(1, 81))
    wanted = {view.notification_id for view in listed}
    left = (await notifications.unread(ME)).unread
    async with asyncio.timeout(5):
        while any(set(each.known) != wanted or each.unread != left for each in consumers):
            await asyncio.sleep(0.01)
    for task in following:
        task.cancel()
    await asyncio.wait(following)
    assert live.counts() == {"sse": 0, "websocket": 0}

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
from application.notifications.service import NotificationFilter, Notifications, NotificationView
from application.units import DfidSource, Units
from domain.access.principal import Principal, PrincipalKind, system
from domain.accounts.values import Account
from domain.act import Act
from domain.ids import new_id
from domain.ports.bus import Wake
from domain.ports.clock import SystemClock
from domain.ports.errors import Contention, Unavailable
from domain.ports.schema import ACCOUNTS

pytestmark = pytest.mark.tampers
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
class Wavering:
    """A store that cannot be reached now and then."""

    storage: MemoryStorage
    random: Random

    def read(self) -> Any:
        if self.random.random() < 0.05:
            raise Unavailable("not now")
        return self.storage.read()


@attrs.define
class Server:
    """Serves streams of one store over one bus, and begins anew when it is told to."""

    storage: Any
    bus: LossyBus
    live: Live = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        standing: Any = Everybody()
        self.live = Live(self.storage, SystemClock(), standing, self.bus, 3, timedelta(hours=1), every=0.05)

    def restart(self) -> None:
        self.live.shut()
        self.__attrs_post_init__()


@attrs.define
class Consumer:
    """Applies what it is told, by id; survives every cut, begins again from an older position, and after its own
    restart from what it had saved."""

    server: Server
    random: Random
    known: dict[str, Any] = attrs.field(factory=dict)
    position: int = 0
    saved: tuple[dict[str, Any], int] = attrs.field(factory=lambda: ({}, 0))
    unread: int = 0

    async def run(self) -> None:
        while True:
            connection = self.server.live.open(ME, Transport.SSE)
            try:
                await self._follow(connection)
            except Unavailable:
                await asyncio.sleep(0)
            finally:
                connection.release()
            self._may_begin_again()

    def _may_begin_again(self) -> None:
        match self.random.randint(0, 9):
            case 0 | 1:
                self.position = max(0, self.position - self.random.randint(0, 5))
            case 2 | 3 | 4:
                self.saved = dict(self.known), self.position
            case 5:
                self.known, self.position = dict(self.saved[0]), self.saved[1]

    async def _follow(self, connection: Connection) -> None:
        patience = self.random.randint(1, 12)
        async for message in connection.messages(self.position):
            match message:
                case Told(position, data):
                    self.position = position
                    self.known[data.notification_id] = told(data)
                case UnreadCount(unread) | Hello(unread=unread):
                    self.unread = unread
                case Read() | Gap():
                    pass
                case Bye():
                    return
            patience -= 1
            if patience < 0:
                return


def told(view: NotificationView) -> Any:
    """Return what of a notification stays as it is once it was told."""
    return attrs.evolve(view, read_at=None)


@pytest.mark.parametrize("seed", range(6))
async def test_a_consumer_converges_to_the_list(seed: int) -> None:
    random, storage, clock = Random(seed), MemoryStorage(), SystemClock()
    bus = LossyBus(random)
    units = Units(storage, clock, DfidSource(storage, clock), bus)
    notifications = Notifications(units)
    async with storage.write() as unit:
        now = clock.now()
        await unit.add(ACCOUNTS, Account("u", "w", "ana", "ana@example.com", None, now, now))
    server = Server(Wavering(storage, random), bus)
    consumers = [Consumer(server, random) for _ in range(2)]
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
            if random.random() < 0.05:
                server.restart()

    await asyncio.gather(busy(), busy())
    listed = (await notifications.page(ME, NotificationFilter(after_position=0), limit=200)).items
    assert [view.position for view in listed] == list(range(1, 81))
    wanted = {view.notification_id: told(view) for view in listed}
    left = (await notifications.unread(ME)).unread
    async with asyncio.timeout(60):
        while any(each.known != wanted or each.unread != left for each in consumers):
            await asyncio.sleep(0.01)
    for task in following:
        task.cancel()
    await asyncio.wait(following)
    assert server.live.counts() == {"sse": 0, "websocket": 0}

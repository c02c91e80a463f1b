"""What is counted as unread is what the list shows as unread, after whatever happened (platform.md 8.3)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.memory.storage import MemoryStorage
from adapters.postgres.storage import PostgresStorage
from application.notifications.service import NotificationFilter, Notifications, NotificationView, Preferences
from application.retention import Retention
from application.units import DfidSource, Units
from domain.access.principal import Principal, PrincipalKind, WorkspaceRole, system
from domain.accounts.values import Account, Workspace
from domain.act import Act
from domain.errors import Refusal
from domain.ids import new_id
from domain.notifications.values import NotificationType
from domain.ports.queries import Page
from domain.ports.schema import ACCOUNTS, WORKSPACES
from domain.ports.storage import Storage
from tests.application.circuits.world import SteppedClock

TYPES = (NotificationType.MEMBER_ADDED, NotificationType.ITEM_WITHDRAWN)
MOST = 6
"""So many notifications of a user outlast retention here."""


@attrs.define
class Readers:
    """Two users, what tells them things, and the record of what each has read."""

    notifications: Notifications
    clock: SteppedClock
    users: list[Principal] = attrs.field(factory=list)
    read: dict[str, bool] = attrs.field(factory=dict)

    async def begin(self) -> None:
        home, now, units = new_id(), self.clock.now(), self.notifications.units
        async with units.storage.write() as unit:
            await unit.add(WORKSPACES, Workspace(home, home, home, home, now, now))
            for _ in range(2):
                one = new_id()
                await unit.add(
                    ACCOUNTS,
                    Account(
                        one, home, one[-12:], f"{one}@x.test", None, now, now, workspace_role=WorkspaceRole.MANAGER
                    ),
                )
                self.users.append(Principal(PrincipalKind.USER, one, home, trace_id="0" * 32))

    async def told(self, who: Principal, **wanted: Any) -> list[NotificationView]:
        """Return the whole list, read two at a time."""
        found, after = list[NotificationView](), None
        while True:
            page: Page[NotificationView]
            page = await self.notifications.page(who, NotificationFilter(**wanted), after, 2)
            found += page.items
            after = page.after
            if after is None:
                return found

    async def agree(self) -> None:
        """Hold every way of counting against every way of listing, and both against what was done."""
        for who in self.users:
            shown = await self.told(who)
            unread = [each.notification_id for each in shown if each.read_at is None]
            assert [each.notification_id for each in await self.told(who, unread=True)] == unread
            seen = [each.notification_id for each in shown if each.read_at is not None]
            assert [each.notification_id for each in await self.told(who, unread=False)] == seen
            assert (await self.notifications.unread(who)).unread == len(unread)
            by_place = [each.notification_id for each in await self.told(who, after_position=0)]
            assert sorted(by_place) == sorted([*unread, *seen])
            assert {one: self.read.get(one, False) for one in by_place} == dict.fromkeys(unread, False) | dict.fromkeys(
                seen, True
            )


async def tell(r: Readers, who: Principal, pick: int) -> None:
    users = [str(each.user_id) for each in r.users[: 1 + pick % 2]]

    async def work(act: Act) -> None:
        await act.notify(TYPES[pick % 2].value, users, source_id=new_id())

    await r.notifications.units.perform(system(), work)


async def one_of(r: Readers, who: Principal, pick: int) -> str:
    shown = await r.told(who)
    return shown[pick % len(shown)].notification_id if shown else new_id()


async def mark(r: Readers, who: Principal, pick: int) -> None:
    one = await one_of(r, who, pick)
    await r.notifications.mark(who, one, pick % 3 > 0)
    r.read[one] = pick % 3 > 0


async def mark_many(r: Readers, who: Principal, pick: int) -> None:
    wanted = [each.notification_id for other in r.users for each in await r.told(other)][pick : pick + 3]
    unread = {each.notification_id for each in await r.told(who, unread=True)}
    assert (await r.notifications.mark_many(who, [*wanted, new_id()])).updated == len(unread.intersection(wanted))
    r.read |= dict.fromkeys(unread.intersection(wanted), True)


async def mark_all(r: Readers, who: Principal, pick: int) -> None:
    end = None if pick % 2 else pick
    unread = [each for each in await r.told(who, unread=True) if end is None or each.position <= end]
    assert (await r.notifications.mark_all(who, end)).updated == len(unread)
    r.read |= {each.notification_id: True for each in unread}


async def remove(r: Readers, who: Principal, pick: int) -> None:
    await r.notifications.remove(who, await one_of(r, who, pick))


async def remove_read(r: Readers, who: Principal, pick: int) -> None:
    await r.notifications.remove_read(who, True)
    assert await r.told(who, unread=False) == []


async def mute(r: Readers, who: Principal, pick: int) -> None:
    await r.notifications.prefer(who, Preferences(frozenset(TYPES[: pick % 3])))


async def foreign(r: Readers, who: Principal, pick: int) -> None:
    """Nobody marks or removes what others were told."""
    [other] = [each for each in r.users if each is not who]
    one = await one_of(r, other, pick)
    for change in (r.notifications.mark(who, one, pick % 2 == 0), r.notifications.remove(who, one)):
        try:
            await change
        except Refusal as refusal:
            assert refusal.code == "not_found"


async def prune(r: Readers, who: Principal, pick: int) -> None:
    r.clock.pass_by(timedelta(days=30 * pick))
    await Retention(r.notifications.units, 365, 365, 365, most_per_user=MOST).prune()
    assert all([len(await r.told(each)) <= MOST for each in r.users])


Step = Callable[[Readers, Principal, int], Awaitable[None]]
STEPS: tuple[Step, ...] = (tell, tell, tell, mark, mark_many, mark_all, remove, remove_read, mute, foreign, prune)
programs = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 1), st.integers(0, 5)), min_size=5, max_size=25)
lenient = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


async def run(storage: Storage, program: list[tuple[Step, int, int]]) -> None:
    clock = SteppedClock()
    readers = Readers(Notifications(Units(storage, clock, DfidSource(storage, clock))), clock)
    await readers.begin()
    for step, who, pick in program:
        try:
            await step(readers, readers.users[who], pick)
        except Refusal as refusal:
            assert refusal.code == "not_found"
        await readers.agree()


@settings(max_examples=40, deadline=None, suppress_health_check=lenient)
@given(program=programs)
def test_the_count_is_what_is_listed_in_memory(program: Any) -> None:
    asyncio.run(run(MemoryStorage(), program))


def test_the_count_is_what_is_listed_in_postgresql(migrated_url: str) -> None:
    with asyncio.Runner() as runner:
        storage = PostgresStorage(migrated_url)
        runner.run(storage.open())

        @settings(max_examples=5, deadline=None, suppress_health_check=lenient)
        @given(program=programs)
        def hold(program: Any) -> None:
            runner.run(run(storage, program))

        try:
            hold()
        finally:
            runner.run(storage.aclose())

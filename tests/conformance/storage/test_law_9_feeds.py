"""Law 9: a feed that others tail never loses a row whose transaction committed late."""

import asyncio
from typing import Any

import attrs

from domain.notifications.values import LastPosition
from domain.ports.queries import Between, Select
from domain.ports.schema import MAPPINGS, NOTIFICATIONS
from domain.ports.storage import Storage
from domain.ports.views import LastPositionView
from tests.conformance.storage.values import mapping, notification

UNITS = 200


async def test_numbers_of_a_feed_have_no_gap_and_appear_in_order_while_many_write(
    storage: Storage, other: Storage
) -> None:
    """A reader that asks for what is past the last number it saw meets every row once, in order."""
    users = ("u", "v")

    async def write(number: int) -> None:
        async with (storage, other)[number % 2].write() as unit:
            mine = [notification(user) for user in users[:: 1 - 2 * (number % 2)] for _ in range(number % 3 + 1)]
            await unit.add(NOTIFICATIONS, *mine)
            await unit.add(MAPPINGS, mapping())

    async def tail(user: str, enough: int) -> list[int]:
        seen: list[int] = []
        while len(seen) < enough:
            async with other.read() as reader:
                past = Select({"user_id": user, "position": Between(seen[-1] + 1 if seen else 1)}, ("position",))
                seen += [row.position for row in (await reader.page(NOTIFICATIONS, past, limit=7)).items]
            await asyncio.sleep(0)
        return seen

    enough = sum(number % 3 + 1 for number in range(UNITS))
    async with asyncio.timeout(60):
        tails = [asyncio.create_task(tail(user, enough)) for user in users]
        await asyncio.gather(*map(write, range(UNITS)))
        for task in tails:
            assert await task == list(range(1, enough + 1))


async def test_rows_of_one_unit_are_numbered_in_the_order_in_which_they_were_added(storage: Storage) -> None:
    given = [notification("u") for _ in range(30)]
    async with storage.write() as unit:
        await unit.add(NOTIFICATIONS, *given[:20])
        await unit.add(NOTIFICATIONS, *given[20:])
    async with storage.read() as reader:
        page = await reader.page(NOTIFICATIONS, Select({"user_id": "u"}, ("position",)))
    assert list(page.items) == [attrs.evolve(row, position=number) for number, row in enumerate(given, 1)]
    async with storage.write() as unit:
        await unit.remove(NOTIFICATIONS, *page.items)
    async with storage.read() as reader:
        assert (await reader.view(LastPositionView("u"), limit=1)).items == (LastPosition(30),)
        assert (await reader.view(LastPositionView("nobody"), limit=1)).items == ()


async def test_a_unit_that_fails_takes_no_number(storage: Storage) -> None:
    taken: Any = notification("u")
    async with storage.write() as unit:
        await unit.add(NOTIFICATIONS, taken)
    for _ in range(3):
        try:
            async with storage.write() as unit:
                await unit.add(NOTIFICATIONS, notification("u"), taken)
        except Exception as error:
            assert getattr(error, "facet", None) == "notifications"
    async with storage.write() as unit:
        await unit.add(NOTIFICATIONS, notification("u"))
    async with storage.read() as reader:
        page = await reader.page(NOTIFICATIONS, Select({"user_id": "u"}, ("position",)))
    assert [row.position for row in page.items] == [1, 2]

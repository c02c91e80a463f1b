"""Whole lists: nothing is left out behind the first page."""

from datetime import timedelta
from typing import TypeVar

import attrs
import pytest

from adapters.memory.storage import MemoryStorage
from application.items.sharing import ShareItem
from domain.ids import new_id
from domain.items.values import Share, ValueCounter
from domain.ports.queries import AnyOf, Cursor, Page, Select
from domain.ports.schema import COUNTERS, SHARES, Facet
from domain.ports.storage import MAX_PAGE, Reader
from domain.ports.walking import pages, walk
from tests.application.circuits.conftest import passwords, storage, world
from tests.application.circuits.world import World

__all__ = ["passwords", "storage", "world"]
V = TypeVar("V")


@attrs.define
class Asked:
    """A reader that counts its pages."""

    reader: Reader
    times: int = 0

    async def page(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> Page[V]:
        self.times += 1
        return await self.reader.page(facet, query, after, limit)


@pytest.mark.tampers
async def test_every_row_comes_once_in_order_and_no_page_without_any() -> None:
    rows = [ValueCounter(f"place {number}", 1) for number in range(10)]
    store = MemoryStorage()
    async with store.write() as unit:
        await unit.add(COUNTERS, *rows)
    async with store.read() as reader:
        for size, lengths in ((5, [5, 5]), (4, [4, 4, 2]), (10, [10])):
            found = [page async for page in pages(reader, COUNTERS, size=size)]
            assert ([row for page in found for row in page], list(map(len, found))) == (rows, lengths)
        rest = [page async for page in pages(reader, COUNTERS, after=("place 7",), size=1)]
        assert rest == [(rows[8],), (rows[9],)]
        assert [row async for row in walk(reader, COUNTERS, Select(descending=True))] == rows[::-1]
        assert [page async for page in pages(reader, COUNTERS, Select({"place": "elsewhere"}))] == []


async def test_the_store_is_not_asked_for_one_of_no_values() -> None:
    async with MemoryStorage().read() as reader:
        asked = Asked(reader)
        assert [row async for row in walk(asked, COUNTERS, Select({"place": AnyOf(())}))] == []
        assert asked.times == 0
        assert [row async for row in walk(asked, COUNTERS, Select({"place": AnyOf(("elsewhere",))}))] == []
        assert asked.times == 1


@pytest.mark.tampers
async def test_a_share_opens_an_item_after_a_thousand_that_were_revoked(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    dfid, then = await world.item(ana), world.clock.now()
    revoked = [
        Share(new_id(), dfid, str(ana.user_id), str(ana.workspace_id), str(bia.user_id), then, revoked_at=then)
        for _ in range(MAX_PAGE)
    ]
    async with world.storage.write() as unit:
        await unit.add(SHARES, *revoked)
    world.clock.pass_by(timedelta(days=1))
    await world.items.share(ana, dfid, ShareItem(str(bia.user_id)))
    assert (await world.items.get(bia, dfid)).dfid == dfid

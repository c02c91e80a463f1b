"""A page that is asked for again is sent again only when its rows are others than those that a process remembers."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import attrs
import psycopg
import pytest

from adapters.postgres import pages
from adapters.postgres.pages import MOST_PLACES, MOST_ROWS, Pages
from adapters.postgres.storage import PostgresStorage
from domain.access.vocabulary import ItemStatus
from domain.document import Document
from domain.items.values import Item
from domain.ports.queries import Between, Page
from domain.ports.schema import ITEMS
from domain.ports.views import ActivityTallies, ActivityView, ItemsView, Viewer
from tests.conformance.storage.values import NOW, item

VIEWER = Viewer("u", "w")


def view(moment: int = 0, access: str = "all") -> ItemsView:
    return ItemsView(VIEWER, NOW + timedelta(seconds=moment), access, (ItemStatus.ACTIVE,))


@pytest.fixture
async def storage(migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PostgresStorage]:
    monkeypatch.setattr(pages, "FEWEST", 1)
    opened = PostgresStorage(migrated_url)
    await opened.open()
    yield opened
    await opened.aclose()


async def again(storage: PostgresStorage, asked: ItemsView, limit: int = 2) -> Page[Item]:
    """Return a page that was asked for often enough to be remembered."""
    for _ in range(3):
        async with storage.read() as reader:
            page = await reader.view(asked, None, limit)
    return page


async def change(storage: PostgresStorage, verb: str, *rows: Item) -> None:
    async with storage.write() as unit:
        await getattr(unit, verb)(ITEMS, *rows)


def own(number: int, **more: Any) -> Item:
    return item(**{"dfid": f"DFID-{number}", "created_at": NOW + timedelta(seconds=number)} | more)


@pytest.mark.parametrize("access", ["own", "all"])
async def test_the_same_rows_are_the_very_same_page_until_one_of_them_changes(
    storage: PostgresStorage, access: str
) -> None:
    asked = view(access=access)
    assert await again(storage, asked) == Page(())
    rows = [own(number) for number in range(4)]
    await change(storage, "add", *rows[:3])
    first = await again(storage, asked)
    assert [each.key for each in first.items] == ["DFID-2", "DFID-1"] and first.after is not None
    assert await again(storage, view(60, access)) is first

    changed = attrs.evolve(rows[1], data=Document({"peso": 1}), version=2)
    await change(storage, "save", changed)
    second = await again(storage, asked)
    assert [each.data for each in second.items] == [rows[2].data, changed.data]

    await change(storage, "add", rows[3])
    assert [each.key for each in (await again(storage, asked)).items] == ["DFID-3", "DFID-2"]


async def test_a_row_that_was_removed_and_made_again_with_the_same_version_is_another(storage: PostgresStorage) -> None:
    await change(storage, "add", own(1))
    assert (await again(storage, view())).items == (own(1),)
    await change(storage, "remove", own(1))
    await change(storage, "add", own(1, data=Document({"again": True})))
    async with storage.read() as reader:
        assert (await reader.view(view(), None, 2)).items[0].data == {"again": True}
    await change(storage, "remove", own(1))
    async with storage.read() as reader:
        assert (await reader.view(view(), None, 2)) == Page(())


async def test_the_run_of_the_server_tells_a_page_too(storage: PostgresStorage, migrated_url: str) -> None:
    """In another one a transaction that never was may have had the number of one that is remembered."""
    await change(storage, "add", own(1))
    await again(storage, view())
    async with await psycopg.AsyncConnection.connect(migrated_url, options="-c timezone=UTC") as connection:
        (begun,) = await (await connection.execute("select pg_postmaster_start_time()::text")).fetchone() or ("",)
    (known,) = storage.backend._pages._known.values()
    assert known.told.startswith(f"{begun}|DFID-1 ")


async def test_what_is_remembered_is_bounded(storage: PostgresStorage) -> None:
    await change(storage, "add", *[own(number) for number in range(200)])
    known = storage.backend._pages
    for number in range(MOST_ROWS // 200 + 1):
        await again(storage, attrs.evolve(view(), updated=Between(NOW - timedelta(days=number))), 200)
    assert len(known._known) == MOST_ROWS // 200
    for number in range(2 * MOST_PLACES):
        known.note((view(), (NOW, str(number)), 200), [()])
    assert len(known._once) == MOST_PLACES


async def test_of_rows_that_no_transaction_wrote_nothing_is_remembered() -> None:
    known, place = Pages(), (ActivityTallies(ActivityView(VIEWER)), None, 200)
    known.note(place, [()] * 200)
    assert not known.is_asked_again(place)

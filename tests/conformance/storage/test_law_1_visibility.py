"""Law 1: a unit sees its own staged writes; nobody else sees any until commit, then all at once."""

import asyncio
from typing import Any

import attrs
import pytest

from domain.access.vocabulary import ItemStatus
from domain.items.values import Mapping
from domain.ports.errors import AlreadyExists, NotFound, Stale
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import ITEMS, MAPPINGS, SHARES, WORKSPACES, Facet, Key
from domain.ports.storage import Storage
from tests.conformance.storage.values import item, mapping, renamed, share, touched, workspace


async def keep(storage: Storage, *values: object) -> None:
    async with storage.write() as unit:
        await unit.add(WORKSPACES, *values)  # type: ignore[arg-type]


async def test_a_unit_finds_what_it_staged_and_others_do_not_until_it_commits(storage: Storage, other: Storage) -> None:
    one = workspace()
    async with storage.write() as unit:
        await unit.add(WORKSPACES, one)
        assert await unit.get(WORKSPACES, one.workspace_id) == one
        async with other.read() as reader:
            assert await reader.find(WORKSPACES, one.workspace_id) is None
    async with other.read() as reader:
        assert await reader.get(WORKSPACES, one.workspace_id) == one


async def test_a_unit_sees_its_saves_and_removals_by_key_and_in_lists(storage: Storage) -> None:
    one, two = workspace("one"), workspace("two")
    await keep(storage, one, two)
    by_name = Select({"folded_name": AnyOf(("one", "two", "three"))}, ("folded_name",))
    async with storage.write() as unit:
        await unit.save(WORKSPACES, renamed(one, "three"))
        await unit.remove(WORKSPACES, two)
        found = await unit.get_many(WORKSPACES, [one.workspace_id, two.workspace_id])
        assert found == {one.workspace_id: renamed(one, "three")}
        assert (await unit.page(WORKSPACES, by_name)).items == (renamed(one, "three"),)
        with pytest.raises(NotFound):
            await unit.get(WORKSPACES, two.workspace_id)
    async with storage.read() as reader:
        assert (await reader.page(WORKSPACES, by_name)).items == (renamed(one, "three"),)


async def test_a_unit_that_raises_leaves_nothing(storage: Storage, other: Storage) -> None:
    one, two = workspace(), workspace()
    await keep(storage, one)
    with pytest.raises(ZeroDivisionError):
        async with storage.write() as unit:
            await unit.save(WORKSPACES, touched(one))
            await unit.add(WORKSPACES, two)
            raise ZeroDivisionError
    async with other.read() as reader:
        assert await reader.get_many(WORKSPACES, [one.workspace_id, two.workspace_id]) == {one.workspace_id: one}


MANY = 250
"""Rows that a store begins to write before their unit commits."""


async def test_rows_that_are_final_are_seen_by_their_unit_and_by_others_once_it_commits(
    storage: Storage, other: Storage
) -> None:
    links, last = [mapping() for _ in range(MANY)], mapping()
    keys = [link.local_id for link in (*links, last)]
    async with storage.write() as unit:
        await unit.add_final(MAPPINGS, *links)
        await unit.add_final(MAPPINGS, last)
        await asyncio.sleep(0.05)
        assert await unit.get_many(MAPPINGS, keys) == {one.local_id: one for one in (*links, last)}
        async with other.read() as reader:
            assert await reader.get_many(MAPPINGS, keys) == {}
    async with other.read() as reader:
        assert await reader.get_many(MAPPINGS, keys) == {one.local_id: one for one in (*links, last)}


@pytest.mark.parametrize("delay", [0.0, 0.05])
async def test_a_unit_with_final_rows_that_raises_leaves_nothing_and_can_be_run_again(
    storage: Storage, other: Storage, delay: float
) -> None:
    links = [mapping() for _ in range(MANY)]
    with pytest.raises(ZeroDivisionError):
        async with storage.write() as unit:
            await unit.add_final(MAPPINGS, *links)
            await asyncio.sleep(delay)
            raise ZeroDivisionError
    async with other.read() as reader:
        assert await reader.get_many(MAPPINGS, [link.local_id for link in links]) == {}
    async with storage.write() as unit:
        await unit.add_final(MAPPINGS, *links)


async def test_a_final_row_that_stands_already_is_refused_with_all_others(storage: Storage, other: Storage) -> None:
    links, more = [mapping() for _ in range(MANY)], workspace()
    async with storage.write() as unit:
        await unit.add(MAPPINGS, links[-1])
    with pytest.raises(AlreadyExists):
        async with storage.write() as unit:
            await unit.add_final(MAPPINGS, *links)
            await asyncio.sleep(0.05)
            await unit.add(WORKSPACES, more)
    async with other.read() as reader:
        assert await reader.get_many(MAPPINGS, [link.local_id for link in links[:-1]]) == {}
        assert await reader.find(WORKSPACES, more.workspace_id) is None


async def test_many_units_with_final_rows_commit_at_once(storage: Storage, other: Storage) -> None:
    async def write(links: list[Mapping]) -> None:
        async with storage.write() as unit:
            await unit.add_final(MAPPINGS, *links)
            await unit.get_many(MAPPINGS, ["unknown"])

    each = [[mapping() for _ in range(MANY)] for _ in range(10)]
    await asyncio.gather(*map(write, each))
    async with other.read() as reader:
        for links in each:
            assert len(await reader.get_many(MAPPINGS, [link.local_id for link in links])) == MANY


async def test_a_unit_that_is_cancelled_in_its_block_leaves_nothing(storage: Storage, other: Storage) -> None:
    one, staged = workspace(), asyncio.Event()

    async def work() -> None:
        async with storage.write() as unit:
            await unit.add(WORKSPACES, one)
            staged.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(work())
    await staged.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with other.read() as reader:
        assert await reader.find(WORKSPACES, one.workspace_id) is None


@pytest.mark.parametrize("delay", [0.0, 0.0005, 0.002, 0.01])
async def test_a_commit_that_has_begun_finishes_wholly_when_its_task_is_cancelled(
    storage: Storage, other: Storage, delay: float
) -> None:
    rows, links, begun = [workspace() for _ in range(50)], [mapping() for _ in range(50)], asyncio.Event()

    async def work() -> None:
        async with storage.write() as unit:
            await unit.add(WORKSPACES, *rows)
            await unit.add(MAPPINGS, *links)
            begun.set()

    task = asyncio.create_task(work())
    await begun.wait()
    await asyncio.sleep(delay)
    task.cancel()
    task.cancel()
    await asyncio.wait([task])
    async with other.read() as reader:
        kept = await reader.get_many(WORKSPACES, [row.workspace_id for row in rows])
        linked = await reader.get_many(MAPPINGS, [link.local_id for link in links])
    assert (len(kept), len(linked)) == (50, 50)


async def test_others_see_all_of_a_unit_or_nothing(storage: Storage, other: Storage) -> None:
    pairs = [(workspace(key=f"{n:02}-a"), workspace(key=f"{n:02}-b")) for n in range(40)]

    async def write() -> None:
        for pair in pairs:
            await keep(storage, *pair)

    writing = asyncio.create_task(write())
    while not writing.done():
        async with other.read() as reader:
            page = await reader.page(WORKSPACES, Select(order=("workspace_id",)), limit=100)
        assert len(page.items) % 2 == 0
        await asyncio.sleep(0)
    await writing


async def test_lists_in_a_unit_page_over_its_staged_rows_and_the_committed_ones_alike(storage: Storage) -> None:
    committed, staged = [share("r", n) for n in range(0, 60, 2)], [share("r", n) for n in range(1, 60, 2)]
    async with storage.write() as unit:
        await unit.add(SHARES, *committed)
    async with storage.write() as unit:
        await unit.add(SHARES, *staged)
        await unit.remove(SHARES, *committed[5:20])
        wanted = sorted((*committed[:5], *committed[20:], *staged), key=lambda row: row.created_at)
        for descending in (False, True):
            query, seen, after = Select({"recipient_user_id": "r"}, ("created_at",), descending), [], None
            while True:
                page = await unit.page(SHARES, query, after, limit=7)
                seen += page.items
                if (after := page.after) is None:
                    break
            assert seen == (wanted[::-1] if descending else wanted)


async def test_two_rows_of_a_unit_may_hand_unique_values_to_each_other(storage: Storage) -> None:
    one, two, three = workspace("one", "1"), workspace("two", "2"), workspace("three", "3")
    await keep(storage, one, two, three)
    async with storage.write() as unit:
        await unit.save(WORKSPACES, renamed(one, "two"), renamed(two, "one"))
        await unit.remove(WORKSPACES, three)
        await unit.add(WORKSPACES, workspace("three", "4"))
    async with storage.read() as reader:
        for name, key in {"one": "2", "two": "1", "three": "4"}.items():
            page = await reader.page(WORKSPACES, Select({"folded_name": name}))
            assert [found.workspace_id for found in page.items] == [key]


async def test_what_was_handed_over_stays_unique(storage: Storage) -> None:
    await test_two_rows_of_a_unit_may_hand_unique_values_to_each_other(storage)
    for name in ("one", "two", "three"):
        with pytest.raises(Exception, match="workspaces"):
            await keep(storage, workspace(name))


async def test_a_row_removed_and_added_again_in_one_unit_is_the_new_one(storage: Storage) -> None:
    one, link = workspace("old", "1"), mapping("LID-1")
    await keep(storage, one)
    async with storage.write() as unit:
        await unit.add(MAPPINGS, link)
    async with storage.write() as unit:
        await unit.remove(WORKSPACES, one)
        await unit.add(WORKSPACES, workspace("new", "1"))
        await unit.remove(MAPPINGS, link)
        await unit.add(MAPPINGS, mapping("LID-1"))
        assert (await unit.get(WORKSPACES, "1")).name == "new"
    async with storage.write() as unit:
        assert (await unit.get(WORKSPACES, "1")).name == "new"
        await unit.remove(MAPPINGS, link)
        await unit.add(MAPPINGS, link)
        await unit.remove(MAPPINGS, link)
    async with storage.read() as reader:
        assert await reader.find(MAPPINGS, "LID-1") is None


async def test_counts_are_by_the_value_of_a_column_and_see_what_the_unit_staged(storage: Storage) -> None:
    ana, bento, carla = item(workspace_id="ana"), item(workspace_id="bento"), item(workspace_id="ana")
    merged = item(workspace_id="ana", status=ItemStatus.MERGED)
    active = {"status": AnyOf((ItemStatus.ACTIVE, ItemStatus.DEPRECATED))}
    async with storage.write() as unit:
        await unit.add(ITEMS, ana, bento, carla, merged)
        assert await unit.count(ITEMS, active, "workspace_id") == {"ana": 2, "bento": 1}
    async with storage.write() as unit:
        assert await unit.count(ITEMS, active, "workspace_id") == {"ana": 2, "bento": 1}
        await unit.save(ITEMS, attrs.evolve(ana, workspace_id="bento", version=2))
        await unit.save(ITEMS, attrs.evolve(merged, status=ItemStatus.ACTIVE, version=2))
        await unit.remove(ITEMS, carla)
        await unit.add(ITEMS, item(workspace_id="dora"))
        assert await unit.count(ITEMS, active, "workspace_id") == {"ana": 1, "bento": 2, "dora": 1}
    async with storage.read() as reader:
        assert await reader.count(ITEMS, active, "workspace_id") == {"ana": 1, "bento": 2, "dora": 1}
        assert await reader.count(ITEMS, {"workspace_id": "nobody"}, "workspace_id") == {}


async def test_rows_of_several_facets_are_found_together_in_the_order_asked(storage: Storage, other: Storage) -> None:
    one, two = workspace(), workspace()
    thing = item(workspace_id=one.workspace_id)
    await keep(storage, one)
    places = (ITEMS, thing.key), (WORKSPACES, one.workspace_id), (WORKSPACES, two.workspace_id)
    async with storage.write() as unit:
        assert await unit.find_each(*places) == (None, one, None)
        await unit.add(ITEMS, thing)
        await unit.add(WORKSPACES, two)
        await unit.remove(WORKSPACES, one)
        assert await unit.find_each(*places) == (thing, None, two)
        async with other.read() as reader:
            assert await reader.find_each(*places) == (None, one, None)
            assert await reader.find_each() == ()
    async with other.read() as reader:
        assert await reader.find_each(*places) == (thing, None, two)


async def test_who_asks_at_once_about_other_facets_is_told_what_they_asked(storage: Storage, other: Storage) -> None:
    one, thing, link = workspace(), item(), mapping()
    async with storage.write() as unit:
        await unit.add(WORKSPACES, one)
        await unit.add(ITEMS, thing)
        await unit.add(MAPPINGS, link)
    kept = [(facet, facet.key_of(row), row) for facet, row in ((WORKSPACES, one), (ITEMS, thing), (MAPPINGS, link))]

    async def told(facet: Facet[Any], key: Key) -> object:
        async with other.read() as reader:
            return await reader.find_each((facet, key))

    answers = await asyncio.gather(*(told(facet, key) for facet, key, _ in kept * 3))
    assert answers == [(row,) for _, _, row in kept] * 3


async def test_what_a_unit_foresaw_answers_one_question_and_gives_way_to_what_it_stages(
    storage: Storage, other: Storage
) -> None:
    one, two, gone = workspace("one"), workspace("two"), workspace("gone")
    await keep(storage, one, gone)
    keys = [each.workspace_id for each in (one, two, gone)]
    places = [(WORKSPACES, key) for key in keys]

    async def change() -> None:
        async with other.write() as elsewhere:
            await elsewhere.save(WORKSPACES, renamed(one, "three"))
            await elsewhere.add(WORKSPACES, two)

    async with storage.write() as unit:
        await unit.foresee(*places)
        await unit.remove(WORKSPACES, gone)
        await asyncio.create_task(change())
        assert await unit.find_each(*places) == (one, None, None)
        assert await unit.get_many(WORKSPACES, keys) == {keys[0]: renamed(one, "three"), keys[1]: two}


async def test_a_unit_that_relies_on_what_was_read_before_it_is_stale_when_that_changed(
    storage: Storage, other: Storage
) -> None:
    one = workspace()
    await keep(storage, one)
    async with other.write() as elsewhere:
        await elsewhere.save(WORKSPACES, renamed(one, "two"))
    with pytest.raises(Stale):
        async with storage.write() as unit:
            unit.know([((WORKSPACES, one.workspace_id), one)])
            await unit.confirm(WORKSPACES, await unit.get(WORKSPACES, one.workspace_id))


async def test_first_pages_of_several_facets_show_a_unit_what_it_staged(storage: Storage, other: Storage) -> None:
    one, two = workspace("one"), workspace("two")
    thing = item(workspace_id=one.workspace_id)
    await keep(storage, one)
    asked = (
        (ITEMS, Select({"workspace_id": one.workspace_id}, ("created_at",))),
        (WORKSPACES, Select({"folded_name": AnyOf(("one", "two"))})),
    )
    async with storage.write() as unit:
        assert [page.items for page in await unit.page_each(*asked)] == [(), (one,)]
        await unit.add(ITEMS, thing)
        await unit.add(WORKSPACES, two)
        await unit.remove(WORKSPACES, one)
        assert [page.items for page in await unit.page_each(*asked)] == [(thing,), (two,)]
        async with other.read() as reader:
            assert [page.items for page in await reader.page_each(*asked)] == [(), (one,)]
    async with other.read() as reader:
        assert [page.items for page in await reader.page_each(*asked)] == [(thing,), (two,)]

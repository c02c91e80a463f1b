"""Laws 3 and 4: a doomed unit stays doomed; handles end with their block and their storage."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from domain.ports.errors import AlreadyExists, Closed, NestedUnit, NotFound, Stale, UnitDoomed
from domain.ports.queries import Select
from domain.ports.schema import MAPPINGS, WORKSPACES
from domain.ports.storage import Storage, Unit
from domain.ports.views import ItemsView, Viewer
from tests.conformance.storage.stacks import Stack
from tests.conformance.storage.values import NOW, mapping, renamed, touched, workspace

Use = Callable[[Any], Awaitable[Any]]
READS: dict[str, Use] = {
    "find": lambda handle: handle.find(WORKSPACES, "1"),
    "get": lambda handle: handle.get(WORKSPACES, "1"),
    "get_many": lambda handle: handle.get_many(WORKSPACES, ["1", "2"]),
    "get_many of nothing": lambda handle: handle.get_many(WORKSPACES, []),
    "page": lambda handle: handle.page(WORKSPACES, Select()),
    "view": lambda handle: handle.view(ItemsView(Viewer("u", "w"), NOW)),
}
WRITES: dict[str, Use] = {
    name: lambda unit, name=name: getattr(unit, name)(WORKSPACES, workspace())
    for name in ("add", "save", "remove", "confirm")
}


@pytest.mark.parametrize("use", (READS | WRITES).values(), ids=(READS | WRITES).keys())
async def test_after_a_write_error_every_later_call_and_a_normal_end_raise(storage: Storage, use: Use) -> None:
    one = workspace()
    with pytest.raises(UnitDoomed):
        async with storage.write() as unit:
            await unit.add(MAPPINGS, mapping("LID-1"))
            await unit.add(WORKSPACES, one)
            with pytest.raises(AlreadyExists):
                await unit.add(WORKSPACES, one)
            with pytest.raises(UnitDoomed):
                await use(unit)
    async with storage.read() as reader:
        assert await reader.find(MAPPINGS, "LID-1") is None


async def test_every_contradiction_within_a_unit_is_a_write_error(storage: Storage) -> None:
    one = workspace()
    async with storage.write() as unit:
        await unit.add(WORKSPACES, one)

    async def saves_twice(unit: Unit) -> None:
        await unit.save(WORKSPACES, touched(one))
        await unit.save(WORKSPACES, renamed(one, "again"))

    async def saves_what_it_removed(unit: Unit) -> None:
        await unit.remove(WORKSPACES, one)
        await unit.save(WORKSPACES, touched(one))

    async def removes_twice(unit: Unit) -> None:
        await unit.remove(WORKSPACES, one)
        await unit.remove(WORKSPACES, one)

    async def confirms_what_it_removed(unit: Unit) -> None:
        await unit.remove(WORKSPACES, one)
        await unit.confirm(WORKSPACES, one)

    async def confirms_two_versions(unit: Unit) -> None:
        await unit.confirm(WORKSPACES, one)
        await unit.confirm(WORKSPACES, touched(one))

    async def confirms_one_version_and_removes_another(unit: Unit) -> None:
        await unit.confirm(WORKSPACES, touched(one))
        await unit.remove(WORKSPACES, one)

    async def confirms_what_it_saved_at_the_old_version(unit: Unit) -> None:
        await unit.save(WORKSPACES, touched(one))
        await unit.confirm(WORKSPACES, one)

    for work in (
        saves_twice,
        saves_what_it_removed,
        removes_twice,
        confirms_what_it_removed,
        confirms_two_versions,
        confirms_one_version_and_removes_another,
        confirms_what_it_saved_at_the_old_version,
    ):
        with pytest.raises(Stale):
            async with storage.write() as unit:
                await work(unit)
    async with storage.read() as reader:
        assert await reader.get(WORKSPACES, one.workspace_id) == one


async def test_reads_that_find_nothing_doom_nothing(storage: Storage) -> None:
    async with storage.write() as unit:
        with pytest.raises(NotFound):
            await unit.get(WORKSPACES, "absent")
        assert await unit.find(WORKSPACES, "absent") is None
        assert await unit.get_many(WORKSPACES, ["absent"]) == {}
        await unit.add(WORKSPACES, workspace(key="1"))
    async with storage.read() as reader:
        assert await reader.get(WORKSPACES, "1")


@pytest.mark.parametrize("use", READS.values(), ids=READS.keys())
async def test_a_handle_used_after_its_block_is_closed(storage: Storage, use: Use) -> None:
    async with storage.read() as reader:
        pass
    async with storage.write() as unit:
        pass
    for handle in (reader, unit):
        with pytest.raises(Closed):
            await use(handle)


@pytest.mark.parametrize("use", WRITES.values(), ids=WRITES.keys())
async def test_a_unit_used_for_writing_after_its_block_is_closed(storage: Storage, use: Use) -> None:
    async with storage.write() as unit:
        pass
    with pytest.raises(Closed):
        await use(unit)


@pytest.mark.parametrize("use", READS.values(), ids=READS.keys())
async def test_open_handles_are_closed_with_their_storage_and_others_go_on(
    storage: Storage, other: Storage, use: Use
) -> None:
    one = workspace("one", "1")
    async with storage.write() as unit:
        await unit.add(WORKSPACES, one)
    with pytest.raises(Closed):
        async with storage.write() as unit, storage.read() as reader:
            await unit.add(WORKSPACES, workspace("two", "2"))
            await storage.aclose()
            with pytest.raises(Closed):
                await use(reader)
            with pytest.raises(Closed):
                await use(unit)
    async with other.read() as reader:
        assert await reader.get_many(WORKSPACES, ["1", "2"]) == {"1": one}


async def test_a_closed_storage_opens_nothing_and_may_be_closed_again(stack: Stack) -> None:
    storage = await stack.fresh()
    await storage.aclose()
    await storage.aclose()
    for call in (storage.ping, lambda: storage.take_numbers("20260301", 1)):
        with pytest.raises(Closed):
            await call()
    for opened in (storage.read, storage.write):
        with pytest.raises(Closed):
            async with opened():
                raise AssertionError("it was opened")


async def test_a_unit_in_a_unit_of_the_same_task_is_refused_and_harms_nothing(storage: Storage) -> None:
    async with storage.write() as unit:
        with pytest.raises(NestedUnit):
            async with storage.write():
                raise AssertionError("it was opened")
        await unit.add(WORKSPACES, workspace(key="1"))
    async with storage.write() as unit:
        assert await unit.get(WORKSPACES, "1")


async def test_a_unit_in_another_task_is_independent(storage: Storage) -> None:
    async def inner() -> None:
        async with storage.write() as unit:
            await unit.add(WORKSPACES, workspace(key="inner"))

    with pytest.raises(ZeroDivisionError):
        async with storage.write() as unit:
            await unit.add(WORKSPACES, workspace(key="outer"))
            await asyncio.create_task(inner())
            raise ZeroDivisionError
    async with storage.read() as reader:
        assert (await reader.get_many(WORKSPACES, ["inner", "outer"])).keys() == {"inner"}


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_no_list_is_without_a_limit(storage: Storage, limit: int) -> None:
    async with storage.write() as unit:
        with pytest.raises(ValueError, match="limit"):
            await unit.page(WORKSPACES, Select(), limit=limit)
        with pytest.raises(ValueError, match="limit"):
            await unit.view(ItemsView(Viewer("u", "w"), NOW), limit=limit)

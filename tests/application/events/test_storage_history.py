"""Where items are and were kept (items-events.md 11, 10.7)."""

from datetime import timedelta

import attrs
import pytest

from application.storage_history import StorageHistories, StoreSettings
from domain.access.principal import Principal
from domain.errors import Refusal
from domain.ids import new_id
from domain.items.storage_records import StorageAction, StorageRecord, StoreName, copied, item_digest
from domain.ports.errors import AlreadyExists
from domain.ports.queries import Select
from domain.ports.schema import CHAINS, CONTRIBUTIONS, ITEMS, STORAGE_RECORDS, STORE
from tests.application.events.conftest import NOW, World

SETTINGS = StoreSettings("postgres", "fazenda")
OLD = StoreName(new_id(), "memory", "demo")
RUN = new_id()


@pytest.fixture
def histories(world: World) -> StorageHistories:
    return StorageHistories(world.units, SETTINGS)


@pytest.fixture
def admin(world: World) -> Principal:
    return attrs.evolve(world.stranger, is_admin=True)


async def here(world: World) -> StoreName:
    return StoreName((await world.rows(STORE))[0].store_id, SETTINGS.kind, SETTINGS.label)


async def digest(world: World) -> str:
    async with world.storage.read() as reader:
        made = (await reader.page(CONTRIBUTIONS, Select({"item": world.dfid}), limit=1000)).items
        return item_digest(await reader.get(ITEMS, world.dfid), made, await reader.find(CHAINS, world.dfid))


async def copy(world: World, *, origin: StoreName = OLD, run_id: str = RUN, later: int = 1) -> StorageRecord:
    record = copied(
        world.dfid,
        await digest(world),
        origin=origin,
        store=await here(world),
        run_id=run_id,
        now=NOW + timedelta(hours=later),
        by=None,
    )
    await world.put(STORAGE_RECORDS, record)
    return record


async def test_an_item_of_one_store_has_the_record_of_its_creation(world: World, histories: StorageHistories) -> None:
    told = await histories.of_item(world.owner, world.dfid)
    [record] = told.records
    store = await here(world)
    assert (told.current.store_id, told.current.store_kind, told.current.label) == (
        store.store_id,
        "postgres",
        "fazenda",
    )
    assert (record.action, record.store_id, record.is_active, record.is_primary) == (
        "created",
        store.store_id,
        True,
        True,
    )
    assert (record.recorded_at, record.recorded_by, record.digest) == (NOW, world.owner.user_id, None)
    assert (await histories.of_item(world.colleague, world.dfid)).records[0].record_id == record.record_id


async def test_scenario_60_a_copied_item_has_one_more_record_and_one_primary(
    world: World, histories: StorageHistories
) -> None:
    record = await copy(world)
    first, second = (await histories.of_item(world.owner, world.dfid)).records
    assert (first.action, first.store_id, first.store_kind, first.label) == ("created", OLD.store_id, "memory", "demo")
    assert (second.action, second.from_store_id, second.digest) == ("copied", OLD.store_id, record.digest)
    assert [one.is_primary for one in (first, second)] == [False, True]
    with pytest.raises(AlreadyExists):
        await copy(world)
    places = (await histories.locations(world.owner, world.dfid)).locations
    assert [one.store_id for one in places] == [OLD.store_id, second.store_id]


async def test_a_retired_store_holds_nothing_any_more(world: World, histories: StorageHistories) -> None:
    await copy(world)
    retired = StorageRecord(
        new_id(), world.dfid, OLD, StorageAction.RETIRED, NOW + timedelta(hours=2), None, run_id=RUN
    )
    await world.put(STORAGE_RECORDS, retired)
    records = (await histories.of_item(world.owner, world.dfid)).records
    assert [(one.action, one.is_active) for one in records] == [
        ("created", False), ("copied", True), ("retired", False),
    ]  # fmt: skip
    assert [one.store_kind for one in (await histories.locations(world.owner, world.dfid)).locations] == ["postgres"]
    assert [one.store_id for one in (await histories.statistics()).stores] == [(await here(world)).store_id]


async def test_the_digest_of_an_item_tells_every_change(world: World) -> None:
    seen = {await digest(world)}
    await world.enrich(peso_kg=1)
    seen.add(await digest(world))
    await world.events.append(world.owner, world.request())
    seen.add(await digest(world))
    assert len(seen) == 3
    assert await digest(world) in seen


async def test_the_owner_and_administrators_read_it_and_nobody_else(
    world: World, histories: StorageHistories, admin: Principal
) -> None:
    await world.share(world.stranger)
    for principal in (world.member, world.reader, world.stranger):
        for read in (histories.of_item, histories.locations):
            with pytest.raises(Refusal, match="not_found"):
                await read(principal, world.dfid)
        kinds = {one.kind for one in (await world.events.timeline(principal, world.dfid)).items}
        assert kinds == {"event"}
    for read in (histories.of_item, histories.locations):
        with pytest.raises(Refusal, match="not_found"):
            await read(world.owner, "DFID-20250108-000042-94E")
    assert (await histories.of_item(admin, world.dfid)).records[0].recorded_by is None
    key = attrs.evolve(admin, scopes=frozenset({"items:read"}))
    assert (await histories.of_item(key, world.dfid)).records


@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_the_timeline_holds_both_kinds_in_order_of_time_on_pages_of_any_size(world: World, limit: int) -> None:
    for hour in (1, 3, 5):
        world.later(hours=1)
        await world.enrich(peso_kg=hour)
        world.later(hours=1)
        await copy(world, run_id=new_id(), later=hour + 1)
    shown, after = [], None
    while True:
        page = await world.events.timeline(world.owner, world.dfid, after, limit)
        assert len(page.items) <= limit
        shown += page.items
        after = page.after
        if after is None:
            break
    assert [one.kind for one in shown] == ["event", "storage"] * 4
    assert [one.at for one in shown] == sorted(one.at for one in shown)


async def test_numbers_name_stores_and_runs_and_are_a_minute_old_at_most(
    world: World, histories: StorageHistories
) -> None:
    await copy(world)
    told = await histories.statistics()
    store = await here(world)
    assert (told.items, [(one.store_id, one.items) for one in told.stores]) == (
        1,
        [(store.store_id, 1), (OLD.store_id, 1)],
    )
    assert [(one.run_id, one.items) for one in told.runs] == [(RUN, 1)]
    await world.item()
    assert (await histories.statistics()).items == 1
    world.later(seconds=60)
    assert (await histories.statistics()).items == 2

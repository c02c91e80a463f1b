"""Whole stores are copied, compared and released (platform.md 13.2, items-events.md 11)."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings

import adapters.postgres.place as postgres_place
from adapters.memory.place import MemoryPlace
from adapters.memory.storage import MemoryStorage
from adapters.postgres.place import PostgresPlace
from adapters.snapshot import SnapshotPlace
from application.audit.sequencer import Sequencer
from application.audit.signing import NoteSigner
from application.audit.verifying import verify_log
from application.invariants import breaches
from application.moving import Copy, CopyReport, compared, release, retire, tallies
from application.moving.reading import canonical_row
from application.storage_history import StorageHistories, StoreSettings
from application.store_life import STORE_KEY
from application.units import DfidSource, Units
from container import Container, container_of, opened, write_snapshot
from domain.circuits.values import Circuit
from domain.ids import new_id
from domain.items.storage_records import StoreName, item_digest
from domain.ports.backing import StoreRefused
from domain.ports.clock import SystemClock
from domain.ports.errors import ReadOnly
from domain.ports.moving import DFIDS, NUMBERS, CannotMove, Row, Source, Target
from domain.ports.queries import Select
from domain.ports.schema import (
    AUDIT,
    CHAINS,
    CIRCUITS,
    CONTRIBUTIONS,
    EVENTS,
    FACETS,
    ITEMS,
    NOTIFICATIONS,
    STORE,
    WORKSPACES,
    Facet,
)
from domain.ports.storage import Storage
from domain.store import StoreRecord, Tally
from tests.coherence.instances import cached_storage, in_use
from tests.conformance.storage.values import rows as of_facet
from tests.moving.conftest import settings_of
from tests.servers import RedisServer

NAME = StoreName("", "memory", "fazenda")
ELSEWHERE = StoreName("", "postgres", None)


def silent(part: str, done: int, total: int) -> None:
    return None


def copying(source: Source, target: Target, **options: bool) -> Copy:
    return Copy(source, target, NAME, ELSEWHERE, SystemClock(), **options)


async def copy(source: Source, target: Target, *, resume: bool = False) -> CopyReport:
    return await copying(source, target).run(resume=resume)


async def digests(place: Source, *, copied: bool = False) -> tuple[Tally, ...]:
    """Return the tallies of a store, without what its own beginning as a copy left in it."""
    async with place.standing() as held:
        return await tallies(held, silent, without_copy_into=held.record.store_id if copied else None)


async def rows(storage: Storage, facet: Facet[Any]) -> list[Any]:
    async with storage.read() as reader:
        return list((await reader.page(facet, Select(), limit=1000)).items)


def units_of(storage: Storage) -> Units:
    return Units(storage, SystemClock(), DfidSource(storage, SystemClock()))


async def test_scenario_60_a_store_moves_from_memory_to_postgresql_and_back_as_it_was(
    memory: MemoryPlace, database: PostgresPlace
) -> None:
    there = await copy(memory, database)
    assert there.sound and there.verified and there.chains == there.recorded == 61
    assert compared(await digests(memory), await digests(database, copied=True)) == []
    back = MemoryPlace(MemoryStorage())
    assert (await copy(database, back)).sound
    assert compared(await digests(database), await digests(back, copied=True)) == []
    assert [one async for one in breaches(database.storage)] == []
    assert [one async for one in breaches(back.storage)] == []


@pytest.mark.tampers
async def test_rows_of_every_part_have_the_same_digest_in_every_store(database: PostgresPlace, tmp_path: Path) -> None:
    """Of every shape that a part may have, not only of those that the engine made in the store that is copied."""
    memory, record = MemoryPlace(MemoryStorage()), StoreRecord(STORE_KEY, new_id(), "key", SystemClock().now())
    await database.prepare()
    for facet in FACETS:
        found = [(value, canonical_row(value)) for value in drawn(facet)]
        for place in (memory, database):
            await place.take(facet, [] if facet is STORE else found, record)
    here, there = await digests(memory), await digests(database)
    assert [one.part for one in here if not one.rows] == [NUMBERS.name]
    assert compared(here, there) == []
    file = tmp_path / "all"
    await write_snapshot(database, file, NAME, SystemClock(), silent)
    assert compared(here, await digests(SnapshotPlace(file))) == []


def drawn(facet: Facet[Any]) -> list[Any]:
    """Return some rows of a facet, the same ones each time."""
    found: list[Any] = []

    @settings(
        max_examples=2, phases=[Phase.generate], database=None, derandomize=True, suppress_health_check=[*HealthCheck]
    )
    @given(of_facet(facet))
    def draw(values: list[Any]) -> None:
        found[:] = values if len(values) > len(found) else found

    draw()
    return found


async def test_the_storage_history_of_every_item_says_where_it_came_from(
    memory: MemoryPlace, database: PostgresPlace, filled: Container
) -> None:
    ana = await filled.engine().principal("ana")
    report = await copy(memory, database)
    item = next(one for one in await rows(memory.storage, ITEMS) if one.workspace_id == ana.workspace_id)
    made = [one for one in await rows(memory.storage, CONTRIBUTIONS) if one.item == item.key]
    head = next(one for one in await rows(memory.storage, CHAINS) if one.dfid == item.key)
    histories = StorageHistories(units_of(database.storage), StoreSettings("postgres"))
    first, second = (await histories.of_item(ana, item.key)).records
    assert (first.store_id, first.store_kind, first.label) == (report.source_id, "memory", "fazenda")
    assert (second.action, second.store_id, second.run_id) == ("copied", report.store_id, report.run_id)
    assert (second.from_store_id, second.is_primary) == (report.source_id, True)
    assert second.digest == item_digest(item, made, head)


async def test_numbers_go_on_where_they_were(memory: MemoryPlace, database: PostgresPlace) -> None:
    day, last = next(iter(memory._backend.numbers.items()))
    counters = dict(memory._backend.tables[NOTIFICATIONS.name].serials)
    owner = next(iter(counters))
    gone = [one for one in await rows(memory.storage, NOTIFICATIONS) if one.user_id == owner]
    async with memory.storage.write() as unit:
        await unit.remove(NOTIFICATIONS, *gone)
    await copy(memory, database)
    assert await database.storage.take_numbers(day, 1) == range(last + 1, last + 2)
    async with database.storage.write() as unit:
        await unit.add(NOTIFICATIONS, attrs.evolve(gone[0], position=0))
    assert {one.position for one in await rows(database.storage, NOTIFICATIONS) if one.user_id == owner} == {
        counters[owner] + 1
    }
    kept = {one.notification_id: one.position for one in await rows(memory.storage, NOTIFICATIONS)}
    assert (
        kept.items()
        <= {one.notification_id: one.position for one in await rows(database.storage, NOTIFICATIONS)}.items()
    )


async def test_the_audit_log_goes_on_under_its_name(memory: MemoryPlace, database: PostgresPlace) -> None:
    seed = b"k" * 32
    await Sequencer(units_of(memory.storage), seed).drain()
    async with memory.standing() as held:
        begun_in = held.record.store_id
    await copy(memory, database)
    await Sequencer(units_of(database.storage), seed).drain()
    [record] = await rows(database.storage, STORE)
    assert record.store_id != begun_in and record.log_name == begun_in
    verdict = await verify_log(database.storage, NoteSigner(record.log_name, seed), 0)
    assert verdict.valid and verdict.checkpoints >= 2, verdict


async def test_what_was_sealed_with_the_root_key_opens_in_the_copy(
    memory: MemoryPlace, database: PostgresPlace, database_url: str
) -> None:
    await copy(memory, database)
    async with opened(container_of(settings_of(DATABASE_URL=database_url))) as container:
        assert (await rows(container.storage(), STORE))[0].wrapped_data_key
    other = settings_of(DATABASE_URL=database_url, DEFARM_SECRET_KEY="another root key " * 3)
    with pytest.raises(StoreRefused, match="DEFARM_SECRET_KEY"):
        async with opened(container_of(other)):
            pass


async def test_the_source_takes_no_changes_until_it_is_released(
    memory: MemoryPlace, database: PostgresPlace, postgres_server: Any
) -> None:
    await copy(memory, database)
    third = MemoryPlace(MemoryStorage())
    await copy(database, third)
    for place in (memory, database):
        [workspace, *_] = await rows(place.storage, WORKSPACES)
        with pytest.raises(ReadOnly):
            async with place.storage.write() as unit:
                await unit.save(WORKSPACES, attrs.evolve(workspace, version=workspace.version + 1))
        with pytest.raises(ReadOnly):
            await place.storage.take_numbers("20260101", 1)
        before = place._backend.numbers if isinstance(place, MemoryPlace) else None
        assert before is None or "20260101" not in before
        await release(place, SystemClock())
        with pytest.raises(CannotMove, match="takes changes already"):
            await release(place, SystemClock())
        async with place.storage.write() as unit:
            await unit.save(WORKSPACES, attrs.evolve(workspace, version=workspace.version + 1))
        assert await place.storage.take_numbers("20260101", 1) == range(1, 2)


async def test_a_source_behind_redis_is_sealed_and_released_under_a_running_engine(
    memory: MemoryPlace, database: PostgresPlace, database_url: str, redis_server: RedisServer
) -> None:
    """A refused change leaves no mark behind, and nobody reads of it; after the release the cache goes on."""
    await copy(memory, database)
    redis_server.flush()
    engine, other = [await cached_storage(database_url, redis_server.url) for _ in range(2)]
    try:
        for storage in (engine, other):
            await in_use(storage)
        [circuit, *_] = await rows(engine, CIRCUITS)
        saved = attrs.evolve(circuit, description="two", version=circuit.version + 1)
        assert await read(engine, circuit) == await read(other, circuit) == circuit
        assert (await copy(database, MemoryPlace(MemoryStorage()))).sound
        for storage in (engine, other):
            with pytest.raises(ReadOnly):
                await change(storage, saved)
        for storage in (engine, other):
            assert await read(storage, circuit) == circuit
        async with asyncio.timeout(30.0):
            while engine.backend.pending or other.backend.pending:
                await asyncio.sleep(0.01)
        await release(database, SystemClock())
        await change(engine, saved)
        assert await read(engine, circuit) == await read(other, circuit) == await read(database.storage, circuit)
        assert (await read(other, circuit)).description == "two"
        hits = other.cache.stats().hits
        async with asyncio.timeout(30.0):
            while other.cache.stats().hits == hits:
                assert await read(other, circuit) == saved
    finally:
        await engine.aclose()
        await other.aclose()


async def read(storage: Storage, circuit: Circuit) -> Circuit:
    async with storage.read() as reader:
        return await reader.get(CIRCUITS, circuit.circuit_id)


async def change(storage: Storage, circuit: Circuit) -> None:
    async with storage.write() as unit:
        await unit.save(CIRCUITS, circuit)


async def test_a_change_under_way_is_waited_for_and_copied(
    memory: MemoryPlace, database: PostgresPlace, database_url: str
) -> None:
    await copy(memory, database)
    async with await psycopg.AsyncConnection.connect(database_url) as writer:
        await writer.execute("update sequences set last = last + 1000")
        third = MemoryPlace(MemoryStorage())
        under_way = asyncio.create_task(copy(database, third))
        await asyncio.sleep(0.3)
        assert not under_way.done() and not await third.filled()
        await writer.commit()
    assert (await under_way).sound
    assert max(third._backend.numbers.values()) > 1000


async def test_a_retired_source_is_out_of_use_in_the_history_and_for_good(
    memory: MemoryPlace, database: PostgresPlace, filled: Container
) -> None:
    ana = await filled.engine().principal("ana")
    units = units_of(database.storage)
    with pytest.raises(CannotMove, match="takes changes"):
        await retire(memory, units)
    await copy(memory, database)
    assert await retire(memory, units) == await retire(memory, units) == 61
    with pytest.raises(CannotMove, match="for good"):
        await release(memory, SystemClock())
    dfid = next(one.dfid for one in await rows(database.storage, ITEMS) if one.workspace_id == ana.workspace_id)
    histories = StorageHistories(units, StoreSettings("postgres"))
    assert [one.action for one in (await histories.of_item(ana, dfid)).records] == ["created", "copied", "retired"]
    assert len((await histories.locations(ana, dfid)).locations) == 1


async def test_a_target_that_is_not_empty_is_refused_and_left_alone(
    memory: MemoryPlace, database: PostgresPlace
) -> None:
    await copy(memory, database)
    before = await digests(database)
    with pytest.raises(CannotMove, match="not empty"):
        await copy(memory, database)
    with pytest.raises(CannotMove, match="not empty"):
        await copy(memory, database, resume=True)
    assert await digests(database) == before


async def test_rows_without_a_store_are_no_empty_target_either(memory: MemoryPlace, database: PostgresPlace) -> None:
    await database.prepare()
    await database.storage.take_numbers("20260101", 5)
    with pytest.raises(CannotMove, match=f"not empty .{DFIDS}"):
        await copy(memory, database)
    assert await memory.sealed() is None


async def test_a_database_that_was_migrated_and_not_used_is_empty(
    memory: MemoryPlace, database: PostgresPlace, database_url: str
) -> None:
    life = container_of(settings_of(DATABASE_URL=database_url)).store_life()
    await life.migrated()
    assert [entry.action for entry in await rows(life.storage, AUDIT)] == ["system.migrated"]
    await life.aclose()
    assert (await copy(memory, database)).sound
    assert compared(await digests(memory), await digests(database, copied=True)) == []


async def test_only_one_copies_into_a_store_at_a_time(
    memory: MemoryPlace, database: PostgresPlace, database_url: str
) -> None:
    await database.prepare()
    other = PostgresPlace("the database", database._server)
    try:
        with pytest.raises(CannotMove, match="Somebody else"):
            await copy(memory, other)
    finally:
        await other.aclose()


class Interrupted(Exception):
    pass


@attrs.define
class Fragile:
    """A target that is gone after so many portions."""

    inner: PostgresPlace
    left: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def take(self, part: Facet[Any], rows: Sequence[Row], record: StoreRecord) -> None:
        self.left -= 1
        if self.left < 0:
            raise Interrupted
        await self.inner.take(part, rows, record)


@pytest.mark.parametrize("every", [1, 7, 20])
async def test_an_interrupted_copy_goes_on_where_it_was(
    memory: MemoryPlace, database: PostgresPlace, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.memory.place.PORTION", 13)
    target: Any = Fragile(database, every)
    with pytest.raises(Interrupted):
        await copy(memory, target)
    with pytest.raises(CannotMove, match="--resume"):
        await copy(memory, target)
    report, tries = None, 0
    while report is None:
        target.left, tries = 60, tries + 1
        try:
            report = await copy(memory, target, resume=True)
        except Interrupted:
            continue
    assert tries > 1 and report.sound and report.resumed and report.recorded == 61
    assert compared(await digests(memory), await digests(database, copied=True)) == []


@pytest.mark.tampers
async def test_a_copy_does_not_go_on_from_a_source_that_was_changed_meanwhile(
    memory: MemoryPlace, database: PostgresPlace
) -> None:
    target: Any = Fragile(database, 20)
    with pytest.raises(Interrupted):
        await copy(memory, target)
    await release(memory, SystemClock())
    with pytest.raises(CannotMove, match="took changes"):
        await copy(memory, database, resume=True)
    assert await memory.sealed() is None


@pytest.mark.tampers
async def test_an_unfinished_copy_is_served_to_nobody(
    memory: MemoryPlace, database: PostgresPlace, database_url: str
) -> None:
    target: Any = Fragile(database, 20)
    with pytest.raises(Interrupted):
        await copy(memory, target)
    with pytest.raises(StoreRefused, match="storage copy --resume"):
        async with opened(container_of(settings_of(DATABASE_URL=database_url))):
            pass


@attrs.define
class Forgetful(Fragile):
    """A target that keeps a value another than it was given."""

    async def take(self, part: Facet[Any], rows: Sequence[Row], record: StoreRecord) -> None:
        if part is EVENTS and rows:
            value, body = rows[-1]
            rows = [*rows[:-1], (value, body.replace(b"aftosa", b"aviaria").replace(b"402", b"401"))]
        await self.inner.take(part, rows, record)


@pytest.mark.tampers
async def test_a_copy_that_is_not_like_its_source_is_told_and_stays_unusable(
    memory: MemoryPlace, database: PostgresPlace
) -> None:
    target: Any = Forgetful(database, 0)
    report = await copy(memory, target)
    assert not report.sound
    assert [str(one) for one in report.differences] == ["events: 203 rows on both sides, with other contents"]
    [record] = await rows(database.storage, STORE)
    assert record.copying is not None


@pytest.mark.tampers
async def test_broken_event_chains_are_told(memory: MemoryPlace, database: PostgresPlace) -> None:
    event = next(one for one in await rows(memory.storage, EVENTS) if one.position == 2)
    async with memory.storage.write() as unit:
        await unit.remove(EVENTS, event)
        await unit.add(EVENTS, attrs.evolve(event, hash="0" * 64))
    report = await copy(memory, database)
    assert report.broken == (event.dfid,) and not report.differences and not report.sound
    unchecked = await copying(memory, database, verify=False).run(resume=True)
    assert unchecked.sound and not unchecked.verified
    assert await database.sealed() is None


async def test_large_parts_come_in_bounded_portions(
    memory: MemoryPlace, database: PostgresPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    await copy(memory, database)
    monkeypatch.setattr(postgres_place, "FETCHED", 3)
    monkeypatch.setattr(postgres_place, "PORTION_BYTES", 4000)
    async with database.standing() as held:
        sizes = [len(portion) async for portion in held.rows(EVENTS)]
        assert sum(sizes) == await held.count(EVENTS) and 1 < max(sizes) < 20
        keys = [one.event_id async for portion in held.rows(EVENTS) for one in portion]
        assert keys == sorted(keys)
        after = [one.event_id async for portion in held.rows(EVENTS, keys[100]) for one in portion]
        assert after == keys[101:]


async def test_what_is_held_stays_as_it_was_whoever_writes_meanwhile(
    memory: MemoryPlace, database: PostgresPlace
) -> None:
    await copy(memory, database)
    await release(memory, SystemClock())
    for place in (memory, database):
        before = await digests(place)
        async with place.standing() as held:
            first = [workspace async for portion in held.rows(WORKSPACES) for workspace in portion]
            other = attrs.evolve(first[0], workspace_id=new_id(), folded_name="another")
            async with place.storage.write() as unit:
                await unit.add(WORKSPACES, other)
            assert [workspace async for portion in held.rows(WORKSPACES) for workspace in portion] == first
            assert await tallies(held, silent) == before
        assert [one.part for one in compared(before, await digests(place))] == ["workspaces"]

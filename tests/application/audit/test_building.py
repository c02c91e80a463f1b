"""A report of any size is built within bounds, by one instance at a time, from the beginning or not at all
(platform.md 6.7)."""

import asyncio
import gzip
import hashlib
import json
import tracemalloc
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from application.audit import building
from application.audit.building import CHUNKS_AT_ONCE, build
from application.audit.reports import AskReport, Reports, remove_expired
from application.outbox import Hold, Relay
from application.units import DfidSource, Units
from domain.access.principal import Principal, PrincipalKind, system
from domain.accounts.values import Account, Workspace
from domain.act import Act
from domain.audit.record import audit_entry
from domain.audit.reports import KEPT, MOST_TRIES, Report, ReportChunk, ReportKind, ReportStatus
from domain.ids import new_id
from domain.ports.clock import SystemClock
from domain.ports.queries import Select
from domain.ports.schema import ACCOUNTS, AUDIT, NOTIFICATIONS, OUTBOX, REPORT_CHUNKS, REPORTS, WORKSPACES
from domain.ports.storage import Storage
from tests.invariants import checked_store

# What is built from here is made up, a user without a password first of all.
pytestmark = pytest.mark.tampers

HOME, ANA = new_id(), new_id()
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ME = Principal(PrincipalKind.USER, user_id=ANA, workspace_id=HOME, trace_id="ab" * 16)


@pytest.fixture(params=["memory", "postgres"])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    async with checked_store(request) as stored:
        yield stored


@attrs.define
class Trail:
    """A user with audit entries, and how reports about the user are built."""

    units: Units

    def relay(self, **more: Any) -> Relay:
        return Relay(self.units, {}, courses={"report": build}, **more)

    async def begin(self) -> None:
        account: Any = {"user_id": ANA, "workspace_id": HOME, "username": "ana", "email": "ana@example.com"}
        async with self.units.storage.write() as unit:
            await unit.add(WORKSPACES, Workspace(HOME, "Boa Vista", "boa vista", None, NOW, NOW))
            await unit.add(ACCOUNTS, Account(**account, password_hash="", created_at=NOW, updated_at=NOW))

    async def grow(self, count: int) -> None:
        """Append audit entries of the user."""
        for at in range(0, count, 1000):
            entries = [
                audit_entry(ME, NOW + timedelta(seconds=at + n), "item.created", ("item", new_id()), workspace_id=HOME)
                for n in range(min(1000, count - at))
            ]
            async with self.units.storage.write() as unit:
                await unit.add(AUDIT, *entries)

    async def ask(self) -> str:
        return (await Reports(self.units).ask(ME, AskReport(ReportKind.SUBJECT_ACCESS))).report_id

    async def report(self, report_id: str) -> Report:
        async with self.units.storage.read() as reader:
            return await reader.get(REPORTS, report_id)

    async def chunks(self) -> list[ReportChunk]:
        async with self.units.storage.read() as reader:
            return list((await reader.page(REPORT_CHUNKS, Select({}, ("place",)), limit=1000)).items)

    async def demand(self, report_id: str, entries: int) -> None:
        """Demand that a report is complete, once."""
        report, chunks = await self.report(report_id), await self.chunks()
        content = b"".join(gzip.decompress(b64decode(chunk.packed)) for chunk in chunks)
        assert (report.status, report.sha256) == (ReportStatus.COMPLETED, hashlib.sha256(content).hexdigest())
        counted = {section.name: section.count for section in report.sections}
        lines = [json.loads(line)["section"] for line in content.splitlines()]
        assert counted["audit_entries"] == lines.count("audit_entries") == entries
        async with self.units.storage.read() as reader:
            told = (await reader.page(NOTIFICATIONS, Select({"type": "report_ready"}))).items
            assert [row.source_id for row in told] == [report_id]
            assert not (await reader.page(OUTBOX, Select())).items


@pytest.fixture
async def trail(storage: Storage) -> Trail:
    clock = SystemClock()
    made = Trail(Units(storage, clock, DfidSource(storage, clock)))
    await made.begin()
    return made


async def test_a_build_that_takes_many_leases_is_not_taken_over_and_ends_once(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "CHUNK", 64 * 1024)
    await trail.grow(3000)
    report_id = await trail.ask()
    lease = timedelta(seconds=0.6)
    slow = Slow(trail.units.storage, 0.25)
    units = attrs.evolve(trail.units, storage=slow)
    failures: list[Exception] = []
    relays = [
        Relay(units, {}, lambda row, error: failures.append(error), 0.05, {"report": build}, lease) for _ in range(2)
    ]
    working = [asyncio.create_task(relay.run()) for relay in relays]
    async with asyncio.timeout(60):
        while (await trail.report(report_id)).status is not ReportStatus.COMPLETED:
            assert not any(task.done() for task in working)
            await asyncio.sleep(0.05)
    for task in working:
        task.cancel()
    await asyncio.wait(working)
    assert slow.waited > 3 * lease.total_seconds()
    assert failures == []
    report = await trail.report(report_id)
    assert report.version == 3, "it was begun once"
    await trail.demand(report_id, 3001)


@attrs.define
class Slow:
    """A storage whose pages take their time."""

    storage: Storage
    pause: float
    waited: float = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.storage, name)

    def read(self) -> Any:
        return _SlowReader(self)


class _SlowReader:
    def __init__(self, slow: Slow) -> None:
        self.slow, self.context = slow, slow.storage.read()

    async def __aenter__(self) -> Any:
        self.reader = await self.context.__aenter__()
        return self

    async def __aexit__(self, *how: Any) -> None:
        await self.context.__aexit__(*how)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.reader, name)

    async def page(self, *asked: Any, **more: Any) -> Any:
        self.slow.waited += self.slow.pause
        await asyncio.sleep(self.slow.pause)
        return await self.reader.page(*asked, **more)


@pytest.mark.parametrize("storage", ["postgres"], indirect=True)
async def test_memory_does_not_depend_on_the_size(trail: Trail) -> None:
    peaks = []
    for entries in (3000, 9000):
        await trail.grow(entries)
        report_id = await trail.ask()
        tracemalloc.start()
        try:
            await trail.relay().drain()
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
        assert (await trail.report(report_id)).status is ReportStatus.COMPLETED
    assert peaks[1] < 1.3 * peaks[0], peaks


async def test_scenario_40_what_a_killed_instance_had_begun_is_built_anew_once(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "CHUNK", 4 * 1024)
    await trail.grow(300)
    report_id = await trail.ask()

    class Killed(BaseException):
        pass

    async def killed(hold: Hold) -> None:
        perform, done = hold.perform, 0

        async def some(work: Any) -> None:
            nonlocal done
            done += 1
            if done > 8:
                raise Killed
            await perform(work)

        await build(Interrupted(hold, some))  # type: ignore[arg-type]

    with pytest.raises(Killed):
        await Relay(trail.units, {}, courses={"report": killed}, lease=timedelta(seconds=0.2)).drain()
    assert (await trail.report(report_id)).status is ReportStatus.RUNNING
    assert len(await trail.chunks()) > 3
    await trail.grow(10)
    await asyncio.sleep(0.25)
    await asyncio.gather(*(trail.relay().drain() for _ in range(2)))
    await trail.demand(report_id, 311)


@attrs.define
class Ahead:
    """The clock of the machine, put forward."""

    ahead: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@attrs.define
class Interrupted:
    """A hold whose parts are done by `perform`."""

    hold: Hold
    perform: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.hold, name)


async def test_after_five_tries_it_has_failed_and_nothing_of_it_is_left(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(building, "CHUNK", 2048)
    await trail.grow(10)
    report_id = await trail.ask()
    clock = Ahead()

    async def fail(self: Any, act: Act) -> None:
        raise ValueError("the disk is full")

    monkeypatch.setattr(building._Build, "_complete", fail)
    relay = Relay(attrs.evolve(trail.units, clock=clock), {}, courses={"report": build})
    for _ in range(MOST_TRIES):
        assert await relay.drain() == 1
        assert (await trail.report(report_id)).status is ReportStatus.RUNNING
        clock.ahead += timedelta(hours=1)
    assert await relay.drain() == 1
    report = await trail.report(report_id)
    assert (report.status, report.error) == (ReportStatus.FAILED, "it could not be built")
    assert await trail.chunks() == []
    async with trail.units.storage.read() as reader:
        assert len((await reader.page(NOTIFICATIONS, Select({"type": "report_ready"}))).items) == 1


async def test_expired_content_goes_some_chunks_at_a_time(trail: Trail) -> None:
    report_id = await trail.ask()
    await trail.relay().drain()
    count = 2 * CHUNKS_AT_ONCE + 1

    async def fill(act: Act) -> None:
        more = [ReportChunk(report_id, 1 + number, "") for number in range(count - 1)]
        await act.unit.add(REPORT_CHUNKS, *more)

    await trail.units.perform(system(), fill)

    units = attrs.evolve(trail.units, clock=Ahead(KEPT + timedelta(days=1)))
    gone = []
    while done := await units.perform(system(), remove_expired):
        gone.append(done)
        assert done <= CHUNKS_AT_ONCE + 1
    assert len(gone) == 3
    assert await trail.chunks() == []

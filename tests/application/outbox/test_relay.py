"""What a unit leaves for after its commit is carried out: once where it can be, again where it failed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from application.outbox import Job, Relay
from application.units import DfidSource, Units
from domain.access.principal import system
from domain.act import Act
from domain.document import Document
from domain.outbox.values import LEASE, MOST_ATTEMPTS, OutboxRow
from domain.ports.errors import Unavailable
from domain.ports.queries import Select
from domain.ports.schema import AUDIT, OUTBOX
from domain.ports.storage import Storage
from tests.invariants import checked_store

TRACE = "ab" * 16


class Clock:
    def __init__(self) -> None:
        self.instant = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.instant


@pytest.fixture(params=["memory", "postgres"])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """An empty store; after the test it breaks no invariant."""
    async with checked_store(request) as stored:
        yield stored


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def units(storage: Storage, clock: Clock) -> Units:
    return Units(storage, clock, DfidSource(storage, clock))


async def leave(units: Units, *numbers: int) -> None:
    async def work(act: Act) -> None:
        for number in numbers:
            await act.job("count", {"number": number})

    await units.perform(system(TRACE), work)


async def rows(units: Units) -> list[OutboxRow]:
    async with units.storage.read() as reader:
        return list((await reader.page(OUTBOX, Select(), limit=1000)).items)


async def effects(units: Units) -> list[Any]:
    """Return the numbers that were counted, by the audit entries that the job wrote."""
    async with units.storage.read() as reader:
        entries = (await reader.page(AUDIT, Select({"action": "counted"}), limit=1000)).items
    return sorted(entry.details["number"] for entry in entries)


async def count(act: Act, row: OutboxRow) -> Document | None:
    await act.audit("counted", ("row", row.row_id), details={"number": row.data["number"]})
    return None


def failing(error: Exception) -> Job:
    async def fail(act: Act, row: OutboxRow) -> Document | None:
        await count(act, row)
        raise error

    return fail


async def test_a_row_is_carried_out_with_the_trace_of_its_cause_and_goes(units: Units) -> None:
    await leave(units, 1, 2, 3)
    assert await Relay(units, {"count": count}).drain() == 3
    assert await effects(units) == [1, 2, 3]
    assert await rows(units) == []
    async with units.storage.read() as reader:
        assert {entry.trace_id for entry in (await reader.page(AUDIT, Select())).items} == {TRACE}


async def test_what_is_left_is_carried_out_in_units_of_their_own(units: Units) -> None:
    async def down(act: Act, row: OutboxRow) -> Document | None:
        await count(act, row)
        number = row.data["number"]
        return Document(number=number - 1) if number > 1 else None

    await leave(units, 4)
    await Relay(units, {"count": down}).drain()
    assert await effects(units) == [1, 2, 3, 4]
    assert await rows(units) == []


async def test_a_failure_leaves_no_effect_and_the_row_waits_longer_each_time_until_it_is_dead(
    units: Units, clock: Clock
) -> None:
    told: list[tuple[str, int, str]] = []
    relay = Relay(units, {"count": failing(ValueError("a text that is not kept"))})
    relay.tell = lambda row, error: told.append((row.status, row.attempts, str(error)))
    await leave(units, 1)
    pauses = []
    for _ in range(MOST_ATTEMPTS):
        assert await relay.drain() == 1
        (row,) = await rows(units)
        assert (row.last_error, row.lease_until) == ("ValueError", None)
        if row.status == "pending":
            assert row.due_at is not None
            pauses.append((row.due_at - clock.instant).total_seconds())
            clock.instant = row.due_at - timedelta(milliseconds=1)
            assert await relay.drain() == 0
            clock.instant = row.due_at
    assert await effects(units) == []
    assert row.status == "dead"
    assert [attempts for _, attempts, _ in told] == list(range(1, MOST_ATTEMPTS + 1))
    assert {status for status, _, _ in told} == {"pending", "dead"}
    for attempt, pause in enumerate(pauses):
        assert 0.8 * 2 * 2**attempt <= pause <= 1.2 * 2 * 2**attempt or pause <= 1.2 * 3600
    clock.instant += timedelta(days=30)
    assert await relay.drain() == 0


async def test_a_kind_that_this_release_does_not_know_waits_for_one_that_does(units: Units, clock: Clock) -> None:
    await leave(units, 1)
    await Relay(units, {}).drain()
    (row,) = await rows(units)
    assert (row.status, row.last_error) == ("pending", "LookupError")
    clock.instant += timedelta(minutes=1)
    await Relay(units, {"count": count}).drain()
    assert await effects(units) == [1]


async def test_instances_share_the_rows_and_none_is_carried_out_twice(units: Units) -> None:
    await leave(units, *range(60))
    relays = [Relay(units, {"count": count}, poll=0.01) for _ in range(3)]
    workers = [asyncio.create_task(relay.run()) for relay in relays]
    async with asyncio.timeout(20):
        while await rows(units):
            await asyncio.sleep(0.02)
    for worker in workers:
        worker.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert await effects(units) == list(range(60))


async def test_what_a_killed_instance_held_is_taken_over_when_its_lease_ends_and_done_once(
    units: Units, clock: Clock
) -> None:
    """The first worker comes back after the second took over: it may not settle, nor leave its effect."""
    held, resume = asyncio.Event(), asyncio.Event()

    async def slow(act: Act, row: OutboxRow) -> Document | None:
        await count(act, row)
        held.set()
        await resume.wait()
        return None

    await leave(units, 1)
    first = asyncio.create_task(Relay(units, {"count": slow}).drain())
    await held.wait()
    other = Relay(units, {"count": count})
    assert await other.drain() == 0
    clock.instant += LEASE
    assert await other.drain() == 1
    resume.set()
    await first
    assert await effects(units) == [1]
    assert await rows(units) == []


async def test_a_row_that_kills_its_worker_every_time_is_given_up(units: Units, clock: Clock) -> None:
    class Killed(BaseException):
        pass

    async def kill(act: Act, row: OutboxRow) -> Document | None:
        raise Killed

    await leave(units, 1)
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(Killed):
            await Relay(units, {"count": kill}).drain()
        clock.instant += LEASE
    assert await Relay(units, {"count": kill}).drain() == 0
    (row,) = await rows(units)
    assert row.status == "dead"


async def test_a_stopped_worker_gives_back_what_it_holds_at_once(units: Units) -> None:
    held = asyncio.Event()

    async def endless(act: Act, row: OutboxRow) -> Document | None:
        held.set()
        await asyncio.Event().wait()
        return None

    await leave(units, 1)
    worker = asyncio.create_task(Relay(units, {"count": endless}).run())
    await held.wait()
    worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await worker
    (row,) = await rows(units)
    assert (row.status, row.attempts, row.lease_until) == ("pending", 0, None)
    assert await Relay(units, {"count": count}).drain() == 1


async def test_a_store_that_goes_away_is_no_failure_of_the_row(units: Units) -> None:
    await leave(units, 1)
    with pytest.raises(Unavailable):
        await Relay(units, {"count": failing(Unavailable("gone"))}).drain()
    (row,) = await rows(units)
    assert (row.status, row.attempts, row.last_error) == ("pending", 1, None)

"""What every cache promises when its server loses its memory, or gets an old one back (architecture.md 5)."""

from datetime import UTC, datetime

from domain.ports.cache import Absent, Cache, EpochState, Mark, Value, Writer
from tests.conformance.cache.stacks import Stack, open_epoch

DEADLINE = datetime(2030, 1, 1, tzinfo=UTC)


async def filled(cache: Cache, key: str, version: int) -> bool:
    await cache.acquire([key], f"r{version}")
    return bool(await cache.fill(f"r{version}", {key: Value(version, b"data")}))


async def test_nobody_fills_before_an_epoch_is_open(closed: Cache, key: str) -> None:
    assert (await closed.epoch()).state is EpochState.MISSING
    assert await closed.acquire([key], "r") == frozenset()
    await closed.quarantine(await closed.epoch(), "note")
    assert await closed.acquire([key], "r") == frozenset()
    assert await closed.fill("r", {key: Value(1, b"data")}) == frozenset()


async def test_an_epoch_opens_only_from_a_quarantine(closed: Cache, other: Cache, key: str) -> None:
    missing = await closed.epoch()
    assert not await closed.begin_epoch(missing, "early")
    seen = await closed.quarantine(missing, "note")
    assert seen.state is EpochState.QUARANTINED
    assert await other.epoch() == seen
    assert await other.begin_epoch(seen, "first")
    assert not await closed.begin_epoch(seen, "second")
    assert (await closed.epoch()).state is EpochState.OPEN
    assert await filled(closed, key, 1)


async def test_the_first_note_of_a_quarantine_stands(closed: Cache, other: Cache) -> None:
    missing = await closed.epoch()
    seen = await closed.quarantine(missing, "mine")
    assert await other.quarantine(missing, "theirs") == seen


async def test_a_wipe_during_the_quarantine_makes_it_begin_again(stack: Stack, closed: Cache) -> None:
    seen = await closed.quarantine(await closed.epoch(), "one")
    await stack.wipe()
    assert not await closed.begin_epoch(seen, "never")
    again = await closed.quarantine(await closed.epoch(), "two")
    assert not await closed.begin_epoch(seen, "never")
    assert await closed.begin_epoch(again, "first")


async def test_an_open_epoch_is_not_put_into_quarantine(cache: Cache) -> None:
    seen = await cache.epoch()
    assert await cache.quarantine(seen, "note") == seen
    assert (await cache.epoch()).state is EpochState.OPEN


async def test_after_a_wipe_nothing_is_there_and_nobody_fills(stack: Stack, cache: Cache, key: str) -> None:
    assert await filled(cache, key, 1)
    await cache.mark([key], "w", DEADLINE)
    await stack.wipe()
    assert (await cache.look([key]))[key] == Absent()
    assert (await cache.epoch()).state is EpochState.MISSING
    assert not await filled(cache, key, 1)


async def test_a_lease_from_before_a_wipe_fills_nothing(stack: Stack, cache: Cache, key: str) -> None:
    await cache.acquire([key], "r")
    await stack.wipe()
    await open_epoch(cache, "second")
    assert await cache.fill("r", {key: Value(1, b"data")}) == frozenset()


async def test_a_mark_made_during_a_quarantine_bars_readers_of_the_next_epoch(
    stack: Stack, closed: Cache, other: Cache, key: str
) -> None:
    await closed.mark([key], "w", DEADLINE)
    assert (await other.look([key]))[key] == Mark(None, 0, (Writer("w", DEADLINE),))
    await open_epoch(closed)
    assert await other.acquire([key], "r") == frozenset()
    await closed.unmark("w", {key: Value(1, b"data")})
    assert (await other.look([key]))[key] == Absent()


async def test_what_a_snapshot_brings_back_is_void(stack: Stack, cache: Cache, other: Cache) -> None:
    value, lease, mark = (stack.space.key(1, "item", name) for name in ("value", "lease", "mark"))
    assert await filled(cache, value, 1)
    await cache.acquire([lease], "r")
    await cache.mark([mark], "w", DEADLINE)
    await stack.restart_from_snapshot()
    assert (await cache.epoch()).state is EpochState.MISSING
    assert (await other.look([value]))[value] == Absent()
    assert not await filled(other, value, 2)
    await open_epoch(other, "second")
    assert await other.fill("r", {lease: Value(1, b"data")}) == frozenset()
    assert (await cache.look([value, lease])) == {value: Absent(), lease: Absent()}
    assert await filled(cache, value, 2)
    assert await filled(other, lease, 2)
    assert await other.acquire([mark], "r") == frozenset()
    await cache.unmark("w", {mark: Value(2, b"data")})
    assert (await other.look([mark]))[mark] == Absent()


async def test_a_quarantine_does_not_outlive_the_server_it_was_noted_on(stack: Stack, closed: Cache) -> None:
    seen = await closed.quarantine(await closed.epoch(), "note")
    await stack.restart_from_snapshot()
    assert not await closed.begin_epoch(seen, "never")
    assert (await closed.epoch()).state is EpochState.MISSING

"""What every cache promises about its cells (architecture.md 5)."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from domain.ports.cache import (
    NO_VERSION_IS_HIGHER,
    Absent,
    Cache,
    CacheUnavailable,
    Changed,
    Lease,
    Mark,
    Value,
    Writer,
)
from tests.conformance.cache.stacks import Stack

DEADLINE = datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
LATER = DEADLINE + timedelta(microseconds=1)


async def put(cache: Cache, key: str, version: int, data: bytes = b"old") -> None:
    assert await cache.acquire([key], "putter") == {key}
    assert await cache.fill("putter", {key: Value(version, data)}) == {key}


async def cell(cache: Cache, key: str) -> object:
    return (await cache.look([key]))[key]


async def test_a_cell_nobody_wrote_is_absent(cache: Cache, key: str) -> None:
    assert await cell(cache, key) == Absent()


async def test_looking_at_nothing_answers_nothing(cache: Cache) -> None:
    assert await cache.look([]) == {}


@pytest.mark.parametrize("data", [b"", b" ", b"a b\nc", bytes(range(256)), b"x" * 100_000])
async def test_bytes_come_out_as_they_went_in(cache: Cache, other: Cache, key: str, data: bytes) -> None:
    await put(cache, key, 7, data)
    assert await cell(other, key) == Value(7, data)


async def test_a_value_that_does_not_exist_is_kept_as_version_0(cache: Cache, other: Cache, key: str) -> None:
    await put(cache, key, 0, b"")
    assert await cell(other, key) == Value(0, b"")


async def test_of_two_readers_one_gets_the_lease(cache: Cache, other: Cache, key: str) -> None:
    assert await cache.acquire([key], "a") == {key}
    assert await other.acquire([key], "b") == frozenset()
    assert await cell(other, key) == Lease("a")


async def test_a_value_is_no_place_for_a_lease(cache: Cache, key: str) -> None:
    await put(cache, key, 1)
    assert await cache.acquire([key], "late") == frozenset()
    assert await cell(cache, key) == Value(1, b"old")


async def test_only_the_holder_of_the_lease_fills_and_only_once(cache: Cache, other: Cache, key: str) -> None:
    await cache.acquire([key], "a")
    assert await other.fill("b", {key: Value(1, b"b")}) == frozenset()
    assert await cache.fill("a", {key: Value(1, b"a")}) == {key}
    assert await cache.fill("a", {key: Value(2, b"again")}) == frozenset()
    assert await cell(other, key) == Value(1, b"a")


async def test_a_lost_lease_fills_nothing(stack: Stack, cache: Cache, key: str) -> None:
    await cache.acquire([key], "a")
    await stack.evict(key)
    assert await cache.fill("a", {key: Value(1, b"a")}) == frozenset()
    assert await cell(cache, key) == Absent()


async def test_leases_and_values_end_by_themselves(stack: Stack, cache: Cache, key: str) -> None:
    brief = stack.instance(lease_life=0.02, value_life=0.02)
    await brief.acquire([key], "a")
    await asyncio.sleep(0.05)
    assert await brief.fill("a", {key: Value(1, b"late")}) == frozenset()
    assert await brief.acquire([key], "b") == {key}
    await brief.fill("b", {key: Value(1, b"b")})
    await asyncio.sleep(0.05)
    assert await cell(cache, key) == Absent()


async def test_a_mark_takes_the_place_of_a_value(cache: Cache, other: Cache, key: str) -> None:
    await put(cache, key, 1)
    await cache.mark([key], "w", DEADLINE)
    assert await cell(other, key) == Mark("first", 0, (Writer("w", DEADLINE),))
    assert await other.acquire([key], "r") == frozenset()


async def test_a_mark_ends_the_lease_of_a_slow_reader(cache: Cache, other: Cache, key: str) -> None:
    await cache.acquire([key], "r")
    await other.mark([key], "w", DEADLINE)
    assert await cache.fill("r", {key: Value(1, b"old")}) == frozenset()


async def test_a_mark_names_all_its_writers(cache: Cache, other: Cache, key: str) -> None:
    await cache.mark([key], "w1", DEADLINE)
    await other.mark([key], "w2", LATER)
    found = await cell(cache, key)
    assert found == Mark("first", 0, (Writer("w1", DEADLINE), Writer("w2", LATER)))
    assert not found.past(LATER)
    assert found.past(LATER + timedelta(microseconds=1))


async def test_no_mark_is_evicted_and_none_ends_by_itself(stack: Stack, cache: Cache, key: str) -> None:
    brief = stack.instance(lease_life=0.02, value_life=0.02)
    await brief.acquire([key], "r")
    await brief.mark([key], "w", DEADLINE)
    await stack.evict(key)
    await asyncio.sleep(0.05)
    assert isinstance(await cell(cache, key), Mark)


async def test_the_last_writer_leaves_its_value_if_it_is_the_newest(cache: Cache, other: Cache, key: str) -> None:
    await cache.mark([key], "w1", DEADLINE)
    await other.mark([key], "w2", DEADLINE)
    await cache.unmark("w1", {key: Value(4, b"four")})
    assert await cell(cache, key) == Mark("first", 4, (Writer("w2", DEADLINE),))
    await other.unmark("w2", {key: Value(5, b"five")})
    assert await cell(cache, key) == Value(5, b"five")


async def test_the_last_writer_leaves_nothing_if_another_was_newer(cache: Cache, other: Cache, key: str) -> None:
    await cache.mark([key], "w1", DEADLINE)
    await other.mark([key], "w2", DEADLINE)
    await other.unmark("w2", {key: Value(10, b"ten")})
    await cache.unmark("w1", {key: Value(9, b"nine")})
    assert await cell(cache, key) == Absent()


async def test_versions_are_compared_as_numbers(cache: Cache, key: str) -> None:
    await cache.mark([key], "w1", DEADLINE)
    await cache.mark([key], "w2", DEADLINE)
    await cache.unmark("w1", {key: Value(9, b"nine")})
    await cache.unmark("w2", {key: Value(10, b"ten")})
    assert await cell(cache, key) == Value(10, b"ten")


async def test_a_writer_that_committed_nothing_leaves_nothing(cache: Cache, key: str) -> None:
    await put(cache, key, 1)
    await cache.mark([key], "w1", DEADLINE)
    await cache.mark([key], "w2", DEADLINE)
    await cache.unmark("w1", {key: Value(2, b"two")})
    await cache.unmark("w2", {key: None})
    assert await cell(cache, key) == Absent()


@pytest.mark.parametrize("changed_first", [True, False])
async def test_nothing_is_left_when_a_writer_changed_the_value_otherwise(
    cache: Cache, other: Cache, key: str, changed_first: bool
) -> None:
    await cache.mark([key], "w1", DEADLINE)
    await other.mark([key], "w2", DEADLINE)
    if changed_first:
        await cache.unmark("w1", {key: Changed()})
        await other.unmark("w2", {key: Value(2, b"two")})
    else:
        await other.unmark("w2", {key: Value(2, b"two")})
        await cache.unmark("w1", {key: Changed()})
    assert await cell(cache, key) == Absent()


async def test_a_change_without_a_value_is_not_forgotten_while_the_mark_stands(cache: Cache, key: str) -> None:
    for writer in ("w1", "w2", "w3"):
        await cache.mark([key], writer, DEADLINE)
    await cache.unmark("w1", {key: Changed()})
    await cache.unmark("w2", {key: Value(2, b"two")})
    assert await cell(cache, key) == Mark("first", NO_VERSION_IS_HIGHER, (Writer("w3", DEADLINE),))
    await cache.unmark("w3", {key: Value(3, b"three")})
    assert await cell(cache, key) == Absent()


async def test_unmarking_a_cell_that_is_no_mark_deletes_it(stack: Stack, cache: Cache, key: str) -> None:
    await put(cache, key, 1)
    await cache.unmark("w", {key: Value(2, b"two")})
    assert await cell(cache, key) == Absent()
    await cache.unmark("w", {key: Value(2, b"two")})
    assert await cell(cache, key) == Absent()
    await cache.acquire([key], "r")
    await cache.unmark("w", {key: None})
    assert await cache.fill("r", {key: Value(1, b"old")}) == frozenset()


async def test_unmarking_tells_the_version_to_a_mark_that_does_not_name_the_writer(cache: Cache, key: str) -> None:
    await cache.mark([key], "w2", DEADLINE)
    await cache.unmark("w1", {key: Value(8, b"eight")})
    assert await cell(cache, key) == Mark("first", 8, (Writer("w2", DEADLINE),))
    await cache.unmark("w2", {key: Value(7, b"seven")})
    assert await cell(cache, key) == Absent()


async def test_a_mark_is_reaped_only_as_it_was_seen(cache: Cache, other: Cache, key: str) -> None:
    await cache.mark([key], "w1", DEADLINE)
    seen = await cell(other, key)
    assert isinstance(seen, Mark)
    await cache.mark([key], "w2", DEADLINE)
    assert await other.reap({key: seen}) == frozenset()
    seen = await cell(other, key)
    assert isinstance(seen, Mark)
    assert await other.reap({key: seen}) == {key}
    assert await other.reap({key: seen}) == frozenset()
    assert await cell(cache, key) == Absent()


async def test_dropping_spares_marks(stack: Stack, cache: Cache) -> None:
    value, lease, mark, absent = (stack.space.key(1, "item", name) for name in ("v", "l", "m", "a"))
    await put(cache, value, 1)
    await cache.acquire([lease], "r")
    await cache.mark([mark], "w", DEADLINE)
    assert await cache.drop([value, lease, mark, absent]) == 2
    cells = await cache.look([value, lease, mark])
    assert (cells[value], cells[lease]) == (Absent(), Absent())
    assert isinstance(cells[mark], Mark)


async def test_many_keys_are_one_call(stack: Stack, cache: Cache, other: Cache) -> None:
    keys = [stack.space.key(1, "item", f"id {number}") for number in range(3000)]
    assert await cache.acquire(keys, "r") == frozenset(keys)
    values = {key: Value(number, key.encode()) for number, key in enumerate(keys)}
    assert await cache.fill("r", values) == frozenset(keys)
    assert await other.look(keys) == values
    await other.mark(keys, "w", DEADLINE)
    await other.unmark("w", {key: Value(number + 1, b"new") for number, key in enumerate(keys)})
    assert set((await cache.look(keys)).values()) == {Value(number + 1, b"new") for number in range(3000)}
    await other.mark(keys, "w", DEADLINE)
    seen = await other.look(keys)
    assert await other.reap({key: mark for key, mark in seen.items() if isinstance(mark, Mark)}) == frozenset(keys)
    assert await other.drop(keys) == 0


async def test_keys_are_listed_by_kind(stack: Stack, cache: Cache) -> None:
    items = {stack.space.key(1, "item", name) for name in "abc"}
    await cache.acquire([*items, stack.space.key(1, "items", "d"), stack.space.key(1, "circuit", "a")], "r")
    found = [key async for batch in cache.keys("item") for key in batch]
    assert set(found) == items


async def test_looks_and_fills_are_counted(cache: Cache, key: str) -> None:
    await cell(cache, key)
    await put(cache, key, 1)
    await cache.fill("putter", {key: Value(1, b"twice")})
    await cell(cache, key)
    await cache.mark([key], "w", DEADLINE)
    await cell(cache, key)
    stats = cache.stats()
    assert (stats.misses, stats.hits, stats.busy, stats.fills, stats.fills_refused) == (1, 1, 1, 1, 1)
    assert stats.degraded_since is None


async def test_looks_of_one_moment_each_get_their_own_answer(stack: Stack, cache: Cache) -> None:
    keys = [stack.space.key(1, "item", str(number)) for number in range(20)]
    for number, key in enumerate(keys):
        await put(cache, key, number)
    answers = await asyncio.gather(*(cache.look(keys[at : at + 2]) for at in range(19)))
    assert answers == [{keys[at]: Value(at, b"old"), keys[at + 1]: Value(at + 1, b"old")} for at in range(19)]


async def test_a_cancelled_look_disturbs_no_other(cache: Cache, key: str) -> None:
    await put(cache, key, 1)
    first, second = (asyncio.ensure_future(cache.look([key])) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == {key: Value(1, b"old")}


async def test_a_closed_cache_refuses(cache: Cache, key: str) -> None:
    await cache.aclose()
    with pytest.raises(CacheUnavailable):
        await cache.look([key])
    with pytest.raises(CacheUnavailable):
        await cache.mark([key], "w", DEADLINE)

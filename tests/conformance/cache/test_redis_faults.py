"""What the Redis cache does when its server is frozen, killed, full, or has forgotten the scripts."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
import uvloop

from adapters.redis.cache import SCRIPTS, RedisCache
from adapters.redis.link import RedisLink, Scripts
from domain.ports.cache import Absent, CacheUnavailable, EpochState, Mark, Value
from tests.conformance.cache.stacks import RedisStack, open_epoch
from tests.servers import RedisServer

DEADLINE = datetime(2030, 1, 1, tzinfo=UTC)


async def refused_after(cache: RedisCache, key: str) -> float:
    """Return how many seconds a look took to be refused."""
    started = time.monotonic()
    with pytest.raises(CacheUnavailable):
        await cache.look([key])
    return time.monotonic() - started


async def closes(cache: RedisCache) -> None:
    """Wait until the breaker has closed."""
    async with asyncio.timeout(5):
        while cache.stats().degraded_since is not None:
            await asyncio.sleep(0.02)


async def given_up(cache: RedisCache, key: str) -> None:
    """Fail until the breaker opens: three times, each within the bound; then refusals cost nothing."""
    for _ in range(3):
        assert cache.stats().degraded_since is None
        assert await refused_after(cache, key) < 0.25
    assert cache.stats().degraded_since is not None
    assert await refused_after(cache, key) < 0.02


@pytest.fixture
def key(redis: RedisStack) -> str:
    return redis.space.key(1, "item", "a")


async def test_a_frozen_server_costs_three_short_waits_and_is_used_again(
    server: RedisServer, redis: RedisStack, key: str
) -> None:
    cache = redis.instance(timeout=0.05)
    await open_epoch(cache)
    await cache.acquire([key], "r")
    await cache.fill("r", {key: Value(1, b"data")})
    server.pause()
    try:
        await given_up(cache, key)
        await asyncio.sleep(0.6)
        assert await refused_after(cache, key) < 0.02
    finally:
        server.resume()
    await closes(cache)
    assert await cache.look([key]) == {key: Value(1, b"data")}
    assert cache.stats().failures == 3


async def test_a_killed_server_that_returns_empty_has_no_epoch(
    server: RedisServer, redis: RedisStack, key: str
) -> None:
    cache = redis.instance(timeout=0.05)
    await open_epoch(cache)
    await cache.mark([key], "w", DEADLINE)
    server.kill()
    await given_up(cache, key)
    server.start()
    await closes(cache)
    assert (await cache.epoch()).state is EpochState.MISSING
    assert await cache.look([key]) == {key: Absent()}
    assert await cache.acquire([key], "r") == frozenset()


async def test_a_frozen_server_refuses_every_verb_within_the_bound(
    server: RedisServer, redis: RedisStack, key: str
) -> None:
    calls: list[Callable[[RedisCache], Awaitable[object]]] = [
        lambda cache: cache.acquire([key], "r"),
        lambda cache: cache.fill("r", {key: Value(1, b"")}),
        lambda cache: cache.mark([key], "w", DEADLINE),
        lambda cache: cache.unmark("w", {key: None}),
        lambda cache: cache.reap({key: Mark(None, 0, ())}),
        lambda cache: cache.drop([key]),
        lambda cache: cache.epoch(),
        lambda cache: cache.server(),
    ]
    caches = [redis.instance(timeout=0.05) for _ in calls]
    server.pause()
    try:
        for call, cache in zip(calls, caches, strict=True):
            started = time.monotonic()
            with pytest.raises(CacheUnavailable):
                await call(cache)
            assert time.monotonic() - started < 0.25
    finally:
        server.resume()


async def test_what_a_frozen_server_was_sent_may_still_happen_and_harms_nothing(
    server: RedisServer, redis: RedisStack, key: str
) -> None:
    cache = redis.instance(timeout=0.05)
    patient = redis.instance()
    await open_epoch(patient)
    await cache.look([key])
    server.pause()
    try:
        with pytest.raises(CacheUnavailable):
            await cache.mark([key], "w", DEADLINE)
    finally:
        server.resume()
    found = (await patient.look([key]))[key]
    assert isinstance(found, Mark)
    assert await patient.reap({key: found}) == {key}


async def test_looks_of_one_loop_tick_are_one_mget(redis: RedisStack) -> None:
    cache = redis.instance()
    await cache.epoch()
    await redis.command("CONFIG", "RESETSTAT")
    keys = [redis.space.key(1, "item", str(number)) for number in range(50)]
    await asyncio.gather(*(cache.look([key]) for key in keys))
    statistics = await redis.command("INFO", "commandstats")
    assert statistics["cmdstat_mget"]["calls"] == 1


async def test_forgotten_scripts_are_loaded_again(redis: RedisStack, key: str) -> None:
    cache = redis.instance()
    await open_epoch(cache)
    await redis.command("SCRIPT", "FLUSH")
    assert await cache.acquire([key], "r") == {key}
    assert cache.stats().failures == 0


async def test_a_server_short_of_memory_evicts_values_and_keeps_marks(redis: RedisStack) -> None:
    cache = redis.instance()
    await open_epoch(cache)
    marked = [redis.space.key(1, "item", f"marked {number}") for number in range(20)]
    await cache.mark(marked, "w", DEADLINE)
    keys = [redis.space.key(1, "item", str(number)) for number in range(400)]
    await redis.command("CONFIG", "SET", "maxmemory", "3mb")
    try:
        for key in keys:
            await cache.acquire([key], "r")
            await cache.fill("r", {key: Value(1, b"x" * 20_000)})
        left = await cache.look(keys)
        assert 0 < sum(isinstance(cell, Value) for cell in left.values()) < len(keys)
        assert all(isinstance(cell, Mark) for cell in (await cache.look(marked)).values())
        assert (await cache.epoch()).state is EpochState.OPEN
    finally:
        await redis.command("CONFIG", "SET", "maxmemory", "0")


async def test_a_mark_that_finds_no_memory_is_refused(redis: RedisStack, key: str) -> None:
    cache = redis.instance()
    await open_epoch(cache)
    await redis.command("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(CacheUnavailable):
            await cache.mark([key], "w", DEADLINE)
    finally:
        await redis.command("CONFIG", "SET", "maxmemory", "0")


async def test_a_connection_that_idled_away_costs_no_failure(redis: RedisStack, key: str) -> None:
    cache = redis.instance()
    await cache.look([key])
    await redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await asyncio.sleep(1.1)
    await cache.look([key])
    assert cache.stats().failures == 0


async def test_an_exchange_ends_with_its_server_and_not_with_its_time(
    server: RedisServer, redis: RedisStack, key: str
) -> None:
    cache = redis.instance(timeout=20.0)
    await open_epoch(cache)
    server.pause()
    asking = asyncio.create_task(refused_after(cache, key))
    await asyncio.sleep(0.1)
    server.kill()
    assert await asking < 10
    server.start()


def test_an_answer_that_came_while_the_process_was_busy_is_not_late(server: RedisServer) -> None:
    async def asked() -> None:
        link = RedisLink(server.url, Scripts(SCRIPTS), timeout=0.05)
        await link.exchange(lambda _: [("PING",)])
        asking = asyncio.create_task(link.exchange(lambda _: [("PING",)]))
        await asyncio.sleep(0)
        time.sleep(0.2)
        assert (await asking)[1] == [b"PONG"]
        await link.aclose()

    uvloop.run(asked())


async def test_the_server_tells_its_version_and_memory(redis: RedisStack) -> None:
    server = await redis.instance().server()
    assert server is not None
    assert server.version.count(".") == 2
    assert server.used_memory > 0
    assert server.latency > 0

"""What instances share through Redis, and what they do without it (platform.md 5.1)."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from adapters.redis.limits import SharedRateLimiter
from domain.ports.limits import Policy, Window
from tests.conformance.limits.conftest import Make
from tests.servers import RedisServer
from tests.servers import redis_server as start_redis

MINUTELY = {"user": Policy((Window(100, 60),)), "large": Policy((Window(1000, 3600),))}


async def passed(limiters: list[SharedRateLimiter], policy: str, count: int, key: str = "ana") -> int:
    """Hit by turns, all at once, and return how many passed."""
    hits = (limiters[number % len(limiters)].hit(policy, key) for number in range(count))
    return sum(verdict.allowed for verdict in await asyncio.gather(*hits) if verdict)


async def test_two_instances_share_an_exact_quota(shared: Make):
    instances = [shared(MINUTELY), shared(MINUTELY)]
    assert await passed(instances, "user", 200) == 100
    refused = await instances[0].hit("user", "ana")
    assert refused is not None and refused.retry_after_seconds >= 1


async def test_a_large_quota_is_taken_in_blocks_and_never_passed(shared: Make):
    instances = [shared(MINUTELY), shared(MINUTELY)]
    through = await passed(instances, "large", 1500)
    assert 1000 - 2 * 10 <= through <= 1000
    assert not any(limiter.degraded or limiter.failures for limiter in instances)


async def test_what_is_left_is_overstated_by_no_more_than_a_block(shared: Make):
    one, other = shared(MINUTELY), shared(MINUTELY)
    for used in range(1, 60):
        verdict = await (one if used % 2 else other).hit("large", "ana")
        assert verdict is not None and 1000 - used - 10 <= verdict.remaining <= 1000 - used + 10


async def test_no_name_stands_in_redis(shared: Make, redis_server: RedisServer):
    await shared({"login_pair": Policy((Window(9, 60),), exact=True)}).hit("login_pair", "203.0.113.7 ana.souza")
    with redis.Redis.from_url(redis_server.url) as client:
        keys = [key.decode() for key in client.keys("*:limit:*")]
    assert keys and not [key for key in keys if "ana" in key or "203" in key]


@pytest.fixture(scope="module")
def private() -> Iterator[RedisServer]:
    with start_redis(private=True) as server:
        yield server


@pytest.fixture
async def fragile(private: RedisServer) -> AsyncIterator[SharedRateLimiter]:
    """An instance whose Redis may be killed and frozen."""
    limiter = SharedRateLimiter(MINUTELY, private.url, "test", timeout=0.2)
    yield limiter
    await limiter.aclose()
    private.resume()
    private.start()


async def recovered(limiter: SharedRateLimiter) -> None:
    for _ in range(100):
        if not limiter.degraded:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("the limiter does not come back")


async def test_scenario_29_without_redis_an_instance_counts_for_itself_and_comes_back(
    fragile: SharedRateLimiter, private: RedisServer
):
    assert await passed([fragile], "user", 10, "bia") == 10
    private.kill()
    assert await passed([fragile], "user", 150, "bia") == 100
    assert fragile.degraded and fragile.failures >= 3
    private.start()
    await recovered(fragile)
    verdict = await fragile.hit("user", "bia")
    assert verdict is not None and verdict.allowed and verdict.remaining == 99


async def test_a_frozen_redis_delays_a_few_hits_and_refuses_none(fragile: SharedRateLimiter, private: RedisServer):
    await fragile.hit("user", "caio")
    with private.paused():
        slow = []
        for _ in range(20):
            begun = time.perf_counter()
            verdict = await fragile.hit("user", "caio")
            slow.append(time.perf_counter() - begun > 0.1)
            assert verdict is not None and verdict.allowed
        assert fragile.degraded and sum(slow) <= 4
    await recovered(fragile)

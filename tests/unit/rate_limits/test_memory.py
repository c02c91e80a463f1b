"""Limits counted in one process (platform.md 1.5, 5.1)."""

import asyncio

import pytest

from adapters.memory.limits import MemoryRateLimiter
from domain.addresses import counted_address
from domain.ports.limits import Policy, Window


@pytest.fixture(params=[True, False], ids=["exact", "sliding"])
def limiter(request: pytest.FixtureRequest) -> MemoryRateLimiter:
    exact = request.param
    return MemoryRateLimiter(
        {
            "one": Policy((Window(3, 60),), exact),
            "two": Policy((Window(5, 3600), Window(2, 60)), exact),
            "off": Policy(()),
        }
    )


async def test_a_quota_passes_and_not_one_more(limiter: MemoryRateLimiter):
    verdicts = [await limiter.hit("one", "a") for _ in range(4)]
    assert [verdict and (verdict.allowed, verdict.remaining) for verdict in verdicts] == [
        (True, 2),
        (True, 1),
        (True, 0),
        (False, 0),
    ]
    refused = verdicts[-1]
    assert refused is not None and 1 <= refused.retry_after_seconds <= 60
    assert (refused.quota, refused.window_seconds, refused.policy) == (3, 60, "one")
    other = await limiter.hit("one", "b")
    assert other is not None and other.allowed


async def test_hits_at_once_pass_no_more_than_the_quota(limiter: MemoryRateLimiter):
    verdicts = await asyncio.gather(*(limiter.hit("one", "a") for _ in range(20)))
    assert sum(verdict.allowed for verdict in verdicts if verdict) == 3


async def test_a_refusing_window_keeps_the_larger_ones_uncharged(limiter: MemoryRateLimiter):
    for _ in range(10):
        await limiter.hit("two", "a")
    verdict = await limiter.peek("two", "a")
    assert verdict is not None and verdict.window_seconds == 60 and not verdict.allowed
    hourly = MemoryRateLimiter({"two": Policy((Window(5, 3600),), limiter._policies["two"].exact)})
    hourly._exact, hourly._sliding = limiter._exact, limiter._sliding
    left = await hourly.peek("two", "a")
    assert left is not None and left.remaining == 3


async def test_looking_charges_nothing_and_clearing_forgets(limiter: MemoryRateLimiter):
    for _ in range(5):
        seen = await limiter.peek("one", "a")
        assert seen is not None and seen.allowed and seen.remaining == 3
    for _ in range(3):
        await limiter.hit("one", "a")
    await limiter.clear("one", "a")
    verdict = await limiter.hit("one", "a")
    assert verdict is not None and verdict.remaining == 2


async def test_a_policy_that_is_off_says_nothing(limiter: MemoryRateLimiter):
    assert await limiter.hit("off", "a") is None and await limiter.peek("unheard of", "a") is None


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        (None, "unknown"),
        ("local socket", "local socket"),
    ],
)
def test_an_address_counts_as_itself_or_its_network(address: str | None, counted: str):
    assert counted_address(address) == counted

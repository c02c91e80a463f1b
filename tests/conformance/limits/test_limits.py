"""What every limiter keeps, in memory and over Redis (platform.md 1.5, 5.1)."""

import asyncio

import pytest

from domain.addresses import counted_address
from domain.ports.limits import RateLimiter, Window


async def test_a_quota_passes_and_not_one_more(limiter: RateLimiter):
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


async def test_hits_at_once_pass_no_more_than_the_quota(limiter: RateLimiter):
    verdicts = await asyncio.gather(*(limiter.hit("one", "a") for _ in range(20)))
    assert sum(verdict.allowed for verdict in verdicts if verdict) == 3


async def test_a_refusing_window_keeps_the_larger_ones_uncharged(limiter: RateLimiter):
    for _ in range(10):
        await limiter.hit("two", "a")
    verdict = await limiter.peek("two", "a")
    assert verdict is not None and verdict.window_seconds == 60 and not verdict.allowed
    hourly = await limiter.hit("two", "a", windows=(Window(5, 3600),))
    assert hourly is not None and hourly.remaining == 2


async def test_own_windows_stand_instead_of_those_of_the_policy(limiter: RateLimiter):
    own = (Window(2, 60),)
    verdicts = [await limiter.hit("one", "own", windows=own) for _ in range(3)]
    assert [verdict and verdict.allowed for verdict in verdicts] == [True, True, False]
    switched_on = await limiter.hit("unheard of", "own", windows=own)
    assert switched_on is not None and switched_on.quota == 2


async def test_a_cost_beyond_what_is_left_is_refused_and_charges_nothing(limiter: RateLimiter):
    first = await limiter.hit("one", "a", 2)
    refused = await limiter.hit("one", "a", 2)
    last = await limiter.hit("one", "a", 1)
    assert [each and each.allowed for each in (first, refused, last)] == [True, False, True]


async def test_after_the_time_it_tells_the_next_hit_passes(limiter: RateLimiter):
    """Law 14 of http.md, with a window short enough to wait for."""
    while (verdict := await limiter.hit("short", "a")) and verdict.allowed:
        pass
    assert verdict is not None
    await asyncio.sleep(verdict.retry_after_seconds)
    again = await limiter.hit("short", "a")
    assert again is not None and again.allowed


async def test_looking_charges_nothing_and_clearing_forgets(limiter: RateLimiter):
    for _ in range(5):
        seen = await limiter.peek("one", "a")
        assert seen is not None and seen.allowed and seen.remaining == 3
    for _ in range(3):
        await limiter.hit("one", "a")
    await limiter.clear("one", "a")
    verdict = await limiter.hit("one", "a")
    assert verdict is not None and verdict.remaining == 2


async def test_a_policy_that_is_off_says_nothing(limiter: RateLimiter):
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

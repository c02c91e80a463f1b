"""Rate limits counted in this process, over the `limits` package."""

import math
import time

from limits import RateLimitItem, RateLimitItemPerSecond, WindowStats
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter, RateLimiter, SlidingWindowCounterRateLimiter

from domain.ports.limits import Policies, Policy, Verdict


class MemoryRateLimiter:
    """The limiter port in memory; what has expired is dropped with later hits."""

    def __init__(self, policies: Policies) -> None:
        storage = MemoryStorage()
        self._policies = policies
        self._exact = MovingWindowRateLimiter(storage)
        self._sliding = SlidingWindowCounterRateLimiter(storage)

    async def hit(self, policy: str, key: str, cost: int = 1) -> Verdict | None:
        strategy = self._strategy(policy)
        least: Verdict | None = None
        for item in self._items(policy):
            allowed = await strategy.hit(item, policy, key, cost=cost)
            found = _verdict(policy, item, allowed, await strategy.get_window_stats(item, policy, key))
            if not allowed:
                return found
            least = _tighter(least, found)
        return least

    async def peek(self, policy: str, key: str) -> Verdict | None:
        strategy = self._strategy(policy)
        least: Verdict | None = None
        for item in self._items(policy):
            allowed = await strategy.test(item, policy, key)
            found = _verdict(policy, item, allowed, await strategy.get_window_stats(item, policy, key))
            if not allowed:
                return found
            least = _tighter(least, found)
        return least

    async def clear(self, policy: str, key: str) -> None:
        for item in self._items(policy):
            await self._strategy(policy).clear(item, policy, key)

    def _strategy(self, policy: str) -> RateLimiter:
        return self._exact if self._of(policy).exact else self._sliding

    def _items(self, policy: str) -> list[RateLimitItem]:
        windows = sorted(self._of(policy).windows, key=lambda window: window.seconds)
        return [RateLimitItemPerSecond(window.quota, window.seconds) for window in windows]

    def _of(self, policy: str) -> Policy:
        """Return a policy; one that nobody configured is off."""
        return self._policies.get(policy, _OFF)


_OFF = Policy(())


def _verdict(policy: str, item: RateLimitItem, allowed: bool, stats: WindowStats) -> Verdict:
    wait = max(0, math.ceil(stats.reset_time - time.time()))
    return Verdict(
        allowed=allowed,
        policy=policy,
        quota=item.amount,
        window_seconds=item.get_expiry(),
        remaining=max(0, int(stats.remaining)),
        reset_seconds=wait,
        retry_after_seconds=0 if allowed else max(1, wait),
    )


def _tighter(one: Verdict | None, other: Verdict) -> Verdict:
    return other if one is None or other.remaining < one.remaining else one

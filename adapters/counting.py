"""Counting hits over a storage of the `limits` package, in this process or on a server (platform.md 5.1)."""

import hashlib
import math
import time
from collections.abc import Callable
from typing import Any, Protocol

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

from domain.ports.limits import Policies, Policy, Verdict, Window

_OFF = Policy(())


class Counts(Protocol):
    """What a storage of `limits` tells of one counter."""

    async def get_sliding_window(self, key: str, expiry: int) -> tuple[int, float, int, float]: ...
    async def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]: ...


class Counter:
    """Judges hits by policy and key; `refused` hears of every policy that is used up.

    Keys are stored as digests, so that no name or address stands in a store.
    """

    def __init__(self, policies: Policies, storage: Any) -> None:
        self._policies = policies
        self.refused: Callable[[str], None] = lambda policy: None
        self._counts: Counts = storage
        self._exact = MovingWindowRateLimiter(storage)
        self._sliding = SlidingWindowCounterRateLimiter(storage)

    def listen(self, refused: Callable[[str], None]) -> None:
        self.refused = refused

    async def hit(
        self, policy: str, key: str, cost: int = 1, windows: tuple[Window, ...] | None = None
    ) -> Verdict | None:
        """Charge every window, smallest first; the first refusal decides."""
        least: Verdict | None = None
        for item in self._items(policy, windows):
            found = await self.charge(policy, item, _digest(key), cost)
            if not found.allowed:
                self.refused(policy)
                return found
            least = _tighter(least, found)
        return least

    async def peek(self, policy: str, key: str) -> Verdict | None:
        """Say what a hit of cost 1 would be answered."""
        least: Verdict | None = None
        for item in self._items(policy, None):
            found = await self._seen(policy, item, _digest(key), 1)
            if not found.allowed:
                return found
            least = _tighter(least, found)
        return least

    async def clear(self, policy: str, key: str) -> None:
        """Forget what was counted."""
        strategy = self._exact if self.of(policy).exact else self._sliding
        for item in self._items(policy, None):
            await strategy.clear(item, policy, _digest(key))

    async def charge(self, policy: str, item: RateLimitItem, key: str, cost: int) -> Verdict:
        """Charge one window."""
        strategy = self._exact if self.of(policy).exact else self._sliding
        allowed = await strategy.hit(item, policy, key, cost=cost)
        return await self._seen(policy, item, key, cost, allowed)

    def of(self, policy: str) -> Policy:
        """Return a policy; one that nobody configured is off."""
        return self._policies.get(policy, _OFF)

    def _items(self, policy: str, windows: tuple[Window, ...] | None) -> list[RateLimitItem]:
        ordered = sorted(self.of(policy).windows if windows is None else windows, key=lambda window: window.seconds)
        return [RateLimitItemPerSecond(window.quota, window.seconds) for window in ordered]

    async def _seen(
        self, policy: str, item: RateLimitItem, key: str, cost: int, allowed: bool | None = None
    ) -> Verdict:
        """Return how one window stands; `allowed` None asks what a hit of `cost` would be answered."""
        life, name = item.get_expiry(), item.key_for(policy, key)
        if self.of(policy).exact:
            start, used = await self._counts.get_moving_window(name, item.amount, life)
            left = item.amount - used
            grows = wait = max(0.0, start + life - time.time()) if used else 0.0
        else:
            seen = await self._counts.get_sliding_window(name, life)
            left = item.amount - math.floor(seen[0] * seen[1] / life) - seen[2]
            grows = _free_after(item.amount, life, seen, max(0, left) + 1)
            wait = _free_after(item.amount, life, seen, cost)
        passes = left >= cost if allowed is None else allowed
        return Verdict(
            allowed=passes,
            policy=policy,
            quota=item.amount,
            window_seconds=life,
            remaining=max(0, left),
            reset_seconds=math.ceil(grows),
            retry_after_seconds=0 if passes else max(1, math.ceil(wait)),
        )


def _free_after(quota: int, life: float, seen: tuple[int, float, int, float], cost: int) -> float:
    """Return the seconds until `cost` fits into a sliding window, if nothing is charged meanwhile.

    The window before counts by the part of it that the last `life` seconds still cover, rounded down.
    """
    before, before_left, now, now_left = seen
    if cost > quota:
        return 0.0 if not (before or now) else life
    room = quota - cost - now
    if room >= 0:
        return 0.0 if not before else max(0.0, before_left - (room + 1) * life / before)
    return max(0.0, now_left - life) + max(0.0, life - (quota - cost + 1) * life / now)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _tighter(one: Verdict | None, other: Verdict) -> Verdict:
    return other if one is None or other.remaining < one.remaining else one

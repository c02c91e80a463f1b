"""Counting hits over a storage of the `limits` package, in this process or on a server (platform.md 5.1)."""

import asyncio
import hashlib
import math
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, Protocol

import attrs
from limits import RateLimitItem, RateLimitItemPerSecond
from limits.aio.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

from domain.ports.limits import Policies, Policy, Verdict, Window

_OFF = Policy(())

BLOCKS_FROM: Final = 600
"""Quotas from here on are taken from the storage in blocks of one in a hundred."""
MOST_BLOCKS: Final = 100_000


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
        self._windows = {name: _ordered(policy.windows) for name, policy in policies.items()}
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

    def _items(self, policy: str, windows: tuple[Window, ...] | None) -> tuple[RateLimitItem, ...]:
        return self._windows.get(policy, ()) if windows is None else _ordered(windows)

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


@attrs.define
class _Block:
    """Hits that were counted already and are not spent, good until their window moves on."""

    told: Verdict
    left: int = 0
    until: float = 0.0
    taking: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def spend(self, cost: int) -> Verdict | None:
        """Take hits out of the block; None when it does not hold them."""
        if self.left < cost or time.monotonic() >= self.until:
            return None
        self.left -= cost
        return self.told.after(self.told.remaining + self.left)


class BlockCounter(Counter):
    """Takes large quotas in blocks, so that a request costs no round trip and no search of the storage: never more
    than the quota passes, and each instance leaves at most one block unspent."""

    def __init__(self, policies: Policies, storage: Any) -> None:
        super().__init__(policies, storage)
        self._blocks: dict[tuple[str, str, int], _Block] = {}

    async def charge(self, policy: str, item: RateLimitItem, key: str, cost: int) -> Verdict:
        size = item.amount // 100
        if item.amount < BLOCKS_FROM or cost > size or self.of(policy).exact:
            return await super().charge(policy, item, key, cost)
        place = (policy, key, item.amount)
        block = self._blocks.get(place)
        if block is None:
            self._make_room()
            block = self._blocks[place] = _Block(Verdict(True, policy, item.amount, item.get_expiry(), 0, 0, 0))
        return block.spend(cost) or await self._refilled(block, policy, item, key, cost)

    async def _refilled(self, block: _Block, policy: str, item: RateLimitItem, key: str, cost: int) -> Verdict:
        """Take the next block, once for all who wait for it; when the storage has no whole one left, single hits."""
        async with block.taking:
            found = block.spend(cost)
            if found is not None:
                return found
            size = item.amount // 100
            taken = await super().charge(policy, item, key, size)
            if not taken.allowed:
                return await super().charge(policy, item, key, cost)
            left = await self._window_left(policy, item, key)
            block.told, block.left, block.until = taken, size, time.monotonic() + left
            return block.spend(cost) or taken

    async def _window_left(self, policy: str, item: RateLimitItem, key: str) -> float:
        """Return the seconds until what is charged now counts for the window before."""
        life = item.get_expiry()
        _, _, _, left = await self._counts.get_sliding_window(item.key_for(policy, key), life)
        return max(0.0, left - life)

    def _make_room(self) -> None:
        if len(self._blocks) < MOST_BLOCKS:
            return
        now = time.monotonic()
        self._blocks = {place: block for place, block in self._blocks.items() if block.until > now}
        while len(self._blocks) >= MOST_BLOCKS:
            self._blocks.pop(next(iter(self._blocks)))


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


@lru_cache(1024)
def _ordered(windows: tuple[Window, ...]) -> tuple[RateLimitItem, ...]:
    """Return windows as the package knows them, the smallest first."""
    ordered = sorted(windows, key=lambda window: window.seconds)
    return tuple(RateLimitItemPerSecond(window.quota, window.seconds) for window in ordered)


@lru_cache(4096)
def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def _tighter(one: Verdict | None, other: Verdict) -> Verdict:
    return other if one is None or other.remaining < one.remaining else one

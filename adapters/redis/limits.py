"""Rate limits counted in Redis, shared by all instances (platform.md 5.1)."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import attrs
import structlog
from limits import RateLimitItem
from limits.aio.storage import RedisStorage
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from adapters.counting import Counter
from adapters.memory.limits import MemoryRateLimiter
from adapters.redis.breaker import Breaker
from domain.ports.limits import Policies, Verdict, Window

BLOCKS_FROM: Final = 600
"""Quotas from here on are taken from the server in blocks of one in a hundred."""
MOST_BLOCKS: Final = 100_000
CONNECTIONS: Final = 8
WARNED_EVERY: Final = 60.0

R = TypeVar("R")


@attrs.define
class _Block:
    """Hits that the server has granted to this instance already, good until its window moves on."""

    told: Verdict
    left: int = 0
    until: float = 0.0
    taking: asyncio.Lock = attrs.field(factory=asyncio.Lock)

    def spend(self, cost: int) -> Verdict | None:
        """Take hits out of the block; None when it does not hold them."""
        if self.left < cost or time.monotonic() >= self.until:
            return None
        self.left -= cost
        return attrs.evolve(self.told, remaining=self.told.remaining + self.left)


class BlockCounter(Counter):
    """Takes large quotas in blocks, so that a request costs no round trip: never more than the quota passes, and
    each instance leaves at most one block unspent."""

    def __init__(self, policies: Policies, storage: RedisStorage) -> None:
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
        """Take the next block, once for all who wait for it; when the server has no whole one left, single hits."""
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


class SharedRateLimiter:
    """The limiter port over Redis. While Redis is out of reach, this instance counts for itself; nobody is refused
    for it, and nobody is unlimited."""

    def __init__(self, policies: Policies, url: str, prefix: str, timeout: float) -> None:
        """`timeout` in seconds per command; nothing is connected yet."""
        pool: Any = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=timeout,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            retry_on_error=[],
        )
        self._redis: Redis = Redis(connection_pool=pool)
        storage = RedisStorage("redis://", implementation="redispy", key_prefix=f"{prefix}:limit", connection_pool=pool)
        self._shared = BlockCounter(policies, storage)
        self._alone = MemoryRateLimiter(policies)
        self._breaker = Breaker(self._redis.ping)
        self._warned = -math.inf
        self.failures = 0

    @property
    def degraded(self) -> bool:
        """Whether this instance counts for itself at the moment."""
        return self._breaker.is_open

    def listen(self, refused: Callable[[str], None]) -> None:
        self._shared.listen(refused)
        self._alone.listen(refused)

    async def hit(
        self, policy: str, key: str, cost: int = 1, windows: tuple[Window, ...] | None = None
    ) -> Verdict | None:
        """Charge every window of a policy."""
        return await self._asked(lambda counter: counter.hit(policy, key, cost, windows))

    async def peek(self, policy: str, key: str) -> Verdict | None:
        """Say what a hit of cost 1 would be answered."""
        return await self._asked(lambda counter: counter.peek(policy, key))

    async def clear(self, policy: str, key: str) -> None:
        """Forget what was counted."""
        await self._asked(lambda counter: counter.clear(policy, key))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._breaker.aclose()
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _asked(self, ask: Callable[[Counter], Awaitable[R]]) -> R:
        if not self._breaker.is_open:
            try:
                answer = await ask(self._shared)
            except (RedisError, OSError, TimeoutError) as fault:
                self._failed(fault)
            else:
                self._breaker.succeeded()
                return answer
        return await ask(self._alone)

    def _failed(self, fault: Exception) -> None:
        self.failures += 1
        self._breaker.failed()
        now = time.monotonic()
        if now - self._warned >= WARNED_EVERY:
            self._warned = now
            structlog.get_logger("limits").warning(
                "limiter.degraded", reason=type(fault).__name__, detail="Redis is out of reach; counted per instance."
            )

"""Rate limits counted in Redis, shared by all instances (platform.md 5.1)."""

import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import structlog
from limits.aio.storage import RedisStorage
from redis.asyncio.client import Redis
from redis.asyncio.connection import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from adapters.counting import BlockCounter, Counter
from adapters.memory.limits import MemoryRateLimiter
from adapters.redis.breaker import Breaker
from domain.ports.limits import Policies, Verdict, Window

CONNECTIONS: Final = 8
WARNED_EVERY: Final = 60.0

R = TypeVar("R")


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

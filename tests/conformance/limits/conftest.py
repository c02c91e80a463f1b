import secrets
from collections.abc import AsyncIterator, Callable

import pytest

from adapters.memory.limits import MemoryRateLimiter
from adapters.redis.limits import SharedRateLimiter
from domain.ports.limits import Policies, Policy, RateLimiter, Window
from tests.servers import RedisServer

Make = Callable[[Policies], SharedRateLimiter]


def policies(exact: bool) -> Policies:
    return {
        "one": Policy((Window(3, 60),), exact),
        "two": Policy((Window(5, 3600), Window(2, 60)), exact),
        "short": Policy((Window(3, 1),), exact),
        "off": Policy(()),
    }


@pytest.fixture
async def shared(redis_server: RedisServer) -> AsyncIterator[Make]:
    """Makes limiters of instances that share one deployment. Times are long: the machine may be busy."""
    made: list[SharedRateLimiter] = []
    prefix = f"test-{secrets.token_hex(4)}"

    def make(wanted: Policies) -> SharedRateLimiter:
        made.append(SharedRateLimiter(wanted, redis_server.url, prefix, timeout=2.0))
        return made[-1]

    yield make
    for limiter in made:
        await limiter.aclose()


@pytest.fixture(params=["memory-exact", "memory-sliding", "redis-exact", "redis-sliding"])
def limiter(request: pytest.FixtureRequest) -> RateLimiter:
    store, _, kind = request.param.partition("-")
    wanted = policies(kind == "exact")
    if store == "memory":
        return MemoryRateLimiter(wanted)
    made: RateLimiter = request.getfixturevalue("shared")(wanted)
    return made

from collections.abc import AsyncIterator, Iterator

import pytest

from domain.ports.cache import Cache
from tests.conformance.cache.stacks import MemoryStack, RedisClusterStack, RedisStack, Stack, open_epoch
from tests.servers import RedisCluster, RedisServer, redis_server


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisServer]:
    """A Redis that tests may freeze, kill and restart."""
    with redis_server(private=True) as server:
        yield server


@pytest.fixture
def server(redis_process: RedisServer) -> Iterator[RedisServer]:
    """The server of the session, left running whatever is done to it."""
    yield redis_process
    redis_process.resume()
    redis_process.start()


@pytest.fixture
async def redis(redis_process: RedisServer) -> AsyncIterator[RedisStack]:
    stack = RedisStack(redis_process)
    await stack.wipe()
    yield stack
    await stack.aclose()


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[RedisCluster]:
    cluster = RedisCluster()
    yield cluster
    cluster.remove()


@pytest.fixture(params=["memory", "redis", "redis-4-tags", "redis-cluster"])
async def stack(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    if request.param == "memory":
        yield MemoryStack()
        return
    if request.param == "redis-cluster":
        stack: RedisStack = RedisClusterStack(request.getfixturevalue("redis_cluster"))
    else:
        process: RedisServer = request.getfixturevalue("redis_process")
        stack = RedisStack(process, tags=4 if request.param.endswith("tags") else 1)
    await stack.wipe()
    yield stack
    await stack.aclose()


@pytest.fixture
def closed(stack: Stack) -> Cache:
    """A cache on which no epoch was ever open."""
    return stack.instance()


@pytest.fixture
async def cache(stack: Stack) -> Cache:
    """A cache whose epoch is open."""
    cache = stack.instance()
    await open_epoch(cache)
    return cache


@pytest.fixture
def other(stack: Stack) -> Cache:
    """A second instance over the same backing."""
    return stack.instance()


@pytest.fixture
def key(stack: Stack) -> str:
    return stack.space.key(1, "item", "DFID-20250101-000001-ABCD")

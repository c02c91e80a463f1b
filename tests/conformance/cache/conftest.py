from collections.abc import AsyncIterator, Iterator

import pytest

from domain.ports.cache import Cache
from tests.conformance.cache.server import RedisServer
from tests.conformance.cache.stacks import MemoryStack, RedisStack, Stack, open_epoch


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server(redis_process: RedisServer) -> Iterator[RedisServer]:
    """The server of the session, empty, running, and left running."""
    yield redis_process
    redis_process.forget_snapshot()
    redis_process.kill()
    redis_process.start()


@pytest.fixture
async def redis(redis_process: RedisServer) -> AsyncIterator[RedisStack]:
    stack = RedisStack(redis_process)
    await stack.wipe()
    redis_process.forget_snapshot()
    yield stack
    await stack.aclose()


@pytest.fixture(params=["memory", "redis", "redis-4-tags"])
async def stack(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    if request.param == "memory":
        yield MemoryStack()
        return
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

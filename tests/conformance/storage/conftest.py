from collections.abc import AsyncIterator, Callable

import pytest

from adapters.write_through.behind import BehindBounds
from adapters.write_through.rows import WORKING_SET
from domain.ports.storage import Storage
from tests.conformance.storage.stacks import (
    MemoryStack,
    PostgresStack,
    RedisCachedStack,
    Stack,
    WriteThroughStack,
)
from tests.servers import PostgresServer, RedisServer

STACKS = ["memory", "postgres", "redis_cached", "write_through", "write_behind"]
LINKED = [
    pytest.param("memory", marks=pytest.mark.xfail(strict=True, reason="memory has no link that could break")),
    # Not write_behind, which acknowledges without the store: tests/conformance/storage/test_write_behind.py.
    "postgres",
    "redis_cached",
    "write_through_of_items",
]


async def _made(name: str, request: pytest.FixtureRequest, database: Callable[[], str] | None = None) -> Stack:
    if name == "memory":
        return MemoryStack()
    url = database() if database else request.getfixturevalue("migrated_url")
    if name == "redis_cached":
        redis: RedisServer = request.getfixturevalue("redis_server")
        redis.flush()
        return await RedisCachedStack(url, redis.url).start()
    if name == "write_through_of_items":
        return await WriteThroughStack(url, WORKING_SET).start()
    if name == "write_behind":
        return await WriteThroughStack(url, behind=BehindBounds()).start()
    if name == "write_through":
        return await WriteThroughStack(url).start()
    return await PostgresStack(url).start()


@pytest.fixture(params=STACKS)
async def stack(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    made = await _made(request.param, request)
    yield made
    await made.aclose()


@pytest.fixture
async def everywhere(
    request: pytest.FixtureRequest, postgres_server: PostgresServer
) -> AsyncIterator[dict[str, tuple[Storage, Storage]]]:
    """Two instances of every stack at once, each stack over a backing of its own."""
    urls: list[str] = []

    def database() -> str:
        urls.append(postgres_server.create_migrated_database())
        return urls[-1]

    stacks = {name: await _made(name, request, database) for name in STACKS}
    yield {name: (await stack.fresh(), await stack.second()) for name, stack in stacks.items()}
    for stack in stacks.values():
        await stack.aclose()
    for url in urls:
        postgres_server.drop_database(url)


@pytest.fixture(params=LINKED)
async def linked(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """The stacks again, for what a broken link must do."""
    made = await _made(request.param, request)
    yield made
    await made.aclose()


@pytest.fixture
async def storage(stack: Stack) -> Storage:
    return await stack.fresh()


@pytest.fixture
async def other(stack: Stack, storage: Storage) -> Storage:
    """Another instance over the same backing."""
    return await stack.second()


@pytest.fixture
async def postgres(migrated_url: str) -> AsyncIterator[PostgresStack]:
    made = await PostgresStack(migrated_url).start()
    yield made
    await made.aclose()

"""Two instances with a shared Redis over one PostgreSQL, and an administrator."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import attrs
import httpx
import pytest

from application.settings import load
from container import Container, opened
from domain.access.principal import system
from entrypoints.http.assembly import assembled, engine_routes, health_of, kernel_of
from tests.servers import RedisServer, redis_server

OPTIONS = {
    "DEFARM_ARGON2_TIME": "1",
    "DEFARM_ARGON2_MEMORY_KIB": "8192",
    "DEFARM_REDIS_TIMEOUT": "0.5s",
    "JWT_SECRET": "jwt secret of the tests, long enough",
    "DEFARM_SECRET_KEY": "root key of the tests, long enough",
}


@attrs.frozen
class Instance:
    """One engine and a client of it."""

    container: Container
    client: httpx.AsyncClient

    async def in_use(self) -> None:
        """Wait until the instance answers from the cache."""
        async with asyncio.timeout(15):
            while self.container.cache_control().degraded_since is not None:
                await asyncio.sleep(0.02)

    async def hits(self) -> int:
        return int((await self.client.get("/api/admin/cache/stats")).json()["hits"])


@pytest.fixture(scope="module")
def private_redis() -> Iterator[RedisServer]:
    with redis_server(private=True) as server:
        yield server


@pytest.fixture
def redis(private_redis: RedisServer) -> Iterator[RedisServer]:
    private_redis.flush()
    yield private_redis
    private_redis.start()


@pytest.fixture
async def instances(migrated_url: str, redis: RedisServer, tmp_path: Path) -> AsyncIterator[list[Instance]]:
    options = OPTIONS | {"DATABASE_URL": migrated_url, "REDIS_URL": redis.url, "DEFARM_DATA_DIR": str(tmp_path)}
    async with AsyncExitStack() as stack:
        made = [await serving(stack, options) for _ in range(2)]
        for each in made:
            await each.in_use()
        await promoted(*made)
        yield made


async def serving(stack: AsyncExitStack, options: dict[str, str]) -> Instance:
    """Open an engine with these settings and everything that is served by one."""
    container = await stack.enter_async_context(opened(Container(settings=load({}, options=options))))
    health = health_of(container, datetime.now(UTC))
    health.phase = "ready"
    app = assembled(engine_routes(container), kernel_of(container, health), health)
    transport = httpx.ASGITransport(app=app, client=("203.0.113.7", 4711))
    client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://engine"))
    return Instance(container, client)


async def promoted(first: Instance, *others: Instance) -> str:
    """Register an administrator, whose token all clients then carry; return the id."""
    body = {"username": "ana", "email": "ana@example.com", "password": "seven brown oxen graze"}
    answer = (await first.client.post("/api/auth/register", json=body)).json()
    user_id = str(answer["user"]["user_id"])
    await first.container.accounts().administration.set_admin(system(), user_id, True)
    credentials = {"username": "ana", "password": body["password"]}
    token = (await first.client.post("/api/auth/login", json=credentials)).json()["access_token"]
    for each in (first, *others):
        each.client.headers["authorization"] = f"Bearer {token}"
    return user_id

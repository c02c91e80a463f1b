"""Serving instances in this process, over real sockets: two on one PostgreSQL, or one in memory."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
import uvicorn

from adapters.memory.limits import MemoryRateLimiter
from application.settings import load
from container import Container, opened
from domain.access.principal import system
from domain.act import Act
from domain.ids import new_id
from entrypoints.http.assembly import assembled, engine_routes, health_of, kernel_of
from tests.http.circuits.conftest import OPTIONS

PASSWORD = "seven brown oxen graze"


@attrs.frozen
class Instance:
    """One serving instance."""

    container: Container
    port: int
    client: httpx.AsyncClient

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def register(self, name: str) -> tuple[str, str]:
        """Return the id and the access token of a new user."""
        body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        made = (await self.client.post("/api/auth/register", json=body)).json()
        return made["user"]["user_id"], made["access_token"]

    async def tell(self, user_id: str, count: int = 1) -> None:
        """Tell a user something, each time in a unit of its own."""

        async def work(act: Act) -> None:
            await act.notify("account_updated", [user_id], source_id=new_id(), data={"changed": ["email"]})

        for _ in range(count):
            await self.container.units().perform(system(), work)


Start = Callable[..., Awaitable[Instance]]


@asynccontextmanager
async def serving(folder: Path, **options: str) -> AsyncIterator[Instance]:
    settings = load({}, options=OPTIONS | {"DEFARM_DATA_DIR": str(folder)} | options)
    container = Container(settings=settings)
    container.limiter.override(MemoryRateLimiter({}))
    async with opened(container):
        container.crew().start()
        health = health_of(container, datetime.now(UTC))
        health.phase = "ready"
        app: Any = assembled(engine_routes(container), kernel_of(container, health), health)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            config = uvicorn.Config(
                app, http="httptools", ws="websockets-sansio", lifespan="off", log_config=None, access_log=False,
                timeout_graceful_shutdown=2,
            )  # fmt: skip
            server = uvicorn.Server(config)
            task = asyncio.create_task(_served(server, listener))
            port = listener.getsockname()[1]
            while not server.started:
                await asyncio.sleep(0.01)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
                yield Instance(container, port, client)
            container.live().shut()
            server.should_exit = True
            await task


async def _served(server: uvicorn.Server, listener: socket.socket) -> None:
    await server._serve([listener])


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    async with AsyncExitStack() as stack:

        async def one(**options: str) -> Instance:
            return await stack.enter_async_context(serving(tmp_path, **options))

        yield one

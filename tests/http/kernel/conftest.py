"""A toy engine behind a real server."""

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn

from entrypoints.http.app import App
from entrypoints.http.crowd import Connection, Crowd
from entrypoints.http.server import server_config
from tests.http.kernel.toy import Toy


@asynccontextmanager
async def served(app: App) -> AsyncIterator[str]:
    """Serve an application on a free port, as `defarm serve` does, and yield its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = server_config(app)
    config.loop = "asyncio"
    config.http = functools.partial(Connection, Crowd(app.turned_away, app.unread))  # type: ignore[assignment]
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve([listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await task
        listener.close()


@pytest.fixture
async def start() -> AsyncIterator[Callable[[Toy], Awaitable[httpx.AsyncClient]]]:
    """Return a function that serves a toy and returns a client for it."""
    contexts: list[Any] = []

    async def begin(toy: Toy) -> httpx.AsyncClient:
        server = served(toy.app())
        base = await server.__aenter__()
        contexts.append(server)
        client = httpx.AsyncClient(base_url=base, timeout=10)
        contexts.append(client)
        await client.__aenter__()
        return client

    yield begin
    for context in reversed(contexts):
        await context.__aexit__(None, None, None)


@pytest.fixture
def toy() -> Toy:
    return Toy(cors_origins=frozenset({"https://app.example"}))


@pytest.fixture
async def client(toy: Toy, start: Callable[[Toy], Awaitable[httpx.AsyncClient]]) -> httpx.AsyncClient:
    return await start(toy)

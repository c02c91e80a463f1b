from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from dependency_injector import providers

from application.settings import load
from container import Container, opened
from entrypoints.http.assembly import assembled, engine_routes, health_of, kernel_of
from entrypoints.http.routing import Call, Route

OPTIONS = {
    "DEFARM_STORAGE": "memory",
    "DEFARM_ARGON2_TIME": "1",
    "DEFARM_ARGON2_MEMORY_KIB": "8192",
    "JWT_SECRET": "jwt secret of the tests, long enough",
    "DEFARM_SECRET_KEY": "root key of the tests, long enough",
}


async def _opened(call: Call) -> dict[str, str | None]:
    return {"user_id": call.principal.user_id, "key_id": call.principal.key_id}


STREAMS = (
    Route(
        method="GET",
        path="/api/test/stream",
        handler=_opened,
        operation_id="test_stream",
        tag="test",
        summary="Stands for a stream, which takes tickets",
        scope="notifications:read",
        ticket=True,
    ),
)


class SteppedClock:
    """The clock of the machine, put forward by the test."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def container(tmp_path: Path, clock: SteppedClock) -> AsyncIterator[Container]:
    settings = load({}, options=OPTIONS | {"DEFARM_DATA_DIR": str(tmp_path)})
    made = Container(settings=settings)
    made.clock.override(providers.Object(clock))
    async with opened(made) as ready:
        yield ready


@asynccontextmanager
async def client_of(container: Container, address: str = "203.0.113.7") -> AsyncIterator[httpx.AsyncClient]:
    """A client of one instance, calling from an address."""
    health = health_of(container, datetime.now(UTC))
    health.phase = "ready"
    app = assembled([*engine_routes(container), *STREAMS], kernel_of(container, health), health)
    transport = httpx.ASGITransport(app=app, client=(address, 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://engine") as made:
        yield made


@pytest.fixture
async def client(container: Container) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(container) as made:
        yield made

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from application.settings import load
from container import Container, opened
from entrypoints.http.assembly import assembled, health_of, kernel_of
from entrypoints.http.routes.accounts import account_routes
from entrypoints.http.routes.workspaces import workspace_routes

OPTIONS = {
    "DEFARM_STORAGE": "memory",
    "DEFARM_ARGON2_TIME": "1",
    "DEFARM_ARGON2_MEMORY_KIB": "8192",
    "JWT_SECRET": "jwt secret of the tests, long enough",
    "DEFARM_SECRET_KEY": "root key of the tests, long enough",
}


@pytest.fixture
async def container(tmp_path: Path) -> AsyncIterator[Container]:
    settings = load({}, options=OPTIONS | {"DEFARM_DATA_DIR": str(tmp_path)})
    async with opened(Container(settings=settings)) as ready:
        yield ready


@pytest.fixture
async def client(container: Container) -> AsyncIterator[httpx.AsyncClient]:
    health = health_of(container, datetime.now(UTC))
    health.phase = "ready"
    accounts = container.accounts()
    app = assembled([*account_routes(accounts), *workspace_routes(accounts)], kernel_of(container, health), health)
    transport = httpx.ASGITransport(app=app, client=("203.0.113.7", 4711))
    async with httpx.AsyncClient(transport=transport, base_url="http://engine") as made:
        yield made

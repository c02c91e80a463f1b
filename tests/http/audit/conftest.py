"""A region with an administrator and the container behind it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from adapters.memory.limits import MemoryRateLimiter
from application.accounts.roster import enrol
from application.settings import load
from container import Container, opened
from domain.access.principal import system
from domain.act import Act
from domain.ports.schema import ACCOUNTS
from entrypoints.http.assembly import assembled, engine_routes, health_of, kernel_of
from tests.http.circuits.conftest import OPTIONS, Region, User, _registered

PASSWORD = "seven brown oxen graze"


@attrs.frozen
class Watched:
    """A region, its administrator and its container."""

    region: Region
    admin: User
    container: Container
    visitor: httpx.AsyncClient

    async def seal(self) -> None:
        """Do what the workers do every second."""
        await self.container.denials().flush()
        while await self.container.sequencer().drain():
            pass

    async def entries(self, user: User | None = None, **asked: Any) -> list[dict[str, Any]]:
        """Return the newest entries that a user sees, the administrator unless another is named."""
        answer = await (user or self.admin).client.get("/api/audit/entries", params={"limit": 200} | asked)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    settings = load({}, options=OPTIONS | {"DEFARM_DATA_DIR": str(tmp_path)})
    async with AsyncExitStack() as stack:
        container = Container(settings=settings)
        container.limiter.override(MemoryRateLimiter({}))
        await stack.enter_async_context(opened(container))
        health = health_of(container, datetime.now(UTC))
        health.phase = "ready"
        app = assembled(engine_routes(container), kernel_of(container, health), health)

        async def client(address: str) -> httpx.AsyncClient:
            transport = httpx.ASGITransport(app=app, client=(address, 4711))
            return await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://engine"))

        users = [await _registered(await client("203.0.113.7"), name) for name in ("ana", "bia", "caio", "olga")]
        admin = await _promoted(container, users.pop())
        yield Watched(Region(*users, container), admin, container, await client("198.51.100.9"))


async def _promoted(container: Container, user: User) -> User:
    """Make a user an administrator, and sign in anew as such."""

    async def work(act: Act) -> None:
        account = await act.unit.get(ACCOUNTS, user.user_id)
        await act.unit.save(ACCOUNTS, attrs.evolve(account, is_admin=True, version=account.version + 1))
        await enrol(act, user.user_id)

    await container.units().perform(system(), work)
    login = await user.client.post("/api/auth/login", json={"username": "olga", "password": PASSWORD})
    user.client.headers["authorization"] = f"Bearer {login.json()['access_token']}"
    return user

"""An engine in memory with three users, each of a workspace of their own."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from application.settings import load
from container import Container, opened
from domain.ports.schema import ACCOUNTS
from entrypoints.http.assembly import assembled, engine_routes, health_of, kernel_of

OPTIONS = {
    "DEFARM_STORAGE": "memory",
    "DEFARM_ARGON2_TIME": "1",
    "DEFARM_ARGON2_MEMORY_KIB": "8192",
    "JWT_SECRET": "jwt secret of the tests, long enough",
    "DEFARM_SECRET_KEY": "root key of the tests, long enough",
}

PASSWORD = "seven brown oxen graze"


@attrs.frozen
class User:
    """A registered user with a client of their own."""

    user_id: str
    client: httpx.AsyncClient


@attrs.frozen
class Region:
    ana: User
    bia: User
    caio: User
    container: Container

    async def promote(self, user: User) -> None:
        """Make a user an administrator, who signs in again."""
        async with self.container.storage().write() as unit:
            account = await unit.get(ACCOUNTS, user.user_id)
            await unit.save(ACCOUNTS, attrs.evolve(account, is_admin=True, version=account.version + 1))
        body = {"username": account.username, "password": PASSWORD}
        answer = (await user.client.post("/api/auth/login", json=body, headers={"authorization": ""})).json()
        user.client.headers["authorization"] = f"Bearer {answer['access_token']}"

    async def circuit(self, *members: User, **settings: Any) -> str:
        """Make a circuit of Ana's with these members and return its path."""
        made = await self.ana.client.post("/api/circuits", json={"name": "Novilho"} | settings)
        assert made.status_code == 201, made.text
        path = f"/api/circuits/{made.json()['circuit_id']}"
        for member in members:
            body = {"member_id": member.user_id, "role": "member"}
            assert (await self.ana.client.post(f"{path}/members", json=body)).status_code == 201
        return path

    async def item(self, owner: User, value: str) -> str:
        body = {"identifiers": [{"key": "lote", "value": value}]}
        return str((await owner.client.post("/api/items", json=body)).json()["dfid"])


@pytest.fixture
async def region(tmp_path: Path) -> AsyncIterator[Region]:
    settings = load({}, options=OPTIONS | {"DEFARM_DATA_DIR": str(tmp_path)})
    async with AsyncExitStack() as stack:
        container = await stack.enter_async_context(opened(Container(settings=settings)))
        health = health_of(container, datetime.now(UTC))
        health.phase = "ready"
        app = assembled(engine_routes(container), kernel_of(container, health), health)
        transport = httpx.ASGITransport(app=app, client=("203.0.113.7", 4711))
        users = []
        for name in ("ana", "bia", "caio"):
            client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://engine"))
            users.append(await _registered(client, name))
        yield Region(*users, container)


async def _registered(client: httpx.AsyncClient, name: str) -> User:
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    answer = (await client.post("/api/auth/register", json=body)).json()
    client.headers["authorization"] = f"Bearer {answer['access_token']}"
    return User(answer["user"]["user_id"], client)

"""An engine in memory with users of two workspaces and an item."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from application.settings import load
from container import Container, opened
from entrypoints.http.assembly import assembled, engine_routes, health_of, kernel_of
from entrypoints.http.routes.accounts import account_routes

OPTIONS = {
    "DEFARM_STORAGE": "memory",
    "DEFARM_ARGON2_TIME": "1",
    "DEFARM_ARGON2_MEMORY_KIB": "8192",
    "JWT_SECRET": "jwt secret of the tests, long enough",
    "DEFARM_SECRET_KEY": "root key of the tests, long enough",
}


@attrs.frozen
class User:
    """A registered user with a client of their own."""

    user_id: str
    client: httpx.AsyncClient


@attrs.frozen
class Farm:
    ana: User
    rui: User
    dfid: str

    def body(self, **more: Any) -> dict[str, Any]:
        return {"dfid": self.dfid, "category": "vaccination", "payload": {"vacina": "aftosa", "dose_ml": 2}, **more}


@pytest.fixture
async def farm(tmp_path: Path) -> AsyncIterator[Farm]:
    settings = load({}, options=OPTIONS | {"DEFARM_DATA_DIR": str(tmp_path)})
    async with opened(Container(settings=settings)) as container:
        health = health_of(container, datetime.now(UTC))
        health.phase = "ready"
        routes = {route.operation_id: route for route in account_routes(container.accounts())}
        routes |= {route.operation_id: route for route in engine_routes(container)}
        app = assembled(list(routes.values()), kernel_of(container, health), health)
        transport = httpx.ASGITransport(app=app, client=("203.0.113.7", 4711))
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://engine") as ana,
            httpx.AsyncClient(transport=transport, base_url="http://engine") as rui,
        ):
            users = [await _registered(client, name) for client, name in ((ana, "ana"), (rui, "rui"))]
            item = await ana.post("/api/items", json={"identifiers": [{"key": "lote", "value": "1"}]})
            assert item.status_code == 201, item.text
            yield Farm(users[0], users[1], item.json()["dfid"])


async def _registered(client: httpx.AsyncClient, name: str) -> User:
    body = {"username": name, "email": f"{name}@example.com", "password": "seven brown oxen graze"}
    answer = (await client.post("/api/auth/register", json=body)).json()
    client.headers["authorization"] = f"Bearer {answer['access_token']}"
    return User(answer["user"]["user_id"], client)

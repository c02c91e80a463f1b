"""A region with an administrator and the container behind it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from dependency_injector import providers

from adapters.memory.limits import MemoryRateLimiter
from application.accounts.roster import enrol
from application.settings import load
from container import Container, opened, policies
from domain.access.principal import system
from domain.act import Act
from domain.audit.sequencing import FOLDED_FOR
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
    others: list[Container] = attrs.field(factory=list)

    async def seal(self, *, late: bool = True) -> None:
        """Do what the workers do every second; `late`, when no refusal is open any more."""
        for instance in (self.container, *self.others):
            await instance.denials().flush()
        sequencer = self.container.sequencer()
        sequencer.folded_for = timedelta(0) if late else FOLDED_FOR
        while await sequencer.drain():
            pass

    def second(self, address: str) -> httpx.AsyncClient:
        """Return a client of another instance, which shares store and limiter with the first."""
        other = Container(settings=self.container.settings())
        other.memory_storage.override(providers.Object(self.container.storage()))
        other.limiter.override(providers.Object(self.container.limiter()))
        other.identifier_keys.override(providers.Object(self.container.identifier_keys()))
        self.others.append(other)
        return _client(other, address)

    async def entries(self, user: User | None = None, **asked: Any) -> list[dict[str, Any]]:
        """Return the newest entries that a user sees, the administrator unless another is named."""
        answer = await (user or self.admin).client.get("/api/audit/entries", params={"limit": 200} | asked)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    settings = load({}, options=OPTIONS | {"DEFARM_DATA_DIR": str(tmp_path), "DEFARM_REFRESH_GRACE": "0"})
    container = Container(settings=settings)
    of_logins = {name: policy for name, policy in policies(settings).items() if name.startswith("login_")}
    container.limiter.override(MemoryRateLimiter(of_logins))
    async with opened(container):
        names = ("ana", "bia", "caio", "olga")
        users = [await _registered(_client(container, "203.0.113.7"), name) for name in names]
        admin = await promoted(container, users.pop(), "olga")
        yield Watched(Region(*users, container), admin, container, _client(container, "198.51.100.9"))


def _client(container: Container, address: str) -> httpx.AsyncClient:
    """Return a client of one instance, calling from an address. What it holds needs no closing."""
    health = health_of(container, datetime.now(UTC))
    health.phase = "ready"
    app = assembled(engine_routes(container), kernel_of(container, health), health)
    transport = httpx.ASGITransport(app=app, client=(address, 4711))
    return httpx.AsyncClient(transport=transport, base_url="http://engine")


async def promoted(container: Container, user: User, name: str) -> User:
    """Make a user an administrator, and sign in anew as such."""

    async def work(act: Act) -> None:
        account = await act.unit.get(ACCOUNTS, user.user_id)
        await act.unit.save(ACCOUNTS, attrs.evolve(account, is_admin=True, version=account.version + 1))
        await enrol(act, user.user_id)

    await container.units().perform(system(), work)
    login = await user.client.post("/api/auth/login", json={"username": name, "password": PASSWORD})
    user.client.headers["authorization"] = f"Bearer {login.json()['access_token']}"
    return user

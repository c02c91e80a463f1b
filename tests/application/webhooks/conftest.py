from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network

import attrs
import pytest

from adapters.memory.limits import MemoryRateLimiter
from adapters.webhooks.poster import GuardedPoster
from application.circuits import Circuits
from application.circuits.service import clear_waiting
from application.items import Items
from application.outbox import Relay
from application.passwords import Passwords
from application.sealing import Seal
from application.units import DfidSource, Units
from application.webhooks import Courier, Webhooks
from application.webhooks.feeding import JOBS
from application.webhooks.requests import CreateWebhook, DeliveryFilter
from application.webhooks.vault import Vault
from application.webhooks.views import DeliveryView, WebhookWithSecret
from domain.access.principal import Principal
from domain.identifiers.personal import IdentifierKeys
from domain.ports.storage import Storage
from tests.application.circuits.world import SteppedClock, World
from tests.application.webhooks.receiver import Receiver, receiving
from tests.invariants import checked_store

LOOPBACK = (ip_network("127.0.0.0/8"),)
ROOT = b"r" * 32
ATTEMPT = 30.0
"""Seconds that an attempt has where no test is about its time."""


@attrs.define
class Post:
    """A world of circuits with webhooks, and the workers that run when a test says so."""

    world: World
    webhooks: Webhooks
    relay: Relay
    courier: Courier
    results: list[str]

    async def hook(self, who: Principal, circuit_id: str, url: str, **members: object) -> WebhookWithSecret:
        request = CreateWebhook("ERP", url, **members)  # type: ignore[arg-type]
        return await self.webhooks.create(who, circuit_id, request)

    async def work(self) -> None:
        """Expand what was triggered, and try what is due, once."""
        await self.relay.drain()
        await self.courier.drain()

    async def deliveries(self, who: Principal, circuit_id: str) -> list[DeliveryView]:
        """Return all deliveries, oldest first."""
        page = await self.webhooks.deliveries(who, circuit_id, DeliveryFilter(), limit=200)
        return list(reversed(page.items))


def made_post(storage: Storage, passwords: Passwords) -> Post:
    clock = SteppedClock()
    units = Units(storage, clock, DfidSource(storage, clock))
    keys = IdentifierKeys(b"k" * 32)
    circuits = Circuits(units, keys, passwords, MemoryRateLimiter({}))
    vault = Vault(Seal.of("defarm/webhook", ROOT))
    results: list[str] = []
    poster = GuardedPoster(ATTEMPT, LOOPBACK)
    return Post(
        World(storage, clock, circuits, Items(units, keys)),
        Webhooks(units, vault, LOOPBACK),
        Relay(units, {**JOBS, "cancel_waiting": clear_waiting}),
        Courier(units, vault, lambda: poster, told=results.append),
        results,
    )


@pytest.fixture(scope="session")
def passwords() -> Iterator[Passwords]:
    made = Passwords(workers=1, queue=8, time_cost=1, memory_kib=8192)
    yield made
    made.close()


@pytest.fixture(params=["memory", "postgres"])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """An empty store; after the test it breaks no invariant."""
    async with checked_store(request) as stored:
        yield stored


@pytest.fixture
def post(storage: Storage, passwords: Passwords) -> Post:
    return made_post(storage, passwords)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made

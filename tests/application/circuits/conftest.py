from collections.abc import AsyncIterator, Iterator

import pytest

from adapters.memory.limits import MemoryRateLimiter
from application.circuits import Circuits
from application.items import Items
from application.passwords import Passwords
from application.units import DfidSource, Units
from domain.identifiers.personal import IdentifierKeys
from domain.ports.limits import Policy, Window
from domain.ports.storage import Storage
from tests.application.circuits.world import SteppedClock, World
from tests.invariants import checked_store

POLICIES = {
    "page_password": Policy((Window(10, 900),), exact=True),
    "page_password_circuit": Policy((Window(30, 900),), exact=True),
}


@pytest.fixture(scope="session")
def passwords() -> Iterator[Passwords]:
    made = Passwords(workers=2, queue=64, time_cost=1, memory_kib=8192)
    yield made
    made.close()


@pytest.fixture(params=["memory", "postgres"])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """An empty store; after the test it breaks no invariant."""
    async with checked_store(request) as stored:
        yield stored


@pytest.fixture
async def world(storage: Storage, passwords: Passwords) -> World:
    clock = SteppedClock()
    units = Units(storage, clock, DfidSource(storage, clock))
    keys = IdentifierKeys(b"k" * 32)
    circuits = Circuits(units, keys, passwords, MemoryRateLimiter(POLICIES))
    return World(storage, clock, circuits, Items(units, keys))

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from adapters.memory.limits import MemoryRateLimiter
from application.accounts import Accounts, AccountSettings, Desk
from application.authentication import AccessTokenCheck
from application.passwords import Passwords
from application.secrets import Peppers, derive_key
from application.tokens import AccessTokens, SignedTokens, TokenKeys
from application.units import DfidSource, Units
from domain.ports.clock import Clock
from domain.ports.limits import Policy, Window
from domain.ports.schema import STORE
from domain.ports.storage import Storage
from domain.store import StoreRecord
from tests.application.accounts.world import ROOT, World
from tests.invariants import checked_store

LOGIN_POLICIES = {
    "login_pair": Policy((Window(10, 900),), exact=True),
    "login_user": Policy((Window(50, 900),), exact=True),
    "login_ip": Policy((Window(100, 900),), exact=True),
}


class SteppedClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.instant

    def pass_by(self, time: timedelta) -> None:
        self.instant += time


@pytest.fixture(params=["memory", "postgres"])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """An empty store; after the test it breaks no invariant."""
    async with checked_store(request) as stored:
        yield stored


@pytest.fixture(scope="session")
def passwords() -> Iterator[Passwords]:
    made = Passwords(workers=2, queue=64, time_cost=1, memory_kib=8192)
    yield made
    made.close()


def accounts_on(storage: Storage, clock: Clock, passwords: Passwords) -> Accounts:
    """The use cases of accounts on a store."""
    tokens = AccessTokens(SignedTokens(TokenKeys(b"j" * 32), "defarm", "defarm-api"), timedelta(minutes=15))
    desk = Desk(
        units=Units(storage, clock, DfidSource(storage, clock)),
        passwords=passwords,
        tokens=tokens,
        peppers=Peppers.of(ROOT),
        limiter=MemoryRateLimiter(LOGIN_POLICIES),
        settings=AccountSettings(name_key=derive_key(ROOT, "defarm/name-digest")),
    )
    return Accounts(desk)


@pytest.fixture
async def world(storage: Storage, passwords: Passwords) -> World:
    clock = SteppedClock()
    accounts = accounts_on(storage, clock, passwords)
    record = StoreRecord("store", "019c0000-0000-7000-8000-000000000001", "", clock.now(), setup_value="ab" * 32)
    async with storage.write() as unit:
        await unit.add(STORE, record)
    return World(storage, clock, accounts, AccessTokenCheck(accounts.desk.tokens, storage, clock))

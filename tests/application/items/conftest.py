"""Two workspaces over each kind of store."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from application.imports import Imports
from application.items import Items
from application.units import DfidSource, Units
from domain.access.principal import Principal, PrincipalKind, WorkspaceRole
from domain.accounts.values import Account, Workspace
from domain.document import Document
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.items.submission import IdentifierInput, Submission
from domain.ports.queries import Select
from domain.ports.schema import ACCOUNTS, FACETS, WORKSPACES, Facet
from domain.ports.storage import Storage
from tests.invariants import checked_store


@attrs.define
class SetClock:
    """A clock that a test sets."""

    instant: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        self.instant += timedelta(microseconds=1)
        return self.instant


def submission(*identifiers: tuple[str, ...], **data: Any) -> Submission:
    """Return a submission of (key, value[, namespace]) identifiers and data members."""
    return Submission(tuple(IdentifierInput(*given) for given in identifiers), Document(data))


class Farm:
    """The items service and two users of different workspaces."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.clock = SetClock()
        self.units = Units(storage, self.clock, DfidSource(storage, self.clock))
        self.keys = IdentifierKeys(bytes(range(32)))
        self.items = Items(self.units, self.keys)
        self.imports = Imports(self.units, self.keys)
        self.ana = _principal()
        self.rui = _principal()

    async def settle(self) -> None:
        """Store the accounts of both users and their workspaces."""
        now = self.clock.now()
        async with self.storage.write() as unit:
            for number, user in enumerate((self.ana, self.rui)):
                home = Workspace(str(user.workspace_id), f"farm {number}", f"farm {number}", user.user_id, now, now)
                await unit.add(WORKSPACES, home)
                await unit.add(ACCOUNTS, _account(user, number, self.clock.now()))

    async def rows(self, facet: Facet[Any], **where: Any) -> list[Any]:
        """Return the stored rows of a facet."""
        async with self.storage.read() as reader:
            return list((await reader.page(facet, Select(where), limit=1000)).items)

    async def census(self) -> dict[str, int]:
        """Return how many rows every facet has, up to 1,000."""
        return {facet.name: len(await self.rows(facet)) for facet in FACETS}


def _principal() -> Principal:
    return Principal(
        PrincipalKind.USER,
        user_id=new_id(),
        workspace_id=new_id(),
        workspace_role=WorkspaceRole.MANAGER,
        trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    )


def _account(user: Principal, number: int, now: datetime) -> Account:
    assert user.user_id is not None and user.workspace_id is not None
    return Account(user.user_id, user.workspace_id, f"user{number}", f"user{number}@example.com", None, now, now)


@pytest.fixture(params=["memory", "postgres"])
async def farm(request: pytest.FixtureRequest) -> AsyncIterator[Farm]:
    """The farm over a memory and over a PostgreSQL store, which break no invariant after the test."""
    async with checked_store(request) as storage:
        farm = Farm(storage)
        await farm.settle()
        yield farm

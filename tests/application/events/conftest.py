"""A world of workspaces, users, circuits and items, on each kind of store."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import attrs
import pytest

from application.events import Events
from application.events.requests import AppendEvent
from application.items.requests import EnrichItem
from application.items.service import Items
from application.items.views import ItemOutcome
from application.store_life import STORE_KEY
from application.units import DfidSource, Units
from domain.access.permissions import ROLE_PERMISSIONS, BaseRole, Permission
from domain.access.principal import Principal, PrincipalKind, WorkspaceRole
from domain.access.vocabulary import EventVisibility
from domain.accounts.values import Account, Workspace
from domain.circuits.values import Circuit, Membership, Placement
from domain.document import Document
from domain.events.values import Event
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.items.submission import IdentifierInput, Submission
from domain.items.values import Share
from domain.ports.queries import Select
from domain.ports.schema import (
    ACCOUNTS,
    ACTIVITY,
    AUDIT,
    CHAINS,
    CIRCUITS,
    EVENTS,
    MEMBERSHIPS,
    NOTIFICATIONS,
    OUTBOX,
    PLACEMENTS,
    SHARES,
    STORE,
    WORKSPACES,
    Facet,
    Key,
)
from domain.ports.storage import Storage
from domain.store import StoreRecord
from tests.invariants import checked_store

V = TypeVar("V")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LAID_BY_HAND = frozenset(
    {
        "a_circuit_has_its_owner",
        "a_placement_has_its_push",
        "a_pull_stands_in_the_chain",
        "an_end_belongs_to_an_ended_membership",
        "circuits_are_audited",
        "decisions_are_complete",
        "memberships_are_audited",
        "operations_are_audited",
        "others_contribute_through_circuits",
        "permissions_are_those_of_the_role",
        "placements_are_audited",
        "placements_are_what_the_chain_says",
        "shares_are_audited",
    }
)
"""What tells of circuits, members, placements and shares is put there as facts, not by their use cases."""


@attrs.define
class StandingClock:
    instant: datetime = NOW

    def now(self) -> datetime:
        return self.instant


class World:
    """Three workspaces and a circuit in which the item of the first one stands."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.clock = StandingClock()
        self.units = Units(storage, self.clock, DfidSource(storage, self.clock))
        self.events = Events(self.units)
        self.items = Items(self.units, IdentifierKeys(bytes(32)))
        self.circuit_id = new_id()
        self.dfid = ""

    async def begin(self) -> None:
        self.owner, self.colleague = await self.users("owner", "colleague")
        (self.member,) = await self.users("member")
        (self.reader,) = await self.users("reader")
        (self.stranger,) = await self.users("stranger")
        await self.put(CIRCUITS, Circuit(self.circuit_id, "Circuit", self.owner.user_id or "", NOW, NOW))
        await self.join(self.owner, BaseRole.OWNER)
        await self.join(self.member, BaseRole.MEMBER)
        await self.join(self.reader, BaseRole.VIEWER)
        await self.put(STORE, StoreRecord(STORE_KEY, new_id(), "sealed", NOW))
        self.dfid = await self.item()
        await self.place(self.dfid)

    async def users(self, *names: str) -> list[Principal]:
        """Add users of one new workspace."""
        workspace_id, made = new_id(), []
        await self.put(WORKSPACES, Workspace(workspace_id, workspace_id, workspace_id, None, NOW, NOW))
        for name in names:
            manager = WorkspaceRole.MANAGER
            email = f"{name}@example.com"
            account = Account(new_id(), workspace_id, name, email, None, NOW, NOW, workspace_role=manager)
            await self.put(ACCOUNTS, account)
            made.append(
                Principal(
                    PrincipalKind.USER,
                    user_id=account.user_id,
                    workspace_id=workspace_id,
                    workspace_role=WorkspaceRole.MANAGER,
                    trace_id="trace",
                )
            )
        return made

    async def put(self, facet: Facet[V], *values: V) -> None:
        async with self.storage.write() as unit:
            await unit.add(facet, *values)

    async def join(self, principal: Principal, role: BaseRole, *more: Permission) -> None:
        permissions = ROLE_PERMISSIONS[role] | frozenset(more)
        member = Membership(self.circuit_id, principal.user_id or "", role, permissions, NOW, "added")
        async with self.storage.write() as unit:
            held = await unit.find(MEMBERSHIPS, (self.circuit_id, member.user_id))
            if held is None:
                await unit.add(MEMBERSHIPS, member)
            else:
                await unit.save(MEMBERSHIPS, attrs.evolve(member, version=held.version + 1))

    async def item(self, principal: Principal | None = None, **data: object) -> str:
        """Create an item of the owner's and return its DFID."""
        made = Submission((IdentifierInput("lote", new_id()),), Document(data))
        outcome = await self.items.create(principal or self.owner, made)
        assert isinstance(outcome, ItemOutcome) and outcome.item.dfid is not None
        return outcome.item.dfid

    async def enrich(self, **data: object) -> None:
        await self.items.enrich(self.owner, self.dfid, EnrichItem(data=Document(data)))

    async def place(self, dfid: str) -> None:
        owner = self.owner
        placement = Placement(
            new_id(),
            self.circuit_id,
            dfid,
            owner.workspace_id or "",
            owner.user_id or "",
            owner.workspace_id or "",
            NOW,
            new_id(),
            resharable=False,
        )
        await self.put(PLACEMENTS, placement)

    async def share(self, principal: Principal, *, expires_at: datetime | None = None) -> None:
        owner = self.owner
        share = Share(
            new_id(), self.dfid, owner.user_id or "", owner.workspace_id or "", principal.user_id or "", NOW, expires_at
        )
        await self.put(SHARES, share)

    async def change(self, facet: Facet[Any], key: Key, **members: object) -> None:
        """Change a stored row as an administrator of the database could."""
        async with self.storage.write() as unit:
            held = await unit.get(facet, key)
            if facet.versioned and facet is not CHAINS:
                members = {"version": held.version + 1, **members}
                await unit.save(facet, attrs.evolve(held, **members))
            else:
                await unit.remove(facet, held)
                await unit.add(facet, attrs.evolve(held, **members))

    async def rows(self, facet: Facet[V]) -> list[V]:
        async with self.storage.read() as reader:
            return list((await reader.page(facet, Select(), limit=1000)).items)

    async def chain(self, dfid: str | None = None) -> list[Event]:
        async with self.storage.read() as reader:
            query = Select({"dfid": dfid or self.dfid}, ("position",))
            return list((await reader.page(EVENTS, query, limit=1000)).items)

    async def effects(self) -> dict[str, int]:
        """Count what is written beside items and contributions."""
        facets: list[Facet[Any]] = [EVENTS, AUDIT, ACTIVITY, NOTIFICATIONS, OUTBOX]
        return {facet.name: len(await self.rows(facet)) for facet in facets}

    def later(self, **span: float) -> None:
        self.clock.instant += timedelta(**span)

    def request(self, **members: Any) -> AppendEvent:
        """A request without faults, of an own private event unless said otherwise."""
        usual: dict[str, Any] = {"dfid": self.dfid, "category": "vaccination", "payload": Document(dose_ml=2)}
        return AppendEvent(**{**usual, **members})

    def through_circuit(self, **members: Any) -> AppendEvent:
        return self.request(**{"circuit_id": self.circuit_id, "visibility": EventVisibility.CIRCUIT_ONLY, **members})


@pytest.fixture(params=["memory", "postgres"])
async def storage(request: pytest.FixtureRequest) -> AsyncIterator[Storage]:
    """An empty store; after the test it breaks no invariant but those of what the world lays by hand."""
    async with checked_store(request, apart_from=LAID_BY_HAND) as stored:
        yield stored


@pytest.fixture
async def world(storage: Storage) -> World:
    made = World(storage)
    await made.begin()
    return made

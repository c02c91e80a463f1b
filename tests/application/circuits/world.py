"""People, workspaces and a trail of what every act left behind."""

from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import attrs

from application.circuits import Circuits
from application.circuits.page_door import PageTokens
from application.circuits.pages import Pages
from application.circuits.requests import AddMember, CreateCircuit, PushLocal
from application.circuits.service import clear_waiting
from application.circuits.views import CircuitView, Push
from application.events import Events
from application.items import Items
from application.items.requests import CreateDraft
from application.items.transfers import Transfers
from application.notifications.service import tell_many
from application.outbox import Relay
from application.tokens import SignedTokens, TokenKeys
from domain.access.principal import Principal, PrincipalKind, WorkspaceRole
from domain.accounts.values import Account, Workspace
from domain.document import EMPTY, Document
from domain.ids import new_id
from domain.items.submission import IdentifierInput, Submission
from domain.ports.queries import Select
from domain.ports.schema import ACCOUNTS, ACTIVITY, AUDIT, NOTIFICATIONS, OUTBOX, WORKSPACES, Facet
from domain.ports.storage import Storage
from domain.ports.walking import walk

V = TypeVar("V")


class SteppedClock:
    """A clock that goes on by a second with every look, and further when the test says so."""

    def __init__(self) -> None:
        self.instant = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        self.instant += timedelta(seconds=1)
        return self.instant

    def pass_by(self, time: timedelta) -> None:
        self.instant += time


@attrs.frozen
class Trail:
    """What was recorded since the last look: audit actions, activity kinds, (type, user) of notifications, jobs."""

    audit: list[str]
    activity: list[str]
    told: set[tuple[str, str]]
    jobs: list[str]

    @property
    def silent(self) -> bool:
        return not (self.audit or self.activity or self.told or self.jobs)


@attrs.define
class World:
    storage: Storage
    clock: SteppedClock
    circuits: Circuits
    items: Items
    homes: dict[str, str] = attrs.field(factory=dict)
    _seen: dict[str, set[Any]] = attrs.field(factory=dict)

    @property
    def pages(self) -> Pages:
        tokens = SignedTokens(TokenKeys(b"p" * 32), "defarm", "defarm-api/page")
        circuits = self.circuits
        return Pages(circuits.units, circuits.door, PageTokens(tokens, timedelta(hours=1)), circuits.tallies)

    @property
    def events(self) -> Events:
        return Events(self.circuits.units)

    @property
    def transfers(self) -> Transfers:
        return Transfers(self.circuits.units, self.circuits.keys)

    async def user(
        self, name: str, home: str | None = None, *, role: WorkspaceRole = WorkspaceRole.MANAGER
    ) -> Principal:
        """Make a user, of a workspace of that name; a home of their own when none is named."""
        home = home or f"farm of {name}"
        now, user_id = self.clock.now(), new_id()
        async with self.storage.write() as unit:
            if home not in self.homes:
                self.homes[home] = new_id()
                await unit.add(WORKSPACES, Workspace(self.homes[home], home, home, user_id, now, now))
            workspace_id = self.homes[home]
            account = Account(user_id, workspace_id, name, f"{name}@farm.test", None, now, now, workspace_role=role)
            await unit.add(ACCOUNTS, account)
        return Principal(PrincipalKind.USER, user_id, workspace_id, workspace_role=role, trace_id="0" * 32)

    async def circuit(self, owner: Principal, **settings: Any) -> CircuitView:
        return await self.circuits.create(owner, CreateCircuit(**{"name": "Novilho Precoce"} | settings))

    async def join(self, owner: Principal, circuit_id: str, *members: Principal, role: str = "member") -> None:
        for member in members:
            await self.circuits.add_member(owner, circuit_id, AddMember(role, member_id=member.user_id))

    async def item(self, owner: Principal, *identifiers: IdentifierInput, **data: Any) -> str:
        """Register an item and return its DFID."""
        given = identifiers or (IdentifierInput("lote", new_id()),)
        made = await self.items.create(owner, Submission(given, Document(data)))
        return str(made.item.dfid)  # type: ignore[union-attr]

    async def draft(self, owner: Principal, *identifiers: IdentifierInput, **data: Any) -> str:
        """Make a local draft and return its LID."""
        made = await self.items.create_draft(owner, CreateDraft(identifiers=identifiers, data=Document(data)))
        return str(made.local_id)

    async def push_local(
        self, who: Principal, circuit_id: str, local_id: str, *identifiers: IdentifierInput, **data: Any
    ) -> Push:
        request = PushLocal(local_id, identifiers, Document(data) if data else EMPTY)
        return await self.circuits.push_local(who, circuit_id, request)

    async def rows(self, facet: Facet[V], **where: Any) -> list[V]:
        """Return all rows that match."""
        async with self.storage.read() as reader:
            return [row async for row in walk(reader, facet, Select(where))]

    async def trail(self) -> Trail:
        """Return what was recorded since the last look."""
        audit = [row.action for row in await self._new(AUDIT)]
        activity = [row.kind for row in await self._new(ACTIVITY)]
        told = {(row.type, row.user_id) for row in await self._new(NOTIFICATIONS)}
        return Trail(sorted(audit), sorted(activity), told, sorted(row.kind for row in await self._new(OUTBOX)))

    async def _new(self, facet: Facet[V]) -> list[V]:
        seen = self._seen.setdefault(facet.name, set())
        fresh = [row for row in await self.rows(facet) if facet.key_of(row) not in seen]
        seen |= {facet.key_of(row) for row in fresh}
        return fresh

    async def run_jobs(self) -> None:
        """Carry out what waits for a worker."""
        await Relay(self.circuits.units, {"cancel_waiting": clear_waiting, "notify": tell_many}).drain()


def sisbov(number: int) -> IdentifierInput:
    """Return an ear tag."""
    return IdentifierInput("sisbov", f"0760000000{number:05d}")


def lot(value: str, key: str = "lote") -> IdentifierInput:
    """Return a name that means something among those who agreed on it."""
    return IdentifierInput(key, value)

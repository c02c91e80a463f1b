"""Races (circuits.md 8, scenarios 50 to 55): every interleaving ends as some order of one after the other.

The specification asks for 1,000 interleavings of each on each store, which takes minutes:

    RACES=1000 pytest tests/application/circuits/test_races.py

Without `RACES` there are fewer, so that every run of the tests can afford them.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import attrs
import pytest

from adapters.changes import Changes
from adapters.memory.limits import MemoryRateLimiter
from adapters.postgres.storage import PostgresStorage
from adapters.staging import StagedStorage
from application.circuits import Circuits
from application.circuits.requests import AddMember, AskToJoin, ChangeRole, PublicRequest, TransferCircuit
from application.items import Items
from application.items.lineage import MergeItems
from application.passwords import Passwords
from application.units import DfidSource, Units
from domain.access.principal import Principal
from domain.access.vocabulary import CircuitStatus
from domain.circuits.values import Circuit, Membership
from domain.document import Document
from domain.errors import Refusal
from domain.identifiers.personal import IdentifierKeys
from domain.items.submission import Submission
from domain.ports.schema import (
    ACTIVITY,
    CIRCUITS,
    CLAIMS,
    EVENTS,
    ITEMS,
    JOIN_REQUESTS,
    MAPPINGS,
    MEMBERSHIPS,
    NOTIFICATIONS,
    OPERATIONS,
    PLACEMENTS,
)
from domain.ports.storage import Storage
from tests.access.world import Rewindable
from tests.application.circuits.world import SteppedClock, World, sisbov
from tests.invariants import hold_in

INTERLEAVINGS = {stack: int(os.environ.get("RACES", few)) for stack, few in (("memory", "100"), ("postgres", "30"))}
AT_ONCE = 20
"""Races that run beside each other on PostgreSQL, each in a circuit of its own."""

DECIDED = ("operation_approved", "operation_rejected", "operation_cancelled")

Race = Callable[[], Awaitable[Any]]
M = TypeVar("M")


class Hesitant(Rewindable):
    """A store whose every call lets others go first, as chance has it. `watch` looks at it after each commit."""

    def __init__(self) -> None:
        super().__init__()
        self.chance: random.Random | None = None
        self.commits: list[frozenset[str]] = []
        """The facets changed by each commit, in order."""
        self.watch: Callable[[Hesitant], None] = lambda backend: None

    async def _hesitate(self) -> None:
        for _ in range(0 if self.chance is None else self.chance.randrange(4)):
            await asyncio.sleep(0)

    async def fetch(self, *args: Any) -> Any:
        await self._hesitate()
        return await super().fetch(*args)

    async def fetch_each(self, *args: Any) -> Any:
        await self._hesitate()
        return await super().fetch_each(*args)

    async def select(self, *args: Any) -> Any:
        await self._hesitate()
        return await super().select(*args)

    async def select_each(self, *args: Any) -> Any:
        await self._hesitate()
        return await super().select_each(*args)

    async def commit(self, changes: Changes) -> None:
        await self._hesitate()
        await super().commit(changes)
        self.commits.append(frozenset(change.facet.name for change in changes if _writes(change)))
        self.watch(self)


def _writes(change: Any) -> bool:
    return bool(change.adds or change.saves or change.removes)


def world_on(storage: Storage, passwords: Passwords) -> World:
    clock = SteppedClock()
    units = Units(storage, clock, DfidSource(storage, clock))
    keys = IdentifierKeys(b"k" * 32)
    return World(storage, clock, Circuits(units, keys, passwords, MemoryRateLimiter({})), Items(units, keys))


@attrs.define
class Rounds:
    """Runs a race again and again, each time from where `prepare` left off."""

    url: str | None
    passwords: Passwords
    backend: Hesitant = attrs.field(factory=Hesitant)

    async def each(self, prepare: Callable[[World], Awaitable[M]], race: Callable[[World, M], Awaitable[None]]) -> None:
        await (self._in_memory(prepare, race) if self.url is None else self._on_postgres(prepare, race))

    async def _in_memory(
        self, prepare: Callable[[World], Awaitable[M]], race: Callable[[World, M], Awaitable[None]]
    ) -> None:
        backend: Any = self.backend
        world = world_on(StagedStorage(backend), self.passwords)
        made = await prepare(world)
        self.backend.keep()
        for seed in range(INTERLEAVINGS["memory"]):
            self.backend.chance = random.Random(seed)
            await race(world, made)
            self.backend.chance = None
            if seed % 10 == 0:
                await hold_in(world.storage)
            self.backend.rewind()

    async def _on_postgres(
        self, prepare: Callable[[World], Awaitable[M]], race: Callable[[World, M], Awaitable[None]]
    ) -> None:
        storage = PostgresStorage(str(self.url))
        await storage.open()
        world = world_on(storage, self.passwords)

        async def one() -> None:
            await race(world, await prepare(world))

        try:
            for begun in range(0, INTERLEAVINGS["postgres"], AT_ONCE):
                await asyncio.gather(*(one() for _ in range(min(AT_ONCE, INTERLEAVINGS["postgres"] - begun))))
            await hold_in(storage)
        finally:
            await storage.aclose()


@pytest.fixture(params=["memory", "postgres"])
def rounds(request: pytest.FixtureRequest, passwords: Passwords) -> Rounds:
    url = request.getfixturevalue("migrated_url") if request.param == "postgres" else None
    return Rounds(url, passwords)


async def outcomes(*calls: Awaitable[Any]) -> list[str]:
    """Return what became of calls made at once: `done`, or the code of the refusal."""

    async def outcome(call: Awaitable[Any]) -> str:
        try:
            await call
        except Refusal as refusal:
            return refusal.code
        return "done"

    return list(await asyncio.gather(*map(outcome, calls)))


_names = iter(range(10**9))


async def people(world: World, count: int) -> list[Principal]:
    return [await world.user(f"u{next(_names)}") for _ in range(count)]


@attrs.frozen
class Waiting:
    """Owner, second approver and requester of a circuit, with a waiting push of the requester."""

    ana: Principal
    bia: Principal
    caio: Principal
    circuit_id: str
    operation_id: str


async def waiting(world: World) -> Waiting:
    ana, bia, caio = await people(world, 3)
    circuit_id = (await world.circuit(ana, require_approval_for_push=True)).circuit_id
    await world.join(ana, circuit_id, bia, role="admin")
    await world.join(ana, circuit_id, caio)
    operation = (await world.circuits.push(caio, circuit_id, await world.item(caio))).operation
    assert operation is not None
    return Waiting(ana, bia, caio, circuit_id, operation.operation_id)


async def circle(world: World, **settings: Any) -> tuple[Principal, Principal, Principal, str]:
    """Return the owner and two members of a circuit."""
    ana, bia, caio = await people(world, 3)
    circuit_id = (await world.circuit(ana, **settings)).circuit_id
    await world.join(ana, circuit_id, bia, caio)
    return ana, bia, caio, circuit_id


async def test_scenario_50_of_two_decisions_exactly_one_counts(rounds: Rounds) -> None:
    ended_as = Counter[str]()

    async def race(world: World, at: Waiting) -> None:
        others: list[Race] = [
            lambda: world.circuits.approve_operation(at.bia, at.operation_id),
            lambda: world.circuits.reject_operation(at.bia, at.operation_id),
            lambda: world.circuits.cancel_operation(at.caio, at.operation_id),
        ]
        other = others[ended_as.total() % 3]
        ended = await outcomes(world.circuits.approve_operation(at.ana, at.operation_id), other())
        assert sorted(ended) == ["done", "operation_decided"]
        placed = await world.rows(PLACEMENTS, circuit_id=at.circuit_id)
        (operation,) = await world.rows(OPERATIONS, operation_id=at.operation_id)
        assert len(placed) == (1 if operation.status == "completed" else 0)
        pushed = await world.rows(EVENTS, event_type="pushed_to_circuit", circuit_id=at.circuit_id)
        assert len(pushed) == len(placed)
        told = await world.rows(NOTIFICATIONS, circuit_id=at.circuit_id)
        decided = Counter((row.user_id, row.type) for row in told if row.type in DECIDED)
        assert set(decided.values()) == {1} and len({kind for _, kind in decided}) == 1
        kinds = [row.kind for row in await world.rows(ACTIVITY, circuit_id=at.circuit_id)]
        assert sum(kind in DECIDED for kind in kinds) == 1
        ended_as[operation.status] += 1

    await rounds.each(waiting, race)
    assert rounds.url or len(ended_as) == 3, f"only {dict(ended_as)} ever came first"


async def test_scenario_51_no_push_is_committed_by_a_removed_member(rounds: Rounds) -> None:
    ended_as = Counter[str]()

    async def prepare(world: World) -> tuple[Principal, Principal, str, str]:
        ana, bia, _, circuit_id = await circle(world)
        return ana, bia, circuit_id, await world.item(bia)

    async def race(world: World, made: tuple[Principal, Principal, str, str]) -> None:
        ana, bia, circuit_id, dfid = made
        removed, pushed = await outcomes(
            world.circuits.remove_member(ana, circuit_id, str(bia.user_id)),
            world.circuits.push(bia, circuit_id, dfid),
        )
        assert removed == "done"
        assert pushed in ("done", "not_found")
        ended_as[pushed] += 1
        placed = await world.rows(PLACEMENTS, circuit_id=circuit_id)
        assert len(placed) == (1 if pushed == "done" else 0)
        if placed and rounds.url is None:
            order = [facets & {"memberships", "placements"} for facets in rounds.backend.commits]
            assert [set(facets) for facets in order if facets][-2:] == [{"placements"}, {"memberships"}]

    await rounds.each(prepare, race)
    assert rounds.url or len(ended_as) == 2, f"only {dict(ended_as)} ever came first"


def _one_active_owner(backend: Rewindable) -> None:
    """Demand what must hold at every commit: each circuit has one owner, an active member."""
    circuits: list[Circuit] = list(backend.tables["circuits"].rows.values())
    members: list[Membership] = list(backend.tables["memberships"].rows.values())
    for circuit in circuits:
        owners = [row for row in members if row.circuit_id == circuit.circuit_id and row.base_role == "owner"]
        assert [(row.user_id, row.status) for row in owners] == [(circuit.owner_id, "active")]


async def test_scenario_52_there_is_one_owner_and_they_are_a_member(rounds: Rounds) -> None:
    ended_as = Counter[tuple[str, ...]]()

    async def prepare(world: World) -> tuple[Principal, Principal, Principal, str]:
        ana, bia, caio = await people(world, 3)
        circuit_id = (await world.circuit(ana)).circuit_id
        await world.join(ana, circuit_id, bia, caio, role="admin")
        return ana, bia, caio, circuit_id

    async def race(world: World, made: tuple[Principal, Principal, Principal, str]) -> None:
        ana, bia, caio, circuit_id = made
        handed = await outcomes(
            world.circuits.transfer(ana, circuit_id, TransferCircuit(str(bia.user_id))),
            world.circuits.transfer(ana, circuit_id, TransferCircuit(str(caio.user_id))),
            world.circuits.leave(bia, circuit_id),
            world.circuits.remove_member(bia, circuit_id, str(caio.user_id)),
        )
        assert handed[:2].count("done") <= 1
        ended_as[tuple(handed)] += 1
        owners = [row for row in await world.rows(MEMBERSHIPS, circuit_id=circuit_id) if row.base_role == "owner"]
        (circuit,) = await world.rows(CIRCUITS, circuit_id=circuit_id)
        assert [(row.user_id, row.status) for row in owners] == [(circuit.owner_id, "active")]

    rounds.backend.watch = _one_active_owner
    await rounds.each(prepare, race)
    assert rounds.url or len(ended_as) > 3, f"only {dict(ended_as)} ever happened"


async def test_scenario_53_one_lid_and_one_ear_tag_make_one_item(rounds: Rounds) -> None:
    tags = iter(range(1, 10**5))

    async def prepare(world: World) -> tuple[Principal, Principal, str, str, str]:
        (ana,) = await people(world, 1)
        circuit_id = (await world.circuit(ana)).circuit_id
        home = next(name for name, home in world.homes.items() if home == ana.workspace_id)
        colleague = await world.user(f"u{next(_names)}", home)
        await world.join(ana, circuit_id, colleague)
        tag = sisbov(next(tags))
        return ana, colleague, circuit_id, await world.draft(ana, tag), await world.draft(ana, tag)

    async def race(world: World, made: tuple[Principal, Principal, str, str, str]) -> None:
        ana, colleague, circuit_id, first, second = made
        ended = await outcomes(
            world.push_local(ana, circuit_id, first),
            world.push_local(colleague, circuit_id, first),
            world.push_local(ana, circuit_id, second),
        )
        assert ended == ["done", "done", "done"]
        (placement,) = await world.rows(PLACEMENTS, circuit_id=circuit_id)
        (item,) = await world.rows(ITEMS, workspace_id=ana.workspace_id)
        assert item.dfid == placement.dfid
        assert len(await world.rows(EVENTS, dfid=item.dfid, event_type="created")) == 1
        mapped = {row.local_id: row.dfid for row in await world.rows(MAPPINGS) if row.workspace_id == ana.workspace_id}
        assert mapped == dict.fromkeys((first, second), item.dfid)

    await rounds.each(prepare, race)


async def test_scenario_54_narrowing_closing_and_withdrawing_come_before_or_after(rounds: Rounds) -> None:
    ended_as = Counter[tuple[str, str]]()

    async def prepare(world: World) -> tuple[Principal, Principal, str, str, str, str]:
        ana, bia, caio, circuit_id = await circle(world, require_approval_for_pull=True)
        standing, fresh = await world.item(ana), await world.item(bia)
        await world.circuits.push(ana, circuit_id, standing)
        pull = (await world.circuits.pull(caio, circuit_id, standing)).operation
        return ana, bia, circuit_id, standing, fresh, pull.operation_id

    async def race(world: World, made: tuple[Principal, Principal, str, str, str, str]) -> None:
        ana, bia, circuit_id, standing, fresh, operation_id = made
        narrowed, pushed, withdrawn, approved = await outcomes(
            world.circuits.change_role(ana, circuit_id, str(bia.user_id), ChangeRole("viewer"), None),
            world.circuits.push(bia, circuit_id, fresh),
            world.circuits.withdraw(ana, circuit_id, standing),
            world.circuits.approve_operation(ana, operation_id),
        )
        assert (narrowed, withdrawn) == ("done", "done")
        assert pushed in ("done", "permission_missing")
        assert approved in ("done", "placement_gone")
        closed, late = await outcomes(
            world.circuits.change_status(ana, circuit_id, CircuitStatus.INACTIVE),
            world.circuits.push(ana, circuit_id, standing),
        )
        assert (closed, late) in {("done", "done"), ("done", "circuit_not_active")}
        placed = {row.dfid for row in await world.rows(PLACEMENTS, circuit_id=circuit_id)}
        assert placed == ({fresh} if pushed == "done" else set()) | ({standing} if late == "done" else set())
        ended_as.update([("push", pushed), ("pull", approved), ("close", late)])

    await rounds.each(prepare, race)
    assert rounds.url or len(ended_as) == 6, f"only {dict(ended_as)} ever came first"


async def test_scenario_55_two_joins_make_one_membership(rounds: Rounds) -> None:
    async def prepare(world: World) -> tuple[Principal, str]:
        ana, bia = await people(world, 2)
        auto = PublicRequest(auto_approve_members=True)
        return bia, (await world.circuit(ana, allow_public_visibility=True, public_settings=auto)).circuit_id

    async def race(world: World, made: tuple[Principal, str]) -> None:
        bia, circuit_id = made
        ended = await outcomes(
            world.circuits.ask_to_join(bia, circuit_id, AskToJoin()),
            world.circuits.ask_to_join(bia, circuit_id, AskToJoin()),
        )
        assert sorted(ended) == ["already_member", "done"]
        assert len(await world.rows(MEMBERSHIPS, circuit_id=circuit_id, user_id=bia.user_id)) == 1
        assert len(await world.rows(ACTIVITY, circuit_id=circuit_id, kind="member_joined")) == 1

    await rounds.each(prepare, race)


async def test_who_is_added_while_asking_is_a_member_whose_request_is_approved(rounds: Rounds) -> None:
    async def prepare(world: World) -> tuple[Principal, Principal, str]:
        ana, bia = await people(world, 2)
        return ana, bia, (await world.circuit(ana, allow_public_visibility=True)).circuit_id

    async def race(world: World, made: tuple[Principal, Principal, str]) -> None:
        ana, bia, circuit_id = made
        added, asked = await outcomes(
            world.circuits.add_member(ana, circuit_id, AddMember("admin", member_id=bia.user_id)),
            world.circuits.ask_to_join(bia, circuit_id, AskToJoin()),
        )
        assert added == "done"
        assert asked in ("done", "already_member")
        requests = await world.rows(JOIN_REQUESTS, circuit_id=circuit_id)
        assert [(row.status, row.role) for row in requests] == [("approved", "admin")] * (asked == "done")
        (member,) = await world.rows(MEMBERSHIPS, circuit_id=circuit_id, user_id=bia.user_id)
        assert (member.status, member.base_role) == ("active", "admin")

    await rounds.each(prepare, race)


async def test_two_adders_of_one_person_and_two_equal_requests_leave_one_of_each(rounds: Rounds) -> None:
    async def prepare(world: World) -> tuple[Waiting, Principal, str]:
        at = await waiting(world)
        return at, (await people(world, 1))[0], await world.item(at.caio)

    async def race(world: World, made: tuple[Waiting, Principal, str]) -> None:
        at, dina, dfid = made
        adding = AddMember("viewer", member_id=dina.user_id)
        added = await outcomes(
            world.circuits.add_member(at.ana, at.circuit_id, adding),
            world.circuits.add_member(at.bia, at.circuit_id, adding),
        )
        assert sorted(added) == ["already_member", "done"]
        pushes = (world.circuits.push(at.caio, at.circuit_id, dfid) for _ in range(2))
        assert await outcomes(*pushes) == ["done", "done"]
        assert len(await world.rows(OPERATIONS, circuit_id=at.circuit_id, dfid=dfid)) == 1

    await rounds.each(prepare, race)


async def test_scenario_54_a_merge_comes_before_or_after_a_push_of_what_it_absorbs(rounds: Rounds) -> None:
    async def prepare(world: World) -> tuple[Principal, str, str, str]:
        (ana,) = await people(world, 1)
        circuit_id = (await world.circuit(ana)).circuit_id
        return ana, circuit_id, await world.item(ana), await world.item(ana)

    async def race(world: World, made: tuple[Principal, str, str, str]) -> None:
        ana, circuit_id, target, source = made
        merged, pushed = await outcomes(
            world.items.merge(ana, target, MergeItems(source)), world.circuits.push(ana, circuit_id, source)
        )
        assert (merged, pushed) in {("done", "done"), ("done", "item_merged")}
        assert len(await world.rows(PLACEMENTS, circuit_id=circuit_id)) == (1 if pushed == "done" else 0)

    await rounds.each(prepare, race)


async def test_two_creates_with_one_canonical_number_make_one_item_and_tell_the_other_workspace(
    rounds: Rounds,
) -> None:
    tags = iter(range(1, 10**5))

    async def prepare(world: World) -> tuple[list[Principal], Submission]:
        return await people(world, 2), Submission((sisbov(next(tags)),), Document())

    async def race(world: World, made: tuple[list[Principal], Submission]) -> None:
        both, content = made
        ended = await outcomes(*(world.items.create(who, content) for who in both))
        assert sorted(ended) == ["done", "identifier_claimed"]
        assert len(await world.rows(CLAIMS, lookup=content.identifiers[0].value)) == 1

    await rounds.each(prepare, race)


async def test_an_owner_who_hands_over_and_leaves_at_once_does_both_or_stays(rounds: Rounds) -> None:
    async def race(world: World, made: tuple[Principal, Principal, Principal, str]) -> None:
        ana, bia, _, circuit_id = made
        handed, left = await outcomes(
            world.circuits.transfer(ana, circuit_id, TransferCircuit(str(bia.user_id))),
            world.circuits.leave(ana, circuit_id),
        )
        assert (handed, left) in {("done", "done"), ("done", "owner_cannot_leave")}
        (circuit,) = await world.rows(CIRCUITS, circuit_id=circuit_id)
        assert circuit.owner_id == bia.user_id

    await rounds.each(circle, race)

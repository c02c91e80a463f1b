"""Races (circuits.md 8, scenarios 50 to 55): every interleaving ends as some order of one after the other.

`RACES` says how many interleavings of each are tried; the specification asks for 1,000.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.storage import MemoryBackend
from adapters.postgres.storage import PostgresStorage
from adapters.staging import StagedStorage
from application.circuits import Circuits
from application.circuits.requests import AddMember, AskToJoin, ChangeRole, PublicRequest, TransferCircuit
from application.items import Items
from application.items.lineage import MergeItems
from application.items.requests import CreateDraft
from application.passwords import Passwords
from application.units import DfidSource, Units
from domain.access.principal import Principal
from domain.access.vocabulary import CircuitStatus
from domain.document import Document
from domain.errors import Refusal
from domain.identifiers.personal import IdentifierKeys
from domain.items.submission import Submission
from domain.ports.schema import ACTIVITY, CIRCUITS, CLAIMS, EVENTS, ITEMS, MEMBERSHIPS, OPERATIONS, PLACEMENTS
from domain.ports.storage import Storage
from tests.application.circuits.world import SteppedClock, World, sisbov
from tests.invariants import hold_in

ROUNDS = {"memory": int(os.environ.get("RACES", "100")), "postgres": int(os.environ.get("RACES", "100")) // 10}
Race = Callable[[], Awaitable[Any]]


class Hesitant:
    """A backend whose every call lets others go first, as chance has it."""

    def __init__(self, backend: MemoryBackend, chance: random.Random) -> None:
        self._backend = backend
        self._chance = chance
        self.commits: list[frozenset[str]] = []
        """The facets changed by each commit, in order."""

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._backend, name)
        if name not in ("fetch", "select", "commit"):
            return call

        async def hesitating(*args: Any) -> Any:
            for _ in range(self._chance.randrange(4)):
                await asyncio.sleep(0)
            result = await call(*args)
            if name == "commit":
                self.commits.append(frozenset(change.facet.name for change in args[0] if _writes(change)))
            return result

        return hesitating


def _writes(change: Any) -> bool:
    return bool(change.adds or change.saves or change.removes)


def world_on(storage: Storage, passwords: Passwords) -> World:
    clock = SteppedClock()
    units = Units(storage, clock, DfidSource(storage, clock))
    keys = IdentifierKeys(b"k" * 32)
    return World(storage, clock, Circuits(units, keys, passwords, MemoryRateLimiter({})), Items(units, keys))


class Rounds:
    """Fresh worlds, one per interleaving."""

    def __init__(self, stack: str, url: str | None, passwords: Passwords) -> None:
        self.stack, self.url, self.passwords = stack, url, passwords
        self.count = 0

    async def each(self, race: Callable[[World], Awaitable[None]]) -> None:
        if self.url is None:
            for seed in range(ROUNDS["memory"]):
                backend: Any = Hesitant(MemoryBackend(), random.Random(seed))
                world = world_on(StagedStorage(backend), self.passwords)
                await race(world)
                if seed % 10 == 0:
                    await hold_in(world.storage)
            return
        storage = PostgresStorage(self.url)
        await storage.open()
        world = world_on(storage, self.passwords)
        try:
            for _ in range(ROUNDS["postgres"]):
                await race(world)
            await hold_in(storage)
        finally:
            await storage.aclose()


@pytest.fixture(params=["memory", "postgres"])
def rounds(request: pytest.FixtureRequest, passwords: Passwords) -> Rounds:
    url = request.getfixturevalue("migrated_url") if request.param == "postgres" else None
    return Rounds(request.param, url, passwords)


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


async def waiting(world: World, **settings: Any) -> tuple[Principal, Principal, Principal, str, str]:
    """Return owner, second approver, requester, circuit and a waiting push of the requester."""
    ana, bia, caio = await people(world, 3)
    circuit_id = (await world.circuit(ana, require_approval_for_push=True, **settings)).circuit_id
    await world.join(ana, circuit_id, bia, role="admin")
    await world.join(ana, circuit_id, caio)
    operation = (await world.circuits.push(caio, circuit_id, await world.item(caio))).operation
    assert operation is not None
    return ana, bia, caio, circuit_id, operation.operation_id


async def test_scenario_50_of_two_decisions_exactly_one_counts(rounds: Rounds) -> None:
    async def race(world: World) -> None:
        ana, bia, caio, circuit_id, operation_id = await waiting(world)
        others: list[Race] = [
            lambda: world.circuits.approve_operation(bia, operation_id),
            lambda: world.circuits.reject_operation(bia, operation_id),
            lambda: world.circuits.cancel_operation(caio, operation_id),
        ]
        other = random.choice(others)
        ended = await outcomes(world.circuits.approve_operation(ana, operation_id), other())
        assert sorted(ended) == ["done", "operation_decided"]
        placed = await world.rows(PLACEMENTS, circuit_id=circuit_id)
        (operation,) = await world.rows(OPERATIONS, operation_id=operation_id)
        assert len(placed) == (1 if operation.status == "completed" else 0)
        pushed = await world.rows(EVENTS, event_type="pushed_to_circuit", circuit_id=circuit_id)
        assert len(pushed) == len(placed)

    await rounds.each(race)


async def test_scenario_51_no_push_is_committed_by_a_removed_member(rounds: Rounds) -> None:
    async def race(world: World) -> None:
        ana, bia = await people(world, 2)
        circuit_id = (await world.circuit(ana)).circuit_id
        await world.join(ana, circuit_id, bia)
        dfid = await world.item(bia)
        removed, pushed = await outcomes(
            world.circuits.remove_member(ana, circuit_id, str(bia.user_id)),
            world.circuits.push(bia, circuit_id, dfid),
        )
        assert removed == "done"
        assert pushed in ("done", "not_found")
        placed = await world.rows(PLACEMENTS, circuit_id=circuit_id)
        assert len(placed) == (1 if pushed == "done" else 0)
        if placed and rounds.url is None:
            order = [facets & {"memberships", "placements"} for facets in world.storage.backend.commits]  # type: ignore[attr-defined]
            assert [set(facets) for facets in order if facets][-2:] == [{"placements"}, {"memberships"}]

    await rounds.each(race)


async def test_scenario_52_there_is_one_owner_and_they_are_a_member(rounds: Rounds) -> None:
    async def race(world: World) -> None:
        ana, bia, caio = await people(world, 3)
        circuit_id = (await world.circuit(ana)).circuit_id
        await world.join(ana, circuit_id, bia, caio, role="admin")
        await outcomes(
            world.circuits.transfer(ana, circuit_id, TransferCircuit(str(bia.user_id))),
            world.circuits.transfer(ana, circuit_id, TransferCircuit(str(caio.user_id))),
            world.circuits.leave(bia, circuit_id),
            world.circuits.remove_member(bia, circuit_id, str(caio.user_id)),
        )
        owners = [row for row in await world.rows(MEMBERSHIPS, circuit_id=circuit_id) if row.base_role == "owner"]
        (circuit,) = await world.rows(CIRCUITS, circuit_id=circuit_id)
        assert [(row.user_id, row.status) for row in owners] == [(circuit.owner_id, "active")]

    await rounds.each(race)


async def test_scenario_53_one_lid_and_one_ear_tag_make_one_item(rounds: Rounds) -> None:
    tags = iter(range(1, 10**5))

    async def race(world: World) -> None:
        ana, bia = await people(world, 2)
        circuit_id = (await world.circuit(ana)).circuit_id
        await world.join(ana, circuit_id, bia)
        home = next(name for name, home in world.homes.items() if home == ana.workspace_id)
        colleague = await world.user(f"u{next(_names)}", home)
        await world.join(ana, circuit_id, colleague)
        tag = sisbov(next(tags))
        first = await world.items.create_draft(ana, CreateDraft(identifiers=(tag,)))
        second = await world.items.create_draft(ana, CreateDraft(identifiers=(tag,)))
        ended = await outcomes(
            world.push_local(ana, circuit_id, str(first.local_id)),
            world.push_local(colleague, circuit_id, str(first.local_id)),
            world.push_local(ana, circuit_id, str(second.local_id)),
        )
        assert ended == ["done", "done", "done"]
        (placement,) = await world.rows(PLACEMENTS, circuit_id=circuit_id)
        created = [
            event
            for event in await world.rows(EVENTS, event_type="created")
            if event.author_workspace_id == ana.workspace_id
        ]
        assert [event.dfid for event in created] == [placement.dfid]
        assert len(await world.rows(ITEMS, workspace_id=ana.workspace_id)) == 1

    await rounds.each(race)


async def test_scenario_54_narrowing_closing_and_withdrawing_come_before_or_after(rounds: Rounds) -> None:
    async def race(world: World) -> None:
        ana, bia, caio = await people(world, 3)
        circuit_id = (await world.circuit(ana, require_approval_for_pull=True)).circuit_id
        await world.join(ana, circuit_id, bia, caio)
        standing, fresh = await world.item(ana), await world.item(bia)
        await world.circuits.push(ana, circuit_id, standing)
        pull = (await world.circuits.pull(caio, circuit_id, standing)).operation
        narrowed, pushed, withdrawn, approved = await outcomes(
            world.circuits.change_role(ana, circuit_id, str(bia.user_id), ChangeRole("viewer"), None),
            world.circuits.push(bia, circuit_id, fresh),
            world.circuits.withdraw(ana, circuit_id, standing),
            world.circuits.approve_operation(ana, pull.operation_id),
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

    await rounds.each(race)


async def test_scenario_55_two_joins_make_one_membership(rounds: Rounds) -> None:
    async def race(world: World) -> None:
        ana, bia = await people(world, 2)
        auto = PublicRequest(auto_approve_members=True)
        made = await world.circuit(ana, allow_public_visibility=True, public_settings=auto)
        ended = await outcomes(
            world.circuits.ask_to_join(bia, made.circuit_id, AskToJoin()),
            world.circuits.ask_to_join(bia, made.circuit_id, AskToJoin()),
        )
        assert sorted(ended) == ["already_member", "done"]
        assert len(await world.rows(MEMBERSHIPS, circuit_id=made.circuit_id, user_id=bia.user_id)) == 1
        assert len(await world.rows(ACTIVITY, circuit_id=made.circuit_id, kind="member_joined")) == 1

    await rounds.each(race)


async def test_two_adders_of_one_person_and_two_equal_requests_leave_one_of_each(rounds: Rounds) -> None:
    async def race(world: World) -> None:
        ana, bia, caio, circuit_id, _ = await waiting(world)
        dina = (await people(world, 1))[0]
        adding = AddMember("viewer", member_id=dina.user_id)
        assert sorted(
            await outcomes(
                world.circuits.add_member(ana, circuit_id, adding), world.circuits.add_member(bia, circuit_id, adding)
            )
        ) == ["already_member", "done"]
        dfid = await world.item(caio)
        assert await outcomes(
            world.circuits.push(caio, circuit_id, dfid), world.circuits.push(caio, circuit_id, dfid)
        ) == ["done", "done"]
        assert len(await world.rows(OPERATIONS, circuit_id=circuit_id, dfid=dfid)) == 1

    await rounds.each(race)


async def test_scenario_54_a_merge_comes_before_or_after_a_push_of_what_it_absorbs(rounds: Rounds) -> None:
    async def race(world: World) -> None:
        (ana,) = await people(world, 1)
        circuit_id = (await world.circuit(ana)).circuit_id
        target, source = await world.item(ana), await world.item(ana)
        merged, pushed = await outcomes(
            world.items.merge(ana, target, MergeItems(source)), world.circuits.push(ana, circuit_id, source)
        )
        assert (merged, pushed) in {("done", "done"), ("done", "item_merged")}
        assert len(await world.rows(PLACEMENTS, circuit_id=circuit_id)) == (1 if pushed == "done" else 0)

    await rounds.each(race)


async def test_two_creates_with_one_canonical_number_make_one_item_and_tell_the_other_workspace(
    rounds: Rounds,
) -> None:
    tags = iter(range(1, 10**5))

    async def race(world: World) -> None:
        ana, bia = await people(world, 2)
        content = Submission((sisbov(next(tags)),), Document())
        assert sorted(await outcomes(world.items.create(ana, content), world.items.create(bia, content))) == [
            "done",
            "identifier_claimed",
        ]
        assert len(await world.rows(CLAIMS, lookup=content.identifiers[0].value)) == 1

    await rounds.each(race)


async def test_an_owner_who_hands_over_and_leaves_at_once_does_both_or_stays(rounds: Rounds) -> None:
    async def race(world: World) -> None:
        ana, bia = await people(world, 2)
        circuit_id = (await world.circuit(ana)).circuit_id
        await world.join(ana, circuit_id, bia)
        handed, left = await outcomes(
            world.circuits.transfer(ana, circuit_id, TransferCircuit(str(bia.user_id))),
            world.circuits.leave(ana, circuit_id),
        )
        assert (handed, left) in {("done", "done"), ("done", "owner_cannot_leave")}
        (circuit,) = await world.rows(CIRCUITS, circuit_id=circuit_id)
        assert circuit.owner_id == bia.user_id

    await rounds.each(race)

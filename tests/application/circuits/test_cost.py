"""What a call may cost: the statements of a batch do not grow with its elements (circuits.md 4.14)."""

from datetime import timedelta
from typing import Any

import pytest

from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.storage import MemoryBackend
from adapters.staging import StagedStorage
from application.circuits import Circuits
from application.circuits.requests import AliasRequest, Decision, Decisions, PushBatch, PushElement, UpdateCircuit
from application.items import Items
from application.passwords import Passwords
from application.units import DfidSource, Units
from domain.access.permissions import ROLE_PERMISSIONS, BaseRole
from domain.accounts.values import Account
from domain.circuits.values import Membership
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.ports.schema import ACCOUNTS, MEMBERSHIPS, NOTIFICATIONS
from tests.application.circuits.world import SteppedClock, World, lot, sisbov


class Counted:
    """A backend that counts how often it is asked."""

    def __init__(self) -> None:
        self._backend = MemoryBackend()
        self.statements = 0

    def __getattr__(self, name: str) -> Any:
        if name in ("fetch", "select", "view"):
            self.statements += 1
        return getattr(self._backend, name)


async def cost(passwords: Passwords, count: int, *, approval: bool) -> int:
    """Return the statements of one batch with `count` elements of every kind."""
    backend: Any = Counted()
    storage, clock = StagedStorage(backend), SteppedClock()
    units = Units(storage, clock, DfidSource(storage, clock, block=10_000))
    keys = IdentifierKeys(b"k" * 32)
    world = World(storage, clock, Circuits(units, keys, passwords, MemoryRateLimiter({})), Items(units, keys))
    ana, bia = await world.user("ana"), await world.user("bia")
    source = (await world.circuit(bia, allow_resharing=True)).circuit_id
    made = await world.circuit(bia, require_approval_for_push=approval, alias_config=AliasRequest())
    for circuit_id in (source, made.circuit_id):
        await world.join(bia, circuit_id, ana)
    elements = []
    for number in range(1, count + 1):
        passed_on = await world.item(bia)
        await world.circuits.push(bia, source, passed_on)
        elements += [
            PushElement(dfid=await world.item(ana)),
            PushElement(dfid=passed_on),
            PushElement(local_id=await world.draft(ana, sisbov(number))),
            PushElement(local_id=await world.draft(ana, lot(f"L{number}"), lot("26", "safra"))),
        ]
    before = backend.statements
    result = await world.circuits.push_batch(ana, made.circuit_id, PushBatch(tuple(elements)))
    assert result.counts["pending" if approval else "placed"] == 4 * count
    return int(backend.statements - before)


@pytest.mark.parametrize("approval", [False, True], ids=["placed", "waiting"])
async def test_a_batch_of_forty_asks_the_store_as_often_as_one_of_four(passwords: Passwords, approval: bool) -> None:
    assert await cost(passwords, 10, approval=approval) == await cost(passwords, 1, approval=approval)


async def decided(passwords: Passwords, count: int, decision: Decision) -> int:
    """Return the statements of deciding `count` waiting pushes, drafts and pulls of two requesters at once."""
    backend: Any = Counted()
    storage, clock = StagedStorage(backend), SteppedClock()
    units = Units(storage, clock, DfidSource(storage, clock, block=10_000))
    keys = IdentifierKeys(b"k" * 32)
    world = World(storage, clock, Circuits(units, keys, passwords, MemoryRateLimiter({})), Items(units, keys))
    ana, bia, caio = [await world.user(name) for name in ("ana", "bia", "caio")]
    switches = {"require_approval_for_push": True, "require_approval_for_pull": True}
    circuit_id = (await world.circuit(ana, **switches)).circuit_id
    await world.join(ana, circuit_id, bia, caio)
    waiting: list[Any] = []
    for number in range(1, count + 1):
        standing = await world.item(ana)
        await world.circuits.push(ana, circuit_id, standing)
        for who in (bia, caio):
            waiting.append((await world.circuits.push(who, circuit_id, await world.item(who))).operation)
            tag = sisbov(number + 1000 * (who is bia))
            waiting.append((await world.push_local(who, circuit_id, await world.draft(who, tag))).operation)
            waiting.append((await world.circuits.pull(who, circuit_id, standing)).operation)
    ids = tuple(operation.operation_id for operation in waiting)
    before = backend.statements
    result = await world.circuits.decide_operations(ana, circuit_id, Decisions(decision, ids))
    assert result.counts == {"completed" if decision is Decision.APPROVE else "rejected": 6 * count}
    return int(backend.statements - before)


@pytest.mark.parametrize("decision", list(Decision))
async def test_deciding_sixty_operations_asks_the_store_as_often_as_deciding_six(
    passwords: Passwords, decision: Decision
) -> None:
    assert await decided(passwords, 10, decision) == await decided(passwords, 1, decision)


async def crowd(world: World, owner: Any, circuit_id: str, count: int) -> None:
    """Make `count` users members whose roles were changed since they joined, which no audit entry has to tell."""
    now = world.clock.now()
    role = ROLE_PERMISSIONS[BaseRole.ADMIN]
    accounts = [
        Account(new_id(), owner.workspace_id, f"m{circuit_id}{number}", f"m{number}@{circuit_id}.test", None, now, now)
        for number in range(count)
    ]
    members = [Membership(circuit_id, one.user_id, BaseRole.ADMIN, role, now, "added", version=2) for one in accounts]
    async with world.storage.write() as unit:
        await unit.add(ACCOUNTS, *accounts)
        await unit.add(MEMBERSHIPS, *members)


async def lived(passwords: Passwords, count: int) -> tuple[int, World, str, Any]:
    """Return the statements of what happens in a circuit with `count` further members, all of them managers."""
    backend: Any = Counted()
    storage, clock = StagedStorage(backend), SteppedClock()
    units = Units(storage, clock, DfidSource(storage, clock, block=10_000))
    keys = IdentifierKeys(b"k" * 32)
    world = World(storage, clock, Circuits(units, keys, passwords, MemoryRateLimiter({})), Items(units, keys))
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana, require_approval_for_push=True)).circuit_id
    await crowd(world, ana, circuit_id, count)
    dfid = await world.item(bia)
    version = (await world.circuits.get(ana, circuit_id)).version
    before = backend.statements
    await world.join(ana, circuit_id, bia)
    await world.circuits.push(bia, circuit_id, dfid)
    await world.circuits.update(ana, circuit_id, UpdateCircuit(allow_public_visibility=True), frozenset({version}))
    await world.circuits.roles(ana, circuit_id)
    await world.circuits.stats(ana, circuit_id)
    await world.circuits.leave(bia, circuit_id)
    return int(backend.statements - before), world, circuit_id, ana


async def test_a_circuit_with_two_thousand_members_costs_no_more_than_one_with_ten(passwords: Passwords) -> None:
    few, *_ = await lived(passwords, 10)
    many, world, circuit_id, ana = await lived(passwords, 2000)
    assert many <= few
    told = await world.rows(NOTIFICATIONS, type="circuit_updated")
    assert told == []
    await world.run_jobs()
    told = await world.rows(NOTIFICATIONS, type="circuit_updated")
    assert len({row.user_id for row in told}) == len(told) == 2000
    assert ana.user_id not in {row.user_id for row in told}
    assert len(await world.rows(NOTIFICATIONS, type="operation_pending")) == 2001
    assert (await world.circuits.stats(ana, circuit_id)).members == 2002, "large numbers are up to a minute old"
    world.clock.pass_by(timedelta(seconds=60))
    assert (await world.circuits.stats(ana, circuit_id)).members == 2001

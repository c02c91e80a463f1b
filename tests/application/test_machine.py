"""Random programs over the whole application layer: after every step the store breaks no invariant.

`MACHINE` says how many programs are tried in memory; a tenth of them run on PostgreSQL.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.storage import MemoryStorage
from adapters.postgres.storage import PostgresStorage
from application.circuits import Circuits
from application.circuits.requests import AddMember, ChangeRole, TransferCircuit, UpdateCircuit
from application.events import Events
from application.events.requests import AppendEvent
from application.items import EnrichItem, Items, UpdateItem
from application.items.lineage import MergeItems, SplitItem, SplitMode, SplitPart
from application.items.sharing import ShareItem
from application.passwords import Passwords
from application.units import DfidSource, Units
from domain.access.principal import Principal
from domain.access.vocabulary import CircuitStatus, EventVisibility
from domain.document import Document
from domain.errors import Invalid, Refusal
from domain.identifiers.personal import IdentifierKeys
from domain.ports.schema import CIRCUITS, ITEMS, OPERATIONS, PLACEMENTS
from domain.ports.storage import Storage
from tests.agreement.wiping import wipe
from tests.application.circuits.conftest import passwords
from tests.application.circuits.world import SteppedClock, World, lot, sisbov
from tests.invariants import hold_in

__all__ = ["passwords"]

PROGRAMS = int(os.environ.get("MACHINE", "40"))
NAMES = ("ana", "bia", "caio")
picks = st.integers(0, 5)
"""Which of the things that exist; which of two when there are fewer is as good as any."""


class Machine:
    """Three people with a workspace each, two circuits, and what they do with what is there."""

    def __init__(self, storage: Storage, passwords: Passwords) -> None:
        clock = SteppedClock()
        units = Units(storage, clock, DfidSource(storage, clock))
        keys = IdentifierKeys(b"k" * 32)
        circuits = Circuits(units, keys, passwords, MemoryRateLimiter({}))
        self.world = World(storage, clock, circuits, Items(units, keys))
        self.events = Events(units)
        self.people: list[Principal] = []

    async def begin(self) -> None:
        self.people = [await self.world.user(name) for name in NAMES]
        for approval in (False, True):
            made = await self.world.circuit(self.people[0], require_approval_for_push=approval, allow_resharing=True)
            await self.world.join(self.people[0], made.circuit_id, self.people[1])

    async def step(self, action: str, who: int, one: int, two: int) -> bool:
        """Do one thing and tell whether it was done; only documented refusals are answers."""
        steps: dict[str, Callable[..., Awaitable[Any]]] = ACTIONS
        person = self.people[who]
        try:
            await steps[action](self, person, one, two)
        except (Refusal, Invalid):
            return False
        return True

    async def key(self, facet: Any, index: int, **where: Any) -> Any:
        """Return the key of one of the rows, or refuse when there is none."""
        rows = await self.world.rows(facet, **where)
        if not rows:
            raise Refusal("not_found")
        return facet.key_of(rows[index % len(rows)])

    async def circuit(self, index: int) -> str:
        return str(await self.key(CIRCUITS, index))

    async def item(self, index: int) -> str:
        found = [row.dfid for row in await self.world.rows(ITEMS) if row.dfid is not None]
        if not found:
            raise Refusal("not_found")
        return str(found[index % len(found)])

    async def draft(self, index: int) -> str:
        return str(await self.key(ITEMS, index, status="local"))


def tag(number: int) -> Any:
    return (sisbov(number + 1), lot(str(number % 3)))[number % 2]


async def create(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.item(who, tag(one), tag(two), kg=one)


async def enrich(m: Machine, who: Principal, one: int, two: int) -> None:
    circuit_id = await m.circuit(two) if two % 2 else None
    data = Document({f"d{two}": one})
    await m.world.items.enrich(who, await m.item(one), EnrichItem((tag(two),), data, circuit_id=circuit_id))


async def update(m: Machine, who: Principal, one: int, two: int) -> None:
    dfid = await m.item(one)
    version = (await m.world.items.get(who, dfid)).version
    await m.world.items.update(who, dfid, UpdateItem(data=Document(kg=two)), frozenset({version}))


async def merge(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.items.merge(who, await m.item(one), MergeItems(await m.item(two)))


async def unmerge(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.items.unmerge(who, str(await m.key(ITEMS, one, status="merged")))


async def split(m: Machine, who: Principal, one: int, two: int) -> None:
    mode = (SplitMode.DIVIDE, SplitMode.EXTRACT)[two % 2]
    await m.world.items.split(who, await m.item(one), SplitItem(mode, (SplitPart((tag(two),)),)))


async def draft(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.draft(who, tag(one), kg=two)


async def tokenise(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.push_local(who, await m.circuit(two), await m.draft(one))


async def push(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.circuits.push(who, await m.circuit(two), await m.item(one))


async def pull(m: Machine, who: Principal, one: int, two: int) -> None:
    circuit_id, dfid = await m.key(PLACEMENTS, one)
    await m.world.circuits.pull(who, circuit_id, dfid)


async def withdraw(m: Machine, who: Principal, one: int, two: int) -> None:
    circuit_id, dfid = await m.key(PLACEMENTS, one)
    await m.world.circuits.withdraw(who, circuit_id, dfid)


async def publish(m: Machine, who: Principal, one: int, two: int) -> None:
    circuit_id, dfid = await m.key(PLACEMENTS, one)
    await m.world.circuits.publish(who, circuit_id, dfid, shown=two % 2 == 0)


async def approve(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.circuits.approve_operation(who, await m.key(OPERATIONS, one, status="pending"))


async def reject(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.circuits.reject_operation(who, await m.key(OPERATIONS, one, status="pending"))


async def cancel(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.circuits.cancel_operation(who, await m.key(OPERATIONS, one, status="pending"))


async def join(m: Machine, who: Principal, one: int, two: int) -> None:
    added = AddMember(("viewer", "member", "admin")[two % 3], member_id=m.people[one % 3].user_id)
    await m.world.circuits.add_member(who, await m.circuit(two), added)


async def leave(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.circuits.leave(who, await m.circuit(one))


async def remove(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.circuits.remove_member(who, await m.circuit(one), str(m.people[two % 3].user_id))


async def change_role(m: Machine, who: Principal, one: int, two: int) -> None:
    role = ChangeRole(("viewer", "member", "admin")[one % 3])
    await m.world.circuits.change_role(who, await m.circuit(one), str(m.people[two % 3].user_id), role, None)


async def hand_over(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.circuits.transfer(who, await m.circuit(one), TransferCircuit(str(m.people[two % 3].user_id)))


async def switch(m: Machine, who: Principal, one: int, two: int) -> None:
    change = UpdateCircuit(require_approval_for_pull=two % 2 == 0, allow_public_visibility=one % 2 == 0)
    await m.world.circuits.update(who, await m.circuit(one), change, None)


async def close(m: Machine, who: Principal, one: int, two: int) -> None:
    status = (CircuitStatus.INACTIVE, CircuitStatus.ACTIVE)[two % 2]
    await m.world.circuits.change_status(who, await m.circuit(one), status)


async def record(m: Machine, who: Principal, one: int, two: int) -> None:
    visibility = (EventVisibility.PUBLIC, EventVisibility.PRIVATE)[two % 2]
    await m.events.append(who, AppendEvent(await m.item(one), category="weighing", visibility=visibility))


async def share(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.items.share(who, await m.item(one), ShareItem(str(m.people[two % 3].user_id)))


async def work(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.run_jobs()


STEPS = (
    create, enrich, update, merge, unmerge, split, draft, tokenise, push, pull, withdraw, publish, approve, reject,
    cancel, join, leave, remove, change_role, hand_over, switch, close, record, share, work,
)  # fmt: skip
ACTIONS = {step.__name__: step for step in STEPS}
NAMES_OF_STEPS = sorted(ACTIONS)
programs = st.lists(
    st.tuples(st.sampled_from(NAMES_OF_STEPS), st.integers(0, 2), picks, picks), min_size=15, max_size=40
)
lenient = list(HealthCheck)


async def run(storage: Storage, passwords: Passwords, program: list[tuple[str, int, int, int]], every: int) -> set[str]:
    """Run a program, look at the store after every so many steps, and return what was done."""
    machine = Machine(storage, passwords)
    await machine.begin()
    done: set[str] = set()
    for number, (action, who, one, two) in enumerate(program, start=1):
        if await machine.step(action, who, one, two):
            done.add(action)
        if number % every == 0 or number == len(program):
            await hold_in(storage)
    return done


@settings(max_examples=PROGRAMS, deadline=None, suppress_health_check=lenient)
@given(program=programs)
def test_no_program_breaks_an_invariant_in_memory(passwords: Passwords, program: Any) -> None:
    asyncio.run(run(MemoryStorage(), passwords, program, every=4))


def test_every_step_does_something_in_some_program(passwords: Passwords) -> None:
    chance, done = Random(1), set[str]()
    for _ in range(20):
        names = [*["create"] * 6, *["push"] * 4, *NAMES_OF_STEPS, *NAMES_OF_STEPS, *["merge", "unmerge"] * 4]
        drawn = [(name, chance.randrange(3), chance.randrange(6), chance.randrange(6)) for name in names]
        program = drawn[:10] + chance.sample(drawn[10:], len(drawn) - 10)
        done |= asyncio.run(run(MemoryStorage(), passwords, program, every=len(program)))
    assert done == ACTIONS.keys()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


@settings(max_examples=max(1, PROGRAMS // 10), deadline=None, suppress_health_check=lenient)
@given(program=programs)
def test_no_program_breaks_an_invariant_in_postgresql(
    passwords: Passwords, migrated_url: str, runner: asyncio.Runner, program: Any
) -> None:
    async def on_postgres() -> None:
        await wipe(migrated_url)
        storage = PostgresStorage(migrated_url)
        await storage.open()
        try:
            await run(storage, passwords, program, every=len(program))
        finally:
            await storage.aclose()

    runner.run(on_postgres())

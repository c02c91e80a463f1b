"""Random programs over the whole application layer: after every step the store breaks no invariant.

`MACHINE` says how many programs are tried in memory; a tenth of them run on PostgreSQL.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.storage import MemoryStorage
from adapters.postgres.storage import PostgresStorage
from application.accounts.erasing import JOB as ERASING
from application.accounts.erasing import erase_traces
from application.circuits import Circuits
from application.circuits.requests import (
    AddMember,
    ApproveJoin,
    AskToJoin,
    ChangeRole,
    CreateRole,
    PublicRequest,
    PushBatch,
    PushElement,
    TransferCircuit,
    UpdateCircuit,
    UpdateRole,
)
from application.circuits.service import clear_waiting
from application.events import Events
from application.events.erasing import EraseEvent
from application.events.requests import AppendEvent
from application.items import EnrichItem, IdentifierReference, Items, UpdateItem
from application.items.administration import ItemAdministration
from application.items.drafts import MergeDrafts, UnmergeDraft
from application.items.lineage import MergeItems, SplitItem, SplitMode, SplitPart
from application.items.queue import PendingAction, ResolvePending
from application.items.sharing import ShareItem
from application.items.transfers import OfferItem, TransferDecision
from application.keys.service import ApiKeys
from application.notifications.service import tell_many
from application.outbox import Relay
from application.passwords import Passwords
from application.sealing import Seal
from application.secrets import Peppers
from application.units import DfidSource, Units
from application.webhooks import Webhooks
from application.webhooks.feeding import JOBS
from application.webhooks.requests import CreateWebhook, SwitchPostActions, UpdateWebhook
from application.webhooks.vault import Vault
from domain.access.permissions import Permission
from domain.access.principal import Principal, WorkspaceRole, system
from domain.access.vocabulary import CircuitStatus, EventVisibility
from domain.document import Document
from domain.errors import Invalid, Refusal
from domain.events.values import EventType
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.items.submission import IdentifierInput
from domain.ports.schema import (
    ACCOUNTS,
    CIRCUITS,
    DELIVERIES,
    EVENTS,
    ITEMS,
    JOIN_REQUESTS,
    OPERATIONS,
    PENDING,
    PLACEMENTS,
    SHARES,
    TRANSFERS,
    WEBHOOKS,
)
from domain.ports.storage import Storage
from domain.webhooks.values import TEST, Delivery, DeliveryStatus
from tests.agreement.wiping import wipe
from tests.application import persons
from tests.application.accounts.conftest import accounts_on
from tests.application.accounts.world import ROOT
from tests.application.circuits.conftest import passwords
from tests.application.circuits.world import SteppedClock, World, lot, sisbov
from tests.application.persons import as_person
from tests.invariants import hold_in

__all__ = ["passwords"]

PROGRAMS = int(os.environ.get("MACHINE", "40"))
NAMES = ("ana", "bia", "caio")
picks = st.integers(0, 5)
"""Which of the things that exist; which of two when there are fewer is as good as any."""


class Machine:
    """Four people in three workspaces, an administrator, two circuits, and what they do with what is there."""

    def __init__(self, storage: Storage, passwords: Passwords) -> None:
        clock = SteppedClock()
        units = Units(storage, clock, DfidSource(storage, clock))
        keys = IdentifierKeys(b"k" * 32)
        circuits = Circuits(units, keys, passwords, MemoryRateLimiter({}))
        self.world = World(storage, clock, circuits, Items(units, keys))
        self.events = Events(units)
        self.webhooks = Webhooks(units, Vault(Seal.of("defarm/webhook", b"r" * 32)), ())
        self.accounts = accounts_on(storage, clock, passwords)
        self.keys = ApiKeys(units, Peppers.of(ROOT))
        self.desk = ItemAdministration(units, keys)
        jobs = {**JOBS, "cancel_waiting": clear_waiting, "notify": tell_many, ERASING: erase_traces}
        self.relay = Relay(units, jobs)
        self.people: list[Principal] = []
        self.root = system()

    async def begin(self) -> None:
        self.people = [await self.world.user(name) for name in NAMES]
        self.people.append(await self.world.user("dora", "farm of bia", role=WorkspaceRole.MEMBER))
        root = await self.world.user("root")
        await self.accounts.administration.set_admin(system(), str(root.user_id), True)
        self.root = attrs.evolve(root, is_admin=True)
        for approval in (False, True):
            settings = {"allow_resharing": True, "allow_public_visibility": True}
            made = await self.world.circuit(self.people[0], require_approval_for_push=approval, **settings)
            await self.world.join(self.people[0], made.circuit_id, self.people[1])
            await self._listened(made.circuit_id)

    async def _listened(self, circuit_id: str) -> None:
        """Give a circuit a webhook, long ago, of which one delivery ended: none was removed since for its age."""
        made = await self.webhooks.create(self.people[0], circuit_id, CreateWebhook("ERP", "https://erp.example/hook"))
        then = self.world.clock.now()
        ended = Delivery(
            new_id(),
            made.webhook.webhook_id,
            circuit_id,
            new_id(),
            TEST,
            "{}",
            then,
            status=DeliveryStatus.DEAD,
            ended_at=then,
        )
        async with self.world.storage.write() as unit:
            await unit.add(DELIVERIES, ended)
        self.world.clock.pass_by(timedelta(minutes=2))

    async def step(self, action: str, who: int, one: int, two: int) -> bool:
        """Do one thing and tell whether it was done; only documented refusals are answers.

        Who is frozen or erased gets no further than to the check of their credential; one of the others acts.
        """
        steps: dict[str, Callable[..., Awaitable[Any]]] = ACTIONS
        accounts = {account.user_id: account for account in await self.world.rows(ACCOUNTS, place="active")}
        active = [accounts[each.user_id] for each in self.people if each.user_id in accounts]
        if not active:
            return False
        try:
            await steps[action](self, as_person(active[who % len(active)]), one, two)
        except (Refusal, Invalid):
            return False
        return True

    def person(self, index: int) -> Principal:
        return self.people[index % len(self.people)]

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


CHIP = IdentifierInput("rfid", "982000123456789")
"""A number that several items may come to carry, though one at a time claims it."""


async def create(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.item(who, tag(one), tag(two), kg=one)


async def enrich(m: Machine, who: Principal, one: int, two: int) -> None:
    """As the owner, or through a circuit where an item of somebody else stands."""
    circuit_id, dfid = await m.key(PLACEMENTS, one) if two % 2 else (None, await m.item(one))
    request = EnrichItem((tag(one + two), CHIP), Document({f"d{two}": one}), circuit_id=circuit_id)
    await m.world.items.enrich(who, dfid, request)


async def update(m: Machine, who: Principal, one: int, two: int) -> None:
    dfid = await m.item(one)
    seen = await m.world.items.get(who, dfid)
    named = [IdentifierReference(each.key, str(each.value), each.namespace) for each in seen.identifiers[one % 2 :: 3]]
    taken, given = (tuple(named), ()) if two % 3 == 1 else ((), (tag(one + two), CHIP) if two % 3 == 2 else ())
    change = UpdateItem(Document(kg=two), add_identifiers=given, remove_identifiers=taken)
    await m.world.items.update(who, dfid, change, frozenset({seen.version}))


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
    await m.relay.drain()


async def offer(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.transfers.offer(who, await m.item(one), OfferItem(str(m.people[two % 3].workspace_id)))


async def settle(m: Machine, who: Principal, one: int, two: int) -> None:
    decision = (TransferDecision.ACCEPT, TransferDecision.DECLINE, TransferDecision.CANCEL)[two // 2]
    await m.world.transfers.decide(who, await m.key(TRANSFERS, one, status="open"), decision)


async def unshare(m: Machine, who: Principal, one: int, two: int) -> None:
    share_id = await m.key(SHARES, one)
    [row] = await m.world.rows(SHARES, share_id=share_id)
    await m.world.items.revoke(who, row.dfid, share_id)


async def deprecate(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.items.deprecate(who, await m.item(one))


async def restore(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.items.restore(who, str(await m.key(ITEMS, one, status="deprecated")))


async def promote(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.items.promote(who, await m.draft(one))


async def join_drafts(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.items.merge_drafts(who, MergeDrafts(await m.draft(one), (await m.draft(two),)))


async def part_drafts(m: Machine, who: Principal, one: int, two: int) -> None:
    merged = [row for row in await m.world.rows(ITEMS, status="merged") if row.dfid is None]
    if not merged:
        raise Refusal("not_found")
    await m.world.items.unmerge_draft(who, UnmergeDraft(str(merged[one % len(merged)].local_id)))


async def drop_draft(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.items.delete_draft(who, await m.draft(one))


async def review(m: Machine, who: Principal, one: int, two: int) -> None:
    action = (PendingAction.APPROVE, PendingAction.REJECT)[two % 2]
    await m.world.items.resolve(who, await m.key(PENDING, one, status="open"), ResolvePending(action))


async def push_many(m: Machine, who: Principal, one: int, two: int) -> None:
    elements = (PushElement(dfid=await m.item(one)), PushElement(local_id=await m.draft(two)))
    await m.world.circuits.push_batch(who, await m.circuit(two), PushBatch(elements, atomic=one % 2 == 0))


async def define_role(m: Machine, who: Principal, one: int, two: int) -> None:
    granted = frozenset(list(Permission)[: one + 1])
    await m.world.circuits.create_role(who, await m.circuit(one), CreateRole(f"role-{two % 2}", granted))


async def give_role(m: Machine, who: Principal, one: int, two: int) -> None:
    user = str(m.people[one % 3].user_id)
    await m.world.circuits.change_role(who, await m.circuit(one), user, ChangeRole(f"role-{two % 2}"), None)


async def redefine_role(m: Machine, who: Principal, one: int, two: int) -> None:
    change = UpdateRole(permissions=frozenset(list(Permission)[one:]))
    await m.world.circuits.update_role(who, await m.circuit(one), f"role-{two % 2}", change, None)


async def drop_role(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.circuits.delete_role(who, await m.circuit(one), f"role-{two % 2}")


async def ask(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.world.circuits.ask_to_join(who, await m.circuit(one), AskToJoin())


async def answer(m: Machine, who: Principal, one: int, two: int) -> None:
    request_id = await m.key(JOIN_REQUESTS, one, status="pending")
    [row] = await m.world.rows(JOIN_REQUESTS, request_id=request_id)
    circuits = m.world.circuits
    if two % 3 == 0:
        await circuits.reject_join(who, row.circuit_id, request_id)
    elif two % 3 == 1:
        await circuits.cancel_join(who, row.circuit_id, request_id)
    else:
        await circuits.approve_join(who, row.circuit_id, request_id, ApproveJoin("viewer"))


async def open_doors(m: Machine, who: Principal, one: int, two: int) -> None:
    request = PublicRequest(auto_approve_members=two % 2 == 0, auto_publish_pushed_items=one % 2 == 0)
    await m.world.circuits.change_public_settings(who, await m.circuit(one), request, None)


async def hook(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.webhooks.create(who, await m.circuit(one), CreateWebhook("ERP", "https://erp.example/hook"))


async def rehook(m: Machine, who: Principal, one: int, two: int) -> None:
    webhook_id = await m.key(WEBHOOKS, one)
    [row] = await m.world.rows(WEBHOOKS, webhook_id=webhook_id)
    change = UpdateWebhook(enabled=two % 2 == 0)
    await m.webhooks.update(who, row.circuit_id, webhook_id, change, None)


async def unhook(m: Machine, who: Principal, one: int, two: int) -> None:
    webhook_id = await m.key(WEBHOOKS, one)
    [row] = await m.world.rows(WEBHOOKS, webhook_id=webhook_id)
    await m.webhooks.delete(who, row.circuit_id, webhook_id)


async def mute(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.webhooks.switch(who, await m.circuit(one), SwitchPostActions(two % 2 == 0), None)


async def certify(m: Machine, who: Principal, one: int, two: int) -> None:
    circuit_id, dfid = await m.key(PLACEMENTS, one)
    kind = (EventType.CERTIFIED, EventType.RECORDED)[two % 2]
    seen = EventVisibility.CIRCUIT_ONLY
    request = AppendEvent(dfid, event_type=kind, category="weighing", visibility=seen, circuit_id=circuit_id)
    await m.events.append(who, request)


async def forget(m: Machine, who: Principal, one: int, two: int) -> None:
    await m.events.erase(attrs.evolve(who, is_admin=True), await m.key(EVENTS, one), EraseEvent("asked for"))


STEPS = (
    create, enrich, update, merge, unmerge, split, draft, tokenise, push, pull, withdraw, publish, approve, reject,
    cancel, join, leave, remove, change_role, hand_over, switch, close, record, share, work, offer, settle, unshare,
    deprecate, restore, promote, join_drafts, part_drafts, drop_draft, review, push_many, define_role, give_role,
    redefine_role, drop_role, ask, answer, open_doors, hook, rehook, unhook, mute, certify, forget, *persons.STEPS,
)  # fmt: skip
ACTIONS = {step.__name__: step for step in STEPS}
NAMES_OF_STEPS = sorted(ACTIONS)
programs = st.lists(st.tuples(st.sampled_from(NAMES_OF_STEPS), picks, picks, picks), min_size=15, max_size=40)
RARE = (
    "draft", "join_drafts", "part_drafts", "merge", "unmerge", "push", "offer", "settle", "define_role", "give_role",
    "redefine_role", "drop_role", "enrich", "approve", "reject", "freeze_colleague",
)  # fmt: skip
"""Steps that seldom find what they need, or make what others seldom find."""
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
    for tried in range(60):
        if tried >= 15 and done == ACTIONS.keys():
            break
        names = [*["create"] * 6, *["push"] * 4, *NAMES_OF_STEPS * 3, *RARE * 4, *["ask", "answer"] * 6]
        drawn = [(name, *(chance.randrange(6) for _ in range(3))) for name in names]
        program = drawn[:10] + chance.sample(drawn[10:], len(drawn) - 10)
        done |= asyncio.run(run(MemoryStorage(), passwords, program, every=len(program)))
    assert ACTIONS.keys() - done == set()


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

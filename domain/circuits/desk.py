"""What pushes into a circuit read once, decide in order, and write once, whatever their number.

One push is a batch of one; approving many pushes of several requesters is the same batch in their names.
"""

from collections.abc import Iterable

import attrs

from domain.access.decide import Action, Decision, Ground, GroundKind, decide
from domain.access.facts import Facts, Target
from domain.access.principal import Principal
from domain.access.vocabulary import EventVisibility, OperationStatus, OperationType
from domain.act import Act
from domain.circuits.facts import item_fact, placement_fact
from domain.circuits.reading import Reading, reading
from domain.circuits.recipients import tell_owners
from domain.circuits.rules import placed
from domain.circuits.scene import Scene
from domain.circuits.values import Circuit, Operation, Placement
from domain.document import Document
from domain.events.chain import EventDraft
from domain.events.engine import record_as
from domain.events.values import EventType
from domain.items.values import Item
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import CIRCUITS, ITEMS, MEMBERSHIPS, OPERATIONS, PLACEMENTS
from domain.ports.walking import walk
from domain.webhooks.triggers import Trigger, fire

_NOTHING = Reading()
_RESHARING = (GroundKind.CIRCUIT_MEMBER, GroundKind.APPROVED_PULL)


@attrs.define
class Desk:
    """The circuit, its members at hand, and everything these pushes touch."""

    act: Act
    at: Scene
    items: dict[str, Item] = attrs.field(factory=dict)
    placements: dict[str, Placement] = attrs.field(factory=dict)
    waiting: dict[tuple[str, str], Operation] = attrs.field(factory=dict)
    readings: dict[str, Reading] = attrs.field(factory=dict)
    placed_now: list[tuple[Placement, Item]] = attrs.field(factory=list)
    _new: dict[str, Operation] = attrs.field(factory=dict)
    _saved: dict[str, Operation] = attrs.field(factory=dict)
    _events: list[tuple[Principal, EventDraft]] = attrs.field(factory=list)
    _relied: list[Item] = attrs.field(factory=list)
    _passed_on: list[tuple[Ground, str, str]] = attrs.field(factory=list)

    @property
    def circuit(self) -> Circuit:
        return self.at.circuit

    async def load(self, wishes: Iterable[tuple[Principal, str]]) -> None:
        """Read what pushing these items in these names can need."""
        wanted = list(wishes)
        unit, circuit_id = self.act.unit, self.circuit.circuit_id
        dfids = sorted({dfid for _, dfid in wanted})
        self.items |= {item.key: item for item in (await unit.get_many(ITEMS, dfids)).values()}
        standing = await unit.get_many(PLACEMENTS, [(circuit_id, dfid) for dfid in dfids])
        self.placements |= {row.dfid: row for row in standing.values()}
        if dfids:
            await self._load_waiting(dfids, {str(principal.user_id) for principal, _ in wanted})
        await self._load_readings(wanted)

    async def _load_waiting(self, dfids: list[str], users: set[str]) -> None:
        query = Select(
            {
                "circuit_id": self.circuit.circuit_id,
                "dfid": AnyOf(tuple(dfids)),
                "requester_id": AnyOf(tuple(sorted(users))),
                "operation_type": OperationType.PUSH,
                "status": OperationStatus.PENDING,
            },
            ("circuit_id", "dfid", "requester_id", "operation_type"),
        )
        async for row in walk(self.act.unit, OPERATIONS, query):
            self.waiting[row.requester_id, row.dfid or ""] = row

    async def _load_readings(self, wanted: list[tuple[Principal, str]]) -> None:
        foreign: dict[str, tuple[Principal, set[str]]] = {}
        for principal, dfid in wanted:
            item = self.items.get(dfid)
            if item is not None and item.workspace_id != principal.workspace_id:
                foreign.setdefault(str(principal.user_id), (principal, set()))[1].add(dfid)
        for user, (principal, dfids) in foreign.items():
            self.readings[user] = await reading(self.act.unit, principal, dfids)

    def may_push(self, requester: Principal, dfid: str) -> Decision:
        """Decide `item.push` into this circuit for a requester."""
        item = self.items.get(dfid)
        others = self.readings.get(str(requester.user_id), _NOTHING).facts
        here = self.at.facts(Target())
        standing = self.placements.get(dfid)
        facts = Facts(
            Target(circuit_id=self.circuit.circuit_id, dfid=dfid),
            circuits=(*here.circuits, *others.circuits),
            members=(*here.members, *others.members),
            items=() if item is None else (item_fact(item),),
            shares=others.shares,
            placements=(*(() if standing is None else (placement_fact(standing),)), *others.placements),
            pulls=others.pulls,
            transfers=others.transfers,
        )
        return decide(requester, Action.ITEM_PUSH, facts, self.act.now)

    def rely(self, requester: Principal, item: Item, decision: Decision) -> None:
        """Note what a decision rested on, to be confirmed: the item, and where it was passed on from."""
        self._relied.append(item)
        if decision.grounds and all(ground.ground in _RESHARING for ground in decision.grounds):
            self._passed_on.append((decision.grounds[0], str(requester.user_id), item.key))

    def keep(self, operation: Operation) -> Operation:
        """Stage an operation: a new one, or a stored one that moved on."""
        if operation.version == 1:
            self._new[operation.operation_id] = operation
        else:
            self._saved[operation.operation_id] = operation
        slot = (operation.requester_id, operation.dfid or "")
        if operation.operation_type is OperationType.PUSH and operation.dfid is not None:
            if operation.status is OperationStatus.PENDING:
                self.waiting[slot] = operation
            elif slot in self.waiting and self.waiting[slot].operation_id == operation.operation_id:
                del self.waiting[slot]
        return operation

    def place(self, requester: Principal, item: Item, operation: Operation) -> Placement:
        """Put an item into the circuit (circuits.md 4.11), for a completed push that did not find it there.

        Every path of pushing ends here, so that what publishes by itself does so on all of them.
        """
        placement = placed(self.circuit, item, operation, self.act.now)
        self.placements[placement.dfid] = placement
        self.placed_now.append((placement, item))
        payload = Document(
            circuit_id=placement.circuit_id, operation_id=operation.operation_id, approved=operation.approved
        )
        draft = EventDraft(
            placement.dfid,
            EventType.PUSHED_TO_CIRCUIT,
            EventVisibility.CIRCUIT_ONLY,
            payload,
            circuit_id=placement.circuit_id,
        )
        self._events.append((requester, draft))
        return placement

    async def confirm(self) -> None:
        """Confirm the circuit, the memberships used, the items and the sources of what is passed on."""
        await self.at.confirm(self.act, *self.at.memberships)
        stored = {item.key: item for item in self._relied}
        await self.act.unit.confirm(ITEMS, *(stored[key] for key in sorted(stored)))
        for ground, user, dfid in self._passed_on:
            source, circuit_id = self.readings[user], str(ground.circuit_id)
            placement = source.placement(circuit_id, dfid)
            assert placement is not None
            await self.act.unit.confirm(CIRCUITS, source.circuits[circuit_id])
            await self.act.unit.confirm(MEMBERSHIPS, source.memberships[circuit_id])
            await self.act.unit.confirm(PLACEMENTS, placement)

    async def flush(self) -> None:
        """Stage everything: operations, placements, events by author, and who is told of it."""
        unit = self.act.unit
        await unit.save(OPERATIONS, *self._saved.values())
        # Those that wait hold a slot, for which others may wait.
        done = [operation for operation in self._new.values() if operation.status is OperationStatus.COMPLETED]
        await unit.add_final(OPERATIONS, *done)
        await unit.add(OPERATIONS, *(one for one in self._new.values() if one.status is not OperationStatus.COMPLETED))
        await unit.add(PLACEMENTS, *(placement for placement, _ in self.placed_now))
        await record_as(self.act, self._events)
        await self._tell_placed()
        await self._fire()

    async def _fire(self) -> None:
        """Leave a trigger for every placement, publication and DFID minted here."""
        for placement, _ in self.placed_now:
            await self._trigger(Trigger.ITEM_PUSHED, placement.dfid, operation_id=placement.operation_id)
            if placement.published:
                await self._trigger(Trigger.ITEM_PUBLISHED, placement.dfid)
        for operation in (*self._new.values(), *self._saved.values()):
            if operation.status is OperationStatus.COMPLETED and operation.item_outcome == "created":
                dfid = str(operation.dfid)
                await self._trigger(Trigger.ITEM_TOKENIZED, dfid, operation_id=operation.operation_id)

    async def _trigger(self, trigger: Trigger, dfid: str, **more: str) -> None:
        await fire(self.act, self.circuit, trigger, dfid=dfid, **more)

    async def _tell_placed(self) -> None:
        published = [item for placement, item in self.placed_now if placement.published]
        circuit_id = self.circuit.circuit_id
        if published:
            dfids = [item.key for item in published]
            subject = ("item", dfids[0]) if len(dfids) == 1 else ("circuit", circuit_id)
            await self.act.activity("item_published", subject, circuit_id=circuit_id, dfids=dfids)
        reshared: dict[str, list[Item]] = {}
        for placement, item in self.placed_now:
            if placement.placed_by_workspace_id != item.workspace_id:
                reshared.setdefault(placement.placed_by, []).append(item)
        for items in reshared.values():
            await tell_owners(self.act, "item_reshared", items, source_id=self._source(items[0]), circuit_id=circuit_id)

    def _source(self, item: Item) -> str:
        return self.placements[item.key].operation_id

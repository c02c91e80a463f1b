"""Pulling: a read that leaves a record (circuits.md 4.17)."""

import attrs

from domain.access.decide import Action
from domain.access.vocabulary import EventVisibility, ItemStatus, OperationStatus, OperationType
from domain.act import Act
from domain.circuits.facts import placement_fact
from domain.circuits.pushing import tell_waiting
from domain.circuits.rules import approval_needed, completed_at_once, new_operation, superseded
from domain.circuits.scene import Scene, scene
from domain.circuits.values import Membership, Operation, Placement
from domain.document import Document
from domain.errors import Refusal, not_found
from domain.events.chain import EventDraft
from domain.events.engine import record
from domain.events.values import EventType
from domain.items.values import Item
from domain.ports.queries import Select
from domain.ports.schema import ITEMS, OPERATIONS, PLACEMENTS
from domain.ports.walking import walk

READ = "read"


@attrs.frozen
class Pulled:
    """A pull: completed, with the item it reads, or waiting."""

    operation: Operation
    item: Item
    written: bool

    @property
    def waits(self) -> bool:
        return self.operation.status is OperationStatus.PENDING


async def pull(act: Act, circuit_id: str, dfid: str) -> Pulled:
    """Read an item that stands in a circuit, once per placement and membership on record.

    Raises Refusal `not_found`, `permission_missing`, `item_merged`.
    """
    at = await scene(act.unit, act.principal, circuit_id)
    placement = await act.unit.find(PLACEMENTS, (circuit_id, dfid))
    facts = {"placements": () if placement is None else (placement_fact(placement),)}
    at.require(act, Action.CIRCUIT_PULL, facts=facts, dfid=dfid)
    item = await act.unit.find(ITEMS, dfid)
    if placement is None or item is None:
        raise not_found()
    if item.status is ItemStatus.MERGED:
        raise Refusal("item_merged", "This item was merged into another.", merged_into=item.lineage.merged_into)
    member = at.memberships[act.user_id]
    earlier = await _earlier(act, placement, member)
    done = earlier.get(OperationStatus.COMPLETED)
    if done is not None:
        return Pulled(done, item, False)
    return await _pull_anew(act, at, placement, item, earlier.get(OperationStatus.PENDING))


async def _earlier(act: Act, placement: Placement, member: Membership) -> dict[OperationStatus, Operation]:
    query = Select(
        {
            "circuit_id": placement.circuit_id,
            "dfid": placement.dfid,
            "requester_id": member.user_id,
            "operation_type": OperationType.PULL,
            "placement_id": placement.placement_id,
            "member_since": member.joined_at,
        }
    )
    return {row.status: row async for row in walk(act.unit, OPERATIONS, query)}


async def _pull_anew(act: Act, at: Scene, placement: Placement, item: Item, waiting: Operation | None) -> Pulled:
    circuit, member = at.circuit, at.memberships[act.user_id]
    needed = approval_needed(circuit, member, OperationType.PULL)
    if needed and waiting is not None:
        return Pulled(waiting, item, False)
    operation = new_operation(
        circuit,
        member,
        act.principal,
        OperationType.PULL,
        act.now,
        dfid=placement.dfid,
        placement_id=placement.placement_id,
    )
    await at.confirm(act)
    await act.unit.confirm(PLACEMENTS, placement)
    if needed:
        await act.unit.add(OPERATIONS, operation)
        await _tell_requested(act, at, operation)
        return Pulled(operation, item, True)
    if waiting is not None:
        await act.unit.save(OPERATIONS, superseded(waiting, act.now))
    operation = completed_at_once(circuit, operation, act.now, outcome=READ)
    await act.unit.add(OPERATIONS, operation)
    await record(act, pull_event(operation))
    subject = ("item", placement.dfid)
    await act.activity("item_pulled", subject, circuit_id=circuit.circuit_id, dfids=[placement.dfid])
    details = {"dfid": placement.dfid, "operation_id": operation.operation_id}
    await act.audit("circuit.item_pulled", subject, circuit_id=circuit.circuit_id, details=details)
    return Pulled(operation, item, True)


def pull_event(operation: Operation) -> EventDraft:
    """Return what a completed pull writes into the history of its item."""
    payload = Document(circuit_id=operation.circuit_id, operation_id=operation.operation_id)
    return EventDraft(
        str(operation.dfid),
        EventType.PULLED_FROM_CIRCUIT,
        EventVisibility.CIRCUIT_ONLY,
        payload,
        circuit_id=operation.circuit_id,
    )


async def _tell_requested(act: Act, at: Scene, operation: Operation) -> None:
    circuit_id, subject = operation.circuit_id, ("operation", operation.operation_id)
    await act.activity("pull_requested", subject, circuit_id=circuit_id, dfids=[str(operation.dfid)])
    await tell_waiting(act, at, "pull", operation.operation_id, 1)
    await act.audit("circuit.pull_requested", subject, circuit_id=circuit_id)

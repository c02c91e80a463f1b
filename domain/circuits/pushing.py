"""Pushing items by DFID, one or many (circuits.md 4.12, 4.14)."""

from collections.abc import Sequence
from typing import Any

import attrs

from domain.access.decide import Action, require
from domain.access.permissions import Permission
from domain.access.vocabulary import OperationStatus, OperationType
from domain.act import Act
from domain.circuits.audience import tell_circuit
from domain.circuits.desk import Desk
from domain.circuits.rules import approval_needed, check_active, completed_at_once, new_operation, superseded
from domain.circuits.scene import Scene, scene, scene_places
from domain.circuits.values import Operation, Placement
from domain.errors import Refusal, not_found
from domain.items.values import Item
from domain.ports.queries import Condition
from domain.ports.schema import CHAINS, ITEMS, OPERATIONS, PLACEMENTS
from domain.ports.storage import Place

MAX_WAITING = 10_000
PLACED, ALREADY_PLACED, PENDING = "placed", "already_placed", "pending"


@attrs.frozen
class Pushed:
    """What became of a push. `outcome` is `placed`, `already_placed` or `pending`; `item_outcome` is set for
    completed pushes of drafts. `written` is false where everything stood already."""

    outcome: str
    written: bool
    operation: Operation | None = None
    placement: Placement | None = None
    dfid: str | None = None
    local_id: str | None = None
    item_outcome: str | None = None
    warnings: tuple[str, ...] = ()


async def open_desk(act: Act, circuit_id: str) -> Desk:
    """Return a desk for pushes of the acting user. Raises the Refusal of `circuit.push`."""
    at = await scene(act.unit, act.principal, circuit_id)
    at.require(act, Action.CIRCUIT_PUSH)
    return Desk(act, at)


def push_places(circuit_id: str, user_id: str, dfid: str) -> tuple[Place, ...]:
    """Return where everything stands that a push asks for by key."""
    here = scene_places(circuit_id, user_id)
    return *here, (ITEMS, dfid), (PLACEMENTS, (circuit_id, dfid)), (CHAINS, dfid)


async def push(act: Act, circuit_id: str, dfid: str) -> Pushed:
    """Push one item: placed now, found there, or waiting for approval.

    Raises Refusal `not_found`, `permission_missing`, `resharing_not_allowed`, `item_merged`, `item_not_active`.
    """
    await act.unit.foresee(*push_places(circuit_id, act.user_id, dfid))
    desk = await open_desk(act, circuit_id)
    await desk.load([(act.principal, dfid)])
    pushed = push_item(desk, dfid)
    if pushed.written:
        await desk.confirm()
        await desk.flush()
        await _tell_one(act, desk.at, pushed)
    return pushed


def push_item(desk: Desk, dfid: str, batch_id: str | None = None) -> Pushed:
    """Decide one push of the acting user and stage it at the desk. Raises Refusal, leaving nothing behind."""
    requester = desk.act.principal
    decision = require(desk.may_push(requester, dfid))
    item = desk.items.get(dfid)
    if item is None:
        raise not_found()
    check_active(item)
    standing = desk.placements.get(dfid)
    if standing is not None:
        return Pushed(ALREADY_PLACED, False, placement=standing, dfid=dfid)
    pushed = request_or_place(desk, item, batch_id=batch_id)
    if pushed.written:
        desk.rely(requester, item, decision)
    return pushed


def request_or_place(desk: Desk, item: Item, **members: Any) -> Pushed:
    """Let the push of an item that does not stand here wait for approval, or complete it.

    `members` are further members of the operation.
    """
    act, circuit = desk.act, desk.circuit
    member = desk.at.memberships[act.user_id]
    waiting = desk.waiting.get((act.user_id, item.key))
    dfid, local_id = item.key, members.get("local_id")
    needed = approval_needed(circuit, member, OperationType.PUSH)
    if needed and waiting is not None:
        return Pushed(PENDING, False, waiting, dfid=dfid, local_id=local_id)
    operation = new_operation(circuit, member, act.principal, OperationType.PUSH, act.now, dfid=dfid, **members)
    if needed:
        return Pushed(PENDING, True, desk.keep(operation), dfid=dfid, local_id=local_id)
    if waiting is not None:
        desk.keep(superseded(waiting, act.now))
    placement = desk.place(act.principal, item, operation)
    done = completed_at_once(circuit, operation, act.now, outcome=PLACED, placement_id=placement.placement_id)
    operation = desk.keep(done)
    return Pushed(PLACED, True, operation, placement, dfid, local_id)


async def _tell_one(act: Act, at: Scene, pushed: Pushed) -> None:
    assert pushed.operation is not None
    if pushed.outcome == PENDING:
        await tell_requested(act, at, [pushed], pushed.operation.operation_id)
        return
    await tell_placed(act, at, pushed)


async def tell_placed(act: Act, at: Scene, pushed: Pushed) -> None:
    """Record a single push that put an item into the circuit."""
    assert pushed.operation is not None
    circuit_id, dfid = at.circuit.circuit_id, str(pushed.dfid)
    await act.activity("item_pushed", ("item", dfid), circuit_id=circuit_id, dfids=[dfid])
    details = {"dfid": dfid, "operation_id": pushed.operation.operation_id}
    await act.audit("circuit.item_pushed", ("item", dfid), circuit_id=circuit_id, details=details)


async def tell_requested(
    act: Act, at: Scene, waiting: Sequence[Pushed], source_id: str, *, batch: bool = False
) -> None:
    """Record pushes that wait, as one, and tell who may decide them. The audit entry of a batch is its own."""
    circuit_id, subject = at.circuit.circuit_id, ("batch" if batch else "operation", source_id)
    dfids = [pushed.dfid for pushed in waiting if pushed.dfid is not None]
    await act.activity("push_requested", subject, circuit_id=circuit_id, dfids=dfids, item_count=len(waiting))
    await tell_waiting(act, at, "push", source_id, len(waiting))
    if not batch:
        await act.audit("circuit.push_requested", subject, circuit_id=circuit_id)


async def tell_waiting(act: Act, at: Scene, kind: str, source_id: str, count: int) -> None:
    """Tell the holders of `approve` that something waits for them.

    Raises Refusal `quota_reached` when more would wait than one requester may have (circuits.md 1.10).
    """
    circuit_id = at.circuit.circuit_id
    where: dict[str, Condition] = {"circuit_id": circuit_id, "requester_id": act.user_id}
    where["status"] = OperationStatus.PENDING
    if sum((await act.unit.count(OPERATIONS, where, "circuit_id")).values()) > MAX_WAITING:
        raise Refusal("quota_reached", f"At most {MAX_WAITING} of your operations wait in a circuit.")
    data = {"kind": kind, "item_count": count}
    await tell_circuit(act, "operation_pending", circuit_id, Permission.APPROVE, source_id=source_id, data=data)

"""Decisions on waiting operations (circuits.md 4.18): approve, reject, cancel.

One decision is a batch of one: many are read together, judged one after the other, and staged once.
"""

from collections import Counter
from collections.abc import Sequence

import attrs

from domain.access.decide import Action
from domain.access.permissions import Permission
from domain.access.vocabulary import OperationStatus, OperationType
from domain.accounts.values import Account
from domain.act import Act
from domain.circuits.approving import Case, approve_all
from domain.circuits.audience import tell_circuit
from domain.circuits.facts import operation_fact
from domain.circuits.rules import closed
from domain.circuits.scene import Scene, scene, settle
from domain.circuits.values import Operation
from domain.errors import Refusal, not_found
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.ports.schema import ACCOUNTS, ITEMS, OPERATIONS
from domain.precondition import Versions


async def _case(act: Act, action: Action, operation_id: str, circuit_id: str | None, accepted: Versions) -> Case:
    """Read an operation and decide whether the actor may do this with it. Raises Refusal."""
    operation = await act.unit.find(OPERATIONS, operation_id)
    if operation is None or circuit_id not in (None, operation.circuit_id):
        raise not_found()
    at = await scene(act.unit, act.principal, operation.circuit_id, operation.requester_id)
    account = await act.unit.find(ACCOUNTS, operation.requester_id)
    return _judged(act, at, action, operation, account, accepted)


def _judged(
    act: Act, at: Scene, action: Action, operation: Operation, account: Account | None, accepted: Versions = None
) -> Case:
    facts = {"operations": (operation_fact(operation),)}
    settle(at.decide(act, action, facts=facts, operation_id=operation.operation_id), accepted, operation.version)
    if operation.status is not OperationStatus.PENDING:
        raise _decided(operation)
    return Case(act, at, operation, account)


def _decided(operation: Operation) -> Refusal:
    return Refusal("operation_decided", "This operation is decided.", current_status=operation.status.value)


async def approve(
    act: Act,
    keys: IdentifierKeys,
    operation_id: str,
    circuit_id: str | None,
    reason: str | None,
    accepted: Versions = None,
) -> Operation | Refusal:
    """Complete a waiting operation with all its effects, in the requester's name.

    A draft that fits no single item stays where it is: the Refusal to give comes back once the record for its
    submitter is staged. Raises Refusal `not_found`, `permission_missing`, `own_operation`, `version_mismatch`,
    `operation_decided`, `requester_not_permitted`, `item_not_pushable`, `submission_outdated`, `placement_gone`.
    """
    case = await _case(act, Action.OPERATION_DECIDE, operation_id, circuit_id, accepted)
    done = (await approve_all(act, keys, [case], reason))[operation_id]
    if isinstance(done, Refusal):
        if done.code != "push_blocked":
            raise done
        return done
    await _tell(act, done, "approved", [done.requester_id])
    return done


async def reject(
    act: Act, operation_id: str, circuit_id: str | None, reason: str | None, accepted: Versions = None
) -> Operation:
    """Refuse a waiting operation; the draft is free again. Works also when the requester is gone."""
    case = await _case(act, Action.OPERATION_DECIDE, operation_id, circuit_id, accepted)
    done = (await _reject_all(act, [case], reason))[operation_id]
    await _tell(act, done, "rejected", [done.requester_id])
    return done


async def _reject_all(act: Act, cases: Sequence[Case], reason: str | None) -> dict[str, Operation]:
    done = [closed(case.operation, OperationStatus.REJECTED, act.now, by=act.user_id, reason=reason) for case in cases]
    if cases:
        await cases[0].at.confirm(act)
        await _close(act, done)
    return {one.operation_id: one for one in done}


async def cancel(act: Act, operation_id: str, circuit_id: str | None, accepted: Versions = None) -> Operation:
    """Take a waiting operation back: by the requester, or a user of their workspace."""
    case = await _case(act, Action.OPERATION_CANCEL, operation_id, circuit_id, accepted)
    by = act.user_id if act.user_id == case.operation.requester_id else None
    done = closed(case.operation, OperationStatus.CANCELLED, act.now, by=by)
    await case.at.confirm(act)
    await _close(act, [done])
    await _record(act, done, "cancelled")
    approvers = Permission.APPROVE
    source, dfid = done.operation_id, done.dfid
    await tell_circuit(act, "operation_cancelled", done.circuit_id, approvers, source_id=source, dfid=dfid)
    return done


async def _close(act: Act, done: Sequence[Operation]) -> None:
    """Save operations that end without effect, and free the drafts they held."""
    await act.unit.save(OPERATIONS, *done)
    held = {
        str(one.local_id): one.operation_id
        for one in done
        if one.operation_type is OperationType.PUSH and one.dfid is None
    }
    drafts = await act.unit.get_many(ITEMS, sorted(held))
    freed = (
        attrs.evolve(draft, held_by=None, version=draft.version + 1)
        for draft in drafts.values()
        if draft.held_by == held[draft.key]
    )
    await act.unit.save(ITEMS, *freed)


async def _tell(act: Act, done: Operation, verb: str, told: Sequence[str]) -> None:
    """Record a decision and tell who is concerned."""
    await _record(act, done, verb)
    data = {} if done.reason is None else {"reason": done.reason}
    await act.notify(
        f"operation_{verb}",
        told,
        source_id=done.operation_id,
        circuit_id=done.circuit_id,
        dfid=done.dfid,
        data=data,
    )


async def _record(act: Act, done: Operation, verb: str) -> None:
    kind, subject, circuit_id = f"operation_{verb}", ("operation", done.operation_id), done.circuit_id
    details = {"operation_type": done.operation_type.value, "requester_id": done.requester_id}
    details |= {} if done.reason is None else {"reason": done.reason}
    await act.activity(kind, subject, circuit_id=circuit_id, dfids=[] if done.dfid is None else [done.dfid])
    await act.audit(f"circuit.{kind}", subject, circuit_id=circuit_id, details=details)


@attrs.frozen
class Decided:
    """What became of one operation of a bulk decision."""

    operation_id: str
    operation: Operation | None = None
    error: Refusal | None = None


async def decide_many(
    act: Act, keys: IdentifierKeys, circuit_id: str, operation_ids: Sequence[str], *, approved: bool, reason: str | None
) -> list[Decided]:
    """Decide operations alike in one unit; a refused one does not stop the others.

    The statements do not grow with the operations, only with the requesters whose drafts are approved. Each
    requester is told once. Raises Refusal `not_found`, `not_a_member`, `circuit_not_active`.
    """
    ends, cases = await _cases(act, circuit_id, operation_ids)
    ends |= await approve_all(act, keys, cases, reason) if approved else await _reject_all(act, cases, reason)
    verb = "approved" if approved else "rejected"
    done = [one for one in ends.values() if isinstance(one, Operation)]
    for one in done:
        await _record(act, one, verb)
    await _tell_requesters(act, circuit_id, done, verb, reason)
    results: list[Decided] = []
    seen: set[str] = set()
    for operation_id in operation_ids:
        end = ends[operation_id]
        again = operation_id in seen and isinstance(end, Operation)
        error = _decided(end) if again and isinstance(end, Operation) else end
        results.append(
            Decided(operation_id, error=error) if isinstance(error, Refusal) else Decided(operation_id, operation=error)
        )
        seen.add(operation_id)
    return results


async def _cases(
    act: Act, circuit_id: str, operation_ids: Sequence[str]
) -> tuple[dict[str, Operation | Refusal], list[Case]]:
    """Read operations of a circuit with their requesters; those that the actor may not decide are refused."""
    unit = act.unit
    found = {row.operation_id: row for row in (await unit.get_many(OPERATIONS, operation_ids)).values()}
    ours = {key: row for key, row in found.items() if row.circuit_id == circuit_id}
    requesters = sorted({row.requester_id for row in ours.values()})
    at = await scene(unit, act.principal, circuit_id, *requesters)
    at.require_open(act)
    accounts = {row.user_id: row for row in (await unit.get_many(ACCOUNTS, requesters)).values()}
    ends: dict[str, Operation | Refusal] = {}
    cases: list[Case] = []
    for operation_id in dict.fromkeys(operation_ids):
        operation = ours.get(operation_id)
        try:
            if operation is None:
                raise not_found()
            account = accounts.get(operation.requester_id)
            cases.append(_judged(act, at, Action.OPERATION_DECIDE, operation, account))
        except Refusal as refusal:
            ends[operation_id] = refusal
    return ends, cases


async def _tell_requesters(act: Act, circuit_id: str, done: Sequence[Operation], verb: str, reason: str | None) -> None:
    counts = Counter(one.requester_id for one in done)
    shared = {} if reason is None else {"reason": reason}
    told = {user: {"item_count": count, **shared} for user, count in counts.items()}
    await act.notify_each(f"operation_{verb}", told, source_id=new_id(), circuit_id=circuit_id)

"""Decisions on waiting operations (circuits.md 4.18): approve, reject, cancel."""

from collections.abc import Sequence

import attrs

from domain.access.decide import Action, require
from domain.access.permissions import Permission
from domain.access.principal import Principal, PrincipalKind
from domain.access.vocabulary import ItemStatus, OperationStatus, OperationType
from domain.accounts.values import Account, AccountStatus
from domain.act import Act
from domain.circuits.batching import park_one, tell_contributed
from domain.circuits.desk import Desk
from domain.circuits.extras import taken
from domain.circuits.facts import operation_fact
from domain.circuits.pulling import READ, record_pull
from domain.circuits.pushing import ALREADY_PLACED, PLACED
from domain.circuits.requirements import seen_from_request
from domain.circuits.rules import closed
from domain.circuits.scene import Scene, holders, scene
from domain.circuits.tokenising import LocalPush, Tokenising
from domain.circuits.values import Operation
from domain.errors import Invalid, Refusal, not_found
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.items.resolution import Conflict
from domain.items.values import Item
from domain.ports.schema import ACCOUNTS, ITEMS, OPERATIONS, PLACEMENTS
from domain.webhooks.triggers import Trigger, fire

_NEEDED = {OperationType.PUSH: Permission.PUSH, OperationType.PULL: Permission.PULL}


@attrs.frozen
class Case:
    """A waiting operation with its circuit, its requester and who decides."""

    act: Act
    at: Scene
    operation: Operation
    account: Account | None

    @property
    def requester(self) -> Principal:
        """The requester, acting in whose name the effects happen."""
        return Principal(
            PrincipalKind.USER,
            user_id=self.operation.requester_id,
            workspace_id=self.operation.requester_workspace_id,
            trace_id=self.act.principal.trace_id,
        )

    @property
    def in_their_name(self) -> Act:
        return attrs.evolve(self.act, principal=self.requester)

    def require_requester(self) -> None:
        """Demand that the requester could still ask for this. Raises Refusal `requester_not_permitted`."""
        operation = self.operation
        member = self.at.member(operation.requester_id)
        account = self.account
        stands = (
            account is not None
            and account.status is AccountStatus.ACTIVE
            and account.workspace_id == operation.requester_workspace_id
            and member is not None
            and member.joined_at == operation.member_since
            and _NEEDED[operation.operation_type] in member.permissions
        )
        if not stands:
            raise Refusal("requester_not_permitted", "The requester may no longer do this.")

    def completed(self, reason: str | None, **members: object) -> Operation:
        """Return the operation approved by the actor."""
        status, by = OperationStatus.COMPLETED, self.act.user_id
        return closed(self.operation, status, self.act.now, by=by, reason=reason, **members)


async def _case(act: Act, action: Action, operation_id: str, circuit_id: str | None) -> Case:
    """Read an operation and decide whether the actor may do this with it. Raises Refusal."""
    operation = await act.unit.find(OPERATIONS, operation_id)
    if operation is None or circuit_id not in (None, operation.circuit_id):
        raise not_found()
    at = await scene(act.unit, act.principal, operation.circuit_id, operation.requester_id)
    facts = {"operations": (operation_fact(operation),)}
    require(at.decide(act, action, facts=facts, operation_id=operation_id))
    if operation.status is not OperationStatus.PENDING:
        raise Refusal("operation_decided", "This operation is decided.", current_status=operation.status.value)
    account = await act.unit.find(ACCOUNTS, operation.requester_id)
    return Case(act, at, operation, account)


async def approve(
    act: Act,
    keys: IdentifierKeys,
    operation_id: str,
    circuit_id: str | None,
    reason: str | None,
    *,
    quiet: bool = False,
) -> Operation | Refusal:
    """Complete a waiting operation with all its effects, in the requester's name.

    A draft that fits no single item stays where it is: the Refusal to give comes back once the record for its
    submitter is staged. Raises Refusal `not_found`, `permission_missing`, `own_operation`, `operation_decided`,
    `requester_not_permitted`, `item_not_pushable`, `submission_outdated`, `placement_gone`. A `quiet` decision
    leaves it to the caller to tell the requester.
    """
    case = await _case(act, Action.OPERATION_DECIDE, operation_id, circuit_id)
    case.require_requester()
    if case.operation.operation_type is OperationType.PULL:
        done: Operation | Refusal = await _approve_pull(case, reason)
    elif case.operation.local_id is None:
        done = await _approve_push(case, reason)
    else:
        done = await _approve_local(case, keys, reason)
    if isinstance(done, Operation):
        if case.account is not None:
            await act.unit.confirm(ACCOUNTS, case.account)
        if done.operation_type is OperationType.PUSH:
            ids = {"dfid": done.dfid, "operation_id": done.operation_id}
            await fire(act, case.at.circuit, Trigger.ITEM_APPROVED, **ids)
        await _tell(case, done, "approved", [] if quiet else [done.requester_id])
    return done


async def _approve_push(case: Case, reason: str | None) -> Operation:
    desk = Desk(case.act, case.at)
    dfid = str(case.operation.dfid)
    await desk.load([(case.requester, dfid)])
    item = _pushable(desk, case, dfid)
    done = _placed(desk, case, item, case.completed(reason))
    await desk.confirm()
    await desk.flush()
    return done


def _pushable(desk: Desk, case: Case, dfid: str) -> Item:
    """Return the item if the requester may still push it, or it stands here already."""
    item = desk.items.get(dfid)
    decision = desk.may_push(case.requester, dfid)
    if item is None or item.status is not ItemStatus.ACTIVE or not decision.allowed:
        raise Refusal("item_not_pushable", "The requester may no longer push this item.")
    desk.rely(case.requester, item, decision)
    return item


def _placed(desk: Desk, case: Case, item: Item, done: Operation) -> Operation:
    """Place the item of an approved push unless it stands here, and stage the operation."""
    standing = desk.placements.get(item.key)
    outcome = PLACED if standing is None else ALREADY_PLACED
    placement = desk.place(case.requester, item, done) if standing is None else standing
    return desk.keep(attrs.evolve(done, outcome=outcome, placement_id=placement.placement_id))


async def _approve_local(case: Case, keys: IdentifierKeys, reason: str | None) -> Operation | Refusal:
    desk, operation = Desk(case.act, case.at), case.operation
    push = LocalPush(str(operation.local_id), taken(operation, keys))
    work = Tokenising(desk, case.in_their_name, keys)
    await work.load([push])
    try:
        if operation.dfid is not None:
            return await _approve_addition(case, work, push, reason)
        return await _approve_draft(case, keys, work, push, reason)
    except Invalid as invalid:
        draft = 0 if operation.dfid is not None else len(work.draft(push).identifiers)
        faults = [seen_from_request(fault, draft) for fault in invalid.faults]
        raise Refusal("submission_outdated", "The draft no longer meets the circuit.", errors=faults) from invalid


async def _approve_addition(case: Case, work: Tokenising, push: LocalPush, reason: str | None) -> Operation:
    """Approve the push of what a LID stands for already, with its extras."""
    desk, dfid = work.desk, str(case.operation.dfid)
    item = desk.items.get(dfid)
    if item is None or item.status is not ItemStatus.ACTIVE:
        raise Refusal("item_not_pushable", "This item is not active any more.")
    if dfid not in desk.placements:
        _pushable(desk, case, dfid)
    try:
        added = work.added(push, item)
    except Refusal as refusal:
        raise Refusal("push_blocked", "The push meets a conflict; its submitter is told.") from refusal
    done = _placed(desk, case, item, case.completed(reason, item_outcome=added))
    await _store(work)
    await tell_contributed(case.act, work, done.operation_id)
    return done


async def _approve_draft(
    case: Case, keys: IdentifierKeys, work: Tokenising, push: LocalPush, reason: str | None
) -> Operation | Refusal:
    """Approve the push of a draft: resolved by the facts of now."""
    draft = work.held_draft(push, case.operation.operation_id)
    if draft is None:
        raise Refusal("submission_outdated", "The draft is no longer held by this operation.", errors=())
    work.require_met(push)
    resolved = work.resolve(push, draft)
    if isinstance(resolved, Conflict):
        parked = await park_one(case.in_their_name, keys, work, push, resolved)
        await _tell_blocked(case, parked.members["pending_id"])
        return Refusal("push_blocked", "The push meets a conflict; its submitter is told.")
    item, item_outcome = resolved
    done = case.completed(reason, dfid=item.key, item_outcome=item_outcome)
    done = _placed(work.desk, case, item, done)
    await _store(work)
    await tell_contributed(case.act, work, done.operation_id)
    if item_outcome == "created":
        circuit_id = done.circuit_id
        await case.act.activity("item_tokenized", ("item", item.key), circuit_id=circuit_id, dfids=[item.key])
    return done


async def _tell_blocked(case: Case, pending_id: str) -> None:
    """Tell the submitter that somebody else's approval met a conflict; once per record."""
    await case.act.notify(
        "identifier_conflict",
        [case.operation.requester_id],
        source_id=pending_id,
        data={"pending_id": pending_id, "count": 1},
        once=True,
    )


async def _store(work: Tokenising) -> None:
    await work.desk.confirm()
    await work.flush()
    await work.desk.flush()


async def _approve_pull(case: Case, reason: str | None) -> Operation:
    operation, unit = case.operation, case.act.unit
    placement = await unit.find(PLACEMENTS, (operation.circuit_id, str(operation.dfid)))
    if placement is None or placement.placement_id != operation.placement_id:
        raise Refusal("placement_gone", "The item no longer stands where the pull was asked for.")
    done = case.completed(reason, outcome=READ)
    await case.at.confirm(case.act, operation.requester_id)
    await unit.confirm(PLACEMENTS, placement)
    await unit.save(OPERATIONS, done)
    await record_pull(case.in_their_name, done)
    return done


async def _tell(case: Case, done: Operation, verb: str, told: Sequence[str]) -> None:
    """Record a decision, once, and tell who is concerned."""
    act, circuit_id = case.act, done.circuit_id
    subject = ("operation", done.operation_id)
    dfids = [] if done.dfid is None else [done.dfid]
    kind = f"operation_{verb}"
    data = {} if done.reason is None else {"reason": done.reason}
    await act.activity(kind, subject, circuit_id=circuit_id, dfids=dfids)
    await act.notify(kind, told, source_id=done.operation_id, circuit_id=circuit_id, dfid=done.dfid, data=data)
    details = data | {"operation_type": done.operation_type.value, "requester_id": done.requester_id}
    await act.audit(f"circuit.{kind}", subject, circuit_id=circuit_id, details=details)


async def reject(
    act: Act, operation_id: str, circuit_id: str | None, reason: str | None, *, quiet: bool = False
) -> Operation:
    """Refuse a waiting operation; the draft is free again. Works also when the requester is gone."""
    case = await _case(act, Action.OPERATION_DECIDE, operation_id, circuit_id)
    done = closed(case.operation, OperationStatus.REJECTED, act.now, by=act.user_id, reason=reason)
    await case.at.confirm(act)
    await _close(act, case.operation, done)
    await _tell(case, done, "rejected", [] if quiet else [done.requester_id])
    return done


async def cancel(act: Act, operation_id: str, circuit_id: str | None) -> Operation:
    """Take a waiting operation back: by the requester, or a user of their workspace."""
    case = await _case(act, Action.OPERATION_CANCEL, operation_id, circuit_id)
    by = act.user_id if act.user_id == case.operation.requester_id else None
    done = closed(case.operation, OperationStatus.CANCELLED, act.now, by=by)
    await case.at.confirm(act)
    await _close(act, case.operation, done)
    deciders = await holders(act.unit, done.circuit_id, Permission.APPROVE)
    await _tell(case, done, "cancelled", deciders)
    return done


async def _close(act: Act, operation: Operation, done: Operation) -> None:
    """Save an operation that ends without effect, and free the draft it held."""
    await act.unit.save(OPERATIONS, done)
    if operation.operation_type is not OperationType.PUSH or operation.dfid is not None:
        return
    draft = await act.unit.find(ITEMS, str(operation.local_id))
    if draft is not None and draft.held_by == operation.operation_id:
        await act.unit.save(ITEMS, attrs.evolve(draft, held_by=None, version=draft.version + 1))


@attrs.frozen
class Decided:
    """What became of one operation of a bulk decision."""

    operation_id: str
    operation: Operation | None = None
    error: Refusal | None = None


async def decide_many(
    act: Act, keys: IdentifierKeys, circuit_id: str, operation_ids: Sequence[str], *, approved: bool, reason: str | None
) -> list[Decided]:
    """Decide operations one after the other in one unit; a refused one does not stop the others.

    Each requester is told once. Raises Refusal `not_found`, `not_a_member`, `circuit_not_active`.
    """
    at = await scene(act.unit, act.principal, circuit_id)
    at.require_open(act)
    results: list[Decided] = []
    for operation_id in operation_ids:
        try:
            if approved:
                done = await approve(act, keys, operation_id, circuit_id, reason, quiet=True)
            else:
                done = await reject(act, operation_id, circuit_id, reason, quiet=True)
        except Refusal as refusal:
            done = refusal
        one = Decided(operation_id, done) if isinstance(done, Operation) else Decided(operation_id, error=done)
        results.append(one)
    await _tell_requesters(act, circuit_id, results, "approved" if approved else "rejected", reason)
    return results


async def _tell_requesters(
    act: Act, circuit_id: str, results: Sequence[Decided], verb: str, reason: str | None
) -> None:
    counts: dict[str, int] = {}
    for one in results:
        if one.operation is not None:
            counts[one.operation.requester_id] = counts.get(one.operation.requester_id, 0) + 1
    source = new_id()
    for user, count in counts.items():
        data = {"item_count": count} | ({} if reason is None else {"reason": reason})
        await act.notify(f"operation_{verb}", [user], source_id=source, circuit_id=circuit_id, data=data)

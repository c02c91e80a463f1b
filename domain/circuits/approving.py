"""Letting waiting operations happen, in the names of those who asked (circuits.md 4.18)."""

from collections.abc import Sequence

import attrs

from domain.access.permissions import Permission
from domain.access.principal import Principal, PrincipalKind
from domain.access.vocabulary import ItemStatus, OperationStatus, OperationType
from domain.accounts.values import Account, AccountStatus
from domain.act import Act
from domain.circuits.batching import parked_push, tell_contributed
from domain.circuits.desk import Desk
from domain.circuits.extras import taken
from domain.circuits.pulling import READ, pull_event
from domain.circuits.pushing import ALREADY_PLACED, PLACED
from domain.circuits.requirements import seen_from_request
from domain.circuits.rules import closed
from domain.circuits.scene import Scene
from domain.circuits.tokenising import LocalPush, Tokenising
from domain.circuits.values import Operation
from domain.errors import Invalid, Refusal
from domain.events.engine import record_as
from domain.identifiers.personal import IdentifierKeys
from domain.items.pending import Parked, park
from domain.items.resolution import Conflict
from domain.items.values import Item
from domain.ports.schema import ACCOUNTS, OPERATIONS, PLACEMENTS
from domain.webhooks.triggers import Trigger, fire

_NEEDED = {OperationType.PUSH: Permission.PUSH, OperationType.PULL: Permission.PULL}

End = Operation | Refusal
Ends = dict[str, End]


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


async def approve_all(act: Act, keys: IdentifierKeys, cases: Sequence[Case], reason: str | None) -> Ends:
    """Complete waiting operations of one circuit with all their effects, and return by id what became of each.

    What cannot be completed comes back as its Refusal: `requester_not_permitted`, `item_not_pushable`,
    `submission_outdated`, `push_blocked`, `placement_gone`. For a draft that fits no single item the record for its
    submitter is staged.
    """
    ends: Ends = {}
    able: list[Case] = []
    for case in cases:
        try:
            case.require_requester()
        except Refusal as refusal:
            ends[case.operation.operation_id] = refusal
        else:
            able.append(case)
    pulls = [case for case in able if case.operation.operation_type is OperationType.PULL]
    pushes = [case for case in able if case.operation.operation_type is OperationType.PUSH]
    ends |= await _approve_pulls(act, pulls, reason)
    ends |= await _approve_pushes(act, [case for case in pushes if case.operation.local_id is None], reason)
    drafts: dict[str, list[Case]] = {}
    for case in pushes:
        if case.operation.local_id is not None:
            drafts.setdefault(case.operation.requester_id, []).append(case)
    for theirs in drafts.values():
        ends |= await _Drafts(act, keys, theirs, reason).approve()
    done = [case for case in able if isinstance(ends[case.operation.operation_id], Operation)]
    await act.unit.confirm(ACCOUNTS, *(case.account for case in done if case.account is not None))
    for case in done:
        await _fire(case, ends[case.operation.operation_id])
    return ends


async def _fire(case: Case, done: End) -> None:
    if isinstance(done, Operation) and done.operation_type is OperationType.PUSH:
        ids = {"dfid": done.dfid, "operation_id": done.operation_id}
        await fire(case.act, case.at.circuit, Trigger.ITEM_APPROVED, **ids)


async def _approve_pulls(act: Act, cases: Sequence[Case], reason: str | None) -> Ends:
    places = {case.operation.operation_id: (case.operation.circuit_id, str(case.operation.dfid)) for case in cases}
    found = await act.unit.get_many(PLACEMENTS, places.values())
    standing = {(row.circuit_id, row.dfid): row for row in found.values()}
    ends: Ends = {}
    done: list[tuple[Case, Operation]] = []
    for case in cases:
        operation_id = case.operation.operation_id
        placement = standing.get(places[operation_id])
        if placement is None or placement.placement_id != case.operation.placement_id:
            ends[operation_id] = Refusal("placement_gone", "The item no longer stands where the pull was asked for.")
            continue
        done.append((case, case.completed(reason, outcome=READ)))
        ends[operation_id] = done[-1][1]
    if done:
        await cases[0].at.confirm(act, *(case.operation.requester_id for case, _ in done))
        await act.unit.confirm(PLACEMENTS, *(standing[places[one.operation_id]] for _, one in done))
        await act.unit.save(OPERATIONS, *(one for _, one in done))
        await record_as(act, [(case.requester, pull_event(one)) for case, one in done])
    return ends


async def _approve_pushes(act: Act, cases: Sequence[Case], reason: str | None) -> Ends:
    if not cases:
        return {}
    desk = Desk(act, cases[0].at)
    await desk.load([(case.requester, str(case.operation.dfid)) for case in cases])
    ends: Ends = {}
    for case in cases:
        try:
            item = _pushable(desk, case, str(case.operation.dfid))
        except Refusal as refusal:
            ends[case.operation.operation_id] = refusal
        else:
            ends[case.operation.operation_id] = _placed(desk, case, item, case.completed(reason))
    if any(isinstance(end, Operation) for end in ends.values()):
        await desk.confirm()
        await desk.flush()
    return ends


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


class _Drafts:
    """Waiting pushes of drafts of one requester."""

    def __init__(self, act: Act, keys: IdentifierKeys, cases: Sequence[Case], reason: str | None) -> None:
        self.act, self.keys, self.cases, self.reason = act, keys, cases, reason
        self.work = Tokenising(Desk(act, cases[0].at), cases[0].in_their_name, keys)
        self.parked: list[Parked] = []

    async def approve(self) -> Ends:
        """Approve each, seeing the effects of earlier ones."""
        pushes = [LocalPush(str(case.operation.local_id), taken(case.operation, self.keys)) for case in self.cases]
        await self.work.load(pushes)
        ends = {
            case.operation.operation_id: self._end(case, push) for case, push in zip(self.cases, pushes, strict=True)
        }
        done = [end for end in ends.values() if isinstance(end, Operation)]
        if done:
            await self.work.desk.confirm()
            await self.work.flush()
            await self.work.desk.flush()
            await tell_contributed(self.act, self.work, done[0].operation_id)
        for one in done:
            if one.item_outcome == "created":
                subject, dfids = ("item", str(one.dfid)), [str(one.dfid)]
                await self.act.activity("item_tokenized", subject, circuit_id=one.circuit_id, dfids=dfids)
        await self._park()
        return ends

    def _end(self, case: Case, push: LocalPush) -> End:
        mapped = case.operation.dfid is not None
        try:
            return self._addition(case, push) if mapped else self._draft(case, push)
        except Invalid as invalid:
            stored = 0 if mapped else len(self.work.draft(push).identifiers)
            faults = [seen_from_request(fault, stored) for fault in invalid.faults]
            return Refusal("submission_outdated", "The draft no longer meets the circuit.", errors=faults)
        except Refusal as refusal:
            return refusal

    def _addition(self, case: Case, push: LocalPush) -> Operation:
        """Approve the push of what a LID stands for already, with its extras."""
        desk, dfid = self.work.desk, str(case.operation.dfid)
        item = desk.items.get(dfid)
        if item is None or item.status is not ItemStatus.ACTIVE:
            raise Refusal("item_not_pushable", "This item is not active any more.")
        if dfid not in desk.placements:
            _pushable(desk, case, dfid)
        try:
            added = self.work.added(push, item)
        except Refusal as refusal:
            raise _blocked() from refusal
        return _placed(desk, case, item, case.completed(self.reason, item_outcome=added))

    def _draft(self, case: Case, push: LocalPush) -> Operation:
        """Approve the push of a draft: resolved by the facts of now."""
        draft = self.work.held_draft(push, case.operation.operation_id)
        if draft is None:
            raise Refusal("submission_outdated", "The draft is no longer held by this operation.", errors=())
        self.work.require_met(push)
        resolved = self.work.resolve(push, draft)
        if isinstance(resolved, Conflict):
            self.parked.append(parked_push(self.work, push, resolved)[0])
            raise _blocked()
        item, outcome = resolved
        return _placed(self.work.desk, case, item, case.completed(self.reason, dfid=item.key, item_outcome=outcome))

    async def _park(self) -> None:
        """Keep what met a conflict for its submitter, who is told that somebody else's approval met it."""
        if not self.parked:
            return
        case = self.cases[0]
        records = await park(case.in_their_name, self.keys, self.parked)
        await self.act.notify(
            "identifier_conflict",
            [case.operation.requester_id],
            source_id=records[0].pending_id,
            data={"pending_id": records[0].pending_id, "count": len(records)},
            once=True,
        )


def _blocked() -> Refusal:
    return Refusal("push_blocked", "The push meets a conflict; its submitter is told.")

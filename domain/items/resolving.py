"""What a person decides about a submission that waits (items-events.md 8.2)."""

from collections.abc import Collection, Iterable, Sequence
from enum import StrEnum

import attrs

from domain.act import Act
from domain.canonical import canonical
from domain.document import Document
from domain.errors import Fault, Invalid, Refusal
from domain.identifiers import IdentifierKind, IdentifierScope, Privacy, canonical_key, type_of
from domain.identifiers.personal import IdentifierKeys
from domain.instants import wire
from domain.items.engine import IDENTIFIERS_REQUIRED, conflict_refusal
from domain.items.lineage import merge
from domain.items.pending import (
    CRITICAL,
    HANDLING,
    Origin,
    Parked,
    parked_conflict,
    parked_faults,
    plain_submission,
    sealed_submission,
    standing_at,
)
from domain.items.register import Register
from domain.items.resolution import Conflict, Hit, New, claims_of, contradicted, resolve, second_values
from domain.items.submission import AliasInput, Content, IdentifierInput, Read, Submission
from domain.items.values import (
    Alias,
    ContributionSource,
    Item,
    MergeStrategy,
    Outcome,
    PendingReason,
    PendingStatus,
    PendingSubmission,
)
from domain.ports.schema import PENDING


class PendingAction(StrEnum):
    APPROVE = "approve"
    MODIFY = "modify"
    LINK = "link"
    MERGE = "merge"
    CREATE_SEPARATE = "create_separate"
    REJECT = "reject"


_ALWAYS = frozenset({PendingAction.APPROVE, PendingAction.MODIFY, PendingAction.REJECT})
_PLACING = frozenset({PendingAction.LINK, PendingAction.CREATE_SEPARATE})
_FAULTY = frozenset({PendingReason.NO_IDENTIFIERS, PendingReason.INVALID_IDENTIFIERS, PendingReason.DATA_QUALITY})
AGAIN = frozenset({PendingAction.APPROVE, PendingAction.MODIFY})


@attrs.frozen
class Placed:
    """The item a submission became or joined, and the identifiers that could not go with it."""

    item: Item
    outcome: Outcome
    left_out: tuple[Read, ...] = ()


def check_action(record: PendingSubmission, action: PendingAction) -> None:
    """Demand an open record and an action that suits it.

    Raises Refusal `pending_closed`, `action_not_allowed` or `push_again`.
    """
    if record.status is not PendingStatus.OPEN:
        raise Refusal("pending_closed", f"It is {record.status} already.", current_status=record.status.value)
    suitable = _ALWAYS if record.reason in _FAULTY else _ALWAYS | _PLACING
    if record.reason is PendingReason.CONFLICTING_ITEMS:
        suitable |= {PendingAction.MERGE}
    if action not in suitable:
        raise Refusal("action_not_allowed", f"{action} does not suit {record.reason}.", allowed=sorted(suitable))
    if record.origin == "push_local" and action in AGAIN:
        raise Refusal("push_again", "Correct the draft and push it again; success closes this record.")


def opened_submission(record: PendingSubmission, keys: IdentifierKeys) -> Submission:
    """Return what was submitted, personal values in clear. Raises SealBroken."""

    def given(one: Document) -> IdentifierInput:
        key, value = canonical_key(one["key"]), one["value"]
        kind = type_of(key)
        if kind is not None and kind.privacy is Privacy.PERSONAL:
            value = keys.open(record.pending_id, one["namespace"], key, value)
        return IdentifierInput(
            key=one["key"],
            value=value,
            namespace=one["namespace"],
            kind=IdentifierKind(one["kind"]) if one["kind"] else None,
            scope=IdentifierScope(one["scope"]) if one["scope"] else None,
        )

    return Submission(
        identifiers=tuple(map(given, record.submission["identifiers"])),
        data=record.submission["data"],
        aliases=tuple(AliasInput(**alias) for alias in record.submission["aliases"]),
    )


@attrs.frozen
class Resolver:
    """Places the content of a waiting submission; `draft` is the one it came from, ended by success."""

    register: Register
    content: Content
    draft: Item | None = None

    def approve(self) -> Placed | Conflict:
        """Do what the identifiers say now. Raises Invalid beyond the bounds of an item."""
        match resolve(self.register, self.content, self.register.act.workspace_id):
            case New():
                return self._made(self.content)
            case Hit(item):
                return self._joined(item, self.content)
            case Conflict() as conflict:
                return conflict
        raise AssertionError("a resolution is one of New, Hit and Conflict here")

    def link(self, item: Item) -> Placed:
        """Add the submission to an item, without identifiers that others hold or that contradict it or each other."""
        taken = self._taken(item.workspace_id, item.key, creating=False)
        skipped = tuple(
            read
            for read in self.content.identifiers
            if read in taken or contradicted(item, read, self.content.scope_of(read, creating=False)) is not None
        )
        rest = without(self.content, skipped)
        second = second_values(rest)
        placed = self._joined(item, without(rest, second))
        return attrs.evolve(placed, left_out=(*skipped, *second))

    def merge(self, item: Item, others: Iterable[Item], reason: str | None) -> Placed:
        """Absorb the other items in this one, then add the submission to it."""
        for other in others:
            item = merge(self.register, item, other, MergeStrategy.KEEP_FIRST, reason)
        return self.link(item)

    def create_separate(self) -> Placed:
        """Make a new item, which only mentions identifiers held elsewhere and second values of what it has one of.

        Raises Invalid without another.
        """
        taken = self._taken(self.register.act.workspace_id, None, creating=True)
        demoted = (*taken, *second_values(without(self.content, taken)))
        identifiers = tuple(
            attrs.evolve(read, asked=IdentifierScope.REFERENCE) if read in demoted else read
            for read in self.content.identifiers
        )
        content = attrs.evolve(self.content, identifiers=identifiers)
        if all(content.scope_of(read, creating=True) is IdentifierScope.REFERENCE for read in identifiers):
            raise Invalid([IDENTIFIERS_REQUIRED])
        return attrs.evolve(self._made(content), left_out=demoted)

    def _taken(self, workspace_id: str, item: str | None, *, creating: bool) -> tuple[Read, ...]:
        return tuple(
            read
            for read, space in claims_of(self.content, workspace_id, creating=creating)
            if (claim := self.register.claim(space, read.key, read.lookup or "")) is not None
            and self.register.root(claim.item).key != item
        )

    def _made(self, content: Content) -> Placed:
        local_id = self.draft.local_id if self.draft is not None else None
        item = self.register.create(content, ContributionSource.PENDING, local_id=local_id, aliases=self._lid())
        return self._placed(item, Outcome.CREATED)

    def _joined(self, item: Item, content: Content) -> Placed:
        changed = self.register.enrich(item, content, ContributionSource.PENDING, aliases=self._lid())
        return self._placed(changed or item, Outcome.ENRICHED if changed is not None else Outcome.UNCHANGED)

    def _lid(self) -> tuple[Alias, ...]:
        if self.draft is None or self.draft.local_id is None:
            return ()
        act = self.register.act
        return (Alias("lid", self.draft.local_id, act.workspace_id, act.now),)

    def _placed(self, item: Item, outcome: Outcome) -> Placed:
        if self.draft is not None:
            self.register.consume(self.draft, item.key)
        return Placed(item, outcome)


def without(content: Content, reads: Collection[Read]) -> Content:
    """Return a content without some of its identifiers."""
    return attrs.evolve(content, identifiers=tuple(read for read in content.identifiers if read not in reads))


async def close(
    act: Act, record: PendingSubmission, action: PendingAction, dfid: str | None, note: str | None
) -> PendingSubmission:
    """Close a record: rejected, or resolved by the item named."""
    status = PendingStatus.REJECTED if action is PendingAction.REJECT else PendingStatus.RESOLVED
    closed = attrs.evolve(
        record,
        status=status,
        resolution=Document(action=action.value, by=act.user_id, at=wire(act.now), dfid=dfid, note=note),
        updated_at=act.now,
        version=record.version + 1,
    )
    await act.unit.save(PENDING, closed)
    return closed


async def fail(
    act: Act,
    keys: IdentifierKeys,
    record: PendingSubmission,
    submission: Submission,
    why: Conflict | Sequence[Fault],
    reason: PendingReason | None = None,
) -> Refusal:
    """Keep a record whose approval failed: one more try, one step more urgent, the reason of now.

    `reason` is that of faults. Returns what the caller is told. Where another open record says the same already,
    the reason stays as it was.
    """
    plain = plain_submission(submission)
    parked = _parked(record, submission, why, reason)
    digest = keys.lookup("pending", canonical(plain).decode())
    handling = HANDLING[parked.reason]
    changed = attrs.evolve(
        record,
        submission=sealed_submission(plain, keys, record.pending_id),
        reason=parked.reason,
        details=parked.details,
        digest=digest,
        manual_review_required=handling.manual_review,
        suggested_actions=handling.actions,
    )
    if await standing_at(act.unit, changed) not in (None, record.pending_id):
        changed = record
    await act.unit.save(
        PENDING,
        attrs.evolve(
            changed,
            retry_count=record.retry_count + 1,
            priority=min(CRITICAL, record.priority + 1),
            updated_at=act.now,
            version=record.version + 1,
        ),
    )
    if isinstance(why, Conflict):
        return conflict_refusal(why, pending_id=record.pending_id)
    return Refusal("validation_failed", errors=list(why), pending_id=record.pending_id)


def _parked(
    record: PendingSubmission, submission: Submission, why: Conflict | Sequence[Fault], reason: PendingReason | None
) -> Parked:
    origin = Origin(record.origin, record.import_id, record.row, record.local_id, record.circuit_id)
    if isinstance(why, Conflict):
        return parked_conflict(submission, origin, why)
    return parked_faults(submission, origin, reason or record.reason, why)

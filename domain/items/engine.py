"""Items: submissions become items, additions to items, or wait for a person (items-events.md 6)."""

import asyncio
from collections.abc import Sequence
from typing import Any

import attrs

from domain.act import Act
from domain.document import Document
from domain.errors import Fault, Invalid, Refusal
from domain.identifiers.personal import IdentifierKeys
from domain.items.pending import Origin, Parked, park, parked_conflict, parked_faults
from domain.items.register import Register
from domain.items.resolution import Conflict, Hit, New, claims_of, contradicted, resolve, second_values
from domain.items.submission import Content, Submission, read_submission
from domain.items.values import ContributionSource, Identifier, Item, Outcome, PendingReason

_PORTION = 1000
"""Elements after which the store begins to write, if there are more: for fewer that takes more than it gives."""
_TURN = 25
"""Items after which others have a turn: some milliseconds, and what a socket takes of their rows."""

IDENTIFIERS_REQUIRED = Fault("identifiers_required", "At least one identifier.", pointer="/identifiers")


@attrs.frozen
class Admission:
    """What became of one submission. `refusal` says why it was not stored, `faults` what is wrong with it."""

    outcome: Outcome
    item: Item | None = None
    pending_id: str | None = None
    reason: PendingReason | None = None
    faults: tuple[Fault, ...] = ()
    refusal: Refusal | None = None
    warnings: tuple[str, ...] = ()


@attrs.define
class Intake:
    """Takes submissions in, in order, each seeing the effects of earlier ones; one query count for any number."""

    act: Act
    keys: IdentifierKeys
    source: ContributionSource
    queue_faults: bool = False
    payload: dict[str, object] = attrs.field(factory=dict)
    _parked: list[tuple[int, Parked]] = attrs.field(factory=list)

    async def take(
        self, submissions: Sequence[tuple[Submission, Origin]], refused: dict[int, tuple[Fault, ...]] | None = None
    ) -> list[Admission]:
        """Admit submissions and stage everything. `refused` are elements that had no right shape to begin with."""
        contents = {
            index: read_submission(submission, self.keys)
            for index, (submission, _) in enumerate(submissions)
            if index not in (refused or {})
        }
        register = Register(self.act, self.keys)
        await register.load(content for content in contents.values() if not faults_of(content))
        admissions: list[Admission] = []
        for index, (submission, origin) in enumerate(submissions):
            admissions.append(
                self._admit(register, index, submission, origin, contents.pop(index))
                if index in contents
                else Admission(Outcome.REFUSED, faults=(refused or {})[index])
            )
            if len(submissions) > _PORTION:
                await self._give_way(register, index + 1, len(submissions))
        await register.flush()
        records = await park(self.act, self.keys, [parked for _, parked in self._parked])
        for (index, _), record in zip(self._parked, records, strict=True):
            admissions[index] = _with_pending(admissions[index], record.pending_id)
        return admissions

    async def _give_way(self, register: Register, done: int, count: int) -> None:
        """Let the store write what is final, and others have their turn."""
        if done % _PORTION == 0 or done == count:
            await register.flush_final()
        if done % _TURN == 0:
            await asyncio.sleep(0)

    def _admit(
        self, register: Register, index: int, submission: Submission, origin: Origin, content: Content
    ) -> Admission:
        faults = faults_of(content)
        if faults:
            reason = queue_reason(content)
            if not self.queue_faults or reason is None:
                return Admission(Outcome.REFUSED, faults=faults)
            self._parked.append((index, parked_faults(submission, origin, reason, faults)))
            return Admission(Outcome.PENDING, reason=reason, faults=faults)
        try:
            match resolve(register, content, self.act.workspace_id):
                case New():
                    item = register.create(content, self.source, payload=self.payload)
                    return Admission(Outcome.CREATED, item, warnings=content.warnings)
                case Hit(item):
                    enriched = register.enrich(item, content, self.source, payload=self.payload)
                    outcome = Outcome.UNCHANGED if enriched is None else Outcome.ENRICHED
                    return Admission(outcome, enriched or item, warnings=content.warnings)
                case Conflict() as conflict:
                    self._parked.append((index, parked_conflict(submission, origin, conflict)))
                    return Admission(
                        Outcome.PENDING,
                        reason=conflict.reason,
                        faults=conflict_faults(conflict),
                        refusal=conflict_refusal(conflict),
                    )
        except Invalid as invalid:
            return Admission(Outcome.REFUSED, faults=invalid.faults)
        raise AssertionError("a resolution is one of New, Hit and Conflict here")


def faults_of(content: Content) -> tuple[Fault, ...]:
    """Return everything that keeps a content from being stored."""
    none = () if content.identifiers or content.faults else (IDENTIFIERS_REQUIRED,)
    return (*content.faults, *none, *content.malformed, *content.data_faults)


def queue_reason(content: Content) -> PendingReason | None:
    """Return the reason under which these faults may wait; faults of shape never do (6.1)."""
    if content.faults or content.unkept:
        return None
    if not content.identifiers:
        return PendingReason.NO_IDENTIFIERS
    return PendingReason.INVALID_IDENTIFIERS if content.malformed else PendingReason.DATA_QUALITY


def conflict_faults(conflict: Conflict) -> tuple[Fault, ...]:
    """Return the conflict as faults of the submitted identifiers concerned."""
    return tuple(Fault(conflict.code, conflict.detail, pointer=read.pointer) for read in conflict.reads)


def conflict_refusal(conflict: Conflict, **members: Any) -> Refusal:
    """Return the 409 of a conflict; it names own items and submitted identifiers, nothing of anybody else."""
    if conflict.dfids:
        members["dfids"] = list(conflict.dfids)
    errors = [{"pointer": f.pointer, "code": f.code, "detail": f.detail} for f in conflict_faults(conflict)]
    return Refusal(conflict.code, conflict.detail, errors=errors, **members)


def _with_pending(admission: Admission, pending_id: str) -> Admission:
    refusal = admission.refusal
    if refusal is not None:
        refusal = Refusal(refusal.code, refusal.detail, **{**refusal.members, "pending_id": pending_id})
    return attrs.evolve(admission, pending_id=pending_id, refusal=refusal)


def require_free(register: Register, item: Item, content: Content, *, force: bool = False) -> None:
    """Demand that identifiers added to an own item are free or its already (6.4, rule 3).

    Raises Refusal `identifier_conflict`, `identifier_claimed` or, without `force`, `identifier_contradiction`.
    """
    for read, space in claims_of(content, item.workspace_id, creating=False):
        claim = register.claim(space, read.key, read.lookup or "")
        if claim is None or register.root(claim.item).key == item.key:
            continue
        if claim.workspace_id == item.workspace_id:
            dfids = [register.root(claim.item).key]
            raise Refusal("identifier_conflict", "Another item of yours holds this identifier.", dfids=dfids)
        raise Refusal("identifier_claimed", "Somebody else holds this identifier.")
    if not force:
        require_consistent(item, content)


def require_consistent(item: Item, content: Content) -> None:
    """Demand that an item carries no other value of a single type. Raises Refusal `identifier_contradiction`."""
    for read in content.identifiers:
        if contradicted(item, read, content.scope_of(read, creating=False)) is not None:
            raise Refusal("identifier_contradiction", f"The item carries another {read.key}.")
    require_single(content)


def require_single(content: Content) -> None:
    """Demand one value of the types of which an item carries one. Raises Refusal `identifier_contradiction`."""
    for read in second_values(content):
        raise Refusal("identifier_contradiction", f"An item has one {read.key}.")


def require_own(register: Register, item: Item, removed: Sequence[Identifier]) -> None:
    """Demand that identifiers to be removed are on the item itself (6.4, rule 2)."""
    own = {identifier.identity for identifier in register.own_identifiers(item)}
    if any(identifier.identity not in own for identifier in removed):
        raise Refusal("identifier_on_merged_item", "An identifier belongs to an item merged into this one.")


def require_whole(content: Content) -> None:
    """Raise Invalid with everything that is wrong with a content, identifiers aside that are not required."""
    faults = (*content.faults, *content.malformed, *content.data_faults)
    if faults:
        raise Invalid(faults)


def counts_of(admissions: Sequence[Admission]) -> Document:
    """Return how many submissions had which outcome."""
    counts = {outcome.value: 0 for outcome in Outcome}
    for admission in admissions:
        counts[admission.outcome.value] += 1
    return Document(counts)

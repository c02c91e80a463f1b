"""Submissions that wait for a person: what is kept of them and what is suggested (items-events.md 8.1)."""

from collections.abc import Sequence
from typing import Any

import attrs

from domain.accounts.roles import managers_of
from domain.act import Act
from domain.canonical import canonical
from domain.circuits.recipients import owners_sides
from domain.document import Document
from domain.errors import Fault
from domain.identifiers import Privacy, canonical_key, type_of
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.instants import wire
from domain.items.resolution import Conflict
from domain.items.submission import Read, Submission
from domain.items.values import Claim, Item, Mapping, PendingReason, PendingStatus, PendingSubmission
from domain.notifications.telling import Message
from domain.notifications.values import NotificationType
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import ITEMS, PENDING
from domain.ports.storage import Reader
from domain.ports.walking import pages

LOW, NORMAL, HIGH, CRITICAL = 1, 2, 3, 4


@attrs.frozen
class Handling:
    """How a reason is handled: its priority, whether a person must look, and what is suggested."""

    priority: int
    manual_review: bool
    actions: tuple[tuple[str, float], ...]


HANDLING = {
    PendingReason.NO_IDENTIFIERS: Handling(HIGH, False, (("modify", 0.9),)),
    PendingReason.INVALID_IDENTIFIERS: Handling(NORMAL, False, (("modify", 0.9), ("reject", 0.3))),
    PendingReason.DATA_QUALITY: Handling(NORMAL, False, (("modify", 0.7),)),
    PendingReason.CONFLICTING_ITEMS: Handling(
        CRITICAL, True, (("merge", 0.7), ("link", 0.6), ("create_separate", 0.3))
    ),
    PendingReason.AMBIGUOUS_MATCH: Handling(NORMAL, True, (("link", 0.8), ("create_separate", 0.6))),
    PendingReason.CONTRADICTION: Handling(HIGH, True, (("create_separate", 0.6), ("modify", 0.6))),
    PendingReason.ITEM_NOT_ACTIVE: Handling(NORMAL, False, (("approve", 0.7), ("modify", 0.3))),
    PendingReason.CLAIM_CONFLICT: Handling(HIGH, True, (("modify", 0.7), ("create_separate", 0.4), ("reject", 0.3))),
}


@attrs.frozen
class Origin:
    """Where a submission came from: `create`, `batch`, `import` or `push_local`, with what identifies it there."""

    kind: str
    import_id: str | None = None
    row: int | None = None
    local_id: str | None = None
    circuit_id: str | None = None


@attrs.frozen
class Parked:
    """A submission to be kept: why, and who is concerned besides its workspace."""

    submission: Submission
    origin: Origin
    reason: PendingReason
    details: Document
    conflict: Conflict | None = None


def parked_faults(submission: Submission, origin: Origin, reason: PendingReason, faults: Sequence[Fault]) -> Parked:
    """Return what is kept of a submission that is queued for its faults."""
    errors = [{"pointer": fault.pointer, "code": fault.code, "detail": fault.detail} for fault in faults]
    if reason is not PendingReason.DATA_QUALITY:
        return Parked(submission, origin, reason, Document(errors=errors))
    misnamed = {fault.code for fault in faults} == {"data_reserved_key"}
    return Parked(submission, origin, reason, Document(errors=errors, severity="low" if misnamed else "normal"))


def parked_conflict(submission: Submission, origin: Origin, conflict: Conflict) -> Parked:
    """Return what is kept of a submission that fits no single item; it names own items and nothing of others."""
    details: dict[str, Any] = dict(conflict.details)
    if conflict.reason in {PendingReason.CONFLICTING_ITEMS, PendingReason.AMBIGUOUS_MATCH}:
        details["dfids"] = list(conflict.dfids)
    if conflict.reason in {PendingReason.CONFLICTING_ITEMS, PendingReason.CLAIM_CONFLICT}:
        details["identifiers"] = [
            {"namespace": read.namespace, "key": read.key, "pointer": read.pointer} for read in conflict.reads
        ]
    return Parked(submission, origin, conflict.reason, Document(details), conflict)


async def park(act: Act, keys: IdentifierKeys, parked: Sequence[Parked]) -> list[PendingSubmission]:
    """Keep submissions for review and return their records in order; an equal open one of the workspace is reused.

    Managers are told once per call or import, the holders of disputed claims once per identifier and day, without a
    word about the claimant.
    """
    if not parked:
        return []
    records = [_record(act, keys, one) for one in parked]
    known = await _open_ones(act, records)
    result: list[PendingSubmission] = []
    new: list[PendingSubmission] = []
    for record in records:
        name = PENDING.columns["open_digest"](record)
        if name not in known:
            known[name] = record
            new.append(record)
        result.append(known[name])
    await act.unit.add(PENDING, *new)
    if new:
        imported = parked[0].origin.import_id
        await act.notify(
            "identifier_conflict",
            await managers_of(act.unit, act.workspace_id),
            source_id=imported or new[0].pending_id,
            data={"pending_id": new[0].pending_id, "count": len(new)},
            once=imported is not None,
        )
    await _tell_holders(act, parked)
    return result


async def _open_ones(act: Act, records: list[PendingSubmission]) -> dict[str, PendingSubmission]:
    names = tuple(PENDING.columns["open_digest"](record) for record in records)
    found: dict[str, PendingSubmission] = {}
    for start in range(0, len(names), 1000):
        page = await act.unit.page(PENDING, Select({"open_digest": AnyOf(names[start : start + 1000])}), limit=1000)
        found.update((PENDING.columns["open_digest"](record), record) for record in page.items)
    return found


async def standing_at(reader: Reader, record: PendingSubmission) -> str | None:
    """Return the id of the open record of the workspace that says the same."""
    name = PENDING.columns["open_digest"](record)
    page = await reader.page(PENDING, Select({"open_digest": name}), limit=1)
    return next((found.pending_id for found in page.items), None)


async def close_pushed(act: Act, mappings: Sequence[Mapping], but: str | None) -> None:
    """Resolve the open records of drafts that became items, except the record being resolved by itself."""
    if not mappings:
        return
    dfids = {mapping.local_id: mapping.dfid for mapping in mappings}
    query = Select({"local_id": AnyOf(tuple(dfids)), "status": PendingStatus.OPEN.value}, ("local_id",))
    async for records in pages(act.unit, PENDING, query):
        closed = [
            attrs.evolve(
                record,
                status=PendingStatus.RESOLVED,
                resolution=Document(
                    action="approve", by=act.user_id, at=wire(act.now), dfid=dfids[record.local_id or ""], note=None
                ),
                updated_at=act.now,
                version=record.version + 1,
            )
            for record in records
            if record.pending_id != but and record.workspace_id == act.workspace_id
        ]
        await act.unit.save(PENDING, *closed)


async def _tell_holders(act: Act, parked: Sequence[Parked]) -> None:
    disputed = {
        (claim.key, claim.lookup): (claim, read)
        for one in parked
        if one.conflict is not None
        for claim, read in zip(one.conflict.disputed, one.conflict.reads, strict=False)
    }
    if not disputed:
        return
    items: dict[Any, Item] = await act.unit.get_many(ITEMS, {claim.item for claim, _ in disputed.values()})
    sides = await owners_sides(act.unit, items.values())
    await act.notify_once(
        (user, _disputed(act, claim, read))
        for claim, read in disputed.values()
        if claim.item in items
        for user in sides.of(items[claim.item])
    )


def _disputed(act: Act, claim: Claim, read: Read) -> Message:
    return Message(
        NotificationType.IDENTIFIER_CLAIM_DISPUTED,
        f"{act.now:%Y%m%d}:{claim.key}:{claim.lookup}",
        dfid=claim.item,
        data=Document(namespace=read.namespace, key=read.key, display=read.check.display),
    )


def _record(act: Act, keys: IdentifierKeys, parked: Parked) -> PendingSubmission:
    pending_id = new_id()
    handling = HANDLING[parked.reason]
    plain = plain_submission(parked.submission)
    return PendingSubmission(
        pending_id=pending_id,
        workspace_id=act.workspace_id,
        submitted_by=act.user_id,
        origin=parked.origin.kind,
        submission=sealed_submission(plain, keys, pending_id),
        reason=parked.reason,
        details=parked.details,
        digest=keys.lookup("pending", canonical(plain).decode()),
        priority=LOW if parked.details.get("severity") == "low" else handling.priority,
        manual_review_required=handling.manual_review,
        suggested_actions=handling.actions,
        created_at=act.now,
        updated_at=act.now,
        import_id=parked.origin.import_id,
        row=parked.origin.row,
        local_id=parked.origin.local_id,
        circuit_id=parked.origin.circuit_id,
    )


def plain_submission(submission: Submission) -> Document:
    """Return a submission as a document, personal values in clear."""
    return Document(
        identifiers=[attrs.asdict(identifier, recurse=False) for identifier in submission.identifiers],
        data=submission.data,
        aliases=[attrs.asdict(alias) for alias in submission.aliases],
    )


def sealed_submission(plain: Document, keys: IdentifierKeys, pending_id: str) -> Document:
    """Seal the values of personal types: nothing at rest holds them in clear (identifiers.md 6)."""

    def sealed(given: Document) -> Document:
        kind = type_of(canonical_key(given["key"]))
        if kind is None or kind.privacy is not Privacy.PERSONAL:
            return given
        key = canonical_key(given["key"])
        return Document(given, value=keys.seal(pending_id, given["namespace"], key, given["value"]))

    return Document(plain, identifiers=tuple(sealed(given) for given in plain["identifiers"]))

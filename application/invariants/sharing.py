"""Placements and operations (circuits.md 7.5 to 7.17)."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import timedelta

from application.invariants.circuits import WAITING, circuits_of, is_being_cancelled
from application.invariants.core import invariant
from domain.access.vocabulary import CircuitStatus, MembershipStatus, OperationStatus, OperationType
from domain.circuits.reading import placements_of
from domain.circuits.values import FingerprintEntry, Membership, Operation, OperationOrigin, Placement
from domain.events.values import Event, EventType
from domain.items.values import Item
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import (
    ACCOUNTS,
    EVENTS,
    FINGERPRINTS,
    ITEMS,
    MAPPINGS,
    MEMBERSHIPS,
    OPERATIONS,
    OUTBOX,
    PLACEMENTS,
)
from domain.ports.storage import Reader
from domain.ports.walking import walk
from domain.webhooks.triggers import Trigger

ERASED = ""
"""In place of the operation that an erased event told of."""
COMPLETED, PENDING = OperationStatus.COMPLETED, OperationStatus.PENDING
TRIGGERED = Select({"status": "pending", "kind": AnyOf(tuple(sorted(Trigger)))}, ("kind", "created_at", "row_id"))
"""Outbox rows from which webhooks are told."""
AT_ONCE = timedelta(minutes=1)
"""Units that run at the same time may commit in another order than their instants tell; none runs for so long."""


async def items_by_key(reader: Reader, keys: Iterable[str | None]) -> dict[str, Item]:
    """Return items by key."""
    wanted = sorted({key for key in keys if key is not None})
    return {item.key: item for item in (await reader.get_many(ITEMS, wanted)).values()}


async def operation_events(reader: Reader, dfids: Iterable[str], kind: EventType) -> dict[str, list[Event]]:
    """Return the events of a kind of these items by the operation that they tell of; erased ones tell of none and
    stand under `ERASED`."""
    query = Select({"dfid": AnyOf(tuple(sorted(set(dfids)))), "event_type": kind.value}, ("dfid", "position"))
    found: dict[str, list[Event]] = {}
    async for event in walk(reader, EVENTS, query):
        told = ERASED if event.payload is None else str(event.payload.get("operation_id"))
        found.setdefault(told, []).append(event)
    return found


def _may_tell(events: dict[str, list[Event]], circuit_id: str, dfid: str | None) -> bool:
    """Tell whether an erased event may be the one that is missed."""
    return any((event.circuit_id, event.dfid) == (circuit_id, dfid) for event in events.get(ERASED, ()))


async def _members(reader: Reader, rows: Sequence[Operation]) -> dict[tuple[str, str], Membership]:
    keys = [(row.circuit_id, user) for row in rows for user in (row.requester_id, row.decided_by) if user is not None]
    return {(row.circuit_id, row.user_id): row for row in (await reader.get_many(MEMBERSHIPS, keys)).values()}


@invariant("circuits 7.5", PLACEMENTS)
async def what_is_placed_exists(reader: Reader, rows: Sequence[Placement]) -> AsyncIterator[tuple[Placement, str]]:
    """A placement names a circuit and an item, and the workspace that owns the item now."""
    circuits = await circuits_of(reader, (row.circuit_id for row in rows))
    items = await items_by_key(reader, (row.dfid for row in rows))
    for row in rows:
        item = items.get(row.dfid)
        if row.circuit_id not in circuits:
            yield row, "its circuit does not exist"
        if item is None or item.dfid is None:
            yield row, "its item does not exist"
        elif item.workspace_id != row.item_workspace_id:
            yield row, f"names the owner {row.item_workspace_id}, the item {item.workspace_id}"


@invariant("circuits 7.6", PLACEMENTS)
async def a_placement_has_its_push(reader: Reader, rows: Sequence[Placement]) -> AsyncIterator[tuple[Placement, str]]:
    """A placement was made by exactly one completed push, which stands in the item's chain."""
    circuits = {row.circuit_id for row in rows}
    pushes: dict[str, list[str]] = {}
    for circuit_id in sorted(circuits):
        dfids = tuple(row.dfid for row in rows if row.circuit_id == circuit_id)
        query = Select({"circuit_id": circuit_id, "dfid": AnyOf(dfids), "operation_type": OperationType.PUSH.value})
        async for push in walk(reader, OPERATIONS, query):
            if push.status is COMPLETED and push.outcome == "placed" and push.placement_id is not None:
                pushes.setdefault(push.placement_id, []).append(push.operation_id)
    told = await operation_events(reader, (row.dfid for row in rows), EventType.PUSHED_TO_CIRCUIT)
    for row in rows:
        if pushes.get(row.placement_id) != [row.operation_id]:
            yield row, f"was made by the pushes {pushes.get(row.placement_id, [])}, not by {row.operation_id}"
        elif not any(event.circuit_id == row.circuit_id for event in told.get(row.operation_id, ())) and not _may_tell(
            told, row.circuit_id, row.dfid
        ):
            yield row, f"the push {row.operation_id} does not stand in the chain of the item"


@invariant("circuits 7.15", PLACEMENTS, "Publish the item again, or take it off the page.")
async def published_since_when(reader: Reader, rows: Sequence[Placement]) -> AsyncIterator[tuple[Placement, str]]:
    """What is published knows since when, and what is not has no such time."""
    for row in rows:
        if row.published != (row.published_at is not None):
            yield row, f"published is {row.published} and published_at {row.published_at}"


@invariant("circuits 7.15", PLACEMENTS, "Take the item off the page.")
async def owners_show_what_others_placed(
    reader: Reader, rows: Sequence[Placement]
) -> AsyncIterator[tuple[Placement, str]]:
    """What another workspace than the owner's placed is published by somebody of the owner's workspace."""
    shown = [row for row in rows if row.published and row.placed_by_workspace_id != row.item_workspace_id]
    users = sorted({row.published_by for row in shown if row.published_by is not None})
    found = await reader.get_many(ACCOUNTS, users)
    homes = {account.user_id: account.workspace_id for account in found.values()}
    for row in shown:
        if homes.get(str(row.published_by)) != row.item_workspace_id:
            yield row, f"was published by {row.published_by or 'itself'}, who is not of the owner's workspace"


@invariant("circuits 7.8", OPERATIONS)
async def what_waits_has_no_effect_yet(
    reader: Reader, rows: Sequence[Operation]
) -> AsyncIterator[tuple[Operation, str]]:
    """A waiting operation is undecided and stands in no chain; a push names an item unless its draft is unmapped."""
    waiting = [row for row in rows if row.status is PENDING]
    dfids = [row.dfid for row in waiting if row.dfid is not None]
    told = {
        **await operation_events(reader, dfids, EventType.PUSHED_TO_CIRCUIT),
        **await operation_events(reader, dfids, EventType.PULLED_FROM_CIRCUIT),
    }
    fired = {str(row.data.get("operation_id")) async for row in walk(reader, OUTBOX, TRIGGERED)}
    for row in waiting:
        if row.operation_id in fired:
            yield row, "waits, and webhooks are about to be told of it"
        if row.decided_at is not None or row.outcome is not None or row.item_outcome is not None or row.approved:
            yield row, "waits, but bears the marks of a decision"
        if row.operation_id in told:
            yield row, "waits, but stands in the chain of its item already"
        if row.dfid is None and (row.local_id is None or row.operation_type is not OperationType.PUSH):
            yield row, "waits and names neither an item nor a draft"


@invariant("circuits 7.9", OPERATIONS)
async def decisions_are_complete(reader: Reader, rows: Sequence[Operation]) -> AsyncIterator[tuple[Operation, str]]:
    """What is final has its time; what was rejected or approved, somebody who did it and may."""
    members = await _members(reader, rows)
    for row in rows:
        if row.status is PENDING:
            continue
        if row.decided_at is None or row.identifiers is not None or row.data is not None:
            yield row, f"is {row.status} without a time, or keeps its extras"
        if row.status is OperationStatus.REJECTED and row.decided_by is None:
            yield row, "was rejected by nobody"
        if row.approved and row.decided_by in (None, row.requester_id):
            yield row, "was approved by its requester, or by nobody"
        outsider = row.decided_by is not None and (row.circuit_id, row.decided_by) not in members
        if row.status is COMPLETED and outsider and row.decided_by != row.requester_id:
            yield row, f"was decided by {row.decided_by}, who never was a member"


@invariant("circuits 7.10", OPERATIONS)
async def members_only_push_and_pull(reader: Reader, rows: Sequence[Operation]) -> AsyncIterator[tuple[Operation, str]]:
    """Who pushed or pulled was a member when that was completed."""
    members = await _members(reader, rows)
    for row in rows:
        if row.status is not COMPLETED or row.decided_at is None:
            continue
        member = members.get((row.circuit_id, row.requester_id))
        if member is None or member.joined_at < row.member_since:
            yield row, "was completed for somebody who never was a member of that time"
        elif (
            member.joined_at == row.member_since
            and member.ended_at is not None
            and member.ended_at + AT_ONCE < row.decided_at
        ):
            yield row, f"was completed at {row.decided_at}, after the membership ended at {member.ended_at}"


@invariant("circuits 7.11", OPERATIONS, "Cancel the operation; that frees its draft.")
async def a_waiting_push_holds_its_draft(
    reader: Reader, rows: Sequence[Operation]
) -> AsyncIterator[tuple[Operation, str]]:
    """The push of an unmapped draft holds it while it waits."""
    waiting = [row for row in rows if row.status is PENDING and row.dfid is None]
    drafts = await items_by_key(reader, (row.local_id for row in waiting))
    for row in waiting:
        draft = drafts.get(str(row.local_id))
        if draft is None or draft.held_by != row.operation_id:
            yield row, f"does not hold its draft {row.local_id}"


@invariant("circuits 7.11", ITEMS, "Cancel the operation that holds it, or create and cancel a push of the draft.")
async def a_held_draft_waits(reader: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """A held draft is held by the one operation that waits for it."""
    held = [row for row in rows if row.held_by is not None]
    found = await reader.get_many(OPERATIONS, [str(row.held_by) for row in held])
    waiting = {row.operation_id: row for row in found.values() if row.status is PENDING}
    for row in held:
        operation = waiting.get(str(row.held_by))
        if operation is None or operation.local_id != row.local_id or row.dfid is not None:
            yield row, f"is held by {row.held_by}, which does not wait for it"


@invariant("circuits 7.12", OPERATIONS, WAITING)
async def operations_wait_for_members_of_active_circuits(
    reader: Reader, rows: Sequence[Operation]
) -> AsyncIterator[tuple[Operation, str]]:
    """What waits is in an active circuit and by a member of that period, or about to be cancelled."""
    waiting = [row for row in rows if row.status is PENDING]
    circuits = await circuits_of(reader, (row.circuit_id for row in waiting))
    members = await _members(reader, waiting)
    for row in waiting:
        circuit, member = circuits.get(row.circuit_id), members.get((row.circuit_id, row.requester_id))
        stands = (
            circuit is not None
            and circuit.status is CircuitStatus.ACTIVE
            and member is not None
            and member.status is MembershipStatus.ACTIVE
            and member.joined_at == row.member_since
        )
        if not stands and not await is_being_cancelled(reader, row.circuit_id, row.requester_id, row.placement_id):
            yield row, "waits for somebody who is no member of that period, or in a circuit that is not active"


@invariant("circuits 7.14", OPERATIONS)
async def a_pull_stands_in_the_chain(reader: Reader, rows: Sequence[Operation]) -> AsyncIterator[tuple[Operation, str]]:
    """Each completed pull has its one event."""
    pulls = [row for row in rows if row.operation_type is OperationType.PULL and row.status is COMPLETED]
    told = await operation_events(reader, (str(row.dfid) for row in pulls), EventType.PULLED_FROM_CIRCUIT)
    for row in pulls:
        times = len(told.get(row.operation_id, ()))
        if times != 1 and not (times == 0 and _may_tell(told, row.circuit_id, row.dfid)):
            yield row, f"stands {times} times in the chain of {row.dfid}"


@invariant("circuits 7.16", FINGERPRINTS, "Push the item again, or remove the row.")
async def a_fingerprint_is_of_what_stands(
    reader: Reader, rows: Sequence[FingerprintEntry]
) -> AsyncIterator[tuple[FingerprintEntry, str]]:
    """A fingerprint entry belongs to a placement."""
    found = await reader.get_many(PLACEMENTS, [(row.circuit_id, row.dfid) for row in rows])
    standing = {(row.circuit_id, row.dfid) for row in found.values()}
    for row in rows:
        if (row.circuit_id, row.dfid) not in standing:
            yield row, f"is of {row.dfid}, which does not stand there"


@invariant("circuits 7.17", OPERATIONS)
async def a_pushed_draft_is_mapped(reader: Reader, rows: Sequence[Operation]) -> AsyncIterator[tuple[Operation, str]]:
    """The LID of a completed local push leads to the item of the operation."""
    pushes = [
        row
        for row in rows
        if row.status is COMPLETED
        and row.operation_type is OperationType.PUSH
        and row.origin is OperationOrigin.LOCAL
        and row.local_id is not None
    ]
    found = await reader.get_many(MAPPINGS, sorted({str(row.local_id) for row in pushes}))
    mapped = {row.local_id: row.dfid for row in found.values()}
    for row in pushes:
        dfid = mapped.get(str(row.local_id))
        if dfid is None:
            yield row, f"its draft {row.local_id} is not mapped"
        elif dfid != row.dfid and not await _was_merged(reader, dfid, str(row.dfid)):
            yield row, f"its draft is mapped to {dfid}, the operation to {row.dfid}"


async def _was_merged(reader: Reader, dfid: str, into: str) -> bool:
    """Tell whether an item was ever merged, directly or by others, into another one; an erased event may say so."""
    frontier, seen = [dfid], {dfid}
    while frontier:
        query = Select({"dfid": AnyOf(tuple(frontier)), "event_type": EventType.MERGED.value}, ("dfid", "position"))
        frontier = []
        async for event in walk(reader, EVENTS, query):
            if event.payload is None:
                return True
            payload = event.payload
            target = str(payload.get("other_dfid"))
            if payload.get("role") == "source" and target not in seen:
                seen.add(target)
                frontier.append(target)
    return into in seen


@invariant("circuits 7.7", ITEMS)
async def placements_are_what_the_chain_says(reader: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """Pushes into a circuit and withdrawals of it alternate, and the item stands where it was pushed last."""
    by_dfid = {row.dfid: row for row in rows if row.dfid is not None}
    kinds = (EventType.PUSHED_TO_CIRCUIT.value, EventType.WITHDRAWN.value)
    query = Select({"dfid": AnyOf(tuple(by_dfid)), "event_type": AnyOf(kinds)}, ("dfid", "position"))
    inside: set[tuple[str, str]] = set()
    async for event in walk(reader, EVENTS, query):
        place, pushed = (str(event.circuit_id), event.dfid), event.event_type is EventType.PUSHED_TO_CIRCUIT
        if pushed == (place in inside):
            yield by_dfid[event.dfid], f"position {event.position} repeats {event.event_type} of {event.circuit_id}"
        inside = inside | {place} if pushed else inside - {place}
    standing = {(row.circuit_id, row.dfid) for row in await placements_of(reader, sorted(map(str, by_dfid)))}
    for circuit_id, dfid in sorted(standing ^ inside):
        told = "stands" if (circuit_id, dfid) in standing else "does not stand"
        yield by_dfid[dfid], f"{told} in {circuit_id}, unlike its chain says"

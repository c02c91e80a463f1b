"""The audit against what it tells of: every change has its entry (circuits.md 7.21, items-events.md 14.22,
platform.md 16.7 to 16.9)."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import attrs

from application.audit.service import asked
from application.invariants.core import Judge, V, invariant
from domain.access.vocabulary import MembershipStatus, TransferStatus
from domain.audit.log import Checkpoint, LogTile
from domain.audit.merkle import TilesMissing
from domain.audit.values import AuditEntry
from domain.circuits.values import Circuit, JoinRequest, Membership, Operation, Placement
from domain.items.values import Item, Share, Transfer
from domain.keys.values import ApiKey
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import (
    API_KEYS,
    AUDIT,
    CIRCUITS,
    ITEMS,
    JOIN_REQUESTS,
    LOG_CHECKPOINTS,
    LOG_TILES,
    MEMBERSHIPS,
    OPERATIONS,
    PLACEMENTS,
    SHARES,
    TRANSFERS,
    WEBHOOKS,
    Facet,
)
from domain.ports.storage import Reader
from domain.ports.walking import walk
from domain.webhooks.values import Webhook

TILE = 256
"""Hashes of a full tile."""


@attrs.frozen
class Change:
    """What a row says was done at an instant. `by` is None where anybody may have done it, `circuit_id` where the
    entry may be of another place."""

    what: str
    at: datetime
    by: str | None = None
    circuit_id: str | None = None

    def told_by(self, entry: AuditEntry) -> bool:
        """Tell whether an entry of that instant is of this change."""
        actor = entry.actor.get("user_id")
        fits = self.by is None or actor == self.by
        return fits and entry.outcome == "success" and self.circuit_id in (None, entry.circuit_id)


def _operation(row: Operation) -> Iterable[Change]:
    yield Change("requested", row.requested_at, row.requester_id, row.circuit_id)
    if row.decided_at is not None and row.decided_at != row.requested_at:
        yield Change("decided", row.decided_at, row.decided_by, row.circuit_id)


def _placement(row: Placement) -> Iterable[Change]:
    yield Change("made", row.placed_at, None, row.circuit_id)
    if row.published_at is not None:
        yield Change("published", row.published_at, row.published_by, row.circuit_id)


def _membership(row: Membership) -> Iterable[Change]:
    if row.version == 1:
        yield Change("begun", row.joined_at, row.added_by, row.circuit_id)
    if row.status is not MembershipStatus.ACTIVE and row.ended_at is not None:
        yield Change("ended", row.ended_at, row.ended_by, row.circuit_id)


def _request(row: JoinRequest) -> Iterable[Change]:
    yield Change("made", row.requested_at, row.requester_id, row.circuit_id)
    if row.decided_at is not None and row.decided_at != row.requested_at:
        yield Change("decided", row.decided_at, row.decided_by, row.circuit_id)


def _transfer(row: Transfer) -> Iterable[Change]:
    yield Change("offered", row.created_at, row.offered_by)
    if row.decided_at is not None and row.status is not TransferStatus.EXPIRED:
        yield Change("decided", row.decided_at, row.decided_by)


def _circuit(row: Circuit) -> Iterable[Change]:
    yield Change("created", row.created_at, None, row.circuit_id)
    if row.updated_at != row.created_at:
        yield Change("changed", row.updated_at, None, row.circuit_id)


def _item(row: Item) -> Iterable[Change]:
    # A draft whose push somebody approved becomes an item in its requester's name.
    yield Change("created", row.created_at)


def _share(row: Share) -> Iterable[Change]:
    yield Change("given", row.created_at, row.shared_by)


def _webhook(row: Webhook) -> Iterable[Change]:
    yield Change("made", row.created_at, row.created_by, row.circuit_id)


def _key(row: ApiKey) -> Iterable[Change]:
    yield Change("made", row.created_at, row.created_by)


def _audited(facet: Facet[V], rule: str, changes: Callable[[V], Iterable[Change]]) -> Judge[V]:
    """Declare that the changes which a row of a facet tells of have their entries."""

    async def judge(reader: Reader, rows: Sequence[V]) -> AsyncIterator[tuple[V, str]]:
        due = [(row, change) for row in rows for change in changes(row)]
        instants = tuple(sorted({change.at for _, change in due}))
        entries: dict[datetime, list[AuditEntry]] = {}
        async for entry in walk(reader, AUDIT, Select({"at": AnyOf(instants)}, ("at", "entry_id"))):
            entries.setdefault(entry.at, []).append(entry)
        for row, change in due:
            if not any(change.told_by(entry) for entry in entries.get(change.at, ())):
                yield row, f"was {change.what} at {change.at} by {change.by or 'somebody'}, which no audit entry tells"

    judge.__name__ = f"{facet.name}_are_audited"
    judge.__doc__ = "What a row tells that was done stands in the audit, by who did it."
    return invariant(rule, facet)(judge)


operations_are_audited = _audited(OPERATIONS, "circuits 7.21", _operation)
placements_are_audited = _audited(PLACEMENTS, "circuits 7.21", _placement)
memberships_are_audited = _audited(MEMBERSHIPS, "circuits 7.21", _membership)
join_requests_are_audited = _audited(JOIN_REQUESTS, "circuits 7.21", _request)
circuits_are_audited = _audited(CIRCUITS, "circuits 7.21", _circuit)
items_are_audited = _audited(ITEMS, "items 14.22", _item)
shares_are_audited = _audited(SHARES, "items 14.22", _share)
transfers_are_audited = _audited(TRANSFERS, "items 14.22", _transfer)
webhooks_are_audited = _audited(WEBHOOKS, "platform 16.7", _webhook)
api_keys_are_audited = _audited(API_KEYS, "platform 16.7", _key)

BIRTHS: dict[str, Facet[Any] | None] = {
    "account.created": None,
    "account.erased": None,
    "api_key.created": API_KEYS,
    "circuit.archived": CIRCUITS,
    "circuit.created": CIRCUITS,
    "circuit.join_approved": JOIN_REQUESTS,
    "circuit.join_cancelled": JOIN_REQUESTS,
    "circuit.join_rejected": JOIN_REQUESTS,
    "circuit.join_requested": JOIN_REQUESTS,
    "circuit.operation_approved": None,
    "circuit.operation_cancelled": None,
    "circuit.operation_rejected": None,
    "circuit.pull_requested": OPERATIONS,
    "circuit.push_requested": OPERATIONS,
    "draft.created": None,
    "draft.promoted": None,
    "event.certified": None,
    "event.recorded": None,
    "item.created": ITEMS,
    "items.batch_created": None,
    "webhook.created": None,
    "webhook.deleted": None,
}
"""Actions of which there is one per resource, and where that resource stands when it is never removed."""


@invariant("circuits 7.21, platform 16.7", AUDIT)
async def audit_entries_tell_what_was_done_once(
    reader: Reader, rows: Sequence[AuditEntry]
) -> AsyncIterator[tuple[AuditEntry, str]]:
    """What can be done once with a resource is told once, and of a resource that exists."""
    once = [row for row in rows if row.action in BIRTHS]
    names = tuple(sorted({str(row.resource.get("id")) for row in once}))
    query = Select({"resource_id": AnyOf(names), "action": AnyOf(tuple(BIRTHS))}, ("resource_id", "at", "entry_id"))
    told: dict[tuple[str, str], int] = {}
    async for entry in walk(reader, AUDIT, query):
        place = (entry.action, str(entry.resource.get("id")))
        told[place] = told.get(place, 0) + 1
    missing = await _missing(reader, once)
    for row in once:
        resource = str(row.resource.get("id"))
        if told.get((row.action, resource), 0) > 1:
            yield row, f"{row.action} is told {told[row.action, resource]} times of {resource}"
        if (row.action, resource) in missing:
            yield row, f"{row.action} is told of {resource}, which does not exist"


async def _missing(reader: Reader, rows: Iterable[AuditEntry]) -> set[tuple[str, str]]:
    wanted: dict[str, list[str]] = {}
    for row in rows:
        if BIRTHS[row.action] is not None and row.resource.get("kind") != "batch":
            wanted.setdefault(row.action, []).append(str(row.resource.get("id")))
    missing: set[tuple[str, str]] = set()
    for action, ids in wanted.items():
        facet = BIRTHS[action]
        assert facet is not None
        found = await reader.get_many(facet, sorted(set(ids)))
        missing |= {(action, one) for one in ids if one not in found}
    return missing


@invariant("platform 16.9", AUDIT, "defarm audit verify names the first bad index. Keep the store as it is.")
async def the_log_has_no_gaps(reader: Reader, rows: Sequence[AuditEntry]) -> AsyncIterator[tuple[AuditEntry, str]]:
    """Every place of the log is taken once, and so is the one before it."""
    placed = {row.log_index: row for row in rows if row.log_index is not None}
    near = {index for one in placed for index in (one - 1, one) if index >= 0}
    taken: dict[int, int] = {}
    async for entry in walk(reader, AUDIT, Select({"log_index": AnyOf(tuple(sorted(near)))}, ("log_index", "at"))):
        if entry.log_index is not None:
            taken[entry.log_index] = taken.get(entry.log_index, 0) + 1
    for index, row in placed.items():
        if taken.get(index) != 1:
            yield row, f"shares its place {index} in the log"
        if index and index - 1 not in taken:
            yield row, f"stands at {index} of the log, and nothing before it"


@invariant("platform 16.8", LOG_TILES, "defarm audit verify names the first bad index. Keep the store as it is.")
async def tiles_hold_the_hashes_of_entries(
    reader: Reader, rows: Sequence[LogTile]
) -> AsyncIterator[tuple[LogTile, str]]:
    """The leaves of the tree are the hashes of the entries at their places."""
    for row in rows:
        if row.level:
            continue
        first = row.number * TILE
        places = AnyOf(tuple(range(first, first + len(row.hashes))))
        query = Select({"log_index": places}, ("log_index", "at"))
        hashes = tuple([entry.entry_hash async for entry in walk(reader, AUDIT, query)])
        if hashes != row.hashes:
            yield row, f"holds other hashes than the entries from {first} on"


@invariant("platform 16.8", LOG_CHECKPOINTS, "defarm audit verify names the first bad index. Keep the store as it is.")
async def checkpoints_are_of_the_tree(
    reader: Reader, rows: Sequence[Checkpoint]
) -> AsyncIterator[tuple[Checkpoint, str]]:
    """Every checkpoint is the root that the tree has at its size."""
    for row in rows:
        try:
            root = await asked(reader, row.tree_size, lambda tree: tree.root())
        except TilesMissing:
            yield row, f"is of {row.tree_size} entries, for which the tree has no tiles"
            continue
        if root != row.root_hash:
            yield row, f"says {row.root_hash} of {row.tree_size} entries, the tree says {root}"

"""Items, what was contributed to them, and what is found by (items-events.md 14)."""

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime
from typing import Any

import attrs

from application.invariants.core import invariant
from application.invariants.sharing import AT_ONCE, items_by_key
from domain.access.vocabulary import ItemStatus
from domain.events.values import EventType
from domain.identifiers import Evidence, IdentifierKind, Privacy, check, type_of
from domain.items.contributions import contribution_hash
from domain.items.dfid import parse_dfid
from domain.items.fold import Family, refolded
from domain.items.resolution import claim_space
from domain.items.values import (
    LABEL_AFTER,
    Claim,
    Contribution,
    ContributionSource,
    Identifier,
    IdentifierEntry,
    Import,
    ImportRow,
    Item,
    Mapping,
    PendingStatus,
    PendingSubmission,
    Share,
    ValueCounter,
)
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import (
    CLAIMS,
    CONTRIBUTIONS,
    COUNTERS,
    ENTRIES,
    EVENTS,
    IMPORT_ROWS,
    IMPORTS,
    ITEMS,
    MAPPINGS,
    PENDING,
    SHARES,
)
from domain.ports.storage import Reader
from domain.ports.walking import walk

SEALED = "v1."
"""How a sealed personal value begins."""
DEEPEST = 10_000
"""Mergers in a row after which a path is taken for a circle."""


@invariant("items 14.1, 14.2", ITEMS)
async def an_item_is_what_its_key_says(_: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """DFIDs parse; only drafts, and drafts absorbed by a draft, have none."""
    for row in rows:
        if row.dfid is not None and parse_dfid(row.dfid) != row.dfid:
            yield row, "its DFID does not parse"
        absorbed_draft = row.status is ItemStatus.MERGED and parse_dfid(row.lineage.merged_into or "") is None
        if (row.dfid is None) != (row.status is ItemStatus.LOCAL or absorbed_draft):
            yield row, f"is {row.status} with the DFID {row.dfid}"
        if row.updated_at < row.created_at:
            yield row, "was changed before it was made"


@invariant("items 14.3, 14.5", ITEMS, "Unmerge the item and merge it again.")
async def mergers_agree_on_both_sides(reader: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """`merged_into` and `merged_from` mirror each other within one workspace, and every path ends at an item."""
    kin = await items_by_key(
        reader, (key for row in rows for key in (row.lineage.merged_into, *row.lineage.merged_from))
    )
    for row in rows:
        into = row.lineage.merged_into
        if (into is not None) != (row.status is ItemStatus.MERGED):
            yield row, f"is {row.status} and merged into {into}"
        target = kin.get(str(into))
        if into is not None and (target is None or row.key not in target.lineage.merged_from):
            yield row, f"is merged into {into}, which does not say so"
        elif target is not None and target.workspace_id != row.workspace_id:
            yield row, f"is merged into {into}, of another workspace"
        for key in row.lineage.merged_from:
            source = kin.get(key)
            if source is None or source.lineage.merged_into != row.key:
                yield row, f"absorbed {key}, which does not say so"
        if target is not None and target.status is ItemStatus.MERGED and await _end(reader, row) is None:
            yield row, "is merged in a circle"


async def _end(reader: Reader, item: Item) -> str | None:
    """Return where the mergers of an item end, None when they run in a circle."""
    for _ in range(DEEPEST):
        into = item.lineage.merged_into
        if into is None:
            return item.key
        found = await reader.find(ITEMS, into)
        if found is None:
            return item.key
        item = found
    return None


@invariant("items 14.4", ITEMS)
async def splits_agree_on_both_sides(reader: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """`split_from` and `split_into` mirror each other; a split item was divided, and a part of it is still out."""
    lines = [row.lineage for row in rows]
    kin = await items_by_key(reader, (key for one in lines for key in (one.split_from, *one.split_into)))
    for row in rows:
        origin = kin.get(str(row.lineage.split_from))
        if row.lineage.split_from is not None and (origin is None or row.key not in origin.lineage.split_into):
            yield row, f"was split from {row.lineage.split_from}, which does not say so"
        parts = [kin.get(key) for key in row.lineage.split_into]
        if any(part is None or part.lineage.split_from != row.key for part in parts):
            yield row, "names parts that do not name it"
        out = [
            part
            for part in parts
            if part is not None and part.lineage.split_mode == "divide" and await _end(reader, part) != row.key
        ]
        if row.status is ItemStatus.SPLIT and not out:
            yield row, "is split, and no part that was divided off is out"


def _claimed(item: Item) -> Iterable[tuple[str, str, str]]:
    """Yield the keys of the claims that an item has to hold."""
    if item.dfid is None or item.status is ItemStatus.MERGED:
        return
    for each in item.identifiers:
        space = claim_space(each.scope, item.workspace_id) if each.kind is IdentifierKind.CANONICAL else None
        if space is not None:
            yield space, each.key, each.lookup or ""


@invariant("items 14.6", ITEMS, "Remove the identifier from one of the items by PUT, and add it again.")
async def unique_identifiers_are_claimed(reader: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """Each identifier that is unique is claimed by the item that carries it."""
    due = {row.key: list(_claimed(row)) for row in rows}
    found = await reader.get_many(CLAIMS, sorted({key for keys in due.values() for key in keys}))
    holders = {CLAIMS.key_of(claim): claim.item for claim in found.values()}
    for row in rows:
        for key in due[row.key]:
            holder = holders.get(key)
            carried = holder is not None and await _absorbs(reader, row, holder)
            if holder != row.key and not carried:
                yield row, f"carries a {key[1]} that is claimed by {holder or 'nobody'}"


async def _absorbs(reader: Reader, item: Item, key: str) -> bool:
    """Tell whether an item absorbed another one, directly or by others."""
    frontier, seen = list(item.lineage.merged_from), set[str]()
    while frontier:
        seen |= set(frontier)
        if key in seen:
            return True
        frontier = [
            source
            for one in (await items_by_key(reader, frontier)).values()
            for source in one.lineage.merged_from
            if source not in seen
        ]
    return False


@invariant("items 14.6", CLAIMS, "Remove the row: nobody carries the number, and nobody else can register it.")
async def claims_are_of_what_is_carried(reader: Reader, rows: Sequence[Claim]) -> AsyncIterator[tuple[Claim, str]]:
    """The holder of a claim carries the identifier."""
    items = await items_by_key(reader, (row.item for row in rows))
    for row in rows:
        item = items.get(row.item)
        if item is None:
            yield row, f"is held by {row.item}, which does not exist"
        elif not any(
            (claim_space(each.scope, item.workspace_id), each.key, each.lookup or "") == CLAIMS.key_of(row)
            for each in item.identifiers
        ):
            yield row, f"is held by {row.item}, which does not carry it with that scope"


@invariant("items 14.7, 14.17", ITEMS, "Remove the identifier by PUT and add it again.")
async def identifiers_are_what_the_engine_computes(_: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """Nothing malformed stands on an item; evidence and form are those of now; personal values are sealed."""
    for row in rows:
        for each in row.identifiers:
            for fault in _identifier_faults(each, draft=row.dfid is None):
                yield row, f"its {each.key} {fault}"


def _identifier_faults(identifier: Identifier, *, draft: bool) -> Iterable[str]:
    kind = type_of(identifier.key)
    if kind is not None and kind.privacy is Privacy.PERSONAL:
        if identifier.lookup is not None and not identifier.value.startswith(SEALED):
            yield "is personal and stands in clear"
        return
    if draft:
        return
    found = check(identifier.key, identifier.value)
    if found.evidence is Evidence.MALFORMED:
        yield "is malformed"
    elif found.normalised != identifier.normalised:
        yield f"is stored as {identifier.normalised}, the engine computes {found.normalised}"
    elif identifier.evidence not in (found.evidence.value, Evidence.REGISTRY_OK.value):
        yield f"has the evidence {identifier.evidence}, the engine computes {found.evidence.value}"


@invariant("items 14.17", CONTRIBUTIONS, "Erase the identifier: POST /api/admin/items/{dfid}/identifiers/erase.")
async def personal_values_are_sealed_in_contributions(
    _: Reader, rows: Sequence[Contribution]
) -> AsyncIterator[tuple[Contribution, str]]:
    """No personal identifier stands in clear in what was contributed."""
    for row in rows:
        for each in (*row.identifiers, *row.removed_identifiers):
            kind = type_of(each.key)
            personal = kind is not None and kind.privacy is Privacy.PERSONAL
            if personal and each.lookup is not None and not each.value.startswith(SEALED):
                yield row, f"its {each.key} is personal and stands in clear"


@invariant("items 14.8, 14.9", ITEMS, "Enrich the item with anything: that folds it anew.")
async def items_are_the_fold_of_contributions(reader: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """Data, identifiers, fingerprint and confidence of an item are what its contributions make."""
    items = {row.key: row for row in rows if row.dfid is not None}
    family = await _family(reader, items)
    for row in items.values():
        if not family.contributions.get(row.key):
            yield row, "has no contribution"
            continue
        fresh = refolded(row, family)
        for name in ("data", "identifiers", "fingerprint", "confidence", "contributed"):
            if _comparable(getattr(row, name)) != _comparable(getattr(fresh, name)):
                yield row, f"its {name} is not the fold of its contributions"


async def _family(reader: Reader, items: dict[str, Item]) -> Family:
    known, frontier = dict(items), list(items.values())
    while frontier:
        sources = {key for item in frontier for key in item.lineage.merged_from} - known.keys()
        frontier = list((await items_by_key(reader, sources)).values())
        known |= {item.key: item for item in frontier}
    query = Select({"item": AnyOf(tuple(sorted(known)))}, ("recorded_at", "contribution_id"))
    return Family.of(known.values(), [each async for each in walk(reader, CONTRIBUTIONS, query)])


def _comparable(value: Any) -> Any:
    """Return a value without the sealed texts, which differ from row to row."""
    if not isinstance(value, tuple):
        return value
    return tuple(
        attrs.evolve(each, value="", normalised=None)
        if isinstance(each, Identifier) and each.value.startswith(SEALED)
        else each
        for each in value
    )


@invariant("items 14.9", CONTRIBUTIONS)
async def contributions_are_what_was_hashed(
    reader: Reader, rows: Sequence[Contribution]
) -> AsyncIterator[tuple[Contribution, str]]:
    """The hash of a contribution recomputes unless it was erased, and its item exists."""
    items = await items_by_key(reader, (row.item for row in rows))
    for row in rows:
        if row.salt is not None and contribution_hash(row) != row.hash:
            yield row, f"its hash does not recompute; the chain of {row.item} shows since when"
        if row.item not in items:
            yield row, f"its item {row.item} does not exist"


@invariant("circuits 7.18", CONTRIBUTIONS)
async def others_contribute_through_circuits(
    reader: Reader, rows: Sequence[Contribution]
) -> AsyncIterator[tuple[Contribution, str]]:
    """Who did not own an item contributed through a circuit in which it stood."""
    items = await items_by_key(reader, (row.item for row in rows))
    foreign = [
        row
        for row in rows
        if row.source is not ContributionSource.ADMIN
        and row.item in items
        and items[row.item].workspace_id != row.workspace_id
    ]
    given_away = await _transferred(reader, {row.item for row in foreign if row.circuit_id is None})
    stays = await _stays(reader, {row.item for row in foreign if row.circuit_id is not None})
    for row in foreign:
        if row.circuit_id is None and row.item not in given_away:
            yield row, f"is by {row.workspace_id}, which never owned {row.item}, and came through no circuit"
        elif row.circuit_id is not None and not any(
            begun - AT_ONCE <= row.recorded_at and (ended is None or row.recorded_at <= ended + AT_ONCE)
            for begun, ended in stays.get((row.item, row.circuit_id), ())
        ):
            yield row, f"came through {row.circuit_id}, where {row.item} did not stand then"


async def _stays(reader: Reader, dfids: Iterable[str]) -> dict[tuple[str, str], list[tuple[datetime, datetime | None]]]:
    """Return from when to when items stood where, None as the end of a stay that lasts."""
    kinds = (EventType.PUSHED_TO_CIRCUIT.value, EventType.WITHDRAWN.value)
    query = Select({"dfid": AnyOf(tuple(sorted(dfids))), "event_type": AnyOf(kinds)}, ("dfid", "position"))
    stays: dict[tuple[str, str], list[tuple[datetime, datetime | None]]] = {}
    async for event in walk(reader, EVENTS, query):
        known = stays.setdefault((event.dfid, str(event.circuit_id)), [])
        if event.event_type is EventType.PUSHED_TO_CIRCUIT:
            known.append((event.recorded_at, None))
        elif known:
            known[-1] = (known[-1][0], event.recorded_at)
    return stays


async def _transferred(reader: Reader, dfids: Iterable[str]) -> set[str]:
    kind = EventType.TRANSFERRED.value
    query = Select({"dfid": AnyOf(tuple(sorted(dfids))), "event_type": kind}, ("dfid", "position"))
    return {event.dfid async for event in walk(reader, EVENTS, query)}


@invariant("items 14.14", MAPPINGS)
async def local_ids_lead_to_items(reader: Reader, rows: Sequence[Mapping]) -> AsyncIterator[tuple[Mapping, str]]:
    """A mapped LID leads to an item that exists and is no draft any more."""
    items = await items_by_key(reader, (key for row in rows for key in (row.dfid, row.local_id)))
    for row in rows:
        if row.dfid not in items:
            yield row, f"leads to {row.dfid}, which does not exist"
        if row.local_id in items:
            yield row, "is mapped and still a draft"


@invariant("items 14.15", SHARES, "Revoke the share.")
async def owners_share(reader: Reader, rows: Sequence[Share]) -> AsyncIterator[tuple[Share, str]]:
    """A share that nobody revoked is of an item that its workspace owns: a transfer revokes them all."""
    items = await items_by_key(reader, (row.dfid for row in rows))
    for row in rows:
        item = items.get(row.dfid)
        if row.revoked_at is None and (item is None or item.workspace_id != row.workspace_id):
            yield row, f"shares {row.dfid}, which {row.workspace_id} does not own"


@invariant("items 14.16", PENDING)
async def pending_records_are_open_or_resolved(
    reader: Reader, rows: Sequence[PendingSubmission]
) -> AsyncIterator[tuple[PendingSubmission, str]]:
    """Open records have no resolution, closed ones have, and a resolved one names an item that exists."""
    for row in rows:
        if (row.status is PendingStatus.OPEN) != (row.resolution is None):
            yield row, f"is {row.status} and has {'a' if row.resolution else 'no'} resolution"
    named = {
        row.pending_id: dfid
        for row in rows
        if row.status is PendingStatus.RESOLVED and row.resolution and (dfid := row.resolution.get("dfid"))
    }
    items = await items_by_key(reader, named.values())
    for row in rows:
        if row.pending_id in named and named[row.pending_id] not in items:
            yield row, f"was resolved with {named[row.pending_id]}, which does not exist"


@invariant("items 14.19", COUNTERS, "Raise the count to the number of entries.")
async def counters_count_all_entries(
    reader: Reader, rows: Sequence[ValueCounter]
) -> AsyncIterator[tuple[ValueCounter, str]]:
    """A value was counted at least as often as it is attached, until it is a label."""
    for row in rows:
        if row.count > LABEL_AFTER or row.of_drafts:
            continue
        entries = 0
        async for _ in walk(reader, ENTRIES, Select({"place": row.place}, ("item",))):
            entries += 1
            if entries > row.count:
                yield row, f"counts {row.count}, and more entries are there"
                break


@invariant("items 14.6", ENTRIES, "Remove the row: it finds an item by what it does not carry.")
async def entries_are_of_what_is_carried(
    reader: Reader, rows: Sequence[IdentifierEntry]
) -> AsyncIterator[tuple[IdentifierEntry, str]]:
    """What an item is found by, it carries."""
    items = await items_by_key(reader, (row.item for row in rows))
    for row in rows:
        item = items.get(row.item)
        if item is None:
            yield row, f"finds {row.item}, which does not exist"
        elif not any((each.key, each.lookup or "") == (row.key, row.lookup) for each in item.identifiers):
            yield row, f"finds {row.item}, which does not carry it"


@invariant("items 14.20", IMPORTS)
async def imports_count_their_rows(_: Reader, rows: Sequence[Import]) -> AsyncIterator[tuple[Import, str]]:
    """The counts of a completed import make up the rows it read."""
    for row in rows:
        if row.status == "completed" and sum(row.counts.values()) != row.rows_read:
            yield row, f"read {row.rows_read} rows and counts {sum(row.counts.values())}"


@invariant("items 14.20", IMPORT_ROWS)
async def import_results_exist(reader: Reader, rows: Sequence[ImportRow]) -> AsyncIterator[tuple[ImportRow, str]]:
    """A result of an import names an item and a record that exist."""
    items = await items_by_key(reader, (row.dfid for row in rows))
    found = await reader.get_many(PENDING, sorted({row.pending_id for row in rows if row.pending_id is not None}))
    pending = {row.pending_id for row in found.values()}
    for row in rows:
        if row.dfid is not None and row.dfid not in items:
            yield row, f"names {row.dfid}, which does not exist"
        if row.pending_id is not None and row.pending_id not in pending:
            yield row, f"names the record {row.pending_id}, which does not exist"

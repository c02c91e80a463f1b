"""By what items and drafts are found (items-events.md 9.1, 9.3, decision 21)."""

from collections.abc import AsyncIterator, Sequence

from application.invariants.core import invariant
from domain.access.vocabulary import ItemStatus
from domain.items.draft_values import draft_entries, stored_entries
from domain.items.drafts import derived
from domain.items.families import read_holders
from domain.items.values import Item, ValueCounter
from domain.ports.queries import Select
from domain.ports.schema import COUNTERS, ITEMS
from domain.ports.storage import Reader

COUNTED = 1000
"""So many drafts of one value are counted; of more only these."""


@invariant("items 1.11, 9.1", ITEMS, "Add the missing rows of identifier_entries.")
async def what_is_carried_is_found(reader: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """An item is found by every identifier that it shows, those of what it absorbed among them, and by whom it came
    to: the entry says of it what the item says."""
    items = [row for row in rows if row.dfid is not None]
    entries = await stored_entries(reader, [item.key for item in items])
    stored = {(one.item, one.key, one.lookup, *one.ways) for one in entries}
    for item in items:
        for one in item.identifiers:
            if one.lookup is not None and (item.key, one.key, one.lookup, *one.ways) not in stored:
                yield item, f"is not found by its {one.key}"


@invariant("items 9.3", ITEMS, "Save the draft anew.")
async def drafts_are_found_by_what_they_carry(reader: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """A draft has the entries of its identifiers, and the fingerprint and confidence that follow from them."""
    drafts = [row for row in rows if row.dfid is None]
    stored = await stored_entries(reader, [draft.key for draft in drafts])
    for draft in drafts:
        entries = set(draft_entries(draft)) if draft.status is ItemStatus.LOCAL else set()
        if entries != {entry for entry in stored if entry.item == draft.key}:
            yield draft, "is not found by exactly what it carries"
        if derived(draft) != draft:
            yield draft, "has a fingerprint or a confidence that its identifiers do not give"


@invariant("items 9.3", COUNTERS, "Set the count to the number of drafts, or remove the row when there is none.")
async def draft_values_are_counted_exactly(
    reader: Reader, rows: Sequence[ValueCounter]
) -> AsyncIterator[tuple[ValueCounter, str]]:
    """A value of drafts is counted as often as drafts carry it."""
    places = [row.place for row in rows if row.of_drafts]
    holders = await read_holders(reader, places)
    for row in rows:
        if row.of_drafts and row.count < COUNTED:
            alike = await reader.page(ITEMS, Select({"draft_place": row.place}, ("key",)), limit=COUNTED)
            if row.count != len(holders[row.place]) + len(alike.items):
                yield row, f"counts {row.count}, and {len(holders[row.place]) + len(alike.items)} drafts carry it"

"""Numbers, transfers and storage records of items (items-events.md 14.1, 14.15, 14.21)."""

from collections.abc import AsyncIterator, Sequence

from application.invariants.core import invariant
from application.invariants.sharing import items_by_key
from domain.access.vocabulary import TransferStatus
from domain.document import EMPTY
from domain.events.values import EventType
from domain.items.dfid import numbered
from domain.items.storage_records import StorageAction, StorageRecord
from domain.items.values import Item, Transfer
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import EVENTS, ITEMS, STORAGE_RECORDS, STORE, TRANSFERS
from domain.ports.storage import Reader
from domain.ports.walking import walk
from domain.store import StoreRecord

DERIVED = frozenset({StorageAction.CREATED})
"""What the history of an item says without a row."""


@invariant("items 14.1", ITEMS, "Raise the counter of that day (table sequences) before anything else is created.")
async def numbers_were_taken(reader: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """The number of every DFID is one that was taken of its day, so that it is not given out again."""
    numbers = {row.key: found for row in rows if row.dfid is not None and (found := numbered(row.dfid)) is not None}
    taken = {day: await reader.numbers_taken(day) for day in sorted({day for day, _ in numbers.values()})}
    for row in rows:
        day, number = numbers.get(row.key, ("", 0))
        if number > taken.get(day, 0):
            yield row, f"has the number {number} of a day of which {taken[day]} were taken"


@invariant("items 14.15", TRANSFERS)
async def transfers_are_what_chains_tell(
    reader: Reader, rows: Sequence[Transfer]
) -> AsyncIterator[tuple[Transfer, str]]:
    """An open offer is made by the owner, an accepted one stands in the chain of its item, both decided or not."""
    items = await items_by_key(reader, (row.dfid for row in rows))
    accepted = tuple(sorted({row.dfid for row in rows if row.status is TransferStatus.ACCEPTED}))
    query = Select({"dfid": AnyOf(accepted), "event_type": EventType.TRANSFERRED.value}, ("dfid", "position"))
    events = [event async for event in walk(reader, EVENTS, query)] if accepted else []
    told = {(event.dfid, (event.payload or EMPTY).get("transfer_id")) for event in events}
    erased = {event.dfid for event in events if event.payload is None}
    for row in rows:
        item = items.get(row.dfid)
        if (row.status is TransferStatus.OPEN) != (row.decided_at is None):
            yield row, f"is {row.status} and was decided at {row.decided_at}"
        if item is None:
            yield row, f"is of {row.dfid}, which does not exist"
        elif row.status is TransferStatus.OPEN and item.workspace_id != row.from_workspace_id:
            yield row, f"is offered by {row.from_workspace_id}, the item belongs to {item.workspace_id}"
        if row.status is TransferStatus.ACCEPTED and (row.dfid, row.transfer_id) not in told and row.dfid not in erased:
            yield row, f"was accepted, which the chain of {row.dfid} does not tell"


@invariant("items 14.21", STORAGE_RECORDS)
async def storage_records_are_complete(
    reader: Reader, rows: Sequence[StorageRecord]
) -> AsyncIterator[tuple[StorageRecord, str]]:
    """A record names an item and its store; a copy names its run, where it came from and what both sides held."""
    items = await items_by_key(reader, (row.dfid for row in rows))
    for row in rows:
        if row.dfid not in items or items[row.dfid].dfid is None:
            yield row, f"is of {row.dfid}, which does not exist"
        if row.action in DERIVED:
            yield row, "is a row for what is derived from the item"
        if row.action is StorageAction.COPIED and (row.origin is None or row.run_id is None or row.digest is None):
            yield row, "is a copy without its run, its origin or its digest"
        if row.origin is not None and row.origin.store_id == row.store_id:
            yield row, "was copied from the store itself"


@invariant("items 14.21", STORE, "Remove the records that declare this store out of use, if it is in use.")
async def one_store_answers(reader: Reader, rows: Sequence[StoreRecord]) -> AsyncIterator[tuple[StoreRecord, str]]:
    """There is one record of the store itself, and no item is out of use in the store that answers."""
    if len(rows) > 1:
        yield rows[0], f"is one of {len(rows)} records of the store"
    for row in rows:
        query = Select({"action": StorageAction.RETIRED.value, "store_id": row.store_id})
        async for retired in walk(reader, STORAGE_RECORDS, query):
            told = Select({"dfid": retired.dfid}, ("recorded_at", "record_id"), descending=True)
            here = [one async for one in walk(reader, STORAGE_RECORDS, told) if one.store_id == row.store_id]
            if here[0].action is StorageAction.RETIRED:
                yield row, f"answers, and is out of use for {retired.dfid}"
                break

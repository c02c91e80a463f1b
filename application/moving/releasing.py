"""Ending the read-only state of a source after a copy (platform.md 13, items-events.md 11)."""

import uuid
from collections.abc import Sequence

from application.store_life import STORE_KEY
from application.units import Units
from domain.access.principal import system
from domain.act import Act
from domain.audit.record import audit_entry
from domain.items.storage_records import StorageAction, StorageRecord
from domain.ports.clock import Clock
from domain.ports.moving import CannotMove, Target
from domain.ports.queries import Select
from domain.ports.schema import STORAGE_RECORDS
from domain.ports.storage import Reader
from domain.store import StoreRecord

AT_ONCE = 500


async def release(source: Target, clock: Clock) -> StoreRecord:
    """Let a source take changes again and return its record. Raises CannotMove where nothing was to be released."""
    found = await source.sealed()
    if found is None:
        raise CannotMove(f"{source.name} takes changes already.")
    if found.record.retired:
        raise CannotMove(f"{source.name} was declared out of use, for good.")
    entry = audit_entry(system(), clock.now(), "storage.released", ("store", STORE_KEY))
    return await source.release(entry, retire=False)


async def retire(source: Target, units: Units) -> int:
    """Declare a source out of use, in it and in the store of `units`, which took over; return of how many items.

    May be run again after an interruption. Raises CannotMove.
    """
    found = await source.sealed()
    if found is None:
        raise CannotMove(f"{source.name} takes changes: only what was copied is declared out of use.")
    told = await _told(units, found.record.store_id)
    if not found.record.retired:
        if not told:
            raise CannotMove(
                f"No item here was copied from {source.name}: is the configured store the one that took over?"
            )
        entry = audit_entry(system(), units.clock.now(), "storage.retired", ("store", STORE_KEY))
        await source.release(entry, retire=True)
    return told


async def _told(units: Units, store_id: str) -> int:
    """Append to the history of every item that came from a store that it is out of use; return how many came."""
    total, after = 0, None
    while True:
        async with units.storage.read() as reader:
            query = Select({"action": StorageAction.COPIED.value})
            page = await reader.page(STORAGE_RECORDS, query, after, AT_ONCE)
            mine = [one for one in page.items if one.origin is not None and one.origin.store_id == store_id]
            fresh = await _without(reader, [_retired(one, units) for one in mine])
        if fresh:
            await units.perform(system(), lambda act, fresh=fresh: _append(act, fresh, store_id))  # type: ignore[misc]
        total += len(mine)
        after = page.after
        if after is None:
            return total


async def _append(act: Act, records: Sequence[StorageRecord], store_id: str) -> None:
    await act.unit.add(STORAGE_RECORDS, *records)
    await act.audit("storage.retired", ("store", store_id), details={"items": len(records)})


def _retired(copy: StorageRecord, units: Units) -> StorageRecord:
    """Return the record that the source of a copy is out of use: one and the same, however often it is made."""
    assert copy.origin is not None
    record_id = str(uuid.uuid5(uuid.UUID(copy.record_id), "retired"))
    return StorageRecord(
        record_id, copy.dfid, copy.origin, StorageAction.RETIRED, units.clock.now(), run_id=copy.run_id
    )


async def _without(reader: Reader, records: Sequence[StorageRecord]) -> list[StorageRecord]:
    there = await reader.get_many(STORAGE_RECORDS, [one.record_id for one in records])
    return [one for one in records if one.record_id not in there]

"""Reading which stores hold or held an item (items-events.md 11)."""

from datetime import datetime, timedelta

import attrs

from application.store_life import STORE_KEY
from application.units import Units
from domain.access.principal import Principal
from domain.errors import not_found
from domain.items.storage_records import StorageAction, StorageRecord, StoreName, history, standing
from domain.items.values import Item
from domain.ports.queries import Select
from domain.ports.schema import ITEMS, STORAGE_RECORDS, STORE
from domain.ports.storage import Reader
from domain.ports.walking import walk

FRESH = timedelta(seconds=60)


@attrs.frozen
class StoreSettings:
    """The configured storage, and what its operator calls it."""

    kind: str = "memory"
    label: str | None = None


@attrs.frozen
class StorageRecordView:
    """A record; `is_primary` marks the one of the store that answers, `recorded_by` is for its own workspace."""

    record_id: str
    dfid: str
    store_id: str
    store_kind: str
    label: str | None
    action: StorageAction
    from_store_id: str | None
    run_id: str | None
    digest: str | None
    is_active: bool
    is_primary: bool
    recorded_at: datetime
    recorded_by: str | None


@attrs.frozen
class StoreView:
    store_id: str
    store_kind: str
    label: str | None


@attrs.frozen
class StorageHistory:
    """The store that answers, and everything known of where an item was kept."""

    dfid: str
    current: StoreView
    records: tuple[StorageRecordView, ...]


@attrs.frozen
class Locations:
    """The stores that hold an item now."""

    dfid: str
    locations: tuple[StorageRecordView, ...]


@attrs.frozen
class StoreNumbers:
    store_id: str
    store_kind: str
    label: str | None
    items: int


@attrs.frozen
class RunNumbers:
    """One copy of a whole store."""

    run_id: str
    items: int


@attrs.frozen
class StorageStatistics:
    """Numbers of items by store, as this store knows them."""

    items: int
    stores: tuple[StoreNumbers, ...]
    runs: tuple[RunNumbers, ...]
    as_of: datetime


async def store_name(reader: Reader, settings: StoreSettings) -> StoreName:
    """Return the store that answers."""
    return StoreName((await reader.get(STORE, STORE_KEY)).store_id, settings.kind, settings.label)


def may_read(principal: Principal, item: Item) -> bool:
    """Tell whether a principal reads the storage history of an item: the owner's workspace, and administrators."""
    own = principal.workspace_id is not None and item.workspace_id == principal.workspace_id
    return own or principal.is_admin


async def storage_records(
    reader: Reader, principal: Principal, item: Item, settings: StoreSettings
) -> list[StorageRecordView]:
    """Return the storage history of an item, the oldest record first."""
    here = await store_name(reader, settings)
    query = Select({"dfid": item.key}, ("recorded_at",))
    records = [record async for record in walk(reader, STORAGE_RECORDS, query)]
    whole = history(item, records, here)
    active = standing(whole)
    own = item.workspace_id == principal.workspace_id
    return [_view(record, active, here, own=own) for record in whole]


def _view(record: StorageRecord, active: dict[str, StorageRecord], here: StoreName, *, own: bool) -> StorageRecordView:
    return StorageRecordView(
        record_id=record.record_id,
        dfid=record.dfid,
        store_id=record.store_id,
        store_kind=record.store.kind,
        label=record.store.label,
        action=record.action,
        from_store_id=record.origin.store_id if record.origin is not None else None,
        run_id=record.run_id,
        digest=record.digest,
        is_active=record.store_id in active,
        is_primary=record.store_id == here.store_id and active.get(record.store_id) is record,
        recorded_at=record.recorded_at,
        recorded_by=record.recorded_by if own else None,
    )


@attrs.define
class StorageHistories:
    """Reads of the storage history."""

    units: Units
    settings: StoreSettings
    counted: StorageStatistics | None = attrs.field(default=None, init=False, repr=False)

    async def of_item(self, principal: Principal, dfid: str) -> StorageHistory:
        """Return the storage history of an item. Raises Refusal `not_found`, also to whoever only views it."""
        async with self.units.storage.read() as reader:
            records = await self._records(reader, principal, dfid)
            here = await store_name(reader, self.settings)
        return StorageHistory(dfid, StoreView(here.store_id, here.kind, here.label), tuple(records))

    async def locations(self, principal: Principal, dfid: str) -> Locations:
        """Return the last record of each store that holds an item. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            records = await self._records(reader, principal, dfid)
        last = {record.store_id: record for record in records if record.is_active}
        return Locations(dfid, tuple(last.values()))

    async def _records(self, reader: Reader, principal: Principal, dfid: str) -> list[StorageRecordView]:
        item = await reader.find(ITEMS, dfid)
        if item is None or item.dfid is None or not may_read(principal, item):
            raise not_found()
        return await storage_records(reader, principal, item, self.settings)

    async def statistics(self) -> StorageStatistics:
        """Return numbers of items by store, at most 60 seconds old. Whether the caller may was checked before."""
        now = self.units.clock.now()
        if self.counted is None or now - self.counted.as_of >= FRESH:
            self.counted = await self._count(now)
        return self.counted

    async def _count(self, now: datetime) -> StorageStatistics:
        async with self.units.storage.read() as reader:
            here = await store_name(reader, self.settings)
            statuses = await reader.count(ITEMS, {}, "status")
            items = sum(number for status, number in statuses.items() if status != "local")
            runs = await reader.count(STORAGE_RECORDS, {"action": StorageAction.COPIED.value}, "run_id")
            retired = await reader.count(STORAGE_RECORDS, {"action": StorageAction.RETIRED.value}, "store_id")
            origins: dict[str, tuple[StoreName, int]] = {}
            for run_id, number in runs.items():
                query = Select({"action": StorageAction.COPIED.value, "run_id": run_id})
                [record] = (await reader.page(STORAGE_RECORDS, query, limit=1)).items
                if record.origin is not None and record.origin.store_id not in retired:
                    origins[record.origin.store_id] = (record.origin, number)
        stores = [(here, items), *(one for store_id, one in origins.items() if store_id != here.store_id)]
        return StorageStatistics(
            items=items,
            stores=tuple(StoreNumbers(name.store_id, name.kind, name.label, number) for name, number in stores),
            runs=tuple(RunNumbers(str(run_id), number) for run_id, number in sorted(runs.items(), key=str)),
            as_of=now,
        )

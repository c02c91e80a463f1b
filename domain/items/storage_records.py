"""Which stores hold or held an item (items-events.md 11)."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs

from domain.canonical import digest
from domain.events.values import ChainHead
from domain.ids import new_id
from domain.instants import wire
from domain.items.values import Contribution, Item


class StorageAction(StrEnum):
    CREATED = "created"
    COPIED = "copied"
    VERIFIED = "verified"
    RETIRED = "retired"


@attrs.frozen
class StoreName:
    """A store as its history tells of it: `kind` is the configured storage, `label` what its operator calls it."""

    store_id: str
    kind: str
    label: str | None = None


@attrs.frozen
class StorageRecord:
    """What happened to an item in a store; append-only, and copied with the item.

    `origin` is the store from which a run copied it, and `digest` what both held then.
    """

    record_id: str
    dfid: str
    store: StoreName
    action: StorageAction
    recorded_at: datetime
    recorded_by: str | None = None
    origin: StoreName | None = None
    run_id: str | None = None
    digest: str | None = None

    @property
    def store_id(self) -> str:
        return self.store.store_id

    @property
    def copied_in(self) -> str | None:
        """What there is one of: a copy of an item in a run."""
        return f"{self.run_id} {self.dfid}" if self.action is StorageAction.COPIED else None


def item_digest(item: Item, contributions: Iterable[Contribution], head: ChainHead | None) -> str:
    """Return the digest of an item as one store holds it: the row, the hashes of its contributions, its chain."""
    hashes = sorted((one.contribution_id, one.hash) for one in contributions)
    chain = None if head is None else {"length": head.version, "hash": head.hash}
    row = attrs.asdict(item, value_serializer=_plain)
    return digest({"v": "defarm-item/1", "item": row, "contributions": hashes, "chain": chain})


def _plain(_: Any, __: Any, value: Any) -> Any:
    return wire(value) if isinstance(value, datetime) else value


def copied(
    dfid: str, item_digest: str, *, origin: StoreName, store: StoreName, run_id: str, now: datetime, by: str | None
) -> StorageRecord:
    """Return the record that a copy of an item leaves in the store that it was copied to."""
    return StorageRecord(new_id(), dfid, store, StorageAction.COPIED, now, by, origin, run_id, item_digest)


def history(item: Item, records: Sequence[StorageRecord], here: StoreName) -> list[StorageRecord]:
    """Return all records of an item in order of time: the first is derived, from when and where it was created."""
    ordered = sorted(records, key=lambda record: (record.recorded_at, record.record_id))
    first = next((record.origin for record in ordered if record.origin is not None), None) or here
    name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{item.key} {first.store_id}"))
    created = StorageRecord(name, item.key, first, StorageAction.CREATED, item.created_at, item.created_by)
    return [created, *ordered]


def standing(records: Sequence[StorageRecord]) -> dict[str, StorageRecord]:
    """Return the last record of each store that holds the item and was not declared out of use, by store."""
    last = {record.store_id: record for record in records if record.action is not StorageAction.RETIRED}
    for record in records:
        if record.action is StorageAction.RETIRED and last[record.store_id].recorded_at <= record.recorded_at:
            del last[record.store_id]
    return last

"""Copying a whole store into an empty one (platform.md 13.2)."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

import attrs

from application.events.verifying import check_chains
from application.moving.comparing import Difference, compared, tallies
from application.moving.reading import Progress, canonical_row, portions
from application.store_life import STORE_KEY
from domain.access.principal import system
from domain.audit.record import audit_entry
from domain.events.values import ChainHead
from domain.ids import new_id
from domain.items.families import read_contributions
from domain.items.storage_records import StorageRecord, StoreName, copied, item_digest
from domain.items.values import Item
from domain.ports.clock import Clock
from domain.ports.moving import PARTS, CannotMove, Holding, Row, Sealed, Source, Target
from domain.ports.schema import AUDIT, CHAINS, ITEMS, STORAGE_RECORDS, Facet, Key
from domain.ports.storage import Reader
from domain.ports.walking import pages
from domain.store import CopyMark, StoreRecord, Tally

ITEMS_AT_ONCE: Final = 200


class Phase(StrEnum):
    """What a copy does after the rows are there, as progress calls it."""

    VERIFYING = "verifying"
    CHAINS = "event chains"
    HISTORY = "storage history"


@attrs.frozen
class CopyReport:
    """What a copy did. `broken` are items whose event chain does not verify; a sound copy has neither those nor
    `differences`, and only a sound one is completed."""

    run_id: str
    store_id: str
    source_id: str
    resumed: bool
    verified: bool
    tallies: tuple[Tally, ...]
    differences: tuple[Difference, ...] = ()
    broken: tuple[str, ...] = ()
    chains: int = 0
    recorded: int = 0

    @property
    def sound(self) -> bool:
        return not (self.differences or self.broken)


def begun_run(name: str, record: StoreRecord | None, filled: Sequence[str], state: str | None, *, resume: bool) -> bool:
    """Tell whether a copy was begun into a store and may go on; raises CannotMove if none may begin nor go on.

    `state` is that of the source now, None when it takes changes.
    """
    if record is None or record.copying is None:
        if record is not None or filled:
            held = ", ".join(filled[:5]) or "a store"
            raise CannotMove(f"{name} is not empty ({held}); a copy needs an empty database. Nothing was changed.")
        return False
    if not resume:
        raise CannotMove(f"{name} holds a copy that was interrupted; say --resume to go on, or empty it.")
    if record.copying.source != state:
        raise CannotMove(
            f"{name} holds an interrupted copy of something else, or the source took changes since it was begun;"
            f" empty {name} and start again."
        )
    return True


@attrs.define
class Copy:
    """One copy. With `keeps_identity` the target becomes the same store again, as a backup that is restored does;
    otherwise it is another one, and the storage history of its items says where they came from."""

    source: Source
    target: Target
    origin: StoreName
    place: StoreName
    clock: Clock
    tell: Progress = lambda part, done, total: None
    verify: bool = True
    keeps_identity: bool = False
    _record: StoreRecord = attrs.field(init=False)

    async def run(self, *, resume: bool = False) -> CopyReport:
        """Copy everything, verify it, and make the target usable. May be run again with `resume` after any end.

        Raises CannotMove before anything is changed, and StorageError.
        """
        await self.target.prepare()
        resumed = await self._begin(resume=resume)
        if self._mark.keeps_identity != self.keeps_identity:
            raise CannotMove(f"{self.target.name} was begun by the other of `storage copy` and `storage restore`.")
        if self._moved < len(PARTS) or self._mark.after is not None:
            async with self.source.standing() as held:
                await self._move(held)
        report = CopyReport(
            run_id=self._mark.run_id,
            store_id=self._record.store_id,
            source_id=self.origin.store_id,
            resumed=resumed,
            verified=self.verify,
            tallies=self._mark.tallies,
        )
        if self.verify and not self._mark.verified:
            report = await self._verified(report)
        if not report.sound:
            return report
        recorded = 0 if self.keeps_identity else await self._tell_items()
        await self._end(recorded)
        return attrs.evolve(report, recorded=recorded)

    @property
    def _mark(self) -> CopyMark:
        assert self._record.copying is not None
        return self._record.copying

    @property
    def _moved(self) -> int:
        return len(self._mark.tallies)

    async def _begin(self, *, resume: bool) -> bool:
        record = await self.target.bears()
        standing = await self.source.sealed()
        state = None if standing is None else standing.state
        filled = [] if record is not None else await self.target.filled()
        if begun_run(self.target.name, record, filled, state, resume=resume):
            assert record is not None and standing is not None
            self._record = record
            self._name(standing.record, record)
            return True
        run_id, now = new_id(), self.clock.now()
        store_id = new_id()
        sealed = standing or await self.source.seal(
            audit_entry(
                system(), now, "storage.sealed", ("store", STORE_KEY), details={"run_id": run_id, "copy": store_id}
            )
        )
        self._record = self._begun(sealed, CopyMark(run_id, sealed.state, now, self.keeps_identity), store_id)
        self._name(sealed.record, self._record)
        await self._take(PARTS[0], ())
        return False

    def _begun(self, sealed: Sealed, mark: CopyMark, store_id: str) -> StoreRecord:
        source = sealed.record
        if source.copying is not None:
            raise CannotMove(f"{self.source.name} holds a copy that was not completed.")
        if self.keeps_identity:
            return attrs.evolve(source, read_only=False, retired=False, copying=mark)
        return StoreRecord(
            store_key=STORE_KEY,
            store_id=store_id,
            wrapped_data_key=source.wrapped_data_key,
            created_at=mark.begun_at,
            setup_value=source.setup_value,
            log_id=source.log_name,
            copying=mark,
        )

    def _name(self, source: StoreRecord, target: StoreRecord) -> None:
        self.origin = attrs.evolve(self.origin, store_id=source.store_id)
        self.place = attrs.evolve(self.place, store_id=target.store_id)

    async def _take(self, part: Facet[Any], rows: Sequence[Row], **members: Any) -> None:
        """Add rows and note in the same unit how far the copy has come."""
        self._record = attrs.evolve(self._record, copying=attrs.evolve(self._mark, **members))
        await self.target.take(part, rows, self._record)

    async def _move(self, held: Holding) -> None:
        under_way = self._mark.after is not None
        for number in range(self._moved - under_way, len(PARTS)):
            part = PARTS[number]
            begun = self._mark.tallies[number] if under_way else None
            after = _key(part, self._mark.after) if under_way else None
            before = self._mark.tallies[:number]
            tally = begun or Tally(part.name)
            async for rows, tally in portions(held, part, self.tell, begun, after):
                if rows:
                    key = part.key_of(rows[-1][0])
                    last = (key,) if isinstance(key, str) else key
                    await self._take(part, rows, tallies=(*before, tally), after=last)
            await self._take(part, (), tallies=(*before, tally), after=None)
            under_way = False

    async def _verified(self, report: CopyReport) -> CopyReport:
        async with self.target.standing() as held:
            there = await tallies(held, lambda part, done, total: self.tell(f"{Phase.VERIFYING} {part}", done, total))
            items = await held.count(ITEMS)
        differences = tuple(compared(self._mark.tallies, there))
        if differences:
            return attrs.evolve(report, differences=differences)
        chains, broken = await self._chains(items)
        report = attrs.evolve(report, chains=chains, broken=tuple(broken))
        if report.sound:
            await self._take(PARTS[0], (), verified=True)
        return report

    async def _chains(self, total: int) -> tuple[int, list[str]]:
        """Verify the event chain of every item; return how many there are, and which are broken."""
        checked, done, broken = 0, 0, list[str]()
        async with self.target.storage.read() as reader:
            async for items in pages(reader, ITEMS, size=ITEMS_AT_ONCE):
                dfids = [item.dfid for item in items if item.dfid is not None]
                broken += [chain.dfid for chain in await check_chains(reader, dfids) if chain.fault is not None]
                checked += len(dfids)
                done += len(items)
                self.tell(Phase.CHAINS, done, total)
        return checked, broken

    async def _tell_items(self) -> int:
        """Append to the storage history of every item that it was copied; return of how many."""
        total = next(tally.rows for tally in self._mark.tallies if tally.part == ITEMS.name)
        done, told = 0, None if self._mark.told is None else (self._mark.told,)
        async with self.target.storage.read() as reader:
            async for items in pages(reader, ITEMS, after=told, size=ITEMS_AT_ONCE):
                records = await self._records(reader, items)
                rows = [(record, canonical_row(record)) for record in records]
                await self._take(STORAGE_RECORDS, rows, told=items[-1].key)
                done += len(items)
                self.tell(Phase.HISTORY, done, total)
            found = await reader.count(STORAGE_RECORDS, {"action": "copied", "run_id": self._mark.run_id}, "run_id")
        return found.get(self._mark.run_id, 0)

    async def _records(self, reader: Reader, items: Sequence[Item]) -> list[StorageRecord]:
        keys = [item.key for item in items if item.dfid is not None]
        heads: dict[Key, ChainHead] = await reader.get_many(CHAINS, keys)
        made = await read_contributions(reader, keys)
        now = self.clock.now()
        return [
            copied(
                item.key,
                item_digest(item, made[item.key], heads.get(item.key)),
                origin=self.origin,
                store=self.place,
                run_id=self._mark.run_id,
                now=now,
                by=None,
            )
            for item in items
            if item.dfid is not None
        ]

    async def _end(self, recorded: int) -> None:
        action = "storage.restored" if self.keeps_identity else "storage.copied"
        details = {"run_id": self._mark.run_id, "from": self.origin.store_id, "items": recorded}
        entry = audit_entry(system(), self.clock.now(), action, ("store", self._record.store_id), details=details)
        whole = attrs.evolve(self._record, copying=None, version=self._record.version + 1)
        await self.target.take(AUDIT, [(entry, canonical_row(entry))], whole)


def _key(part: Facet[Any], after: tuple[str, ...] | None) -> Key | None:
    return after[0] if after is not None and len(part.key) == 1 else after

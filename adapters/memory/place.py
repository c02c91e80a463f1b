"""A store in memory as one end of a copy, for programs that run the engine in their own process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from adapters.memory.storage import MemoryBackend, MemoryStorage
from domain.audit.values import AuditEntry
from domain.ports.moving import DFIDS, NUMBERS, CannotMove, Counter, Row, Sealed
from domain.ports.schema import AUDIT, FACETS, STORE, Facet, Key
from domain.store import StoreRecord

PORTION = 1000


class MemoryHolding:
    """The rows that were there: values are frozen, so that to hold them is to copy them."""

    def __init__(self, backend: MemoryBackend) -> None:
        self._rows = {name: dict(table.rows) for name, table in backend.tables.items()}
        counted = {DFIDS: backend.numbers} | {
            name: table.serials for name, table in backend.tables.items() if table.facet.serial is not None
        }
        self._rows[NUMBERS.name] = {
            (space, owner): Counter(space, owner, last)
            for space, numbers in counted.items()
            for owner, last in numbers.items()
        }

    @property
    def record(self) -> StoreRecord:
        found: list[StoreRecord] = list(self._rows[STORE.name].values())
        if not found:
            raise CannotMove("The store in memory was never opened.")
        return found[0]

    async def count(self, part: Facet[Any]) -> int:
        return len(self._rows[part.name])

    async def rows(self, part: Facet[Any], after: Key | None = None) -> AsyncIterator[Sequence[Any]]:
        rows = self._rows[part.name]
        keys: list[Any] = sorted(key for key in rows if after is None or key > after)  # type: ignore[operator]
        for start in range(0, len(keys), PORTION):
            yield [rows[key] for key in keys[start : start + PORTION]]


class MemoryPlace:
    """A storage in memory of this process."""

    name = "memory"

    def __init__(self, storage: MemoryStorage) -> None:
        self.storage = storage
        backend = storage.backend
        assert isinstance(backend, MemoryBackend)
        self._backend = backend

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[MemoryHolding]:
        yield MemoryHolding(self._backend)

    async def sealed(self) -> Sealed | None:
        record = MemoryHolding(self._backend).record
        return Sealed(record, f"{record.store_id} {record.version}") if record.read_only else None

    async def seal(self, entry: AuditEntry) -> Sealed:
        found = await self.sealed()
        if found is not None:
            return found
        record = MemoryHolding(self._backend).record
        self._change(entry, attrs.evolve(record, read_only=True, version=record.version + 1))
        self._backend.sealed = True
        sealed = await self.sealed()
        assert sealed is not None
        return sealed

    async def release(self, entry: AuditEntry, *, retire: bool) -> StoreRecord:
        before = MemoryHolding(self._backend).record
        record = attrs.evolve(before, read_only=retire, retired=retire, version=before.version + 1)
        self._change(entry, record)
        self._backend.sealed = retire
        return record

    def _change(self, entry: AuditEntry, record: StoreRecord) -> None:
        self._backend.tables[AUDIT.name].load([entry])
        self._backend.tables[STORE.name].load([record])

    async def prepare(self) -> None:
        return None

    async def bears(self) -> StoreRecord | None:
        return next(iter(self._backend.tables[STORE.name].rows.values()), None)

    async def filled(self) -> list[str]:
        return [facet.name for facet in FACETS if self._backend.tables[facet.name].rows]

    async def take(self, part: Facet[Any], rows: Sequence[Row], record: StoreRecord) -> None:
        values = [value for value, _ in rows]
        if part is NUMBERS:
            for number in values:
                self._counted(number.space)[number.owner] = number.last
        else:
            self._backend.tables[part.name].load(values)
        self._backend.tables[STORE.name].load([record])

    def _counted(self, space: str) -> dict[str, int]:
        return self._backend.numbers if space == DFIDS else self._backend.tables[space].serials

    async def aclose(self) -> None:
        return None

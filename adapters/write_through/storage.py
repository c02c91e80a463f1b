"""Reads by key from memory, units committed in PostgreSQL first (architecture.md 3)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import attrs
import psycopg
from psycopg_pool import AsyncConnectionPool

from adapters.changes import Changes
from adapters.postgres.storage import Address, PostgresBackend, PostgresBounds
from adapters.postgres.writers import Entry, own_kind
from adapters.staging import StagedStorage
from adapters.write_through.front import Front
from adapters.write_through.preload import Progress, preload, tell
from adapters.write_through.rows import WORKING_SET, Kept
from adapters.write_through.tenure import Tenure
from domain.ports.errors import OutcomeUnknown, StorageError, WriterRefused
from domain.ports.queries import Condition, Cursor, Scalar, Select
from domain.ports.schema import Facet, Key
from domain.ports.views import View

V = TypeVar("V")


class WriteThroughBackend:
    """Rows of the working set come from memory while the store is provably ours; all else passes through."""

    def __init__(self, backend: PostgresBackend, front: Front, tenure: Tenure) -> None:
        self.backend = backend
        self.front = front
        self.tenure = tenure

    def __repr__(self) -> str:
        return f"write-through {self.backend!r}"

    @property
    def pool(self) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
        return self.backend.pool

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        if facet.name not in self.front.rows or not self.tenure.stands:
            return await self.backend.fetch(facet, keys)
        found, missed = self.front.look(facet, keys)
        return found | await self._load(facet, missed) if missed else found

    async def _load(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        lease = self.front.lease(facet, keys)
        rows: dict[Key, V] | None = None
        try:
            rows = await self.backend.fetch(facet, keys)
        finally:
            self.front.settle(facet, keys, lease, rows)
        return rows

    async def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V]:
        found = self.front.select(facet, query, after, limit) if self.tenure.stands else None
        return await self.backend.select(facet, query, after, limit) if found is None else found

    async def count(self, facet: Facet[V], where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        return await self.backend.count(facet, where, by)

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> list[tuple[Cursor, V]]:
        return await self.backend.view(view, after, limit)

    async def commit(self, changes: Changes) -> None:
        self.tenure.demand()
        self.front.begin(changes)
        try:
            await self.backend.commit(changes)
        except WriterRefused as error:
            self.front.end(changes)
            self.tenure.lose(error)
            raise
        except OutcomeUnknown:
            self.front.end(changes, doubt=True)
            raise
        except StorageError:
            self.front.end(changes)
            raise
        except BaseException:
            self.front.end(changes, doubt=True)
            raise
        self.front.end(changes, committed=True)

    async def take_numbers(self, day: str, count: int) -> range:
        self.tenure.demand()
        return await self.backend.take_numbers(day, count)

    async def numbers_taken(self, day: str) -> int:
        return await self.backend.numbers_taken(day)

    async def ping(self) -> None:
        await self.backend.ping()

    async def aclose(self) -> None:
        await self.backend.aclose()


class WriteThroughStorage(StagedStorage):
    """The storage port over PostgreSQL with the working set in memory, for the one process that writes.

    With `skip_items` what grows with the items is loaded as it is asked for. Lists other than those of the working
    set are PostgreSQL's.
    """

    backend: WriteThroughBackend

    def __init__(
        self,
        url: Address,
        bounds: PostgresBounds,
        *,
        skip_items: bool = False,
        working_set: Sequence[Kept] = WORKING_SET,
        told: Callable[[Progress], None] = tell,
        backend: PostgresBackend | None = None,
    ) -> None:
        self._url = url
        self._told = told
        self._working_set = working_set
        self._skip_items = skip_items
        inner = backend or PostgresBackend(url, bounds, Entry(own_kind()))
        # A busy pool must not cost the proof that the store is ours.
        self._proof = PostgresBackend(url, attrs.evolve(bounds, pool_min=1, pool_max=1), inner.entry)
        super().__init__(WriteThroughBackend(inner, Front(working_set), Tenure(self._proof)))

    async def open(self) -> None:
        """Take hold of the store and load the working set.

        Raises WriterRefused when another engine writes to the store, Unavailable when it does not answer; may be
        called again after that.
        """
        await self._proof.open()
        await self.backend.tenure.begin()
        await self.backend.backend.open()
        self.backend.tenure.keep()
        held = self.backend.front.rows
        skipped = {kept.facet.name for kept in self._working_set if self._skip_items and kept.with_items}
        wanted = [rows for name, rows in held.items() if not rows.complete and name not in skipped]
        if wanted:
            await preload(self._url if isinstance(self._url, str) else self._url(), wanted, self._told)

    async def aclose(self) -> None:
        if not self._closed:
            await self.backend.tenure.end()
        await super().aclose()
        await self._proof.aclose()

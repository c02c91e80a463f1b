"""Reads by key from memory, units committed in PostgreSQL first (architecture.md 3)."""

from collections.abc import Mapping
from typing import Any, TypeVar

from psycopg_pool import AsyncConnectionPool

from adapters.changes import Changes
from adapters.postgres.prepared import PreparingConnection
from adapters.postgres.storage import PostgresBackend
from adapters.postgres.writers import Mark
from adapters.staging import Asked, Found, Wanted
from adapters.write_through.front import Front
from adapters.write_through.tenure import Tenure
from domain.ports.errors import OutcomeUnknown, StorageError, WriterRefused
from domain.ports.queries import Condition, Cursor, Page, Scalar, Select
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
    def pool(self) -> AsyncConnectionPool[PreparingConnection]:
        return self.backend.pool

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        rows = (await self.fetch_each({facet.name: keys}))[facet.name]
        return {key: rows[key] for key in keys if key in rows}

    async def fetch_each(self, wanted: Wanted) -> Found:
        if not self.tenure.stands:
            return await self.backend.fetch_each(wanted)
        found, missed = self.front.look(wanted)
        if missed:
            # Others may have asked at the same time, and be answered with the same.
            told = await self._load(missed)
            for name in missed:
                found[name] |= told[name]
        return found

    async def _load(self, missed: Wanted) -> Found:
        lease = self.front.lease(missed)
        rows: Found | None = None
        try:
            rows = await self.backend.fetch_each(missed)
        finally:
            self.front.settle(missed, lease, rows)
        return rows

    async def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V]:
        found = self.front.select(facet, query, after, limit) if self.tenure.stands else None
        return await self.backend.select(facet, query, after, limit) if found is None else found

    async def select_each(self, asked: Asked, limit: int) -> list[list[Any]]:
        found = [self.front.select(*each, None, limit) if self.tenure.stands else None for each in asked]
        missed = [each for each, rows in zip(asked, found, strict=True) if rows is None]
        told = iter(await self.backend.select_each(missed, limit) if missed else ())
        return [next(told) if rows is None else rows for rows in found]

    async def count(self, facet: Facet[V], where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        return await self.backend.count(facet, where, by)

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> Page[V]:
        return await self.backend.view(view, after, limit)

    async def commit(self, changes: Changes, mark: Mark | None = None) -> None:
        self.tenure.demand()
        self.front.begin(changes)
        try:
            await self.backend.commit(changes, mark=mark)
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

"""The memory store: real units, real conflicts, nothing durable. For tests and demonstrations."""

from collections.abc import Mapping
from typing import Any, TypeVar

from adapters.changes import Changes
from adapters.memory.table import MemoryTable
from adapters.memory.views import evaluate
from adapters.staging import Asked, Found, StagedStorage, Wanted
from domain.ports.errors import ReadOnly
from domain.ports.queries import Condition, Cursor, Page, Scalar, Select, page_of
from domain.ports.schema import FACETS, Facet, Key
from domain.ports.views import View

V = TypeVar("V")


class MemoryBackend:
    """Rows in dictionaries; a commit is one step of the event loop."""

    def __init__(self) -> None:
        self.tables = {facet.name: MemoryTable(facet) for facet in FACETS}
        self.numbers: dict[str, int] = {}
        self.sealed = False

    def __repr__(self) -> str:
        return "memory"

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        rows = self.tables[facet.name].rows
        return {key: rows[key] for key in keys if key in rows}

    async def fetch_each(self, wanted: Wanted) -> Found:
        return {name: self.tables[name].rows for name in wanted}

    async def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V]:
        return self.tables[facet.name].select(query, after, limit)

    async def select_each(self, asked: Asked, limit: int) -> list[list[Any]]:
        return [await self.select(facet, query, None, limit) for facet, query in asked]

    async def count(self, facet: Facet[V], where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        return self.tables[facet.name].count(where, by)

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> Page[V]:
        return page_of(evaluate(self.tables, view, after, limit + 1), limit)

    async def commit(self, changes: Changes) -> None:
        self._refuse_when_sealed()
        for change in changes:
            self.tables[change.facet.name].check(change)
        for change in changes:
            self.tables[change.facet.name].apply(change)

    async def take_numbers(self, day: str, count: int) -> range:
        self._refuse_when_sealed()
        first = self.numbers.get(day, 0) + 1
        self.numbers[day] = first + count - 1
        return range(first, first + count)

    async def numbers_taken(self, day: str) -> int:
        return self.numbers.get(day, 0)

    def _refuse_when_sealed(self) -> None:
        if self.sealed:
            raise ReadOnly("the store takes no changes: it is being copied, or was")

    async def ping(self) -> None:
        return None

    async def aclose(self) -> None:
        return None


class MemoryStorage(StagedStorage):
    """The storage port in memory. Instances over one backend see each other's rows."""

    def __init__(self, backend: MemoryBackend | None = None) -> None:
        super().__init__(backend or MemoryBackend())

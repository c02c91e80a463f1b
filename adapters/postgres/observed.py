"""PostgreSQL, with every call counted: what is measured is the database and not what stands before it."""

from collections.abc import Awaitable, Callable, Mapping
from time import perf_counter
from typing import Any, TypeVar

from adapters.caching.guard import Guard
from adapters.changes import Changes
from adapters.postgres.storage import PostgresBackend
from adapters.postgres.writers import Mark
from adapters.staging import Asked, Found, Wanted
from domain.ports.errors import StorageError
from domain.ports.queries import Condition, Cursor, Page, Scalar, Select
from domain.ports.schema import Facet, Key
from domain.ports.views import View

V = TypeVar("V")
R = TypeVar("R")

Observe = Callable[[str, str, float, str | None], None]
"""Hears of a call: facet, verb, seconds, and the kind of its error."""


class ObservedBackend(PostgresBackend):
    """Tells `observe` of each call, once somebody listens."""

    observe: Observe | None = None

    async def _told(self, facet: str, verb: str, call: Awaitable[R]) -> R:
        if self.observe is None:
            return await call
        begun, error = perf_counter(), None
        try:
            return await call
        except StorageError as failure:
            error = type(failure).__name__
            raise
        finally:
            self.observe(facet, verb, perf_counter() - begun, error)

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        return await self._told(facet.name, "fetch", super().fetch(facet, keys))

    async def fetch_each(self, wanted: Wanted) -> Found:
        return await self._told("several", "fetch", super().fetch_each(wanted))

    async def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V]:
        return await self._told(facet.name, "select", super().select(facet, query, after, limit))

    async def select_each(self, asked: Asked, limit: int) -> list[list[Any]]:
        return await self._told("several", "select", super().select_each(asked, limit))

    async def count(self, facet: Facet[V], where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        return await self._told(facet.name, "count", super().count(facet, where, by))

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> Page[V]:
        return await self._told(type(view).__name__, "view", super().view(view, after, limit))

    async def commit(self, changes: Changes, guard: Guard | None = None, mark: Mark | None = None) -> None:
        await self._told("unit", "commit", super().commit(changes, guard, mark))

    async def take_numbers(self, day: str, count: int) -> range:
        return await self._told("sequences", "take", super().take_numbers(day, count))

    async def numbers_taken(self, day: str) -> int:
        return await self._told("sequences", "fetch", super().numbers_taken(day))

    def connections(self) -> dict[str, int]:
        """Return how many connections there are by state, and how many calls wait for one."""
        found = self.pool.get_stats()
        size, free = found.get("pool_size", 0), found.get("pool_available", 0)
        return {"used": size - free, "free": free, "waiting": found.get("requests_waiting", 0)}

"""Whole lists, read page by page."""

from collections.abc import AsyncIterator
from typing import Any, Protocol, TypeVar

from domain.ports.queries import AnyOf, Cursor, Page, Select
from domain.ports.schema import Facet
from domain.ports.storage import MAX_PAGE, Reader

V = TypeVar("V")


class Paged(Protocol):
    """What answers queries by the page: a reader, a unit, or what watches one being read."""

    async def page(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> Page[V]:
        """Return up to `limit` rows that match, continuing after the cursor of an earlier page."""
        ...


async def pages(
    reader: Paged, facet: Facet[V], query: Select | None = None, after: Cursor | None = None, *, size: int = MAX_PAGE
) -> AsyncIterator[tuple[V, ...]]:
    """Yield the rows of a query, all of the facet without one, up to `size` (1..1000) per statement and never none.

    With `after` they continue after that cursor. Where a column must equal one of no values, nothing is read.
    """
    query = query or Select()
    if AnyOf(()) in query.where.values():
        return
    while True:
        page = await reader.page(facet, query, after, size)
        if page.items:
            yield page.items
        after = page.after
        if after is None:
            return


async def walk_each(reader: Reader, *asked: tuple[Facet[Any], Select]) -> tuple[list[Any], ...]:
    """Return the rows of each query; the first thousand of all of them come in one round trip."""
    found = []
    for (facet, query), page in zip(asked, await reader.page_each(*asked), strict=True):
        rows = list(page.items)
        if page.after is not None:
            async for more in pages(reader, facet, query, page.after):
                rows += more
        found.append(rows)
    return tuple(found)


async def walk(reader: Paged, facet: Facet[V], query: Select) -> AsyncIterator[V]:
    """Yield the rows of a query one by one, read a thousand per statement."""
    async for rows in pages(reader, facet, query):
        for row in rows:
            yield row

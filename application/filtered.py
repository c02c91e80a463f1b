"""Pages of lists whose filter only the reader of a row can judge."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from domain.ports.queries import Cursor, Page, Select
from domain.ports.schema import Facet
from domain.ports.storage import MAX_PAGE, Reader

V = TypeVar("V")
R = TypeVar("R")


async def filtered_page(
    reader: Reader,
    facet: Facet[V],
    query: Select,
    after: Cursor | None,
    limit: int,
    shown: Callable[[Sequence[V]], Awaitable[Sequence[R | None]]],
) -> Page[R]:
    """Return up to `limit` entries of a list, continuing after a cursor.

    `shown` gives for each row its entry, or None for a row that is not part of the list. First as many rows are read
    as a page has when all of them belong to it, then by the thousand until the page is full and one more entry is
    known to follow, so a page is short only at the end.
    """
    kept: list[tuple[V, R]] = []
    size = min(limit + 1, MAX_PAGE)
    while True:
        page = await reader.page(facet, query, after, size)
        size = MAX_PAGE
        entries = await shown(page.items)
        kept += [(row, entry) for row, entry in zip(page.items, entries, strict=True) if entry is not None]
        after = page.after
        if len(kept) > limit:
            last = kept[limit - 1][0]
            cursor = tuple(facet.columns[name](last) for name in (*query.order, *facet.key))
            return Page(tuple(entry for _, entry in kept[:limit]), cursor)
        if after is None:
            return Page(tuple(entry for _, entry in kept))

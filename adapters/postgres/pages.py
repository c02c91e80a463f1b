"""Pages that are asked for again: the server sends their rows only when they are others than this process remembers.

A page is told by the keys of its rows, by the transaction that wrote each of them, and by the run of the server. One
transaction leaves one content of a row, and within a run of the server no two have the same number, so what is told in
the same way has the same content: also where a row was removed and made again, or a whole store was put back.
"""

from functools import lru_cache
from typing import Any, Final

import attrs

from adapters.postgres.codec import decode_again
from adapters.postgres.prepared import Rows
from adapters.postgres.uniting import Query
from adapters.postgres.views import Parameters, tells_writers
from domain.ports.queries import Cursor, Page, page_of
from domain.ports.views import View

Place = tuple[View[Any], Cursor | None, int]
"""A view, where the page begins, and how many rows it may have."""

FEWEST: Final = 10
"""Rows from which on a page is worth to be remembered."""

MOST_ROWS: Final = 512
"""Rows of pages that were asked for more than once that a process remembers."""

MOST_PLACES: Final = 128
"""Pages that it remembers, and others of which it remembers that they were asked for."""


@attrs.frozen(eq=False)
class Known:
    """A page that was asked for again, what it was told by, and how to ask for that."""

    text: str
    parameters: Parameters
    told: str
    page: Page[Any]

    def question(self, view: View[Any]) -> Query:
        """Return the query of what the page is told by at the moment of a view."""
        if "now" not in self.parameters:
            return Query(self.text, self.parameters)
        # Only the views that have a moment put one among the parameters.
        return Query(self.text, self.parameters | {"now": view.now})  # type: ignore[attr-defined]


class Pages:
    """What a process remembers of the pages of views. What was asked for longest ago is forgotten first."""

    def __init__(self) -> None:
        self._once: dict[Place, None] = {}
        self._known: dict[Place, Known] = {}
        self._rows = 0

    def find(self, place: Place) -> Known | None:
        """Return what is known of a page."""
        known = self._known.pop(place, None)
        if known is not None:
            self._known[place] = known
        return known

    def is_asked_again(self, place: Place) -> bool:
        """Tell whether a page was asked for before; only then it is worth more work and memory."""
        return place in self._known or place in self._once

    def note(self, place: Place, rows: Rows) -> None:
        """Remember that a page was asked for, unless its rows are asked for as easily as what tells them."""
        if len(rows) >= FEWEST and tells_writers(place[0]):
            self._once[place] = None
            if len(self._once) > MOST_PLACES:
                del self._once[next(iter(self._once))]

    def hold(self, place: Place, asked: Query, told: str, rows: Rows, page: Page[Any]) -> None:
        """Remember a page unless it became another between its rows and what tells it."""
        self._forget(place)
        self._once.pop(place, None)
        if len(rows) < FEWEST or told != _told(told.partition("|")[0], rows):
            return
        self._known[place] = Known(asked.text, dict(asked.parameters), told, page)
        self._rows += len(page.items)
        while self._rows > MOST_ROWS or len(self._known) > MOST_PLACES:
            self._forget(next(iter(self._known)))

    def _forget(self, place: Place) -> None:
        if place in self._known:
            self._rows -= len(self._known.pop(place).page.items)


def page_from(view: View[Any], kind: type[Any], rows: Rows, limit: int) -> Page[Any]:
    """Return the page of `limit` rows that the statement of a view answered with one more."""
    last = -1 if tells_writers(view) else None
    return page_of([(row[1:last], decode_again(kind, row[0])) for row in rows], limit)


@lru_cache(256)
def telling(text: str) -> str:
    """Return the statement that tells a page, given the one that asks for its rows."""
    return (
        f"select concat(pg_postmaster_start_time(), '|', string_agg(q.last || ' ' || q.xmin, ',')) from ({text}) as q"
    )


def _told(run: str, rows: Rows) -> str:
    return f"{run}|{','.join([f'{row[-2]} {int.from_bytes(row[-1])}' for row in rows])}"

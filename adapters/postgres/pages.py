"""Pages that are asked for again: the server sends their rows only when they are others than this process remembers.

A page is told by the keys of its rows, by the transaction that wrote each of them, and by the run of the server. One
transaction leaves one content of a row, and within a run of the server no two have the same number, so what is told in
the same way has the same content: also where a row was removed and made again, or a whole store was put back.
"""

from functools import lru_cache
from typing import Any, Final, Generic, TypeVar

import attrs

from adapters.postgres.codec import decode_again
from adapters.postgres.prepared import Rows
from adapters.postgres.views import Parameters, tells_writers, view_query
from domain.ports.queries import Cursor, Page, page_of
from domain.ports.views import View

V = TypeVar("V")
Place = tuple[View[Any], Cursor | None, int]

MOST_ROWS: Final = 512
"""Rows of pages that were asked for more than once that a process remembers."""

MOST_PLACES: Final = 128
"""Pages that it remembers, and others of which it remembers that they were asked for."""

_NOTHING: Final = ""
"""What tells no page."""

_EMPTY: Final[Page[Any]] = Page(())


@attrs.frozen(eq=False)
class _Remembered:
    """The statement that asks for a page again, and what the page was told by when it was this one."""

    kind: type[Any]
    text: str
    parameters: Parameters
    told: str = _NOTHING
    page: Page[Any] = _EMPTY


@attrs.frozen(eq=False)
class Asked(Generic[V]):
    """A statement that asks for a page, and what is remembered of it if it is asked for again."""

    place: Place
    kind: type[V]
    text: str
    parameters: Parameters
    known: _Remembered | None = None


class Pages:
    """What a process remembers of the pages of views. What was asked for longest ago is forgotten first."""

    def __init__(self) -> None:
        self._once: dict[Place, None] = {}
        self._held: dict[Place, _Remembered] = {}
        self._rows = 0

    def asked(self, view: View[V], after: Cursor | None, limit: int) -> Asked[V]:
        """Return what to ask the server for one page. Only of pages that are asked for again is anything remembered."""
        place = (view, after, limit)
        known = self._held.get(place) or self._again(place)
        if known is None:
            return Asked(place, *view_query(view, after, limit + 1))
        parameters = known.parameters | {"told": known.told}
        if "now" in parameters:
            parameters["now"] = view.now  # type: ignore[attr-defined]
        return Asked(place, known.kind, known.text, parameters, known)

    def _again(self, place: Place) -> _Remembered | None:
        view, after, limit = place
        if not tells_writers(view):
            return None
        if place in self._once:
            kind, text, parameters = view_query(view, after, limit + 1)
            return _Remembered(kind, _unless_told(text), parameters)
        self._once[place] = None
        if len(self._once) > MOST_PLACES:
            del self._once[next(iter(self._once))]
        return None

    def found(self, asked: Asked[V], rows: Rows) -> Page[V]:
        """Return the page that was asked for: the very same one while it is told by the same."""
        known, limit = asked.known, asked.place[2]
        if known is None:
            last = -1 if tells_writers(asked.place[0]) else None
            return page_of([(row[1:last], decode_again(asked.kind, row[0])) for row in rows], limit)
        if rows:
            told = rows[0][0]
            found = [(row[2:-2], decode_again(asked.kind, row[1])) for row in rows if row[1] is not None]
            known = attrs.evolve(known, told=told, page=page_of(found, limit))
        self._hold(asked.place, known)
        return known.page

    def _hold(self, place: Place, known: _Remembered) -> None:
        self._forget(place)
        self._once.pop(place, None)
        self._held[place] = known
        self._rows += len(known.page.items)
        while self._rows > MOST_ROWS or len(self._held) > MOST_PLACES:
            self._forget(next(iter(self._held)))

    def _forget(self, place: Place) -> None:
        if place in self._held:
            self._rows -= len(self._held.pop(place).page.items)


@lru_cache(256)
def _unless_told(text: str) -> str:
    """Return the statement of a page that answers nothing when the page is told by what it was told by before."""
    return f"""with page as materialized (select q.*, row_number() over () as n from ({text}) q),
        now_told as (select concat(pg_postmaster_start_time(), ' ', string_agg(last || ' ' || xmin, ',' order by n))
            as told from page)
        select case when coalesce(p.n, 1) = 1 then s.told end, p.* from now_told s left join page p on true
        where s.told <> %(told)s order by p.n"""

"""What forbids a unit, asked of the rows on their way and of those that PostgreSQL has."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol

import attrs

from adapters.changes import GONE, Changes, FacetChanges
from adapters.postgres.codec import encode
from adapters.write_through.waiting import Held, Waiting, held_by, outcome
from domain.ports.errors import AlreadyExists, Stale
from domain.ports.queries import AnyOf, Cursor, Select
from domain.ports.schema import Facet, Key

MOST_ROWS: Final = 1000
"""Rows of a unit that is acknowledged before PostgreSQL has it; larger ones wait for it."""

_LONGEST_TEXT: Final = 500
_LONGEST_BODY: Final = 200_000


class Rows(Protocol):
    """Committed rows, as a Backend knows them."""

    async def fetch(self, facet: Facet[Any], keys: list[Key]) -> dict[Key, Any]: ...

    async def select(self, facet: Facet[Any], query: Select, after: Cursor | None, limit: int) -> list[Any]: ...


def early(changes: Changes) -> bool:
    """Tell whether a unit may be acknowledged before PostgreSQL has it: it is small, and nothing is odd about it."""
    rows = [(each.facet, value) for each in changes for _, value in outcome(each)]
    return len(rows) <= MOST_ROWS and all(value is GONE or _plain(facet, value) for facet, value in rows)


def _plain(facet: Facet[Any], value: Any) -> bool:
    """Tell whether PostgreSQL takes a row for sure: no index is too narrow for it, no text holds a NUL."""
    body = encode(value)
    texts = [column for name in facet.columns if isinstance(column := facet.columns[name](value), str)]
    return len(body) <= _LONGEST_BODY and "\\u0000" not in body and not any(len(each) > _LONGEST_TEXT for each in texts)


def places(changes: Changes) -> tuple[set[Any], set[Any]]:
    """Return what a unit must hold alone, rows and unique values, and what it may share with others."""
    alone: set[Any] = set()
    shared: set[Any] = set()
    for change in changes:
        for key, value in outcome(change):
            alone.add((change.facet.name, key))
            alone.update(held_by(change.facet, value))
        shared.update((change.facet.name, key) for key in change.confirms)
    return alone, shared - alone


@attrs.frozen
class Checker:
    """Decides about units; whoever asks holds the places of the unit, so that the decision stays true."""

    waiting: Waiting
    stored: Rows

    async def check(self, changes: Changes) -> None:
        """Raise Stale or AlreadyExists, as the store would. Raises what asking it raises."""
        for change in changes:
            rows = await self._rows(change)
            _stand(change, rows)
            if change.facet.unique:
                await self._unique(change, rows)

    async def _rows(self, change: FacetChanges) -> dict[Key, Any]:
        facet = change.facet
        keys: list[Key] = list(dict.fromkeys([*change.confirms, *change.removes, *change.saves, *change.adds]))
        own = {key: value for key in keys if (value := self.waiting.find(facet, key)) is not None}
        asked = [key for key in keys if key not in own]
        stored = await self.stored.fetch(facet, asked) if asked else {}
        return stored | {key: value for key, value in own.items() if value is not GONE}

    async def _unique(self, change: FacetChanges, rows: dict[Key, Any]) -> None:
        facet = change.facet
        taken: Counter[Held] = Counter()
        wanted: dict[Held, Key] = {}
        for key, value in outcome(change):
            before = set(held_by(facet, rows.get(key)))
            for held in held_by(facet, value):
                taken[held] += 1
                if taken[held] > 1:
                    raise AlreadyExists(facet.name, key)
                if held not in before:
                    wanted[held] = key
        gone = change.removes.keys() | change.saves.keys()
        for held in list(wanted):
            holder = self.waiting.holders.get(held)
            if holder is not None and holder not in gone:
                raise AlreadyExists(facet.name, wanted[held])
        for columns in facet.unique:
            await self._stored_holders(facet, columns, {h: k for h, k in wanted.items() if h[1] == columns}, gone)

    async def _stored_holders(
        self, facet: Facet[Any], columns: tuple[str, ...], wanted: dict[Held, Key], gone: Iterable[Key]
    ) -> None:
        """Raise AlreadyExists when a row of PostgreSQL that nobody is changing holds one of the values."""
        for query in _queries(columns, list(wanted)):
            on_their_way = self.waiting.of(facet).keys() | set(gone)
            for value in await self.stored.select(facet, query, None, MOST_ROWS + 1):
                if facet.key_of(value) in on_their_way:
                    continue
                for held in held_by(facet, value):
                    if held in wanted:
                        raise AlreadyExists(facet.name, wanted[held])


def _queries(columns: tuple[str, ...], wanted: Sequence[Held]) -> list[Select]:
    """Return the queries that find the holders, one for a single column, else one for each value."""
    if not wanted:
        return []
    if len(columns) == 1:
        return [Select({columns[0]: AnyOf(tuple(held[2][0] for held in wanted))})]
    return [Select(dict(zip(columns, held[2], strict=True))) for held in wanted]


def _stand(change: FacetChanges, rows: dict[Key, Any]) -> None:
    name = change.facet.name
    relied: list[tuple[Key, int | None]] = [*change.confirms.items()]
    relied += [(key, expected) for key, (_, expected) in (*change.removes.items(), *change.saves.items())]
    for key, version in relied:
        held = rows.get(key)
        if held is None or (version is not None and held.version != version):
            raise Stale(name, key)
    for key in change.adds:
        if key in rows:
            raise AlreadyExists(name, key)

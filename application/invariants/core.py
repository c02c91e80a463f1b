"""What an invariant is, and how a whole store is held against all of them in bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, TypeVar

import attrs

from domain.ports.schema import Facet, Key
from domain.ports.storage import Reader, Storage
from domain.ports.walking import pages

V = TypeVar("V")

PAGE = 500
PAUSES = (0.05, 0.5)
"""Seconds before a suspicion is looked at again: a unit may have committed between two reads."""

Judge = Callable[[Reader, Sequence[V]], AsyncIterator[tuple[V, str]]]
"""Yields what is wrong with rows of one page, each with the row that it is wrong of."""


@attrs.frozen
class Breach:
    """Something in the store that must never be: which rule and judge, which row, in words, and what to do about it."""

    rule: str
    judge: str
    facet: str
    key: Key
    what: str
    remedy: str


@attrs.frozen
class Invariant:
    """One rule about the rows of a facet. `rule` names where it stands, as `circuits 7.1`."""

    rule: str
    facet: Facet[Any]
    judge: Judge[Any]
    remedy: str

    @property
    def name(self) -> str:
        """The name of the function that judges, which no other rule has."""
        return self.judge.__name__


INVARIANTS: list[Invariant] = []
"""Every rule, in the order in which they are checked."""

EXPLAINED = "Nothing in the engine writes this. Restore a backup from before, and report it with this line."


def invariant(rule: str, facet: Facet[V], remedy: str = EXPLAINED) -> Callable[[Judge[V]], Judge[V]]:
    """Declare a function as the judge of a rule about the rows of a facet."""

    def declared(judge: Judge[V]) -> Judge[V]:
        INVARIANTS.append(Invariant(rule, facet, judge, remedy))
        return judge

    return declared


async def breaches(storage: Storage, only: Iterable[str] = ()) -> AsyncIterator[Breach]:
    """Yield what breaks the invariants named (all of them when none is), each found again by a second look.

    The store may be in use. Rows are read by pages of 500, and at most one page is held at a time.
    """
    wanted = frozenset(only)
    for one in INVARIANTS:
        if not wanted or one.name in wanted:
            async for breach in _breaches(storage, one):
                yield breach


async def _breaches(storage: Storage, one: Invariant) -> AsyncIterator[Breach]:
    async with storage.read() as reader:
        async for rows in pages(reader, one.facet, size=PAGE):
            for row, what in await _standing(reader, one, rows):
                yield Breach(one.rule, one.name, one.facet.name, one.facet.key_of(row), what, one.remedy)


async def _standing(reader: Reader, one: Invariant, rows: Sequence[Any]) -> list[tuple[Any, str]]:
    """Return what is wrong with these rows, as far as it still is after a while."""
    found = [each async for each in one.judge(reader, rows)]
    for pause in PAUSES:
        if not found:
            break
        await asyncio.sleep(pause)
        keys = list(dict.fromkeys(one.facet.key_of(row) for row, _ in found))
        again = list((await reader.get_many(one.facet, keys)).values())
        found = [each async for each in one.judge(reader, again)]
    return found

"""Checking whole chains against the store (items-events.md 10.6)."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, TypeVar

import attrs

from domain.events.chain import ChainFault, is_erased
from domain.events.history import commits, first_fault
from domain.events.values import ChainHead, Event
from domain.items.values import Contribution
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import CHAINS, CONTRIBUTIONS, EVENTS, ITEMS, Facet
from domain.ports.storage import Reader
from domain.ports.walking import pages, walk

V = TypeVar("V")
AT_ONCE = 200


@attrs.frozen
class Chain:
    """What was found. `erased` counts events and contributions; `fault` is the first one."""

    dfid: str
    length: int
    head_hash: str | None
    erased: int
    fault: tuple[int, ChainFault] | None


async def check_chains(reader: Reader, dfids: Sequence[str]) -> list[Chain]:
    """Read chains and check them in order, each up to the head that stood when reading began.

    Contributions are read before events, so that each has its event; what is appended meanwhile is left out.
    """
    heads = await _heads(reader, dfids)
    contributions = await _all(reader, CONTRIBUTIONS, "item", dfids, ("recorded_at", "contribution_id"))
    events = await _all(reader, EVENTS, "dfid", dfids, ("position",))
    later = await _heads(reader, dfids)
    return [
        _checked(dfid, events[dfid], heads.get(dfid), contributions[dfid], moved=heads.get(dfid) != later.get(dfid))
        for dfid in dfids
    ]


async def registered(reader: Reader) -> AsyncIterator[list[str]]:
    """Yield the DFIDs of all items, some at a time."""
    async for items in pages(reader, ITEMS, size=AT_ONCE):
        yield [item.dfid for item in items if item.dfid is not None]


def _checked(
    dfid: str, events: list[Event], head: ChainHead | None, contributions: list[Contribution], *, moved: bool
) -> Chain:
    length = head.version if head is not None and moved else len(events)
    events, later = events[:length], events[length:]
    committed_later = {event.payload["contribution_id"] for event in later if commits(event) and event.payload}
    known = [one for one in contributions if one.contribution_id not in committed_later]
    return Chain(
        dfid=dfid,
        length=len(events),
        head_hash=head.hash if head is not None else None,
        erased=sum(map(is_erased, events)) + sum(contribution.salt is None for contribution in known),
        fault=first_fault(events, head, known),
    )


async def _heads(reader: Reader, dfids: Sequence[str]) -> dict[str, ChainHead]:
    return {head.dfid: head for head in (await reader.get_many(CHAINS, dfids)).values()}


async def _all(
    reader: Reader, facet: Facet[V], column: str, dfids: Sequence[str], order: tuple[str, ...]
) -> dict[str, list[V]]:
    """Return all rows of these items, by item, in order."""
    found: dict[str, list[V]] = {dfid: [] for dfid in dfids}
    query = Select({column: AnyOf(tuple(dfids))}, (column, *order))
    item: Callable[[Any], Any] = facet.columns[column]
    async for row in walk(reader, facet, query):
        found[item(row)].append(row)
    return found

"""Checking a whole chain against the store (items-events.md 10.6)."""

import attrs

from domain.events.chain import ChainFault, is_erased
from domain.events.history import commits, first_fault
from domain.events.values import ChainHead, Event
from domain.items.values import Contribution
from domain.ports.queries import Cursor, Select
from domain.ports.schema import CHAINS, CONTRIBUTIONS, EVENTS
from domain.ports.storage import MAX_PAGE, Reader


@attrs.frozen
class Chain:
    """What was found. `erased` counts events and contributions; `fault` is the first one."""

    length: int
    head_hash: str | None
    erased: int
    fault: tuple[int, ChainFault] | None


async def check_chain(reader: Reader, dfid: str) -> Chain:
    """Read a chain and check it, up to the head that stood when reading began.

    Contributions are read before events, so that each has its event; what is appended meanwhile is left out.
    """
    head = await reader.find(CHAINS, dfid)
    contributions = await _contributions(reader, dfid)
    events = await _events(reader, dfid)
    moved = await reader.find(CHAINS, dfid) != head
    length = head.version if head is not None and moved else len(events)
    events, later = events[:length], events[length:]
    committed_later = {event.payload["contribution_id"] for event in later if commits(event) and event.payload}
    known = [one for one in contributions if one.contribution_id not in committed_later]
    return _chain(events, head, known)


def _chain(events: list[Event], head: ChainHead | None, contributions: list[Contribution]) -> Chain:
    erased = sum(map(is_erased, events)) + sum(contribution.salt is None for contribution in contributions)
    return Chain(
        length=len(events),
        head_hash=head.hash if head is not None else None,
        erased=erased,
        fault=first_fault(events, head, contributions),
    )


async def _events(reader: Reader, dfid: str) -> list[Event]:
    found: list[Event] = []
    after: Cursor | None = None
    while True:
        page = await reader.page(EVENTS, Select({"dfid": dfid}, ("position",)), after, MAX_PAGE)
        found += page.items
        after = page.after
        if after is None:
            return found


async def _contributions(reader: Reader, dfid: str) -> list[Contribution]:
    found: list[Contribution] = []
    query = Select({"item": dfid}, ("recorded_at", "contribution_id"))
    after: Cursor | None = None
    while True:
        page = await reader.page(CONTRIBUTIONS, query, after, MAX_PAGE)
        found += page.items
        after = page.after
        if after is None:
            return found

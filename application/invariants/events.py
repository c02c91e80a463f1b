"""Chains of events, alone and against what they tell of (items-events.md 14.5, 14.10 to 14.13, 14.22)."""

from collections.abc import AsyncIterator, Sequence

import attrs

from application.events.verifying import AT_ONCE, check_chains
from application.invariants.core import invariant
from domain.access.vocabulary import EventVisibility, ItemStatus
from domain.document import EMPTY
from domain.events.values import ChainHead, Event, EventType
from domain.items.values import Item
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import ACCOUNTS, CHAINS, EVENTS, ITEMS
from domain.ports.storage import Reader
from domain.ports.walking import walk

TOLD = (EventType.MERGED, EventType.UNMERGED, EventType.STATUS_CHANGED, EventType.TRANSFERRED)
SETTLED = frozenset({ItemStatus.ACTIVE, ItemStatus.DEPRECATED})


@invariant("items 14.10, 14.11", CHAINS, "GET /api/events/item/{dfid}/verify tells more. Restore it from a backup.")
async def chains_verify(reader: Reader, rows: Sequence[ChainHead]) -> AsyncIterator[tuple[ChainHead, str]]:
    """Positions, times, links and hashes are right up to the head, and every contribution is committed once."""
    for start in range(0, len(rows), AT_ONCE):
        some = {row.dfid: row for row in rows[start : start + AT_ONCE]}
        for chain in await check_chains(reader, list(some)):
            if chain.fault is not None:
                yield some[chain.dfid], f"its chain is broken at position {chain.fault[0]}: {chain.fault[1].value}"


@invariant("items 14.11", ITEMS)
async def every_item_has_a_chain_that_begins(reader: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """The first event of every item tells that it was created."""
    dfids = [row.dfid for row in rows if row.dfid is not None]
    query = Select({"dfid": AnyOf(tuple(dfids)), "position": 1}, ("dfid",))
    first = {event.dfid: event.event_type async for event in walk(reader, EVENTS, query)}
    for row in rows:
        if row.dfid is not None and first.get(row.dfid) is not EventType.CREATED:
            yield row, f"its chain begins with {first.get(row.dfid)}"


@invariant("items 14.13, 14.22", EVENTS)
async def events_have_what_their_kind_needs(reader: Reader, rows: Sequence[Event]) -> AsyncIterator[tuple[Event, str]]:
    """Circuit, recipient and category stand where they belong, and the author exists."""
    authors = sorted({row.author_user_id for row in rows if row.author_user_id is not None})
    known = {account.user_id for account in (await reader.get_many(ACCOUNTS, authors)).values()}
    for row in rows:
        if row.visibility is EventVisibility.CIRCUIT_ONLY and row.circuit_id is None:
            yield row, "is for a circuit and names none"
        if (row.visibility is EventVisibility.DIRECT) != (row.recipient_user_id is not None):
            yield row, f"is {row.visibility} and has the recipient {row.recipient_user_id}"
        if (row.event_type in (EventType.RECORDED, EventType.CERTIFIED)) != (row.category is not None):
            yield row, f"is {row.event_type} and has the category {row.category}"
        if row.author_user_id is not None and row.author_user_id not in known:
            yield row, f"is by {row.author_user_id}, who does not exist"


@attrs.define
class _Story:
    """What the chain of one item says of it last; nothing certain where an event of these kinds was `erased`."""

    status: str | None = None
    owner: str | None = None
    into: dict[str, bool] = attrs.field(factory=dict)
    absorbed: dict[str, bool] = attrs.field(factory=dict)

    erased: bool = False

    def take(self, event: Event) -> None:
        self.erased = self.erased or event.payload is None
        told = event.payload or EMPTY
        if event.event_type is EventType.STATUS_CHANGED:
            self.status = str(told.get("to"))
        elif event.event_type is EventType.TRANSFERRED:
            self.owner = str(told.get("to_workspace_id"))
        else:
            side = self.into if told.get("role") == "source" else self.absorbed
            side[str(told.get("other_dfid"))] = event.event_type is EventType.MERGED


@invariant("items 14.5, 14.12", ITEMS)
async def items_are_what_their_chains_tell(reader: Reader, rows: Sequence[Item]) -> AsyncIterator[tuple[Item, str]]:
    """Status, owner and mergers are those of the latest event that tells of them, on both sides."""
    items = {row.dfid: row for row in rows if row.dfid is not None}
    stories = await _stories(reader, list(items))
    others = {other for story in stories.values() for side in (story.into, story.absorbed) for other in side}
    twins = await _stories(reader, sorted(others - stories.keys())) | stories
    for dfid, item in items.items():
        story = stories.get(dfid, _Story())
        if story.erased:
            continue
        settled = item.status in SETTLED and story.status in SETTLED
        if settled and story.status != item.status:
            yield item, f"is {item.status}, its chain says {story.status}"
        if story.owner not in (None, item.workspace_id):
            yield item, f"is owned by {item.workspace_id}, its chain says {story.owner}"
        if {other for other, stands in story.into.items() if stands} != _named(item.lineage.merged_into):
            yield item, "is merged into something else than its chain says"
        if {other for other, stands in story.absorbed.items() if stands} != set(item.lineage.merged_from):
            yield item, "absorbed something else than its chain says"
        for other, stands in story.into.items():
            twin = twins.get(other, _Story())
            if twin.absorbed.get(dfid) is not stands and not twin.erased:
                yield item, f"its chain tells of {other} what the chain of {other} does not"


def _named(dfid: str | None) -> set[str]:
    return set() if dfid is None else {dfid}


async def _stories(reader: Reader, dfids: Sequence[str]) -> dict[str, _Story]:
    stories: dict[str, _Story] = {}
    kinds = AnyOf(tuple(kind.value for kind in TOLD))
    query = Select({"dfid": AnyOf(tuple(dfids)), "event_type": kinds}, ("dfid", "position"))
    async for event in walk(reader, EVENTS, query):
        stories.setdefault(event.dfid, _Story()).take(event)
    return stories

"""Use cases of the public page: everybody's view of a circuit (circuits.md 4.16)."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import attrs

from application.circuits.page_door import PageDoor, PageTokens
from application.circuits.page_views import (
    Paged,
    PageToken,
    PageView,
    PublicEventView,
    PublicItemView,
    page_view,
    public_event_view,
    public_item_view,
)
from application.circuits.tallies import ON_PAGE, Tallies
from application.units import Units
from domain.access.decide import Action, page_state
from domain.access.facts import PageFact
from domain.access.principal import Principal
from domain.access.vocabulary import EventVisibility, PageState, PublicAccessMode
from domain.circuits.facts import circuit_fact, item_fact, placement_fact
from domain.circuits.scene import Scene, Visit, scene
from domain.circuits.values import Circuit, Placement
from domain.errors import Refusal, not_found
from domain.events.values import Event, EventType
from domain.items.search import words
from domain.items.values import Item
from domain.ports.queries import AnyOf, Between, Condition, Cursor, Page, Select
from domain.ports.schema import CHAINS, CIRCUITS, EVENTS, ITEMS, PLACEMENTS, WORKSPACES
from domain.ports.storage import Reader
from domain.ports.views import DirectoryView
from domain.ports.walking import walk

V = TypeVar("V")

_INSTANT = timedelta(microseconds=1)


@attrs.frozen
class PublicPage(Page[V], Generic[V]):
    """One page of a list of a public page; `protected` when the page asked for a password."""

    protected: bool = False


@attrs.define
class Pages:
    """What anybody may read of circuits that show themselves.

    `page_token` is what the caller sent as such; a bad one counts as none. All raise Refusal `not_found` where
    the page is closed and `page_password_required` where it asks for a password.
    """

    units: Units
    door: PageDoor
    tokens: PageTokens
    tallies: Tallies

    async def token(self, principal: Principal, circuit_id: str, password: str) -> PageToken:
        """Exchange the page's password for a token.

        Raises Refusal `not_found`, `page_not_protected`, `rate_limited`, `page_password_wrong`, `overloaded`.
        """
        async with self.units.storage.read() as reader:
            circuit = await reader.find(CIRCUITS, circuit_id)
        state = PageState.CLOSED if circuit is None else page_state(circuit_fact(circuit), self._now())
        if circuit is None or state is PageState.CLOSED:
            raise not_found()
        if state is PageState.OPEN:
            raise Refusal("page_not_protected", "This page is open and needs no token.")
        issued = self.tokens.issue(await self.door.verified(principal, circuit, password), self._now())
        return PageToken(issued.text, issued.expires_at)

    def proved(self, page_token: str | None) -> tuple[PageFact, ...]:
        """Return what a page token proves."""
        return self.tokens.facts(page_token)

    async def page(self, principal: Principal, circuit_id: str, page_token: str | None = None) -> Paged:
        """Return the page of a circuit, a PageView."""
        async with self.units.storage.read() as reader:
            circuit = (await self._opened(reader, principal, circuit_id, page_token)).circuit
            view = (await self._views(reader, [circuit]))[0]
        return Paged(view, _is_protected(circuit))

    async def directory(
        self, q: str | None = None, after: Cursor | None = None, limit: int = 50
    ) -> PublicPage[PageView]:
        """Return the pages that are open to everybody, newest first; `q` looks in their names and taglines."""
        wanted = () if q is None else words(q)
        async with self.units.storage.read() as reader:
            found = await reader.view(DirectoryView(self._now(), wanted), after, limit)
            return PublicPage(tuple(await self._views(reader, found.items)), found.after)

    async def _views(self, reader: Reader, circuits: Sequence[Circuit]) -> list[PageView]:
        tallies = await self.tallies.of(reader, [one.circuit_id for one in circuits], ON_PAGE)
        counted = {one: tally.numbers for one, tally in tallies.items()}
        return [
            page_view(one, counted[one.circuit_id]["members"], counted[one.circuit_id]["published_items"])
            for one in circuits
        ]

    async def items(
        self,
        principal: Principal,
        circuit_id: str,
        page_token: str | None = None,
        after: Cursor | None = None,
        limit: int = 50,
    ) -> PublicPage[PublicItemView]:
        """Return what a page shows, newest publication first."""
        query = Select({"circuit_id": circuit_id, "published": True}, ("published_at", "placement_id"), descending=True)
        async with self.units.storage.read() as reader:
            circuit = (await self._opened(reader, principal, circuit_id, page_token)).circuit
            page = await reader.page(PLACEMENTS, query, after, limit)
            found = await reader.get_many(ITEMS, [row.dfid for row in page.items])
            views = await _item_views(reader, circuit, page.items, {item.key: item for item in found.values()})
        return PublicPage(tuple(views), page.after, _is_protected(circuit))

    async def item(self, principal: Principal, circuit_id: str, dfid: str, page_token: str | None = None) -> Paged:
        """Return one published item, a PublicItemView. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            circuit, placement, item = await self._published(reader, principal, circuit_id, dfid, page_token)
            view = (await _item_views(reader, circuit, [placement], {item.key: item}))[0]
        return Paged(view, _is_protected(circuit))

    async def events(
        self,
        principal: Principal,
        circuit_id: str,
        dfid: str,
        page_token: str | None = None,
        after: Cursor | None = None,
        limit: int = 50,
    ) -> PublicPage[PublicEventView]:
        """Return the public events of a published item, in the order they were recorded. Raises `not_found`."""
        async with self.units.storage.read() as reader:
            circuit, _, _ = await self._published(reader, principal, circuit_id, dfid, page_token)
            page = await reader.page(EVENTS, _public_events(dfid, after), limit=limit)
            views = await _event_views(reader, page.items)
        # The position, by which events are stored, would count what is hidden.
        continues = None if page.after is None else (page.items[-1].recorded_at,)
        return PublicPage(tuple(views), continues, _is_protected(circuit))

    async def _opened(self, reader: Reader, principal: Principal, circuit_id: str, page_token: str | None) -> Scene:
        at = await scene(reader, principal, circuit_id)
        pages = {"pages": self.proved(page_token)}
        at.require(Visit(principal, self._now()), Action.CIRCUIT_VIEW_PAGE, facts=pages)
        return at

    async def _published(
        self, reader: Reader, principal: Principal, circuit_id: str, dfid: str, page_token: str | None
    ) -> tuple[Circuit, Placement, Item]:
        at = await self._opened(reader, principal, circuit_id, page_token)
        placement = await reader.find(PLACEMENTS, (circuit_id, dfid))
        item = await reader.find(ITEMS, dfid)
        if placement is None or item is None:
            raise not_found()
        facts = {
            "pages": self.proved(page_token),
            "placements": (placement_fact(placement),),
            "items": (item_fact(item),),
        }
        visit = Visit(principal, self._now())
        return at.require(visit, Action.ITEM_VIEW_PUBLIC, facts=facts, dfid=dfid), placement, item

    def _now(self) -> datetime:
        return self.units.clock.now()


def _is_protected(circuit: Circuit) -> bool:
    return circuit.public_settings.access_mode is PublicAccessMode.PROTECTED


async def _item_views(
    reader: Reader, circuit: Circuit, placements: Sequence[Placement], items: Mapping[str, Item]
) -> list[PublicItemView]:
    chains = await reader.get_many(CHAINS, [row.dfid for row in placements])
    counted = {head.dfid: head.public for head in chains.values()}
    return [
        public_item_view(circuit, row, items[row.dfid], counted.get(row.dfid, 0))
        for row in placements
        if row.dfid in items
    ]


def _public_events(dfid: str, after: Cursor | None) -> Select:
    """Along a chain times only grow, so the order of positions is the order of recording."""
    later = {} if after is None else {"recorded_at": Between(_after(after))}
    return Select({"dfid": dfid, "visibility": EventVisibility.PUBLIC, **later}, ("position",))


def _after(cursor: Cursor) -> datetime:
    last = cursor[0]
    assert isinstance(last, datetime)
    return last + _INSTANT


async def _event_views(reader: Reader, events: Sequence[Event]) -> list[PublicEventView]:
    corrections = await _corrections(reader, events)
    certifiers = {one.author_workspace_id for one in events if one.event_type is EventType.CERTIFIED}
    found = await reader.get_many(WORKSPACES, sorted(one for one in certifiers if one is not None))
    names = {home.workspace_id: home.name for home in found.values()}
    return [
        public_event_view(
            event,
            corrections.get(event.event_id, ()),
            names.get(event.author_workspace_id or "") if event.event_type is EventType.CERTIFIED else None,
        )
        for event in events
    ]


async def _corrections(reader: Reader, events: Sequence[Event]) -> dict[str, list[str]]:
    """Return the public corrections of events of one item."""
    if not events:
        return {}
    corrected = AnyOf(tuple(event.event_id for event in events))
    where: dict[str, Condition] = {"dfid": events[0].dfid, "corrects": corrected, "visibility": EventVisibility.PUBLIC}
    found: dict[str, list[str]] = {}
    async for event in walk(reader, EVENTS, Select(where, ("position",))):
        found.setdefault(str(event.corrects), []).append(event.event_id)
    return found

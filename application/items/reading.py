"""Reading items: one, by identifier, and lists (items-events.md 9)."""

from datetime import datetime
from functools import partial

from application.ahead import NOTHING_AHEAD, Ahead
from application.facts import about, absent_facts, circuit_facts, items_facts
from application.items.requests import ItemAccess, ItemFilter, ItemSearch, SoughtIdentifier, StatusFilter
from application.items.views import ItemView, MappingView, Through, as_offered, item_view, item_views, row_view
from application.remembering import Attached
from application.units import Units
from domain.access.decide import Action, Decision, GroundKind, decide, require
from domain.access.facts import Facts
from domain.access.principal import Principal
from domain.access.vocabulary import ItemStatus
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.identifiers import (
    Evidence,
    IdentifierKind,
    Privacy,
    canonical_key,
    canonical_namespace,
    check,
    kind_of,
    type_of,
)
from domain.identifiers.personal import IdentifierKeys
from domain.items.search import splits, words
from domain.items.submission import IdentifierInput, Submission, read_submission
from domain.items.values import Item
from domain.ports.queries import Between, Cursor, Page
from domain.ports.schema import ITEMS, MAPPINGS
from domain.ports.storage import Reader
from domain.ports.views import ItemsView, Viewer

_OWN_PAGES: Attached[Page[Item], Page[ItemView] | None] = Attached()
_THROUGH = (GroundKind.CIRCUIT_MEMBER, GroundKind.APPROVED_PULL)


class ItemReading:
    """The reads of the items service."""

    units: Units
    keys: IdentifierKeys

    def lookup(self, key: str, value: str) -> str | None:
        """Return what a value is found by: its normalised form, the keyed hash for personal types."""
        read = read_submission(Submission((IdentifierInput(key, value),)), self.keys)
        return read.identifiers[0].lookup if read.identifiers else check(key, value).normalised

    async def get(self, principal: Principal, dfid: str, ahead: Ahead = NOTHING_AHEAD) -> ItemView:
        """Return one item as the principal sees it. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            item, decision = await self._seen(reader, principal, dfid, ahead)
            through = circuits_of(decision)
            view = row_view(principal, self.keys, item, through)
            if view is None:
                view = await item_view(reader, principal, self.keys, item, self._now(), through)
            return as_offered(view) if decision.offer_only else view

    async def successor(self, principal: Principal, view: ItemView) -> str | None:
        """Return the DFID of what a merged item is part of in the end, None when the principal may not view that."""
        if view.dfid is None or view.lineage.merged_into is None:
            return None
        async with self.units.storage.read() as reader:
            root = await self._root(reader, view.dfid)
            return root.dfid if await self._sees(reader, principal, root) else None

    async def _sees(self, reader: Reader, principal: Principal, item: Item) -> bool:
        return self._decision(principal, await items_facts(reader, principal, [item]), item.key).allowed

    async def viewable(self, reader: Reader, principal: Principal, dfid: str) -> Item:
        """Return an item that the principal may view. Raises Refusal `not_found`."""
        return (await self._seen(reader, principal, dfid))[0]

    async def _seen(
        self, reader: Reader, principal: Principal, dfid: str, ahead: Ahead = NOTHING_AHEAD
    ) -> tuple[Item, Decision]:
        item = await ahead.find(reader, ITEMS, dfid)
        if item is None or item.dfid is None:
            await absent_facts(reader, principal, dfid)
            raise not_found()
        decision = self._decision(principal, await items_facts(reader, principal, [item]), dfid)
        require(decision)
        return item, decision

    def _now(self) -> datetime:
        return self.units.clock.now()

    def _decision(self, principal: Principal, facts: Facts, dfid: str) -> Decision:
        return decide(principal, Action.ITEM_VIEW, about(facts, dfid=dfid), self._now())

    async def views(self, reader: Reader, principal: Principal, items: tuple[Item, ...]) -> list[ItemView]:
        """Return the views of items that the principal may view, in a fixed number of queries."""
        mine = principal.workspace_id
        own = [row_view(principal, self.keys, item) if item.workspace_id == mine else None for item in items]
        rest = tuple(item for item, view in zip(items, own, strict=True) if view is None)
        made = iter(await self._decided_views(reader, principal, rest) if rest else ())
        return [next(made) if view is None else view for view in own]

    async def _decided_views(self, reader: Reader, principal: Principal, items: tuple[Item, ...]) -> list[ItemView]:
        facts = await items_facts(reader, principal, items)
        decisions = {
            item.key: self._decision(principal, facts, item.key)
            for item in items
            if item.workspace_id != principal.workspace_id
        }
        through: Through = {key: circuits_of(decision) for key, decision in decisions.items()}
        offered = {key for key, decision in decisions.items() if decision.offer_only}
        views = await item_views(reader, principal, self.keys, items, self._now(), through)
        return [as_offered(view) if view.dfid in offered else view for view in views]

    async def page(
        self, principal: Principal, wanted: ItemFilter, after: Cursor | None = None, limit: int = 50
    ) -> Page[ItemView]:
        """Return one page of items the principal may view (9.1).

        Raises Refusal `not_found` for a circuit of which the principal is no member.
        """
        view = self._view_of(principal, wanted)
        async with self.units.storage.read() as reader:
            if wanted.circuit_id is not None:
                await self._require_member(reader, principal, wanted.circuit_id)
            page = await reader.view(view, after, limit)
            own = _OWN_PAGES.of(page, partial(self._own_page, principal), principal.workspace_id)
            return own or Page(tuple(await self.views(reader, principal, page.items)), page.after)

    def _own_page(self, principal: Principal, page: Page[Item]) -> Page[ItemView] | None:
        """Return the views of a page of own items; None where their rows alone do not make them."""
        mine = principal.workspace_id
        views = [row_view(principal, self.keys, item) for item in page.items if item.workspace_id == mine]
        made = tuple([view for view in views if view is not None])
        return Page(made, page.after) if len(made) == len(page.items) else None

    async def _require_member(self, reader: Reader, principal: Principal, circuit_id: str) -> None:
        facts, _ = await circuit_facts(reader, principal, circuit_id)
        if not decide(principal, Action.CIRCUIT_VIEW, facts, self._now()).allowed:
            raise not_found()

    async def by_identifier(
        self,
        principal: Principal,
        key: str,
        value: str,
        namespace: str | None = None,
        after: Cursor | None = None,
        limit: int = 50,
    ) -> Page[ItemView]:
        """Return the viewable roots that carry an identifier (9.3); a malformed value finds nothing.

        `namespace` tells contextual values apart; a canonical number is the same in every one (3.2).
        """
        if self.lookup(canonical_key(key), value) is None:
            return Page(())
        sought = SoughtIdentifier(key, value, namespace)
        return await self.page(principal, ItemSearch(access=ItemAccess.ALL, identifiers=(sought,)), after, limit)

    def _view_of(self, principal: Principal, wanted: ItemFilter) -> ItemsView:
        if principal.user_id is None or principal.workspace_id is None:
            raise not_found()
        return ItemsView(
            viewer=Viewer(principal.user_id, principal.workspace_id),
            now=self._now(),
            access=str(wanted.access),
            statuses=wanted.statuses,
            circuit_id=wanted.circuit_id,
            entries=self._entries(wanted),
            namespace=canonical_namespace(wanted.namespace) if wanted.namespace else None,
            kind=wanted.kind,
            evidences=_at_least(wanted.evidence_min),
            alias=_alias(wanted.alias),
            words=words(wanted.q) if wanted.q else (),
            created=_between(wanted.created_from, wanted.created_to),
            updated=_between(wanted.updated_from, wanted.updated_to),
            sort=str(wanted.sort),
            descending=wanted.order == "desc",
        )

    def _entries(self, wanted: ItemFilter) -> tuple[tuple[str, str, str | None], ...]:
        named = wanted.identifiers if isinstance(wanted, ItemSearch) else ()
        sought = [(given.key, given.value, given.namespace) for given in named]
        key, value = wanted.identifier_key, wanted.identifier_value
        if (key is None) is not (value is None):
            missing = "identifier_key" if key is None else "identifier_value"
            raise Invalid([Fault("required", "A key needs its value, and a value its key.", parameter=missing)])
        if key is not None and value is not None:
            sought.append((key, value, wanted.namespace))
        return tuple(self._entry(*given) for given in sought)

    def _entry(self, key: str, value: str, namespace: str | None) -> tuple[str, str, str | None]:
        key = canonical_key(key)
        place = canonical_namespace(namespace) if namespace else None
        contextual = kind_of(key) is IdentifierKind.CONTEXTUAL
        return (key, self.lookup(key, value) or "", place if contextual else None)

    async def drafts(self, principal: Principal, after: Cursor | None = None, limit: int = 50) -> Page[ItemView]:
        """Return own drafts that are not absorbed, newest first (6.6)."""
        return await self.page(principal, ItemFilter(status=(StatusFilter.LOCAL,)), after, limit)

    async def draft(self, principal: Principal, local_id: str) -> ItemView:
        """Return one own draft. Raises Refusal `not_found`, also for one that became an item."""
        async with self.units.storage.read() as reader:
            draft = await reader.find(ITEMS, local_id)
            if draft is None or draft.dfid is not None or draft.workspace_id != principal.workspace_id:
                raise not_found()
            return await item_view(reader, principal, self.keys, draft, self._now())

    async def mapping(self, principal: Principal, local_id: str) -> MappingView:
        """Return where a LID of the own workspace stands (9.3). Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            mapping = await reader.find(MAPPINGS, local_id)
            if mapping is not None and mapping.workspace_id == principal.workspace_id:
                root = await self._root(reader, mapping.dfid)
                seen = await self._sees(reader, principal, root)
                return MappingView(local_id, "tokenized", mapping.dfid, root.key if seen else None)
            draft = await reader.find(ITEMS, local_id)
        if draft is None or draft.dfid is not None or draft.workspace_id != principal.workspace_id:
            raise not_found()
        if draft.status is ItemStatus.MERGED:
            return MappingView(local_id, "merged", merged_into=draft.lineage.merged_into)
        return MappingView(local_id, "held" if draft.held_by else "local", operation_id=draft.held_by)

    @staticmethod
    async def _root(reader: Reader, dfid: str) -> Item:
        item = await reader.get(ITEMS, dfid)
        while item.lineage.merged_into is not None:
            item = await reader.get(ITEMS, item.lineage.merged_into)
        return item


def circuits_of(decision: Decision) -> frozenset[str]:
    """Return the circuits through which an item may be viewed."""
    grounds = decision.grounds
    return frozenset(g.circuit_id for g in grounds if g.ground in _THROUGH and g.circuit_id is not None)


def _at_least(evidence: Evidence | None) -> tuple[str, ...]:
    return tuple(level.value for level in Evidence if evidence is not None and level >= evidence)


def _between(start: datetime | None, end: datetime | None) -> Between | None:
    return Between(start, end) if start is not None or end is not None else None


def _alias(text: str | None) -> str | None:
    if text is None or any(scheme and value for scheme, value in splits(text)):
        return text
    raise Invalid([Fault("format", "scheme:value", parameter="alias")])


def refuse_personal_in_url(key: str | None) -> None:
    """Raise Refusal `personal_identifier_in_url` for a key of a personal type (identifiers.md 6)."""
    kind = type_of(canonical_key(key)) if key is not None else None
    if kind is not None and kind.privacy is Privacy.PERSONAL:
        raise Refusal("personal_identifier_in_url", "Look personal identifiers up with POST /api/items/search.")

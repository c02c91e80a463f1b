"""What a unit reads of items once, changes in memory, and writes once, whatever the number of elements.

Creating one item is a batch of one: the facts of all elements come in a fixed number of queries, elements are
admitted in order, each seeing the effects of earlier ones, and everything is staged at the end.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import attrs

from domain.access.vocabulary import EventVisibility, ItemStatus
from domain.act import Act
from domain.document import EMPTY, Document, alike
from domain.events.chain import EventDraft
from domain.events.engine import begin_chains, record
from domain.events.values import EventType
from domain.evolving import evolve
from domain.identifiers import IdentifierScope
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.instants import strictly_after
from domain.items.claiming import Claiming, claimed_space, claims_held, entries_of
from domain.items.contributions import new_contribution
from domain.items.draft_values import refile
from domain.items.families import read_contributions, resealed
from domain.items.fold import (
    Family,
    beside,
    confidence,
    fingerprint,
    layer_data,
    own_identifiers,
    refolded,
    require_fit,
    uncovered,
)
from domain.items.pending import close_pushed
from domain.items.resolution import claims_wanted, counted_place, places_of, references_of
from domain.items.submission import AliasInput, Content, bind
from domain.items.telling import contributed, updated
from domain.items.values import (
    NO_LINEAGE,
    Alias,
    Claim,
    Contribution,
    ContributionSource,
    Identifier,
    IdentifierEntry,
    Item,
    Lineage,
)
from domain.items.values import (
    Mapping as LidMapping,
)
from domain.ports.errors import Stale
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import CHAINS, CLAIMS, CONTRIBUTIONS, COUNTERS, ENTRIES, ITEMS, MAPPINGS
from domain.ports.walking import walk

_Entries = Mapping[tuple[str, str, str, str], IdentifierEntry]
_Identity = tuple[str, str, str]


@attrs.define
class Register:
    """The items, claims and contextual values that one act touches.

    `resolving` is the pending record that the act itself closes.
    """

    act: Act
    keys: IdentifierKeys
    resolving: str | None = None
    claiming: Claiming = attrs.field(init=False)
    _items: dict[str, Item] = attrs.field(factory=dict)
    _stored: dict[str, int] = attrs.field(factory=dict)
    _changed: dict[str, None] = attrs.field(factory=dict)
    _contributions: list[Contribution] = attrs.field(factory=list)
    _drafts: list[EventDraft] = attrs.field(factory=list)
    _consumed: list[Item] = attrs.field(factory=list)
    _mappings: list[LidMapping] = attrs.field(factory=list)
    _layers: dict[tuple[str, str], Document] = attrs.field(factory=dict)
    _beside: dict[str, Document] = attrs.field(factory=dict)
    _through: dict[tuple[str, str], set[_Identity]] = attrs.field(factory=dict)
    _histories: dict[str, list[Contribution]] = attrs.field(factory=dict)
    _contested: set[object] = attrs.field(factory=set)
    _final: list[str] = attrs.field(factory=list)
    _began: bool = False

    def __attrs_post_init__(self) -> None:
        self.claiming = Claiming(self.act.unit)

    async def load(self, contents: Iterable[Content], items: Iterable[str] = ()) -> None:
        """Read all that resolving these contents and changing these items can need."""
        contents = list(contents)
        workspace = self.act.workspace_id
        claims = Counter(claim for content in contents for claim in {*claims_wanted(content, workspace)})
        counted = Counter(place for content in contents for place in places_of(content, workspace))
        self._contested = {met for met, times in (*claims.items(), *counted.items()) if times > 1}
        places = sorted(counted)
        references = {place for content in contents for place in references_of(content, workspace)}
        counters, items = sorted(references.union(places)), set(items)
        await self._foresee(claims, counters, items)
        found = await self.claiming.load_claims(claims)
        await self.claiming.load_counters(counters)
        holders = await self.claiming.load_holders(places)
        await self.load_items({*items, *holders, *(claim.item for claim in found)})

    async def _foresee(self, claims: Collection[Any], counters: Collection[str], items: Collection[str]) -> None:
        """Read in one round trip what would take several, and the chains of the items."""
        kinds = ((CLAIMS, claims), (COUNTERS, counters), (ITEMS, items), (CHAINS, items))
        if sum(1 for _, keys in kinds if keys) > 1:
            await self.act.unit.foresee(*((facet, key) for facet, keys in kinds for key in keys))

    async def load_claims(self, identifiers: Iterable[Identifier], workspace_id: str) -> None:
        """Read the claims that identifiers about to leave an item hold."""
        await self.claiming.load_claims(claims_held(identifiers, workspace_id))

    async def load_items(self, wanted: Iterable[str]) -> None:
        """Read items, everything they were merged into and everything absorbed in those."""
        missing = {key for key in wanted if key not in self._items}
        while missing:
            found = await self.act.unit.get_many(ITEMS, sorted(missing))
            self._items.update((item.key, item) for item in found.values())
            self._stored.update((item.key, item.version) for item in found.values())
            kin = {key for item in found.values() for key in (item.lineage.merged_into, *item.lineage.merged_from)}
            missing = {key for key in kin if key is not None and key not in self._items}
        await self.load_histories(key for key, item in self._items.items() if item.lineage.merged_from)

    async def load_histories(self, roots: Iterable[str]) -> None:
        """Read the contributions of items and of what they absorbed, from which their rows are folded."""
        lineages = {key: item.lineage for key, item in self._items.items()}
        members = {member for root in roots for member in Family({}, lineages).absorbed(root)}
        missing = {key for key in members if key not in self._histories and self._items[key].dfid is not None}
        if missing:
            self._histories.update(await read_contributions(self.act.unit, missing))

    async def load_layers(self, circuit_id: str) -> None:
        """Read what stands on the items read so far through a circuit, and what of it is the acting workspace's."""
        through = [key for key, item in self._items.items() if circuit_id in item.contributed]
        query = Select({"item": AnyOf(tuple(through))}, ("item", "recorded_at", "contribution_id"))
        async for one in walk(self.act.unit, CONTRIBUTIONS, query):
            self._lay(one, circuit_id)

    def _lay(self, one: Contribution, circuit_id: str) -> None:
        """Put a contribution on what stands through a circuit."""
        place = (one.item, circuit_id)
        shown = self._through.setdefault(place, set())
        shown -= {removed.identity for removed in one.removed_identifiers}
        if one.circuit_id == circuit_id:
            shown |= {added.identity for added in one.identifiers}
        if one.circuit_id is None or one.workspace_id != self.act.workspace_id:
            return
        self._beside[one.item] = _overlaid(self._beside.get(one.item, EMPTY), one.data)
        if one.circuit_id == circuit_id:
            self._layers[place] = _overlaid(self._layers.get(place, EMPTY), one.data)

    def consume(self, draft: Item, dfid: str) -> None:
        """End a draft and all it absorbed: their LIDs stand for the DFID from now on (items-events.md 6.13, 4)."""
        for key in self._family(draft).absorbed(draft.key):
            ended = draft if key == draft.key else self._items[key]
            self._consumed.append(ended)
            self._mappings.append(LidMapping(key, dfid, ended.workspace_id))

    def item(self, key: str) -> Item | None:
        """Return an item as it stands now in this act."""
        return self._items.get(key)

    def claim(self, space: str, key: str, lookup: str) -> Claim | None:
        return self.claiming.claim(space, key, lookup)

    def root(self, key: str) -> Item:
        item = self._items[key]
        while item.lineage.merged_into is not None:
            item = self._items[item.lineage.merged_into]
        return item

    def holders(self, place: str) -> Iterable[str]:
        return self.claiming.holders(place)

    def count(self, place: str) -> int:
        return self.claiming.count(place)

    def create(
        self,
        content: Content,
        source: ContributionSource,
        *,
        local_id: str | None = None,
        aliases: Iterable[Alias] = (),
        payload: dict[str, object] | None = None,
        lineage: Lineage = NO_LINEAGE,
    ) -> Item:
        """Make a new item with a DFID of its own, its contribution, claims, entries and `created` event."""
        dfid = next(self.act.dfids)
        contribution_id = new_id()
        identifiers = self._bound(content, dfid, contribution_id, creating=True, circuit_id=None)
        data = content.data
        if None in data.values():
            data = _overlaid(EMPTY, data)
        item = Item(
            dfid=dfid,
            local_id=local_id,
            workspace_id=self.act.workspace_id,
            created_by=self.act.principal.user_id,
            status=ItemStatus.ACTIVE,
            identifiers=identifiers,
            data=data,
            aliases=(*aliases, *self._named(content.aliases, ())),
            created_at=self.act.now,
            updated_at=self.act.now,
            fingerprint=fingerprint("workspace", self.act.workspace_id, identifiers),
            confidence=confidence(identifiers),
            lineage=lineage,
        )
        contribution = self.contribution(item, source, identifiers, content.data, contribution_id=contribution_id)
        self._keep(contribution)
        self._items[dfid] = item
        self._changed[dfid] = None
        self.claiming.find_by({}, entries_of(item, identifiers))
        self.claiming.attach(item, identifiers)
        self.note(contributed(EventType.CREATED, contribution, identifiers, payload or {}))
        if self._is_alone(content):
            self._final.append(dfid)
        return item

    def _is_alone(self, content: Content) -> bool:
        """Tell whether no other content that `load` was given can be about the same item."""
        if not self._contested:
            return True
        workspace = self.act.workspace_id
        return self._contested.isdisjoint((*claims_wanted(content, workspace), *places_of(content, workspace)))

    def enrich(
        self,
        item: Item,
        content: Content,
        source: ContributionSource,
        *,
        circuit_id: str | None = None,
        aliases: Iterable[Alias] = (),
        payload: dict[str, object] | None = None,
    ) -> Item | None:
        """Add what is new in a content to an item; return None when nothing is.

        With `circuit_id` it is a contribution by another workspace: its identifiers are references, and its data
        lies in a layer of its own. Raises Invalid beyond the bounds of an item.
        """
        contribution_id = new_id()
        present = self._present(item, circuit_id)
        bound = self._bound(content, item.key, contribution_id, creating=False, circuit_id=circuit_id)
        identifiers = tuple(identifier for identifier in bound if identifier.identity not in present)
        data = self._news(item, content.data, circuit_id)
        named = (*aliases, *self._named(content.aliases, item.aliases))
        if not identifiers and not data and not named:
            return None
        contribution = self.contribution(
            item, source, identifiers, data, contribution_id=contribution_id, circuit_id=circuit_id
        )
        merged = _overlaid(item.data, data) if circuit_id is None else item.data
        through = item.contributed if circuit_id is None else tuple(sorted({*item.contributed, circuit_id}))
        shown, fresh = self._joined(item.identifiers, identifiers)
        self.change(
            evolve(item, identifiers=shown, data=merged, aliases=(*item.aliases, *named), contributed=through),
            contribution,
        )
        if circuit_id is not None:
            self._lay(contribution, circuit_id)
        self.claiming.attach(item, fresh)
        self.note(contributed(EventType.ENRICHED, contribution, identifiers, payload or {}))
        return self._items[item.key]

    def update(
        self,
        item: Item,
        content: Content,
        removed: tuple[Identifier, ...],
        removed_aliases: frozenset[tuple[str, str]],
        reason: str | None,
    ) -> Item | None:
        """Patch an item by its owner: data by key (null withdraws), identifiers added and removed."""
        contribution_id = new_id()
        kept = tuple(identifier for identifier in item.identifiers if identifier not in removed)
        present = {identifier.identity for identifier in kept if identifier.circuit_id is None}
        bound = self._bound(content, item.key, contribution_id, creating=False, circuit_id=None)
        added = tuple(identifier for identifier in bound if identifier.identity not in present)
        data = self._news(item, content.data, None)
        aliases = tuple(
            alias
            for alias in item.aliases
            if not (alias.workspace_id == self.act.workspace_id and (alias.scheme, alias.value) in removed_aliases)
        )
        named = self._named(content.aliases, aliases)
        if not (added or removed or data or named) and aliases == item.aliases:
            return None
        contribution = self.contribution(
            item, ContributionSource.UPDATE, added, data, contribution_id=contribution_id, removed=removed
        )
        shown, fresh = self._joined(kept, added)
        self.change(
            evolve(
                item,
                identifiers=shown,
                data=_overlaid(item.data, data),
                aliases=(*aliases, *named),
            ),
            contribution,
        )
        self.claiming.detach(item, removed)
        self.claiming.attach(item, fresh)
        self.note(updated(contribution, added, removed, data, reason))
        return self._items[item.key]

    def set_status(self, item: Item, status: ItemStatus, reason: str | None) -> Item:
        """Deprecate or restore an item (items-events.md 6.11)."""
        payload: dict[str, object] = {"from": item.status.value, "to": status.value}
        changed = self.change(evolve(item, status=status))
        self.tell(item.key, EventType.STATUS_CHANGED, payload | ({"reason": reason} if reason else {}))
        return changed

    async def load_handover(self, dfids: Iterable[str], workspace_id: str) -> None:
        """Read what giving these items to a workspace changes, and what forbids it."""
        await self.load_items(dfids)
        moving = [(item, identifier) for item in self._items.values() for identifier in self.own_identifiers(item)]
        claims = {
            key
            for item, identifier in moving
            for workspace in (item.workspace_id, workspace_id)
            for key in claims_held([identifier], workspace)
        }
        await self.claiming.load_claims(claims)
        places = {counted_place(workspace_id, identifier) for _, identifier in moving}
        await self.claiming.load_counters(sorted(place for place in places if place is not None))

    def rivals(self, item: Item, workspace_id: str) -> tuple[str, ...]:
        """Return the items of a workspace that claim there what an item to be given to it carries, sorted."""
        claims = (
            self.claim(workspace_id, identifier.key, identifier.lookup or "")
            for identifier in self.own_identifiers(item)
            if claimed_space(identifier, workspace_id) == workspace_id
        )
        return tuple(sorted({claim.item for claim in claims if claim is not None and claim.item != item.key}))

    def family(self, item: Item) -> tuple[Item, ...]:
        """Return an item and everything absorbed in it, each before what it absorbed."""
        return tuple(self._items[key] for key in self._family(item).absorbed(item.key))

    def hand_over(self, item: Item, workspace_id: str, payload: dict[str, object]) -> Item:
        """Give one item to a workspace: what it claims, and the values it is found by, go with it (6.11a)."""
        identifiers = self.own_identifiers(item)
        made_in = item.created_in or item.workspace_id
        moved = self.change(evolve(item, workspace_id=workspace_id, created_in=made_in))
        self.claiming.move(item, moved, identifiers)
        self.tell(item.key, EventType.TRANSFERRED, payload)
        return moved

    async def flush_final(self) -> None:
        """Stage the items made so far that no other content can be about, which a store may write at once.

        For acts that change items by the contents that `load` was given, and in no other way.
        """
        unit, final = self.act.unit, dict.fromkeys(self._final)
        await unit.add_final(ITEMS, *map(self._items.__getitem__, final))
        await unit.add_final(ENTRIES, *self.claiming.take_entries(final))
        await unit.add_final(CONTRIBUTIONS, *(one for one in self._contributions if one.item in final))
        await begin_chains(self.act, [draft for draft in self._drafts if draft.dfid in final])
        self._contributions = [one for one in self._contributions if one.item not in final]
        self._drafts = [draft for draft in self._drafts if draft.dfid not in final]
        for key in final:
            del self._changed[key]
            self._stored[key] = 1
        self._began = self._began or bool(final)
        self._final.clear()

    async def flush(self) -> None:
        """Stage everything in the unit of the act."""
        unit = self.act.unit
        new = [self._items[key] for key in self._changed if key not in self._stored]
        saved = [self._items[key] for key in self._changed if key in self._stored]
        if self._consumed:
            await refile(unit, self._consumed, ())
        await unit.remove(ITEMS, *self._consumed)
        await unit.add(ITEMS, *new)
        await unit.save(ITEMS, *(evolve(item, version=self._stored[item.key] + 1) for item in saved))
        await unit.add(MAPPINGS, *self._mappings)
        await close_pushed(self.act, self._mappings, self.resolving)
        await self.claiming.flush(changed=self._began or bool(self._changed))
        await unit.add(CONTRIBUTIONS, *self._contributions)
        await record(self.act, *self._drafts)
        self._stored.update((item.key, self._stored.get(item.key, 0) + 1) for item in (*new, *saved))
        self._changed.clear()
        for done in (self._contributions, self._drafts, self._consumed, self._mappings, self._final):
            done.clear()

    def _bound(
        self, content: Content, item: str, contribution_id: str, *, creating: bool, circuit_id: str | None
    ) -> tuple[Identifier, ...]:
        bound = (
            bind(
                read,
                self.keys,
                item=item,
                scope=content.scope_of(read, creating=creating) if circuit_id is None else IdentifierScope.REFERENCE,
                workspace_id=self.act.workspace_id,
                contribution_id=contribution_id,
                circuit_id=circuit_id,
            )
            for read in content.identifiers
        )
        return tuple(sorted(bound, key=lambda identifier: identifier.order))

    def _named(self, given: tuple[AliasInput, ...], present: Iterable[Alias]) -> tuple[Alias, ...]:
        if not given:
            return ()
        mine = {(alias.scheme, alias.value) for alias in present if alias.workspace_id == self.act.workspace_id}
        return tuple(
            Alias(alias.scheme, alias.value, self.act.workspace_id, self.act.now)
            for alias in given
            if (alias.scheme, alias.value) not in mine
        )

    def contribution(
        self,
        item: Item,
        source: ContributionSource,
        identifiers: tuple[Identifier, ...] = (),
        data: Document = EMPTY,
        *,
        contribution_id: str | None = None,
        circuit_id: str | None = None,
        removed: tuple[Identifier, ...] = (),
        merged_from: str | None = None,
    ) -> Contribution:
        """Return a contribution of the actor to an item; `change` takes it over with what it makes of the item."""
        return new_contribution(
            contribution_id=contribution_id,
            item=item.key,
            user_id=self.act.principal.user_id,
            workspace_id=self.act.workspace_id,
            source=source,
            recorded_at=strictly_after(item.updated_at, self.act.now) if item.key in self._items else self.act.now,
            identifiers=identifiers,
            removed_identifiers=removed,
            data=data,
            circuit_id=circuit_id,
            merged_from=merged_from,
        )

    def _keep(self, contribution: Contribution) -> None:
        self._contributions.append(contribution)
        if contribution.item in self._histories:
            self._histories[contribution.item].append(contribution)

    def layer(self, item: Item) -> Document:
        """Return the owner's values on the item itself, without those of what it absorbed."""
        return layer_data(item.key, self._family(item)) if item.lineage.merged_from else item.data

    def _news(self, item: Item, data: Document, circuit_id: str | None) -> Document:
        """Return the members of `data` that change what the owner says, or what the workspace says elsewhere.

        Through a circuit that is its layer over all circuits (4.2), and what the readers of this one see of it.
        """
        if circuit_id is None:
            return _changing(self.layer(item), data)
        seen = self._layers.get((item.key, circuit_id), EMPTY)
        whole = self._beside.get(item.key, seen)
        changing = {**_changing(seen, data), **_changing(whole, data)}
        return Document((key, value) for key, value in data.items() if key in changing)

    def _present(self, item: Item, circuit_id: str | None) -> set[_Identity]:
        """Return the identifiers to which an addition adds nothing: the owner's, and those shown in its circuit."""
        shown = self._through.get((item.key, circuit_id or ""), set())
        return shown | {one.identity for one in item.identifiers if one.circuit_id in (None, circuit_id)}

    @staticmethod
    def _joined(
        held: tuple[Identifier, ...], added: tuple[Identifier, ...]
    ) -> tuple[tuple[Identifier, ...], list[Identifier]]:
        """Return the identifiers of an item with additions, and those that claim or count from now on.

        The owner's replace what came through circuits (4.3); what stands through another circuit stays.
        """
        if not added:
            return held, []
        shown = {one.identity: one for one in held}
        fresh: list[Identifier] = []
        for one in added:
            before = shown.get(one.identity)
            if before is not None and one.circuit_id is not None:
                shown[one.identity] = beside(before, one)
                continue
            shown[one.identity] = one if before is None else uncovered(before, one)
            fresh.append(one)
        return tuple(sorted(shown.values(), key=lambda one: one.order)), fresh

    def own_identifiers(self, item: Item) -> tuple[Identifier, ...]:
        """Return the identifiers on the item itself, without those of what it absorbed."""
        return own_identifiers(item.key, self._family(item)) if item.lineage.merged_from else item.identifiers

    def _family(self, item: Item, *more: Contribution) -> Family:
        lineages = {key: known.lineage for key, known in self._items.items()} | {item.key: item.lineage}
        own = [*self._histories.get(item.key, ()), *more]
        return Family({**self._histories, item.key: own}, lineages)

    def _folded(self, item: Item, made: tuple[Contribution, ...]) -> Item:
        """Return the item computed from the contributions of its whole family, where they were read."""
        if item.key not in self._histories:
            return item
        family = self._family(item, *made)
        folded = refolded(item, family)
        origins = {one.contribution_id: one.item for member in family.contributions.values() for one in member}
        identifiers = (
            resealed(identifier, self.keys, origins[identifier.added_by], item.key) for identifier in folded.identifiers
        )
        return evolve(folded, identifiers=tuple(identifiers))

    def change(self, item: Item, *made: Contribution) -> Item:
        """Take over a changed item, the contributions that changed it, and what is derived of them; return it.

        Raises Invalid beyond the bounds of an item, and Stale when the register read the item at another version than
        the caller, who then decided on what no longer stands; nothing is taken over then.
        """
        held = self._items.get(item.key)
        if held is not None and held.version != item.version:
            raise Stale(ITEMS.name, item.key)
        item = self._folded(item, made)
        require_fit(item)
        updated = evolve(
            item,
            updated_at=strictly_after(item.updated_at, self.act.now),
            version=self._stored.get(item.key, 0) + 1,
            fingerprint=fingerprint("workspace", item.workspace_id, item.identifiers),
            confidence=confidence(item.identifiers),
        )
        alike = held is not None and held.identifiers is item.identifiers and held.workspace_id == item.workspace_id
        before = {} if held is None or alike else entries_of(held, self.own_identifiers(held))
        for contribution in made:
            self._keep(contribution)
        self._items[item.key] = updated
        self._changed[item.key] = None
        if not alike:
            self.claiming.find_by(before, entries_of(updated, self.own_identifiers(updated)))
        return updated

    def note(self, draft: EventDraft) -> None:
        """Record an event of an item."""
        self._drafts.append(draft)

    def tell(self, dfid: str, kind: EventType, payload: dict[str, object]) -> None:
        """Record a public event of an item."""
        self.note(EventDraft(dfid, kind, EventVisibility.PUBLIC, Document(payload)))


def _changing(layer: Document, data: Document) -> Document:
    """Return the members of `data` that change the layer; null withdraws what is there."""
    return Document(
        {
            key: value
            for key, value in data.items()
            if (key in layer if value is None else not (key in layer and alike(layer[key], value)))
        }
    )


def _overlaid(data: Document, patch: Document) -> Document:
    """Return `data` with the members of `patch` put over it; null takes a member away."""
    if not patch:
        return data
    return Document({key: value for key, value in {**data, **patch}.items() if value is not None})

"""What identifiers point to: claims, counted values, and the entries by which items are found (items-events.md 3.4,
3.5), as one act reads them once, changes them in memory and writes them once."""

from collections.abc import Collection, Iterable, Mapping

import attrs

from domain.identifiers import GENERIC_NAMESPACE, IdentifierKind
from domain.items.families import read_holders
from domain.items.resolution import claim_space, counted_place
from domain.items.values import LABEL_AFTER, Claim, Identifier, IdentifierEntry, Item, ValueCounter
from domain.ports.schema import CLAIMS, COUNTERS, ENTRIES
from domain.ports.storage import Unit

ClaimKey = tuple[str, str, str]
Entries = Mapping[tuple[str, str, str, str], IdentifierEntry]


def claimed_space(identifier: Identifier, workspace_id: str) -> str | None:
    """Return the space in which an identifier on an item of a workspace claims its value, None for no claim."""
    if identifier.kind is not IdentifierKind.CANONICAL:
        return None
    return claim_space(identifier.scope, workspace_id)


def claims_held(identifiers: Iterable[Identifier], workspace_id: str) -> set[ClaimKey]:
    """Return the keys of the claims that identifiers on an item of a workspace hold."""
    return {
        (space, identifier.key, identifier.lookup or "")
        for identifier in identifiers
        if (space := claimed_space(identifier, workspace_id)) is not None
    }


def entries_of(item: Item, own: Iterable[Identifier]) -> Entries:
    """Return what an item is found by: all that stands on it, for it is the root of what it absorbed (9.1).

    Values are counted where they are its `own`.
    """
    counted = ((one, counted_place(item.workspace_id, one)) for one in own)
    places = {one.identity: place for one, place in counted if place is not None}
    entries = [_entry(item, one, places.get(one.identity) if places else None) for one in item.identifiers]
    return {(one.item, one.namespace, one.key, one.lookup): one for one in entries}


def _entry(item: Item, identifier: Identifier, place: str | None) -> IdentifierEntry:
    return IdentifierEntry(
        item=item.key,
        workspace_id=identifier.workspace_id,
        namespace=identifier.namespace or GENERIC_NAMESPACE,
        key=identifier.key,
        lookup=identifier.lookup or "",
        place=place,
        circuit_id=identifier.circuit_id,
        personal=identifier.lookup != identifier.normalised,
        also=identifier.also,
    )


@attrs.define
class Claiming:
    """The claims, counters and entries that one act touches."""

    unit: Unit
    _claims: dict[ClaimKey, Claim] = attrs.field(factory=dict)
    _new_claims: list[Claim] = attrs.field(factory=list)
    _ended_claims: list[Claim] = attrs.field(factory=list)
    _places: dict[str, dict[str, None]] = attrs.field(factory=dict)
    _counters: dict[str, ValueCounter | None] = attrs.field(factory=dict)
    _counted: dict[str, int] = attrs.field(factory=dict)
    _looked_up: dict[str, None] = attrs.field(factory=dict)
    _new_entries: dict[tuple[str, str, str, str], IdentifierEntry] = attrs.field(factory=dict)
    _ended_entries: dict[tuple[str, str, str, str], IdentifierEntry] = attrs.field(factory=dict)

    async def load_claims(self, wanted: Iterable[ClaimKey]) -> list[Claim]:
        """Read claims; return those that stand."""
        found = list((await self.unit.get_many(CLAIMS, sorted(wanted))).values())
        self._claims.update(((claim.space, claim.key, claim.lookup), claim) for claim in found)
        return found

    async def load_counters(self, places: list[str]) -> None:
        """Read how often values stand."""
        found = await self.unit.get_many(COUNTERS, places)
        self._counters.update((place, found.get(place)) for place in places)

    async def load_holders(self, places: list[str]) -> set[str]:
        """Read which items carry the counted values that select any; return their keys."""
        self._places.update((place, {}) for place in places)
        self._looked_up.update(dict.fromkeys(places))
        selecting = [place for place in places if 0 < self.count(place) <= LABEL_AFTER]
        for place, holders in (await read_holders(self.unit, selecting)).items():
            self._places[place] = dict.fromkeys(holders)
        return {holder for place in places for holder in self._places[place]}

    def claim(self, space: str, key: str, lookup: str) -> Claim | None:
        """Return the claim of a value as it stands now in this act."""
        return self._claims.get((space, key, lookup))

    def holders(self, place: str) -> Iterable[str]:
        """Return the keys of the items that carry a value."""
        return tuple(self._places.get(place, ()))

    def count(self, place: str) -> int:
        """Return how often a value was attached, this act included."""
        held = self._counters.get(place)
        return (held.count if held else 0) + self._counted.get(place, 0)

    def attach(self, item: Item, identifiers: Iterable[Identifier]) -> None:
        """Count and claim what identifiers that come to an item select by."""
        for identifier in identifiers:
            place = counted_place(item.workspace_id, identifier)
            if place is not None:
                self._places.setdefault(place, {})[item.key] = None
                self._count(place)
            space = claimed_space(identifier, item.workspace_id)
            if space is not None and (space, identifier.key, identifier.lookup or "") not in self._claims:
                claim = Claim(space, identifier.key, identifier.lookup or "", item.key, item.workspace_id)
                self._claims[space, identifier.key, identifier.lookup or ""] = claim
                self._new_claims.append(claim)

    def detach(self, item: Item, identifiers: Iterable[Identifier]) -> None:
        """End the claims that identifiers about to leave an item hold."""
        for key in (one for identifier in identifiers for one in claims_held([identifier], item.workspace_id)):
            claim = self._claims.pop(key, None)
            if claim is not None and claim.item == item.key:
                self._ended_claims.append(claim)

    def move(self, item: Item, moved: Item, identifiers: Iterable[Identifier]) -> None:
        """Let what the identifiers of an item claim and count follow it to another workspace."""
        for identifier in identifiers:
            place = counted_place(moved.workspace_id, identifier)
            if place is not None:
                self._count(place)
            self._move_claim(item, moved, identifier)

    def _count(self, place: str) -> None:
        self._counted[place] = self._counted.get(place, 0) + 1

    def _move_claim(self, item: Item, moved: Item, identifier: Identifier) -> None:
        number = (identifier.key, identifier.lookup or "")
        before = claimed_space(identifier, item.workspace_id)
        after = claimed_space(identifier, moved.workspace_id)
        held = None if before is None else self._claims.get((before, *number))
        if held is None or after is None or held.item != item.key:
            return
        claim = Claim(after, *number, item.key, moved.workspace_id)
        del self._claims[held.space, held.key, held.lookup]
        self._claims[after, *number] = claim
        self._ended_claims.append(held)
        self._new_claims.append(claim)

    def find_by(self, before: Entries, after: Entries) -> None:
        """Let an item be found by other entries than before."""
        for place, entry in before.items():
            if after.get(place) != entry and self._new_entries.pop(place, None) is None:
                self._ended_entries[place] = entry
        for place, entry in after.items():
            if before.get(place) == entry:
                continue
            if self._ended_entries.get(place) == entry:
                del self._ended_entries[place]
            else:
                self._new_entries[place] = entry

    def take_entries(self, items: Collection[str]) -> list[IdentifierEntry]:
        """Return the new entries of items that this act made and does not change any more; they are the caller's."""
        taken = [place for place in self._new_entries if place[0] in items]
        return [self._new_entries.pop(place) for place in taken]

    async def flush(self, *, changed: bool) -> None:
        """Stage everything in the unit; `changed` tells that the act changes some item, by what it looked up."""
        await self.unit.remove(CLAIMS, *self._ended_claims)
        await self.unit.add(CLAIMS, *self._new_claims)
        await self.unit.remove(ENTRIES, *self._ended_entries.values())
        await self.unit.add(ENTRIES, *self._new_entries.values())
        await self._flush_counters(changed=changed)
        for pending in (self._counted, self._new_entries, self._ended_entries):
            pending.clear()
        for done in (self._new_claims, self._ended_claims):
            done.clear()

    async def _flush_counters(self, *, changed: bool) -> None:
        await self.load_counters([place for place in self._counted if place not in self._counters])
        begun: list[ValueCounter] = []
        grown: list[ValueCounter] = []
        for place, more in self._counted.items():
            held = self._counters[place]
            if held is None:
                begun.append(ValueCounter(place, more))
            elif held.count <= LABEL_AFTER:
                grown.append(ValueCounter(place, held.count + more, held.version + 1))
        await self.unit.add(COUNTERS, *begun)
        await self.unit.save(COUNTERS, *grown)
        await self.unit.confirm(COUNTERS, *(self._relied_on() if changed else ()))
        self._counters.update((counter.place, counter) for counter in (*begun, *grown))
        self._looked_up.clear()

    def _relied_on(self) -> list[ValueCounter]:
        """Return the counters of values that chose an item, or none, and were not attached to it (3.5).

        Those of labels choose nothing.
        """
        held = (self._counters.get(place) for place in self._looked_up if place not in self._counted)
        return [counter for counter in held if counter is not None and counter.count <= LABEL_AFTER]

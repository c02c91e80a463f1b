"""Drafts that say the same, found outwards from the values that more than one of them carries (decision 21)."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import chain

import attrs

from domain.access.vocabulary import ItemStatus
from domain.items.draft_merges import Group, duplicates
from domain.items.draft_values import draft_places
from domain.items.families import read_holders
from domain.items.values import Item, drafts_of
from domain.ports.queries import AnyOf, Between, Select
from domain.ports.schema import COUNTERS, ITEMS
from domain.ports.storage import Reader
from domain.ports.walking import pages, walk

_PLACES_AT_ONCE = 100


async def twins(
    reader: Reader, workspace_id: str, namespace: str | None = None, after: str = ""
) -> AsyncIterator[tuple[str, Group]]:
    """Yield the groups of duplicates among the drafts of a workspace, each with its first shared place after `after`.

    What is read grows with the groups, not with the drafts that are alone. With `namespace` only what matches there
    connects.
    """
    met = _Met(reader)
    query = Select({"shared_in": drafts_of(workspace_id), "place": Between(after)}, ("place",))
    async for counters in pages(reader, COUNTERS, query, size=_PLACES_AT_ONCE):
        drafts = await met.connected({counter.place for counter in counters} - {after})
        groups = [(_first_place(group), group) for group in duplicates(drafts, namespace)]
        for place, group in sorted(groups, key=lambda one: (one[0], one[1].drafts[0].key)):
            if place > after:
                yield place, group


def _first_place(group: Group) -> str:
    shared = Counter(chain.from_iterable(map(draft_places, group.drafts)))
    return min(place for place, drafts in shared.items() if drafts > 1)


@attrs.define
class _Met:
    """The places at which all drafts were met already."""

    reader: Reader
    places: set[str] = attrs.field(factory=set)

    async def connected(self, places: set[str]) -> list[Item]:
        """Return all drafts that are connected with these places, over however many others, but those met before."""
        found: dict[str, Item] = {}
        while missing := places - self.places:
            self.places |= missing
            drafts = await self._at(missing, found)
            found.update(drafts)
            places = {place for draft in drafts.values() for place in draft_places(draft)}
        return list(found.values())

    async def _at(self, places: Iterable[str], known: Mapping[str, Item]) -> dict[str, Item]:
        holders = set(chain.from_iterable((await read_holders(self.reader, places)).values()))
        rows = await self.reader.get_many(ITEMS, sorted(holders - known.keys()))
        found = {draft.key: draft for draft in rows.values()}
        query = Select({"draft_place": AnyOf(tuple(sorted(places)))}, ("draft_place", "key"))
        found |= {draft.key: draft async for draft in walk(self.reader, ITEMS, query) if draft.key not in known}
        return {key: draft for key, draft in found.items() if draft.status is ItemStatus.LOCAL}

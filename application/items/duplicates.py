"""Own items that may be one and the same (items-events.md 9.3, decision 8)."""

from collections.abc import Iterable, Mapping

from application.items.drafts import Duplicates, shown_group
from application.items.histories import Histories
from domain.access.principal import Principal
from domain.access.vocabulary import ItemStatus
from domain.errors import not_found
from domain.items.draft_merges import Group
from domain.items.duplicates import groups_at, shared_places
from domain.items.families import read_holders
from domain.items.values import LABEL_AFTER, Item
from domain.ports.queries import Between, Cursor, Page, Select
from domain.ports.schema import COUNTERS, ITEMS
from domain.ports.storage import Reader

_VALUES_AT_ONCE = 100
_ROUNDS = 10
"""A call looks at no more than 1,000 shared values; a page that is not full continues after the last of them."""


class ItemDuplicates(Histories):
    """Finding items that share a value which claims nothing."""

    async def item_duplicates(
        self, principal: Principal, after: Cursor | None = None, limit: int = 50
    ) -> Page[Duplicates]:
        """Return groups of own active items that share a reference or a contextual value, in order of the values.

        A page may have fewer groups than `limit` and still continue.
        """
        if principal.workspace_id is None:
            raise not_found()
        start, seen = (str(after[0]), int(str(after[1]))) if after is not None else ("", 0)
        query = Select({"shared_in": principal.workspace_id, "place": Between(start)}, ("place",))
        found: list[tuple[Cursor, Group]] = []
        place: Cursor | None = None
        async with self.units.storage.read() as reader:
            for _ in range(_ROUNDS):
                page = await reader.page(COUNTERS, query, place, _VALUES_AT_ONCE)
                places = [counter.place for counter in page.items]
                at = await self._groups(reader, principal.workspace_id, places)
                numbered = ((name, enumerate(at[name], 1)) for name in places)
                found += [((name, n), group) for name, groups in numbered for n, group in groups]
                found = [one for one in found if one[0] > (start, seen)]
                place = page.after
                if place is None or len(found) > limit:
                    break
        shown = tuple(shown_group(group) for _, group in found[:limit])
        if len(found) > limit:
            return Page(shown, found[limit - 1][0])
        return Page(shown, None if place is None else (place[0], len(at[str(place[0])])))

    async def _groups(self, reader: Reader, workspace_id: str, places: list[str]) -> Mapping[str, list[Group]]:
        holders = await read_holders(reader, places)
        items = await _roots(reader, {key for keys in holders.values() for key in keys})
        groups = {
            place: groups_at(place, (items[key] for key in keys if _stands(items.get(key), workspace_id)))
            for place, keys in holders.items()
        }
        shared = {name for each in groups.values() for group in each for name in shared_places(group.drafts)}
        counters = await reader.get_many(COUNTERS, sorted(shared))
        labels = {name for name, counter in counters.items() if counter.count > LABEL_AFTER}
        return {
            place: [
                group
                for group in each
                if next((name for name in shared_places(group.drafts) if name not in labels), place) == place
            ]
            for place, each in groups.items()
        }


def _stands(item: Item | None, workspace_id: str) -> bool:
    return item is not None and item.status is ItemStatus.ACTIVE and item.workspace_id == workspace_id


async def _roots(reader: Reader, keys: Iterable[str]) -> dict[str, Item]:
    """Return what each of these items is part of by now: itself, or what absorbed it in the end."""
    found: dict[str, Item] = {}
    missing = set(keys)
    while missing:
        rows = await reader.get_many(ITEMS, sorted(missing))
        found.update((item.key, item) for item in rows.values())
        into = {item.lineage.merged_into for item in rows.values() if item.lineage.merged_into is not None}
        missing = into - found.keys()
    return {key: _root(found, key) for key in found}


def _root(items: Mapping[str, Item], key: str) -> Item:
    item = items[key]
    while item.lineage.merged_into is not None and item.lineage.merged_into in items:
        item = items[item.lineage.merged_into]
    return item

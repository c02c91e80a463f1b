"""Items with everything absorbed in them, read together (items-events.md 4.1)."""

from collections.abc import Iterable

import attrs

from domain.identifiers.personal import IdentifierKeys
from domain.items.drafts import is_personal
from domain.items.values import Contribution, Identifier, Item
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import CONTRIBUTIONS, ENTRIES, ITEMS
from domain.ports.storage import Reader
from domain.ports.walking import walk


async def read_absorbed(reader: Reader, items: Iterable[Item]) -> dict[str, Item]:
    """Return these items and everything absorbed in them, by key; one query per generation."""
    found = {item.key: item for item in items}
    missing = {key for item in found.values() for key in item.lineage.merged_from}
    while missing := missing - set(found):
        rows = await reader.get_many(ITEMS, sorted(missing))
        found.update((item.key, item) for item in rows.values())
        missing = {key for item in rows.values() for key in item.lineage.merged_from}
    return found


async def read_contributions(reader: Reader, items: Iterable[str]) -> dict[str, list[Contribution]]:
    """Return the contributions of items by item, each in their order."""
    found: dict[str, list[Contribution]] = {key: [] for key in items}
    if not found:
        return found
    query = Select({"item": AnyOf(tuple(sorted(found)))}, ("item", "recorded_at", "contribution_id"))
    async for contribution in walk(reader, CONTRIBUTIONS, query):
        found[contribution.item].append(contribution)
    return found


async def read_holders(reader: Reader, places: Iterable[str]) -> dict[str, list[str]]:
    """Return the keys of the items or drafts that carry the values of these places, by place."""
    found: dict[str, list[str]] = {place: [] for place in places}
    if not found:
        return found
    query = Select({"place": AnyOf(tuple(sorted(found)))}, ("place", "item"))
    async for entry in walk(reader, ENTRIES, query):
        found[entry.place or ""].append(entry.item)
    return found


def resealed(identifier: Identifier, keys: IdentifierKeys, origin: str, item: str) -> Identifier:
    """Return an identifier of the row `origin` as it stands on the row `item`: personal values are sealed per row.

    Raises SealBroken.
    """
    if origin == item or not is_personal(identifier):
        return identifier

    def moved(text: str) -> str:
        clear = keys.open(origin, identifier.namespace, identifier.key, text)
        return keys.seal(item, identifier.namespace, identifier.key, clear)

    normalised = None if identifier.normalised is None else moved(identifier.normalised)
    return attrs.evolve(identifier, value=moved(identifier.value), normalised=normalised)

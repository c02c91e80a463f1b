"""By what drafts are found, and which of their values more than one draft carries (items-events.md 9.3, decision 21).

A draft has an entry per identifier. Those that make drafts duplicates (canonical ones that are no references) name a
place, and so does its fingerprint; how many drafts stand at a place is counted exactly.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

import attrs

from domain.access.vocabulary import ItemStatus
from domain.identifiers import GENERIC_NAMESPACE, IdentifierKind, IdentifierScope
from domain.items.values import Identifier, IdentifierEntry, Item, ValueCounter, drafts_of
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import COUNTERS, ENTRIES
from domain.ports.storage import Reader, Unit
from domain.ports.walking import walk


def draft_places(draft: Item) -> Iterator[str]:
    """Yield the places at which a draft stands."""
    places = (_place(draft, identifier) for identifier in draft.identifiers)
    yield from dict.fromkeys(place for place in (*places, draft.draft_place) if place is not None)


async def refile(unit: Unit, before: Iterable[Item], after: Iterable[Item]) -> None:
    """Make the entries and counters of drafts what their rows will be; `before` are the rows as they stand.

    A draft that ended or was absorbed is found by nothing.
    """
    before, after = list(before), list(after)
    wanted = {
        _key(entry): entry for draft in after if draft.status is ItemStatus.LOCAL for entry in draft_entries(draft)
    }
    stored = {_key(entry): entry for entry in await stored_entries(unit, [draft.key for draft in before])}
    ended = [entry for key, entry in stored.items() if wanted.get(key) != entry]
    begun = [entry for key, entry in wanted.items() if stored.get(key) != entry]
    await unit.remove(ENTRIES, *ended)
    await unit.add(ENTRIES, *begun)
    more = Counter(_counted(begun, after))
    more.subtract(_counted(ended, before))
    await _count(unit, {place: number for place, number in more.items() if number})


def _counted(entries: Iterable[IdentifierEntry], drafts: Iterable[Item]) -> Iterator[str]:
    places = (*(entry.place for entry in entries), *(draft.draft_place for draft in drafts))
    yield from (place for place in places if place is not None)


async def _count(unit: Unit, more: dict[str, int]) -> None:
    if not more:
        return
    held = await unit.get_many(COUNTERS, sorted(more))
    left = {place: counter.count + more[place] for place, counter in held.items() if isinstance(place, str)}
    await unit.add(COUNTERS, *(ValueCounter(place, n) for place, n in more.items() if place not in held and n > 0))
    await unit.remove(COUNTERS, *(held[place] for place, count in left.items() if count <= 0))
    await unit.save(
        COUNTERS,
        *(attrs.evolve(held[place], count=n, version=held[place].version + 1) for place, n in left.items() if n > 0),
    )


async def stored_entries(reader: Reader, drafts: list[str]) -> list[IdentifierEntry]:
    """Return the entries that drafts have."""
    query = Select({"item": AnyOf(tuple(sorted(drafts)))}, ("item", "namespace", "key", "lookup"))
    return [entry async for entry in walk(reader, ENTRIES, query)]


def draft_entries(draft: Item) -> Iterator[IdentifierEntry]:
    """Yield the entries by which a draft is found."""
    for identifier in draft.identifiers:
        if identifier.lookup is not None:
            yield IdentifierEntry(
                item=draft.key,
                workspace_id=draft.workspace_id,
                namespace=identifier.namespace or GENERIC_NAMESPACE,
                key=identifier.key,
                lookup=identifier.lookup,
                place=_place(draft, identifier),
                personal=identifier.lookup != identifier.normalised,
            )


def _key(entry: IdentifierEntry) -> tuple[str, str, str, str]:
    return (entry.item, entry.namespace, entry.key, entry.lookup)


def _place(draft: Item, identifier: Identifier) -> str | None:
    canonical = identifier.kind is IdentifierKind.CANONICAL and identifier.scope is not IdentifierScope.REFERENCE
    if not canonical or identifier.lookup is None:
        return None
    return f"{drafts_of(draft.workspace_id)} {identifier.key} {identifier.lookup}"

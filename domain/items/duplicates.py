"""Items that share a value and may be one (items-events.md 9.3, decision 8)."""

from collections.abc import Iterable, Sequence

from domain.identifiers import IdentifierKind
from domain.items.draft_merges import Group
from domain.items.resolution import counted_place, items_disagree
from domain.items.values import Item


def shared_places(items: Sequence[Item]) -> dict[str, str]:
    """Return the keys of the values that all of these items carry, by place, in the order of the places."""
    common = set.intersection(*(set(_kinds(item)) for item in items))
    return {place: key for place, (key, _) in sorted(_kinds(items[0]).items()) if place in common}


def groups_at(place: str, items: Iterable[Item]) -> list[Group]:
    """Return the groups of two and more among the items that carry the value of a place, the oldest item first.

    Those that disagree (3.5) are not connected by a contextual value.
    """
    ordered = sorted({item.key: item for item in items}.values(), key=lambda item: (item.created_at, item.key))
    groups: list[list[Item]] = []
    for item in ordered:
        apart = [group for group in groups if not any(_connects(place, item, other) for other in group)]
        joined = [each for group in groups if group not in apart for each in group]
        groups = [*apart, [*joined, item]]
    return [_group(members) for members in groups if len(members) > 1]


def _group(members: list[Item]) -> Group:
    ordered = tuple(sorted(members, key=lambda item: (item.created_at, item.key)))
    return Group(ordered, tuple(sorted(set(shared_places(ordered).values()))))


def _connects(place: str, one: Item, other: Item) -> bool:
    _, kind = _kinds(one).get(place, ("", None))
    return kind is not IdentifierKind.CONTEXTUAL or not items_disagree(one, other)


def _kinds(item: Item) -> dict[str, tuple[str, IdentifierKind]]:
    places = ((counted_place(item.workspace_id, one), one) for one in item.identifiers)
    return {place: (one.key, one.kind) for place, one in places if place is not None}

"""Drafts that absorb drafts (items-events.md 6.7): the row of the master shows all contents united."""

from collections.abc import Iterable, Mapping

import attrs

from domain.access.vocabulary import ItemStatus
from domain.act import Act
from domain.canonical import canonical
from domain.document import Document
from domain.identifiers import IdentifierKind, IdentifierScope, default_namespace
from domain.identifiers.personal import IdentifierKeys
from domain.instants import strictly_after
from domain.items.drafts import derived
from domain.items.families import resealed
from domain.items.fold import require_fit
from domain.items.lineage import strategy_data
from domain.items.values import Alias, DraftContent, Identifier, Item, MergeStrategy


def alone(draft: Item) -> Item:
    """Return a draft with its own content only; `united` adds what it absorbed again."""
    own = draft.own
    if own is None:
        return draft
    return attrs.evolve(draft, identifiers=own.identifiers, data=own.data, aliases=own.aliases)


def undecided(own: DraftContent | None) -> DraftContent | None:
    """Return the own content without the values that merging chose: what is written later stands."""
    return None if own is None else attrs.evolve(own, decided=())


def united(draft: Item, known: Mapping[str, Item], keys: IdentifierKeys) -> Item:
    """Return a draft that shows its own content and that of what it absorbed, as the fold of items does (4.2)."""
    absorbed = [known[key] for key in draft.lineage.merged_from]
    if not absorbed:
        return derived(attrs.evolve(draft, own=None))
    decided = tuple(one for one in (draft.own.decided if draft.own else ()) if one[0] in draft.lineage.merged_from)
    own = DraftContent(draft.identifiers, draft.data, draft.aliases, decided)
    shown = attrs.evolve(
        draft,
        own=own,
        data=_data(own, absorbed),
        identifiers=_identifiers(draft, absorbed, keys),
        aliases=_aliases((draft, *absorbed)),
    )
    return derived(shown)


def _data(own: DraftContent, absorbed: Iterable[Item]) -> Document:
    data = dict(own.data)
    for _, values in own.decided:
        data.update(values)
    for item in absorbed:
        data = {**item.data, **data}
    return Document(sorted(data.items()))


def _identifiers(draft: Item, absorbed: Iterable[Item], keys: IdentifierKeys) -> tuple[Identifier, ...]:
    found = {identifier.identity: identifier for identifier in draft.identifiers}
    for item in absorbed:
        for identifier in item.identifiers:
            if identifier.identity not in found:
                found[identifier.identity] = resealed(identifier, keys, item.key, draft.key)
    return tuple(sorted(found.values(), key=lambda identifier: identifier.order))


def _aliases(drafts: Iterable[Item]) -> tuple[Alias, ...]:
    found: dict[tuple[str, str], Alias] = {}
    for draft in drafts:
        for alias in draft.aliases:
            found.setdefault((alias.scheme, alias.value), alias)
    return tuple(found.values())


def touched(act: Act, draft: Item) -> Item:
    """Return a changed draft at its next version."""
    return attrs.evolve(draft, updated_at=strictly_after(draft.updated_at, act.now), version=draft.version + 1)


def absorb(
    act: Act,
    master: Item,
    others: Iterable[Item],
    known: Mapping[str, Item],
    strategy: MergeStrategy,
    keys: IdentifierKeys,
) -> list[Item]:
    """Return the master, then the drafts it absorbs, as they are to be saved; `known` is what it absorbed before.

    Raises Invalid beyond the bounds of an item.
    """
    drafts = dict(known)
    result = master
    absorbed = []
    for other in others:
        drafts[other.key] = other
        own = result.own or DraftContent(result.identifiers, result.data, result.aliases)
        chosen = strategy_data(strategy, result.data, other.data)
        own = attrs.evolve(own, decided=(*own.decided, (other.key, chosen)) if chosen else own.decided)
        lineage = attrs.evolve(result.lineage, merged_from=(*result.lineage.merged_from, other.key))
        result = united(alone(attrs.evolve(result, own=own, lineage=lineage)), drafts, keys)
        into = attrs.evolve(other.lineage, merged_into=master.key)
        absorbed.append(touched(act, attrs.evolve(other, status=ItemStatus.MERGED, lineage=into)))
    require_fit(result)
    return [touched(act, result), *absorbed]


def release(act: Act, master: Item, source: Item, known: Mapping[str, Item], keys: IdentifierKeys) -> tuple[Item, Item]:
    """Return the master without a draft, and that draft by itself, as they are to be saved."""
    rest = tuple(key for key in master.lineage.merged_from if key != source.key)
    changed = alone(attrs.evolve(master, lineage=attrs.evolve(master.lineage, merged_from=rest)))
    free = attrs.evolve(source, status=ItemStatus.LOCAL, lineage=attrs.evolve(source.lineage, merged_into=None))
    return touched(act, united(changed, known, keys)), touched(act, free)


@attrs.frozen
class Group:
    """Drafts that say the same, the suggested master first, and by what: keys of identifiers, or `fingerprint`."""

    drafts: tuple[Item, ...]
    match: tuple[str, ...]

    @property
    def differing_keys(self) -> tuple[str, ...]:
        """Data keys on which two members hold different values."""
        keys = {key for draft in self.drafts for key in draft.data}
        return tuple(sorted(key for key in keys if len(self._values(key)) > 1))

    def _values(self, key: str) -> set[bytes]:
        return {canonical(draft.data[key]) for draft in self.drafts if key in draft.data}


def duplicates(drafts: Iterable[Item], namespace: str | None = None) -> list[Group]:
    """Return the groups of two and more drafts connected by equal identifiers or fingerprints, oldest first.

    With `namespace` only what matches there connects.
    """
    ordered = sorted(drafts, key=lambda draft: (draft.created_at, draft.key))
    leader = list(range(len(ordered)))

    def root(index: int) -> int:
        while leader[index] != index:
            leader[index] = leader[leader[index]]
            index = leader[index]
        return index

    first: dict[tuple[str, str], int] = {}
    links: list[tuple[int, str]] = []
    for index, draft in enumerate(ordered):
        for name in _says(draft, namespace):
            other = first.setdefault(name, index)
            if other != index:
                links.append((index, name[0]))
                low, high = sorted((root(other), root(index)))
                leader[high] = low
    return _groups(ordered, [root(index) for index in range(len(ordered))], links)


def _groups(ordered: list[Item], roots: list[int], links: list[tuple[int, str]]) -> list[Group]:
    members: dict[int, list[Item]] = {}
    matches: dict[int, set[str]] = {}
    for index, draft in enumerate(ordered):
        members.setdefault(roots[index], []).append(draft)
    for index, by in links:
        matches.setdefault(roots[index], set()).add(by)
    return [Group(tuple(members[root]), tuple(sorted(matches[root]))) for root in sorted(matches)]


def _says(draft: Item, namespace: str | None) -> Iterable[tuple[str, str]]:
    def there(identifier: Identifier) -> bool:
        return namespace in (None, identifier.namespace or default_namespace(identifier.key))

    for identifier in draft.identifiers:
        canonical = identifier.kind is IdentifierKind.CANONICAL and identifier.scope is not IdentifierScope.REFERENCE
        if canonical and identifier.lookup is not None and there(identifier):
            yield identifier.key, identifier.lookup
    contextual = (one for one in draft.identifiers if one.scope is IdentifierScope.WORKSPACE)
    if draft.fingerprint is not None and all(map(there, contextual)):
        yield "fingerprint", draft.fingerprint

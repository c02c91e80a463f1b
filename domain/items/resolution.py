"""Which item a submission is about (items-events.md 3.5): a decision over facts read before."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

import attrs

from domain.access.vocabulary import ItemStatus
from domain.identifiers import GENERIC_NAMESPACE, IdentifierKind, IdentifierScope
from domain.items.submission import Content, Read, place_of
from domain.items.values import LABEL_AFTER, Claim, Identifier, Item, PendingReason

GLOBAL = "*"


@attrs.frozen
class New:
    """No item yet."""


@attrs.frozen
class Hit:
    """One own active item."""

    item: Item


@attrs.frozen
class Contribute:
    """One foreign item that stands in the circuit of the push (6.13)."""

    item: Item


@attrs.frozen
class Conflict:
    """No single item: what the caller is told, and what waits for a person.

    `dfids` are own items only; `reads` are the submitted identifiers concerned; `disputed` are the claims of
    others, for telling their holders and nobody else.
    """

    code: str
    reason: PendingReason
    detail: str
    dfids: tuple[str, ...] = ()
    reads: tuple[Read, ...] = ()
    disputed: tuple[Claim, ...] = ()
    details: Mapping[str, object] = attrs.field(factory=dict)


Resolution = New | Hit | Contribute | Conflict


class Known(Protocol):
    """What has been read of the store."""

    def claim(self, space: str, key: str, lookup: str) -> Claim | None: ...

    def root(self, key: str) -> Item: ...

    def holders(self, place: str) -> Iterable[str]: ...

    def count(self, place: str) -> int: ...


def claim_space(scope: IdentifierScope, workspace_id: str) -> str | None:
    """Return the space in which a canonical identifier of that scope is unique, None where it claims nothing."""
    if scope is IdentifierScope.GLOBAL:
        return GLOBAL
    return workspace_id if scope is IdentifierScope.WORKSPACE else None


def counted_place(workspace_id: str, identifier: Identifier) -> str | None:
    """Return where a value is counted: contextual ones that select, and canonical references of the owner's."""
    contextual = identifier.kind is IdentifierKind.CONTEXTUAL
    counted = IdentifierScope.WORKSPACE if contextual else IdentifierScope.REFERENCE
    if identifier.scope is not counted or (identifier.circuit_id is not None and not contextual):
        return None
    place, key, value = identifier.identity
    return place_of(workspace_id, place, key, value)


def claims_of(content: Content, workspace_id: str, *, creating: bool) -> list[tuple[Read, str]]:
    """Return the canonical identifiers that claim, each with its space."""
    return [
        (read, space)
        for read in content.identifiers
        if read.canonical
        and read.lookup is not None
        and (space := claim_space(content.scope_of(read, creating=creating), workspace_id)) is not None
    ]


def claims_wanted(content: Content, workspace_id: str) -> Iterator[tuple[str, str, str]]:
    """Yield the keys of all claims that a content can meet, on a new item or an existing one."""
    for read in content.identifiers:
        if read.canonical and read.lookup is not None:
            for scope, _ in content.scopes[read.pointer]:
                if (space := claim_space(scope, workspace_id)) is not None:
                    yield (space, read.key, read.lookup)


def places_of(content: Content, workspace_id: str) -> dict[str, Read]:
    """Return the contextual identifiers that select, by place."""
    return {
        place_of(workspace_id, read.namespace or GENERIC_NAMESPACE, read.key, read.lookup): read
        for read in content.identifiers
        if not read.canonical
        and read.lookup is not None
        and content.scope_of(read, creating=True) is IdentifierScope.WORKSPACE
    }


def references_of(content: Content, workspace_id: str) -> set[str]:
    """Return the places of the canonical identifiers that would be references: they are counted, and select nothing."""
    return {
        place_of(workspace_id, "", read.key, read.lookup)
        for read in content.identifiers
        if read.canonical
        and read.lookup is not None
        and IdentifierScope.REFERENCE in (content.scope_of(read, creating=True), content.scope_of(read, creating=False))
    }


def resolve(
    known: Known, content: Content, workspace_id: str, circuit_items: frozenset[str] = frozenset()
) -> Resolution:
    """Decide which item a submission of `workspace_id` is about.

    `circuit_items` are the DFIDs that stand in the circuit of a push; one of them, held by another workspace,
    takes a contribution instead of being a conflict.
    """
    hits = [
        (read, claim)
        for read, space in claims_of(content, workspace_id, creating=True)
        if (claim := known.claim(space, read.key, read.lookup or "")) is not None
    ]
    roots = {root.key: root for root in (known.root(claim.item) for _, claim in hits)}
    foreign = [(read, claim) for read, claim in hits if claim.workspace_id != workspace_id]
    if foreign:
        return _foreign(content, foreign, roots, circuit_items)
    if roots:
        return _canonical(content, hits, list(roots.values()))
    if (twofold := _twofold(content)) is not None:
        return twofold
    candidates = _candidates(known, content, workspace_id)
    if len(candidates) > 1:
        return _ambiguous(candidates, content)
    return Hit(candidates[0]) if candidates else New()


def _foreign(
    content: Content, foreign: list[tuple[Read, Claim]], roots: dict[str, Item], circuit_items: frozenset[str]
) -> Resolution:
    only = next(iter(roots.values()))
    if len(roots) == 1 and only.dfid in circuit_items and only.status is ItemStatus.ACTIVE:
        return _contribution(content, only)
    return Conflict(
        "identifier_claimed",
        PendingReason.CLAIM_CONFLICT,
        "Somebody else holds this identifier.",
        reads=tuple(read for read, _ in foreign),
        disputed=tuple(claim for _, claim in foreign),
    )


def _contribution(content: Content, item: Item) -> Resolution:
    """Return the contribution to an item of another workspace, unless it carries another value of a single type."""
    for read in content.identifiers:
        if contradicted(item, read, content.scope_of(read, creating=False)) is not None:
            return Conflict(
                "identifier_contradiction",
                PendingReason.CONTRADICTION,
                f"The item carries another {read.key}.",
                reads=(read,),
                details={"key": read.key},
            )
    return _twofold(content) or Contribute(item)


def _canonical(content: Content, hits: list[tuple[Read, Claim]], roots: list[Item]) -> Resolution:
    reads = tuple(read for read, _ in hits)
    if len(roots) > 1:
        return Conflict(
            "identifier_conflict",
            PendingReason.CONFLICTING_ITEMS,
            f"The identifiers belong to {len(roots)} items.",
            dfids=tuple(sorted(root.key for root in roots)),
            reads=reads,
        )
    item = roots[0]
    if item.status is not ItemStatus.ACTIVE:
        return Conflict(
            "item_not_active",
            PendingReason.ITEM_NOT_ACTIVE,
            f"The item of this identifier is {item.status}.",
            dfids=(item.key,),
            reads=reads,
            details={"dfid": item.key, "status": item.status.value},
        )
    for read in content.identifiers:
        held = contradicted(item, read, content.scope_of(read, creating=False))
        if held is not None:
            return Conflict(
                "identifier_contradiction",
                PendingReason.CONTRADICTION,
                f"The item carries another {read.key}.",
                dfids=(item.key,),
                reads=(read,),
                details={"dfid": item.key, "key": read.key, "displays": [held, read.check.display]},
            )
    return _twofold(content) or Hit(item)


def second_values(content: Content) -> tuple[Read, ...]:
    """Return what a content says beyond one value of the types of which an item carries one."""
    if len(content.identifiers) < 2:
        return ()
    first: dict[str, Read] = {}
    return tuple(
        read
        for read in content.identifiers
        if read.single
        and content.scope_of(read, creating=True) is IdentifierScope.GLOBAL
        and first.setdefault(read.key, read) is not read
    )


def _twofold(content: Content) -> Conflict | None:
    """Return the contradiction of a content with itself."""
    for read in second_values(content):
        both = tuple(one for one in content.identifiers if one.key == read.key)
        return Conflict(
            "identifier_contradiction",
            PendingReason.CONTRADICTION,
            f"An item has one {read.key}.",
            reads=both,
            details={"key": read.key, "displays": [one.check.display for one in both]},
        )
    return None


def contradicted(item: Item, read: Read, scope: IdentifierScope) -> str | None:
    """Return the display of the value that an item already carries of a single type, when `read` is another one."""
    if not read.single or scope is IdentifierScope.REFERENCE:
        return None
    same = [held for held in item.identifiers if held.key == read.key and held.scope is not IdentifierScope.REFERENCE]
    if any(held.lookup == read.lookup for held in same):
        return None
    return next((held.display for held in same if held.scope is IdentifierScope.GLOBAL), None)


def _ambiguous(candidates: list[Item], content: Content) -> Conflict:
    return Conflict(
        "identifier_conflict",
        PendingReason.AMBIGUOUS_MATCH,
        f"The identifiers fit {len(candidates)} items.",
        dfids=tuple(sorted(item.key for item in candidates)),
        reads=tuple(read for read in content.identifiers if not read.canonical),
    )


def _candidates(known: Known, content: Content, workspace_id: str) -> list[Item]:
    found: dict[str, Item] = {}
    for place in places_of(content, workspace_id):
        if known.count(place) <= LABEL_AFTER:
            for holder in known.holders(place):
                root = known.root(holder)
                found[root.key] = root
    return [
        item
        for item in found.values()
        if item.status is ItemStatus.ACTIVE and item.workspace_id == workspace_id and not disagrees(content, item)
    ]


def disagrees(content: Content, item: Item) -> bool:
    """Tell whether some key is carried by both, neither as a reference, with no value in common."""
    said: _Values = {}
    for read in content.identifiers:
        if content.scope_of(read, creating=True) is not IdentifierScope.REFERENCE:
            place, key, value = read.identity
            said.setdefault((place, key), set()).add(value)
    return _apart(said, _held(item))


def items_disagree(one: Item, other: Item) -> bool:
    """Tell whether two items disagree as a submission and an item do."""
    return _apart(_held(one), _held(other))


_Values = dict[tuple[str, str], set[str]]


def _held(item: Item) -> _Values:
    held: _Values = {}
    for identifier in item.identifiers:
        if identifier.scope is not IdentifierScope.REFERENCE:
            place, key, value = identifier.identity
            held.setdefault((place, key), set()).add(value)
    return held


def _apart(said: _Values, held: _Values) -> bool:
    return any(not (values & held[group]) for group, values in said.items() if group in held)

"""The fold: what an item is, computed from what was contributed to it (items-events.md 3.6, 4)."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from domain.canonical import digest
from domain.document import EMPTY, Document
from domain.errors import Fault, Invalid
from domain.evolving import evolve
from domain.identifiers import Evidence, IdentifierKind, IdentifierScope
from domain.items.data_rules import fold_fits
from domain.items.submission import MAX_ITEM_ALIASES, MAX_ITEM_IDENTIFIERS
from domain.items.values import (
    NO_LINEAGE,
    Contribution,
    ContributionSource,
    Identifier,
    Item,
    Lineage,
)

Visible = Callable[[Contribution], bool]
Order = tuple[datetime, str]

CONFIDENCE: Mapping[str, float] = {
    Evidence.REGISTRY_OK: 1.0,
    Evidence.CHECK_OK: 0.95,
    Evidence.FORMAT_OK: 0.8,
    Evidence.CHECK_FAILED: 0.3,
}
CONTEXTUAL_CONFIDENCE = 0.5
NO_CONFIDENCE = 0.1


@attrs.frozen
class Family:
    """Contributions and lineage by item key, at least of an item and of everything absorbed in it."""

    contributions: Mapping[str, Sequence[Contribution]]
    lineages: Mapping[str, Lineage]

    @classmethod
    def of(cls, items: Iterable[Item], contributions: Iterable[Contribution]) -> "Family":
        """Group contributions by their item."""
        grouped: dict[str, list[Contribution]] = {}
        for contribution in contributions:
            grouped.setdefault(contribution.item, []).append(contribution)
        return cls(grouped, {item.key: item.lineage for item in items})

    def absorbed(self, key: str) -> Iterator[str]:
        """Yield the item and everything absorbed in it: each before what it absorbed, in order of merging."""
        yield key
        for source in self.lineages.get(key, NO_LINEAGE).merged_from:
            yield from self.absorbed(source)

    def live(self, key: str, visible: Visible) -> list[Contribution]:
        """Return the live contributions made to this one item, in their order (4.1)."""
        merged = self.lineages.get(key, NO_LINEAGE).merged_from
        found = [
            contribution
            for contribution in self.contributions.get(key, ())
            if (contribution.merged_from is None or contribution.merged_from in merged) and visible(contribution)
        ]
        return sorted(found, key=order_of)


@attrs.frozen
class Folded:
    """What an item is to somebody. `identifiers` are ordered by (namespace, key, normalised)."""

    data: Document
    identifiers: tuple[Identifier, ...]


def order_of(contribution: Contribution) -> Order:
    """Return the order in which contributions apply."""
    return (contribution.recorded_at, contribution.contribution_id)


def everything(_: Contribution) -> bool:
    """See all contributions, as the owner's workspace does."""
    return True


def without_circuit(contribution: Contribution) -> bool:
    """See what every reader sees."""
    return contribution.circuit_id is None


def visible_to(owner_workspace_id: str, reader_workspace_id: str | None, circuits: Iterable[str]) -> Visible:
    """Return what a reader sees, `circuits` being those through which they may view the item (4.5)."""
    if reader_workspace_id == owner_workspace_id:
        return everything
    through = frozenset(circuits)

    def visible(contribution: Contribution) -> bool:
        return (
            contribution.circuit_id is None
            or contribution.workspace_id == reader_workspace_id
            or contribution.circuit_id in through
        )

    return visible


def fold(key: str, family: Family, visible: Visible = everything) -> Folded:
    """Return what the item `key` is, over the contributions that are `visible`."""
    live = [family.live(member, visible) for member in family.absorbed(key)]
    return Folded(fold_data(live), fold_identifiers(live))


def fold_data(live: Sequence[Sequence[Contribution]]) -> Document:
    """Fold the data of ordered contributions per item, the item itself first (4.2)."""
    decided: dict[str, Any] = {}
    for contributions in live:
        for name, (_, value) in _layer(c for c in contributions if c.circuit_id is None).items():
            if value is not None:
                decided.setdefault(name, value)
    for name, value in _through_circuits(live).items():
        decided.setdefault(name, value)
    return Document(sorted(decided.items())) if decided else EMPTY


def _layer(contributions: Iterable[Contribution]) -> dict[str, tuple[Order, Any]]:
    return {
        name: (order_of(contribution), value)
        for contribution in contributions
        for name, value in contribution.data.items()
    }


def _through_circuits(live: Sequence[Sequence[Contribution]]) -> dict[str, Any]:
    """Return per key the latest value among the layers of rank 2, one per item and workspace."""
    layers: dict[tuple[str, str], list[Contribution]] = {}
    for contributions in live:
        for contribution in contributions:
            if contribution.circuit_id is not None:
                layers.setdefault((contribution.item, contribution.workspace_id), []).append(contribution)
    latest: dict[str, tuple[Order, Any]] = {}
    for layer in layers.values():
        for name, (order, value) in _layer(layer).items():
            if value is not None and (name not in latest or latest[name][0] < order):
                latest[name] = (order, value)
    return {name: value for name, (_, value) in latest.items()}


def layer_data(key: str, family: Family, workspace_id: str | None = None) -> Document:
    """Return the values of one layer of the item itself, without those withdrawn.

    That is the owners' layer, or with `workspace_id` what that workspace contributed through circuits. What a
    submission would join decides whether it changes anything (6.1).
    """
    mine = [
        contribution
        for contribution in family.live(key, everything)
        if (contribution.circuit_id is None if workspace_id is None else _by(workspace_id, contribution))
    ]
    return Document((name, value) for name, (_, value) in _layer(mine).items() if value is not None)


def _by(workspace_id: str, contribution: Contribution) -> bool:
    return contribution.circuit_id is not None and contribution.workspace_id == workspace_id


def fold_identifiers(live: Sequence[Sequence[Contribution]]) -> tuple[Identifier, ...]:
    """Fold the identifiers of ordered contributions per item, the item itself first (4.3)."""
    shown: dict[tuple[str, str, str], Identifier] = {}
    for contributions in live:
        for identity, identifier in _identifiers_of(contributions).items():
            held = shown.get(identity)
            if held is None or _uncovers(held, identifier):
                shown[identity] = identifier
            else:
                shown[identity] = beside(held, identifier)
    return tuple(sorted(shown.values(), key=lambda identifier: identifier.order))


def own_identifiers(key: str, family: Family) -> tuple[Identifier, ...]:
    """Return the identifiers on the item itself, without those of what it absorbed."""
    return fold_identifiers([family.live(key, everything)])


def _identifiers_of(contributions: Iterable[Contribution]) -> dict[tuple[str, str, str], Identifier]:
    held: dict[tuple[str, str, str], Identifier] = {}
    for contribution in contributions:
        for removed in contribution.removed_identifiers:
            held.pop(removed.identity, None)
        for added in contribution.identifiers:
            joined = _joined(held.get(added.identity), added, contribution)
            if joined is not None:
                held[added.identity] = joined
    return held


def _joined(held: Identifier | None, added: Identifier, contribution: Contribution) -> Identifier | None:
    """Return what stands after an addition. An administrator proves what stands and makes nothing appear that
    came through a circuit this reader does not see."""
    if contribution.source is ContributionSource.ADMIN:
        if held is None:
            return None if added.circuit_id is not None else added
        return _proved(held, added)
    if held is None:
        return added
    return uncovered(held, added) if _uncovers(held, added) else beside(held, added)


def beside(held: Identifier, other: Identifier) -> Identifier:
    """Return what stands when the same comes another way: the first stays, and it is known how it came besides.

    What the owner says came to everybody.
    """
    more = () if held.circuit_id is None else tuple(way for way in other.ways if way not in held.ways)
    return evolve(held, also=(*held.also, *more)) if more else held


def uncovered(held: Identifier, added: Identifier) -> Identifier:
    """Return what stands when the owner adds what came through a circuit before: proof of the number stays."""
    return _proved(added, held) if held.evidence == Evidence.REGISTRY_OK else added


def _proved(identifier: Identifier, proof: Identifier) -> Identifier:
    return evolve(
        identifier,
        evidence=Evidence.REGISTRY_OK.value,
        evidence_source=proof.evidence_source,
        evidence_at=proof.evidence_at,
    )


def _uncovers(held: Identifier, other: Identifier) -> bool:
    return held.circuit_id is not None and other.circuit_id is None


def confidence(identifiers: Iterable[Identifier]) -> float:
    """Return how sure the identity of an item is, by its best identifier (4.4)."""
    return max(
        (
            CONTEXTUAL_CONFIDENCE
            if identifier.kind is IdentifierKind.CONTEXTUAL
            else CONFIDENCE.get(identifier.evidence, NO_CONFIDENCE)
            for identifier in identifiers
            if identifier.scope is not IdentifierScope.REFERENCE
        ),
        default=NO_CONFIDENCE,
    )


def fingerprint(form: str, owner_id: str, identifiers: Iterable[Identifier]) -> str | None:
    """Return the fingerprint of the identifiers of scope workspace, None when there are none (3.6).

    `form` is `workspace` or `circuit`, `owner_id` its id.
    """
    values = sorted(
        list(identifier.identity) for identifier in identifiers if identifier.scope is IdentifierScope.WORKSPACE
    )
    return digest(["defarm-fingerprint/1", form, owner_id, values]) if values else None


def require_fit(item: Item) -> None:
    """Demand the bounds of a whole item or draft (1.1). Raises Invalid."""
    if len(item.identifiers) > MAX_ITEM_IDENTIFIERS:
        raise Invalid([Fault("too_many", f"At most {MAX_ITEM_IDENTIFIERS} identifiers.", pointer="/identifiers")])
    if len(item.aliases) > MAX_ITEM_ALIASES:
        raise Invalid([Fault("too_many", f"At most {MAX_ITEM_ALIASES} aliases.", pointer="/aliases")])
    if not fold_fits(item.data):
        raise Invalid([Fault("data_too_large", "The item's data would exceed its bounds.", pointer="/data")])


def refolded(item: Item, family: Family) -> Item:
    """Return the item with everything that is derived from contributions computed anew.

    `data` is what every reader sees; `identifiers` are all, each with the circuit it came through; version and
    time are the caller's to advance.
    """
    live = [family.live(member, everything) for member in family.absorbed(item.key)]
    identifiers = fold_identifiers(live)
    through = {c.circuit_id for contributions in live for c in contributions if c.circuit_id is not None}
    public = [[c for c in contributions if c.circuit_id is None] for contributions in live] if through else live
    return evolve(
        item,
        data=fold_data(public),
        identifiers=identifiers,
        fingerprint=fingerprint("workspace", item.workspace_id, identifiers),
        confidence=confidence(identifiers),
        contributed=tuple(sorted(through)),
    )

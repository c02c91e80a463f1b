"""What a reader gets of an item (items-events.md 1.2, 4.5, 5)."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from application.facts import about, items_facts
from application.remembering import Remembered
from domain.access.decide import Action, decide
from domain.access.principal import Principal
from domain.access.vocabulary import ItemStatus
from domain.document import Document
from domain.identifiers import IdentifierKind, IdentifierScope, type_of
from domain.identifiers.personal import IdentifierKeys, SealBroken
from domain.items.drafts import is_personal
from domain.items.families import read_absorbed, read_contributions, resealed
from domain.items.fold import Family, Folded, fold, visible_to
from domain.items.values import NO_LINEAGE, Identifier, Item, Lineage, Outcome
from domain.ports.errors import Corrupt
from domain.ports.schema import ITEMS
from domain.ports.storage import Reader


@attrs.frozen
class IdentifierView:
    """An identifier as this reader sees it; masked ones have no value and no normalised form."""

    namespace: str | None
    key: str
    value: str | None
    normalised: str | None
    display: str
    kind: IdentifierKind
    scope: IdentifierScope
    evidence: str
    evidence_source: str | None
    evidence_at: datetime | None
    masked: bool
    added_by: str


@attrs.frozen
class AliasView:
    scheme: str
    value: str
    workspace_id: str
    added_at: datetime


@attrs.frozen
class ItemView:
    """An item as this reader sees it."""

    dfid: str | None
    local_id: str | None
    workspace_id: str
    created_by: str | None
    status: ItemStatus
    identifiers: tuple[IdentifierView, ...]
    aliases: tuple[AliasView, ...]
    data: Document
    fingerprint: str | None
    confidence: float
    lineage: Lineage
    version: int
    created_at: datetime
    updated_at: datetime


@attrs.frozen
class SubmittedView(ItemView):
    """An item view as a submission is answered: with what it did."""

    outcome: Outcome
    warnings: tuple[str, ...]


@attrs.frozen
class ItemOutcome:
    """An item view with what the request did."""

    item: ItemView
    outcome: Outcome
    warnings: tuple[str, ...] = ()


@attrs.frozen
class PendingOutcome:
    """A submission that waits for review."""

    pending_id: str
    reason: str
    outcome: Outcome = Outcome.PENDING


@attrs.frozen
class BatchError:
    pointer: str | None
    code: str
    detail: str


@attrs.frozen
class BatchResult:
    """What became of one element of a batch."""

    index: int
    outcome: Outcome
    dfid: str | None
    pending_id: str | None
    errors: tuple[BatchError, ...]
    warnings: tuple[str, ...]


@attrs.frozen
class BatchOutcome:
    batch_id: str
    counts: Mapping[str, int]
    results: tuple[BatchResult, ...]


@attrs.frozen
class MappingView:
    """Where a LID stands (9.3)."""

    local_id: str
    status: str
    dfid: str | None = None
    current_dfid: str | None = None
    merged_into: str | None = None
    operation_id: str | None = None


Through = Mapping[str, frozenset[str]]
"""The circuits through which the reader may view an item, by DFID."""


_ROW_VIEWS: Remembered[Item, ItemView | None] = Remembered()


async def item_views(
    reader: Reader,
    principal: Principal,
    keys: IdentifierKeys,
    items: Sequence[Item],
    now: datetime,
    through: Through | None = None,
) -> list[ItemView]:
    """Return the views of items that the principal may view, in order.

    Items contributed to through circuits cost one more query for all of them, and one per generation absorbed;
    items whose lineage names others that may be hidden cost what it takes to decide on those.
    """
    # Only contributions through circuits make the fold that the row carries too little.
    circuits = [item for item in items if item.contributed]
    absorbed = await read_absorbed(reader, circuits)
    family = Family(
        await read_contributions(reader, absorbed), {key: member.lineage for key, member in absorbed.items()}
    )
    hidden = await _hidden_kin(reader, principal, items, now)
    views = [
        _view(principal, keys, item, family if item.contributed else None, (through or {}).get(item.key, frozenset()))
        for item in items
    ]
    return [attrs.evolve(view, lineage=_without(view.lineage, hidden)) if hidden else view for view in views]


async def _hidden_kin(reader: Reader, principal: Principal, items: Iterable[Item], now: datetime) -> set[str]:
    """Return what the lineages of these items name and the principal may not view (section 5).

    What an own item absorbed is own; its parts, and what it is a part of, may have changed hands.
    """
    own = principal.workspace_id
    named = {key for item in items for key in _kin(item, absorbed=item.workspace_id != own)}
    if not named:
        return set()
    kin = list((await reader.get_many(ITEMS, sorted(named))).values())
    facts = await items_facts(reader, principal, kin)
    return named - {
        one.key for one in kin if decide(principal, Action.ITEM_VIEW, about(facts, dfid=one.key), now).allowed
    }


def _kin(item: Item, *, absorbed: bool) -> Iterator[str]:
    lineage = item.lineage
    yield from (*(lineage.merged_from if absorbed else ()), *lineage.split_into)
    if lineage.split_from is not None:
        yield lineage.split_from


def _without(lineage: Lineage, hidden: set[str]) -> Lineage:
    return attrs.evolve(
        lineage,
        merged_from=tuple(key for key in lineage.merged_from if key not in hidden),
        split_from=None if lineage.split_from in hidden else lineage.split_from,
        split_into=tuple(key for key in lineage.split_into if key not in hidden),
    )


def as_offered(view: ItemView) -> ItemView:
    """Return what an open offer shows of an item: its identifiers, and nothing of what was written about it."""
    return attrs.evolve(view, data=Document(), aliases=(), fingerprint=None, lineage=NO_LINEAGE)


def row_view(
    principal: Principal, keys: IdentifierKeys, item: Item, through: frozenset[str] = frozenset()
) -> ItemView | None:
    """Return the view of one item that the principal may view through these circuits; None where its row alone does
    not make it, because there is something to unseal, to fold or to hide."""
    mine = principal.workspace_id
    own = item.workspace_id == mine
    return _ROW_VIEWS.of(
        item,
        lambda row: None if _takes_more(row, own=own) else _view(principal, keys, row, None, through),
        None if own else (mine, through),
    )


def _takes_more(item: Item, *, own: bool) -> bool:
    return bool(item.contributed) or any(_kin(item, absorbed=not own)) or any(map(is_personal, item.identifiers))


async def item_view(
    reader: Reader,
    principal: Principal,
    keys: IdentifierKeys,
    item: Item,
    now: datetime,
    through: Iterable[str] = (),
) -> ItemView:
    """Return the view of one item; `through` are the circuits through which the principal may view it."""
    return (await item_views(reader, principal, keys, [item], now, {item.key: frozenset(through)}))[0]


def _view(
    principal: Principal,
    keys: IdentifierKeys,
    item: Item,
    family: Family | None,
    through: frozenset[str],
) -> ItemView:
    mine = principal.workspace_id
    own = item.workspace_id == mine

    def visible(identifier: Identifier) -> bool:
        return (
            identifier.circuit_id in through or own or identifier.circuit_id is None or identifier.workspace_id == mine
        )

    def clear(identifier: Identifier) -> bool:
        return own or any(way.workspace_id == mine for way in identifier.ways)

    data, identifiers = item.data, tuple(filter(visible, item.identifiers))
    if family is not None:
        folded = fold(item.key, family, visible_to(item.workspace_id, mine, through))
        data, identifiers = folded.data, _seen_identifiers(item, family, folded, identifiers, keys)
    return ItemView(
        dfid=item.dfid,
        local_id=item.local_id if own else None,
        workspace_id=item.workspace_id,
        created_by=item.created_by if (item.created_in or item.workspace_id) == mine else None,
        status=item.status,
        identifiers=tuple(
            identifier_view(identifier, item.key, keys, clear=clear(identifier)) for identifier in identifiers
        ),
        aliases=tuple(
            AliasView(alias.scheme, alias.value, alias.workspace_id, alias.added_at)
            for alias in item.aliases
            if own or alias.workspace_id == mine
        ),
        data=data,
        fingerprint=item.fingerprint,
        confidence=item.confidence,
        lineage=item.lineage,
        version=item.version,
        created_at=item.created_at,
        updated_at=item.updated_at,
    )


def _seen_identifiers(
    item: Item, family: Family, folded: Folded, shown: tuple[Identifier, ...], keys: IdentifierKeys
) -> tuple[Identifier, ...]:
    """Return the identifiers of the row that are shown, with those that the row has from a circuit hidden here."""
    known = {identifier.identity for identifier in shown}
    more = [identifier for identifier in folded.identifiers if identifier.identity not in known]
    if not more:
        return shown
    origins = {one.contribution_id: one.item for made in family.contributions.values() for one in made}
    bound = (resealed(identifier, keys, origins[identifier.added_by], item.key) for identifier in more)
    return tuple(sorted((*shown, *bound), key=lambda identifier: identifier.order))


def identifier_view(identifier: Identifier, item_key: str, keys: IdentifierKeys, *, clear: bool) -> IdentifierView:
    """Return an identifier in clear, or masked when it is personal and the reader may not see it."""
    value: str | None = identifier.value
    normalised, display, masked = identifier.normalised, identifier.display, False
    if is_personal(identifier):
        if identifier.lookup is None and not identifier.value:
            value, masked = None, True
        elif clear:
            value, normalised, display = _opened(identifier, item_key, keys)
        else:
            value, normalised, masked = None, None, True
    return IdentifierView(
        namespace=identifier.namespace,
        key=identifier.key,
        value=value,
        normalised=normalised,
        display=display,
        kind=identifier.kind,
        scope=identifier.scope,
        evidence=identifier.evidence,
        evidence_source=identifier.evidence_source,
        evidence_at=identifier.evidence_at,
        masked=masked,
        added_by=identifier.added_by,
    )


def _opened(identifier: Identifier, item_key: str, keys: IdentifierKeys) -> tuple[str, str | None, str]:
    kind = type_of(identifier.key)
    try:
        value = keys.open(item_key, identifier.namespace, identifier.key, identifier.value)
        if identifier.normalised is None or kind is None:
            return value, None, value
        normalised = keys.open(item_key, identifier.namespace, identifier.key, identifier.normalised)
    except SealBroken as error:
        raise Corrupt("items", item_key) from error
    return value, normalised, kind.display(normalised)


def with_outcome(view: ItemView, outcome: Outcome, warnings: Iterable[str]) -> dict[str, Any]:
    """Return the members of an item view with what the request did, as the wire shows them."""
    return members_of(view) | {"outcome": outcome.value, "warnings": list(warnings)}


def members_of(view: ItemView) -> dict[str, Any]:
    """Return the members of an item view, for an answer that has more of them."""
    return {field.name: getattr(view, field.name) for field in attrs.fields(ItemView)}

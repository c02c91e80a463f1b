"""What the world sees of a circuit (circuits.md 4.16, 6): never who wrote it, nor what it is not shown."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import attrs

from domain.access.vocabulary import ItemStatus, PublicAccessMode
from domain.circuits.values import Circuit, Placement
from domain.document import Document
from domain.events.values import Event, EventType
from domain.identifiers import IdentifierKind, type_of
from domain.identifiers.model import Privacy
from domain.items.values import Identifier, Item

_WORKSPACES = frozenset({"from_workspace_id", "to_workspace_id"})
_NAMING = ("identifiers", "added", "removed")
"""Members of payloads that list identifiers by namespace, key and kind."""


@attrs.frozen
class PageToken:
    """What a page password is exchanged for."""

    page_token: str = attrs.field(repr=False)
    expires_at: datetime


@attrs.frozen
class JoinTerms:
    auto_approve: bool


@attrs.frozen
class PageView:
    """The public page of a circuit."""

    circuit_id: str
    public_name: str
    public_description: str
    primary_color: str | None
    secondary_color: str | None
    logo_url: str | None
    tagline: str
    footer_text: str
    access_mode: PublicAccessMode
    public_since: datetime | None
    member_count: int
    published_count: int
    join: JoinTerms


@attrs.frozen
class PublicIdentifierView:
    """An identifier on a public page; masked ones have no value and no normalised form."""

    namespace: str | None
    key: str
    value: str | None
    normalised: str | None
    display: str
    kind: IdentifierKind
    evidence: str
    masked: bool


@attrs.frozen
class PublicItemView:
    """An item on a public page. `event_count` counts the public events."""

    dfid: str
    status: ItemStatus
    identifiers: tuple[PublicIdentifierView, ...]
    data: Document
    published_at: datetime | None
    event_count: int


@attrs.frozen
class PublicEventView:
    """A public event on a public page; `workspace_name` is told for certificates only."""

    event_id: str
    event_type: EventType
    category: str | None
    occurred_at: datetime
    recorded_at: datetime
    payload: Document | None
    hash: str
    corrected_by: tuple[str, ...]
    workspace_name: str | None


@attrs.frozen
class Paged:
    """Something of a page, and whether the page asked for a password."""

    shown: Any
    protected: bool


def page_view(circuit: Circuit, members: int, published: int) -> PageView:
    """Return the page of a circuit with its numbers."""
    settings = circuit.public_settings
    return PageView(
        circuit_id=circuit.circuit_id,
        public_name=settings.public_name or circuit.name,
        public_description=settings.public_description,
        primary_color=settings.primary_color,
        secondary_color=settings.secondary_color,
        logo_url=settings.logo_url,
        tagline=settings.tagline,
        footer_text=settings.footer_text,
        access_mode=settings.access_mode,
        public_since=circuit.public_since,
        member_count=members,
        published_count=published,
        join=JoinTerms(settings.auto_approve_members),
    )


def public_item_view(circuit: Circuit, placement: Placement, item: Item, events: int) -> PublicItemView:
    """Return an item as everybody may see it: what its owners wrote, cut to the keys that the page shows."""
    keys = circuit.public_settings.public_data_keys
    data = item.data if keys is None else Document((key, value) for key, value in item.data.items() if key in keys)
    return PublicItemView(
        dfid=item.key,
        status=item.status,
        identifiers=tuple(_identifiers(item.identifiers)),
        data=data,
        published_at=placement.published_at,
        event_count=events,
    )


def _identifiers(identifiers: Iterable[Identifier]) -> Iterable[PublicIdentifierView]:
    for identifier in identifiers:
        kind = type_of(identifier.key)
        privacy = Privacy.NONE if kind is None else kind.privacy
        if identifier.circuit_id is not None or privacy is Privacy.PERSONAL:
            continue
        masked = kind is not None and privacy is Privacy.LINKABLE
        yield PublicIdentifierView(
            namespace=identifier.namespace,
            key=identifier.key,
            value=None if masked else identifier.value,
            normalised=None if masked else identifier.normalised,
            display=kind.mask(identifier.normalised or "") if masked and kind is not None else identifier.display,
            kind=identifier.kind,
            evidence=identifier.evidence,
            masked=masked,
        )


def public_event_view(event: Event, corrected_by: Iterable[str], workspace_name: str | None) -> PublicEventView:
    """Return a public event without its author, its place in the chain and what would prove either."""
    return PublicEventView(
        event_id=event.event_id,
        event_type=event.event_type,
        category=event.category,
        occurred_at=event.occurred_at,
        recorded_at=event.recorded_at,
        payload=None if event.payload is None else _shown(event.event_type, event.payload),
        hash=event.hash,
        corrected_by=tuple(corrected_by),
        workspace_name=workspace_name,
    )


def _shown(kind: EventType, payload: Document) -> Document:
    if kind in (EventType.RECORDED, EventType.CERTIFIED):
        return payload
    hidden = _WORKSPACES if kind is EventType.TRANSFERRED else frozenset()
    return Document(
        (name, _without_personal(value) if name in _NAMING else value)
        for name, value in payload.items()
        if name not in hidden
    )


def _without_personal(named: Any) -> Any:
    return tuple(one for one in named if not _is_personal(one["key"]))


def _is_personal(key: str) -> bool:
    kind = type_of(key)
    return kind is not None and kind.privacy is Privacy.PERSONAL

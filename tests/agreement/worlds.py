"""Random small worlds: items, circuits, members, placements, shares, pulls and events that fit together."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import attrs

from domain.access.permissions import BaseRole, Permission
from domain.access.vocabulary import (
    CircuitStatus,
    EventVisibility,
    ItemStatus,
    MembershipStatus,
    OperationStatus,
    OperationType,
    PublicAccessMode,
    TransferStatus,
)
from domain.circuits.values import Circuit, Membership, Operation, OperationOrigin, Placement, PublicSettings
from domain.document import Document
from domain.events.values import Event, EventType
from domain.identifiers import IdentifierKind, IdentifierScope
from domain.items.values import Alias, Identifier, IdentifierEntry, Item, Share, Transfer
from domain.ports.schema import (
    CIRCUITS,
    ENTRIES,
    EVENTS,
    ITEMS,
    MEMBERSHIPS,
    OPERATIONS,
    PLACEMENTS,
    SHARES,
    TRANSFERS,
    Facet,
)
from domain.ports.views import Viewer

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
INSTANTS = tuple(NOW + timedelta(seconds=n) for n in (-2, -1, 0, 1))
VIEWERS = (Viewer("ana", "mill"), Viewer("bento", "farm"), Viewer("rita", "dairy"), Viewer("olga", "farm"))
HOMES = {viewer.user_id: viewer.workspace_id for viewer in VIEWERS}
WORKSPACES = ("mill", "farm", "dairy")
CIRCUIT_IDS = ("C", "E")
DFIDS = ("DFID-1", "DFID-2", "DFID-3", "DFID-4")
DRAFTS = ("LID-1", "LID-2")
WORDS = ("gado", "gadanha", "Açaí", "soja")


@attrs.frozen
class World:
    """Rows by facet."""

    items: tuple[Item, ...]
    entries: tuple[IdentifierEntry, ...]
    circuits: tuple[Circuit, ...]
    members: tuple[Membership, ...]
    placements: tuple[Placement, ...]
    shares: tuple[Share, ...]
    pulls: tuple[Operation, ...]
    events: tuple[Event, ...]
    transfers: tuple[Transfer, ...]

    def rows(self) -> Iterator[tuple[Facet[Any], tuple[Any, ...]]]:
        facets = (ITEMS, ENTRIES, CIRCUITS, MEMBERSHIPS, PLACEMENTS, SHARES, OPERATIONS, EVENTS, TRANSFERS)
        yield from zip(facets, attrs.astuple(self, recurse=False), strict=True)


class Dice:
    """Throws that make most facts be there and most of them fit, so that rare grounds are met."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self.pick = self._random.choice

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def usually(self, usual: Any, others: Any) -> Any:
        return usual if self.chance(0.8) else self.pick(tuple(others))

    def some(self, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(value for value in values if self.chance(0.6))


def world(seed: int) -> World:
    """Return the world of a seed."""
    dice = Dice(seed)
    items = tuple(_item(dice, key) for key in (*DFIDS, *DRAFTS) if dice.chance(0.9))
    registered = tuple(item for item in items if item.dfid is not None)
    members = tuple(_member(dice, circuit, viewer) for circuit in CIRCUIT_IDS for viewer in VIEWERS if dice.chance(0.7))
    placements = tuple(_placement(dice, circuit, item) for circuit in CIRCUIT_IDS for item in dice.some(registered))
    return World(
        items=items,
        entries=tuple(entry for item in items for entry in _entries(dice, item)),
        circuits=tuple(_circuit(dice, circuit) for circuit in CIRCUIT_IDS),
        members=members,
        placements=placements,
        shares=tuple(_shares(dice, registered)),
        pulls=tuple(_pulls(dice, placements, members)),
        events=tuple(_events(dice, registered)),
        transfers=tuple(_transfers(dice, registered)),
    )


def _item(dice: Dice, key: str) -> Item:
    draft = key in DRAFTS
    return Item(
        dfid=None if draft else key,
        local_id=key if draft else None,
        workspace_id=dice.pick(WORKSPACES),
        created_by=None,
        status=ItemStatus.LOCAL if draft else dice.usually(ItemStatus.ACTIVE, set(ItemStatus) - {ItemStatus.LOCAL}),
        identifiers=tuple(_identifier(dice) for _ in range(dice.pick((0, 1, 2)))),
        data=Document(text=" ".join(dice.some(WORDS))),
        created_at=dice.pick(INSTANTS),
        updated_at=dice.pick(INSTANTS),
        aliases=tuple(Alias("tag", dice.pick("12"), dice.pick(WORKSPACES), NOW) for _ in range(dice.pick((0, 1, 2)))),
    )


def _identifier(dice: Dice) -> Identifier:
    personal = dice.chance(0.2)
    value = dice.pick("xy")
    return Identifier(
        namespace=dice.pick(("bovino", "generic")),
        key=dice.pick(("sisbov", "lote")),
        value=value,
        normalised=f"sealed {value}" if personal else value,
        lookup=value,
        display=dice.pick(WORDS),
        kind=dice.pick(tuple(IdentifierKind)),
        scope=dice.pick(tuple(IdentifierScope)),
        evidence=dice.pick(("format_ok", "check_failed")),
        workspace_id=dice.pick(WORKSPACES),
        added_by="K",
        circuit_id=dice.pick((None, *CIRCUIT_IDS)),
    )


def _entries(dice: Dice, item: Item) -> Iterator[IdentifierEntry]:
    found = {(each.namespace or "", each.key, each.lookup or ""): each for each in item.identifiers}
    for (namespace, key, lookup), each in found.items():
        personal = each.lookup != each.normalised
        yield IdentifierEntry(
            item.key, each.workspace_id, namespace, key, lookup, None, each.circuit_id, personal and dice.chance(0.9)
        )


def _circuit(dice: Dice, circuit_id: str) -> Circuit:
    return Circuit(
        circuit_id, circuit_id, "olga", NOW, NOW,
        status=dice.usually(CircuitStatus.ACTIVE, CircuitStatus),
        require_approval_for_pull=dice.chance(0.5),
        **_page(dice),
    )  # fmt: skip


def _page(dice: Dice) -> dict[str, Any]:
    """Return a page that is open, closed, protected or waiting for its date."""
    visible = dice.chance(0.7)
    mode = dice.pick(tuple(PublicAccessMode))
    settings = PublicSettings(
        access_mode=mode,
        scheduled_date=dice.pick(INSTANTS) if mode is PublicAccessMode.SCHEDULED else dice.pick((None, *INSTANTS)),
        public_name=dice.pick((None, *WORDS)),
        tagline=dice.pick(("", *WORDS)),
    )
    since = dice.pick(INSTANTS) if visible else None
    return {"allow_public_visibility": visible, "public_since": since, "public_settings": settings}


def _member(dice: Dice, circuit_id: str, viewer: Viewer) -> Membership:
    permissions = frozenset({Permission.PULL}) if dice.chance(0.8) else frozenset({Permission.PUSH})
    status = dice.usually(MembershipStatus.ACTIVE, MembershipStatus)
    return Membership(
        circuit_id, viewer.user_id, BaseRole.VIEWER, permissions, dice.pick(INSTANTS[:2]), "added", status=status
    )


def _placement(dice: Dice, circuit_id: str, item: Item) -> Placement:
    number = dice.pick("12")
    return Placement(
        f"P{circuit_id}{item.key}{number}", circuit_id, item.key, item.workspace_id, "olga", "farm", NOW, "O", True,
        published=(published := dice.chance(0.6)), published_at=dice.pick(INSTANTS) if published else None,
    )  # fmt: skip


def _shares(dice: Dice, items: tuple[Item, ...]) -> Iterator[Share]:
    for item in items:
        for viewer in dice.some(VIEWERS):
            yield Share(
                f"S{item.key}{viewer.user_id}", item.key, "olga", "farm", viewer.user_id, NOW,
                expires_at=dice.pick((None, *INSTANTS)), revoked_at=dice.pick((None, None, NOW)),
            )  # fmt: skip


def _transfers(dice: Dice, items: tuple[Item, ...]) -> Iterator[Transfer]:
    """Offers of now and of before: at most one of an item is open."""
    for item in items:
        for number, status in enumerate(dice.some(tuple(TransferStatus))):
            yield Transfer(
                f"T{item.key}{number}", item.key, item.workspace_id, dice.pick(WORKSPACES), "olga", NOW,
                dice.pick(INSTANTS), status=status,
            )  # fmt: skip


def _pulls(dice: Dice, placements: tuple[Placement, ...], members: tuple[Membership, ...]) -> Iterator[Operation]:
    """Pulls under memberships of now and of before, of the placement that stands and of one that stood."""
    for placement in placements:
        for member in members:
            if member.circuit_id == placement.circuit_id and dice.chance(0.7):
                placement_id = dice.usually(placement.placement_id, ("P-before",))
                yield Operation(
                    f"O{placement_id}{placement.dfid}{member.circuit_id}{member.user_id}",
                    placement.circuit_id,
                    member.user_id,
                    HOMES[member.user_id],
                    OperationType.PULL,
                    OperationOrigin.DFID,
                    dice.usually(member.joined_at, INSTANTS[:2]),
                    NOW,
                    dice.usually(OperationStatus.COMPLETED, (OperationStatus.REJECTED, OperationStatus.CANCELLED)),
                    dfid=placement.dfid,
                    # Of a placement that stood there may have been one pull only.
                    placement_id=placement_id
                    if placement_id != "P-before"
                    else f"P-before {placement.circuit_id} {placement.dfid}",
                )


def _events(dice: Dice, items: tuple[Item, ...]) -> Iterator[Event]:
    for item in items:
        for position in range(1, dice.pick((1, 3, 5)) + 1):
            visibility = dice.pick(tuple(EventVisibility))
            yield Event(
                f"V{item.key}-{position}", item.key, position, dice.pick((EventType.CREATED, EventType.RECORDED)),
                visibility, dice.pick(("ana", "bento", None)), dice.pick(WORKSPACES), dice.pick(INSTANTS),
                dice.pick(INSTANTS), Document(), None, "h", "h", "h",
                category=dice.pick((None, "weighing")),
                circuit_id=dice.pick(CIRCUIT_IDS) if visibility is EventVisibility.CIRCUIT_ONLY else None,
                recipient_user_id=dice.pick(VIEWERS).user_id if visibility is EventVisibility.DIRECT else None,
            )  # fmt: skip

"""Lists that span facets, evaluated over the tables: the oracle that SQL must agree with."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, TypeVar

from adapters.changes import order_key
from adapters.memory.feeds import activity_tallies, actor_totals, seen_activity
from domain.access.permissions import Permission
from domain.access.question import page_state
from domain.access.vocabulary import (
    CircuitStatus,
    EventVisibility,
    MembershipStatus,
    OperationStatus,
    OperationType,
    PageState,
    TransferStatus,
)
from domain.circuits.directory import page_words
from domain.circuits.facts import circuit_fact
from domain.circuits.values import Circuit, Membership, Placement
from domain.events.values import Event
from domain.items.search import search_tokens
from domain.items.values import Alias, Identifier, IdentifierEntry, Item
from domain.notifications.values import LastPosition
from domain.ports.queries import Cursor, Select
from domain.ports.schema import MEMBERSHIPS
from domain.ports.views import (
    ActivityTallies,
    ActivityView,
    ActorTotals,
    DirectoryView,
    EventsView,
    ItemsView,
    LastPositionView,
    MembersView,
    PlacementsView,
    View,
    Viewer,
)

V = TypeVar("V")
Tables = dict[str, Any]


def evaluate(tables: Tables, view: View[V], after: Cursor | None, limit: int) -> list[tuple[Cursor, V]]:
    """Return up to `limit` rows of a view after a cursor, by walking everything but for own items."""
    rows: list[tuple[Cursor, Any]]
    match view:
        case ItemsView(access="own", circuit_id=None):
            return list(islice(_own(tables, view, after), limit))
        case ItemsView():
            rows = [((getattr(item, view.sort), item.key), item) for item in _items(tables, view)]
        case MembersView():
            rows = [((member.joined_at, member.user_id), member) for member in _members(tables, view)]
        case PlacementsView():
            rows = [((row.placed_at, row.placement_id), row) for row in _placements(tables, view)]
        case DirectoryView():
            rows = [((each.public_since, each.circuit_id), each) for each in _directory(tables, view)]
        case EventsView(by_position=True):
            rows = [((event.position,), event) for event in _events(tables, view)]
        case EventsView():
            rows = [((getattr(event, view.time), event.event_id), event) for event in _events(tables, view)]
        case ActivityView():
            rows = [((entry.at, entry.activity_id), entry) for entry in seen_activity(tables, view)]
        case ActivityTallies():
            rows = [((tally.day, tally.kind), tally) for tally in activity_tallies(tables, view)]
        case ActorTotals():
            rows = [((-total.count, total.user_id), total) for total in actor_totals(tables, view)]
        case LastPositionView():
            last = tables["notifications"].serials.get(view.user_id)
            rows = [] if last is None else [((last,), LastPosition(last))]
        case _:
            raise TypeError(f"no such view: {view!r}")
    backwards = _backwards(view)
    rows.sort(key=lambda row: order_key(row[0]), reverse=backwards)
    if after is not None:
        edge = order_key(after)
        rows = [row for row in rows if (order_key(row[0]) < edge if backwards else order_key(row[0]) > edge)]
    return rows[:limit]


def _backwards(view: View[Any]) -> bool:
    if isinstance(view, ItemsView | EventsView):
        return view.descending and not getattr(view, "by_position", False)
    return isinstance(view, ActivityView | DirectoryView | PlacementsView)


def open_circuits(tables: Tables, viewer: Viewer, dfid: str) -> set[str]:
    """Return the circuits through which the viewer may view an item (circuit_member, approved_pull)."""
    return {
        placement.circuit_id
        for placement in tables["placements"].rows.values()
        if placement.dfid == dfid and _reads_through(tables, viewer, placement)
    }


def _reads_through(tables: Tables, viewer: Viewer, placement: Any) -> bool:
    member = tables["memberships"].rows.get((placement.circuit_id, viewer.user_id))
    circuit = tables["circuits"].rows.get(placement.circuit_id)
    if (
        member is None
        or circuit is None
        or circuit.status != CircuitStatus.ACTIVE
        or member.status != MembershipStatus.ACTIVE
        or Permission.PULL not in member.permissions
    ):
        return False
    return not circuit.require_approval_for_pull or any(
        operation.operation_type == OperationType.PULL
        and operation.status == OperationStatus.COMPLETED
        and operation.requester_id == viewer.user_id
        and operation.placement_id == placement.placement_id
        and operation.member_since == member.joined_at
        for operation in tables["operations"].rows.values()
    )


def _shared(tables: Tables, view: ItemsView | EventsView, dfid: str | None) -> bool:
    return any(
        share.dfid == dfid
        and share.recipient_user_id == view.viewer.user_id
        and share.revoked_at is None
        and (share.expires_at is None or share.expires_at > view.now)
        for share in tables["shares"].rows.values()
    )


def _offered(tables: Tables, view: ItemsView | EventsView, dfid: str | None) -> bool:
    return any(
        transfer.dfid == dfid
        and transfer.to_workspace_id == view.viewer.workspace_id
        and transfer.status is TransferStatus.OPEN
        and transfer.expires_at > view.now
        for transfer in tables["transfers"].rows.values()
    )


def _own(tables: Tables, view: ItemsView, after: Cursor | None) -> Iterator[tuple[Cursor, Any]]:
    query = Select({"workspace_id": view.viewer.workspace_id}, (view.sort,), view.descending)
    for item in tables["items"].walk(query, after):
        if item.workspace_id == view.viewer.workspace_id and item.status in view.statuses and _fits(tables, view, item):
            yield (getattr(item, view.sort), item.key), item


def _items(tables: Tables, view: ItemsView) -> Iterable[Item]:
    for item in tables["items"].rows.values():
        if item.status in view.statuses and _accessible(tables, view, item) and _fits(tables, view, item):
            yield item


def _accessible(tables: Tables, view: ItemsView, item: Item) -> bool:
    own = item.workspace_id == view.viewer.workspace_id
    if item.dfid is None:
        return own and view.access == "own" and view.circuit_id is None
    circuits = open_circuits(tables, view.viewer, item.dfid)
    if view.circuit_id is not None and view.circuit_id not in circuits:
        return False
    # An offer shows no data, so no words of it either.
    shared = _shared(tables, view, item.dfid) or (not view.words and _offered(tables, view, item.dfid))
    grounds = {"own": own, "shared": shared, "circuit": bool(circuits)}
    return any(grounds.values()) if view.access == "all" else grounds[view.access]


def _fits(tables: Tables, view: ItemsView, item: Item) -> bool:
    return (
        (view.created is None or item.created_at in view.created)
        and (view.updated is None or item.updated_at in view.updated)
        and (not view.entries or any(_carries(tables, view, item, *entry) for entry in view.entries))
        and _identified(tables, view, item)
        and (view.alias is None or any(_named(view, alias) for alias in item.aliases))
        and all(any(token.startswith(word) for token in search_tokens(item)) for word in view.words)
    )


def _named(view: ItemsView, alias: Alias) -> bool:
    return f"{alias.scheme}:{alias.value}" == view.alias and alias.workspace_id == view.viewer.workspace_id


def _identified(tables: Tables, view: ItemsView, item: Item) -> bool:
    if view.namespace is None and view.kind is None and not view.evidences:
        return True
    return any(
        (view.namespace is None or identifier.namespace == view.namespace)
        and (view.kind is None or identifier.kind == view.kind)
        and (not view.evidences or identifier.evidence in view.evidences)
        and _came(tables, view, item, identifier)
        for identifier in item.identifiers
    )


def _carries(tables: Tables, view: ItemsView, item: Item, key: str, lookup: str, namespace: str | None) -> bool:
    return any(
        entry.item == item.key
        and entry.key == key
        and entry.lookup == lookup
        and (namespace is None or entry.namespace == namespace)
        and _entry_visible(tables, view, item, entry)
        for entry in tables["identifier_entries"].rows.values()
    )


def _entry_visible(tables: Tables, view: ItemsView, item: Item, entry: IdentifierEntry) -> bool:
    mine = view.viewer.workspace_id
    if entry.personal:
        return mine == item.workspace_id or any(way.workspace_id == mine for way in entry.ways)
    return _came(tables, view, item, entry)


def _came(tables: Tables, view: ItemsView, item: Item, one: Identifier | IdentifierEntry) -> bool:
    """Tell whether an identifier of an item came to the viewer."""
    mine, circuits = view.viewer.workspace_id, {way.circuit_id for way in one.ways}
    return (
        None in circuits
        or mine == item.workspace_id
        or any(way.workspace_id == mine for way in one.ways)
        or (item.dfid is not None and not circuits.isdisjoint(open_circuits(tables, view.viewer, item.dfid)))
    )


def _members(tables: Tables, view: MembersView) -> Iterable[Membership]:
    accounts = tables["accounts"].rows
    for member in tables["memberships"].rows.values():
        here = member.circuit_id == view.circuit_id and member.status == MembershipStatus.ACTIVE
        if not here or view.role not in (None, MEMBERSHIPS.columns["role"](member)):
            continue
        account = accounts.get(member.user_id)
        if account is not None and account.username.startswith(view.prefix):
            yield member


def _placements(tables: Tables, view: PlacementsView) -> Iterable[Placement]:
    for row in tables["placements"].rows.values():
        if row.circuit_id == view.circuit_id and tables["items"].rows[row.dfid].status in view.statuses:
            yield row


def _directory(tables: Tables, view: DirectoryView) -> Iterable[Circuit]:
    for circuit in tables["circuits"].rows.values():
        found = all(any(token.startswith(word) for token in page_words(circuit)) for word in view.words)
        if found and page_state(circuit_fact(circuit), view.now) is PageState.OPEN:
            yield circuit


def _events(tables: Tables, view: EventsView) -> Iterable[Event]:
    for event in tables["events"].rows.values():
        if _event_fits(view, event) and _event_visible(tables, view, event):
            yield event


def _event_fits(view: EventsView, event: Event) -> bool:
    return (
        (view.dfid is None or event.dfid == view.dfid)
        and (not view.event_types or event.event_type in view.event_types)
        and (view.category is None or event.category == view.category)
        and (view.visibility is None or event.visibility == view.visibility)
        and (view.circuit_id is None or event.circuit_id == view.circuit_id)
        and (view.author_user_id is None or event.author_user_id == view.author_user_id)
        and (view.author_workspace_id is None or event.author_workspace_id == view.author_workspace_id)
        and (view.period is None or getattr(event, view.time) in view.period)
    )


def _event_visible(tables: Tables, view: EventsView, event: Event) -> bool:
    viewer = view.viewer
    if event.author_workspace_id == viewer.workspace_id:
        return True
    match event.visibility:
        case EventVisibility.DIRECT:
            return event.recipient_user_id == viewer.user_id
        case EventVisibility.CIRCUIT_ONLY:
            return event.circuit_id in open_circuits(tables, viewer, event.dfid)
        case EventVisibility.PUBLIC:
            item = tables["items"].rows.get(event.dfid)
            return item is not None and (
                item.workspace_id == viewer.workspace_id
                or _shared(tables, view, event.dfid)
                or _offered(tables, view, event.dfid)
                or bool(open_circuits(tables, viewer, event.dfid))
            )
        case _:
            return False

"""Lists that span facets, evaluated over the tables: the oracle that SQL must agree with.

The rule of a list is a predicate that is asked of every row it shows; indexes only name the rows that are asked.
"""

from collections.abc import Iterator
from itertools import chain, islice
from typing import Any, TypeVar

from adapters.changes import order_key
from adapters.memory.feeds import activity_listing, activity_tallies, actor_totals
from adapters.memory.listing import Listing, Tables, Where, all_of, few, given
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
from domain.items.search import alias_mark, evidence_mark, kind_mark, namespace_mark, search_tokens, splits
from domain.items.values import Alias, Identifier, IdentifierEntry, Item
from domain.notifications.values import LastPosition
from domain.ports.queries import AnyOf, Condition, Cursor, StartsWith
from domain.ports.schema import (
    ACCOUNTS,
    CIRCUITS,
    ENTRIES,
    EVENTS,
    ITEMS,
    MEMBERSHIPS,
    OPERATIONS,
    PLACEMENTS,
    SHARES,
    TRANSFERS,
)
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


def evaluate(tables: Tables, view: View[V], after: Cursor | None, limit: int) -> list[tuple[Cursor, V]]:
    """Return up to `limit` rows of a view after a cursor."""
    rows: list[tuple[Cursor, Any]]
    match view:
        case ActivityTallies():
            rows = [((tally.day, tally.kind), tally) for tally in activity_tallies(tables, view)]
        case ActorTotals():
            rows = [((-total.count, total.user_id), total) for total in actor_totals(tables, view)]
        case LastPositionView():
            last = tables["notifications"].serials.get(view.user_id)
            rows = [] if last is None else [((last,), LastPosition(last))]
        case _:
            listing = _listing(tables, view)
            cursor = listing.cursor()
            return [(cursor(row), row) for row in islice(listing.rows(tables, after), limit)]
    rows.sort(key=lambda row: order_key(row[0]))
    if after is not None:
        rows = [row for row in rows if order_key(row[0]) > order_key(after)]
    return rows[:limit]


def _listing(tables: Tables, view: View[Any]) -> Listing[Any]:
    match view:
        case ItemsView():
            return _items(tables, view)
        case MembersView():
            return _members(tables, view)
        case PlacementsView():
            return _placements(tables, view)
        case DirectoryView():
            return _directory(view)
        case EventsView():
            return _events(tables, view)
        case ActivityView():
            return activity_listing(tables, view)
        case _:
            raise TypeError(f"no such view: {view!r}")


def open_circuits(tables: Tables, viewer: Viewer, dfid: str) -> set[str]:
    """Return the circuits through which the viewer may view an item (circuit_member, approved_pull)."""
    return {
        placement.circuit_id
        for placement in all_of(tables, PLACEMENTS, dfid=dfid)
        if _reads_through(tables, viewer, placement)
    }


def _reads_through(tables: Tables, viewer: Viewer, placement: Placement) -> bool:
    member = tables["memberships"].rows.get((placement.circuit_id, viewer.user_id))
    circuit = tables["circuits"].rows.get(placement.circuit_id)
    if member is None or circuit is None or not _pulls(circuit, member):
        return False
    return not circuit.require_approval_for_pull or any(
        operation.placement_id == placement.placement_id and operation.status == OperationStatus.COMPLETED
        for operation in all_of(
            tables,
            OPERATIONS,
            circuit_id=placement.circuit_id,
            dfid=placement.dfid,
            requester_id=viewer.user_id,
            operation_type=OperationType.PULL,
            member_since=member.joined_at,
        )
    )


def _pulls(circuit: Circuit, member: Membership) -> bool:
    """Tell whether a membership lets its user pull."""
    return (
        circuit.status == CircuitStatus.ACTIVE
        and member.status == MembershipStatus.ACTIVE
        and Permission.PULL in member.permissions
    )


def _reached(tables: Tables, viewer: Viewer, circuit_id: str | None = None) -> Iterator[str]:
    """Yield the items that stand in the viewer's circuits, or in one of them, and among them all that the viewer may
    view through a circuit."""
    for member in all_of(tables, MEMBERSHIPS, user_id=viewer.user_id, **given(circuit_id=circuit_id)):
        circuit = tables["circuits"].rows[member.circuit_id]
        if not _pulls(circuit, member):
            continue
        if circuit.require_approval_for_pull:
            mine = {"requester_id": viewer.user_id, "status": OperationStatus.COMPLETED}
            pulls = all_of(tables, OPERATIONS, circuit_id=member.circuit_id, **mine)
            yield from (operation.dfid for operation in pulls if operation.dfid is not None)
        else:
            yield from (placement.dfid for placement in all_of(tables, PLACEMENTS, circuit_id=member.circuit_id))


def _entrusted(tables: Tables, view: ItemsView | EventsView) -> Iterator[str]:
    """Yield the items that were ever shared with the viewer or are offered to the viewer's workspace."""
    to = {"to_workspace_id": view.viewer.workspace_id, "status": TransferStatus.OPEN}
    yield from (share.dfid for share in all_of(tables, SHARES, recipient_user_id=view.viewer.user_id))
    yield from (transfer.dfid for transfer in all_of(tables, TRANSFERS, **to))


def _shared(tables: Tables, view: ItemsView | EventsView, dfid: str) -> bool:
    return any(
        share.expires_at is None or share.expires_at > view.now
        for share in all_of(tables, SHARES, standing=f"{dfid} {view.viewer.user_id}")
    )


def _offered(tables: Tables, view: ItemsView | EventsView, dfid: str) -> bool:
    return any(
        transfer.to_workspace_id == view.viewer.workspace_id and transfer.expires_at > view.now
        for transfer in all_of(tables, TRANSFERS, open_dfid=dfid)
    )


def _items(tables: Tables, view: ItemsView) -> Listing[Item]:
    def shows(item: Item) -> bool:
        return _accessible(tables, view, item) and _fits(tables, view, item)

    wanted = given(status=AnyOf(view.statuses), created_at=view.created, updated_at=view.updated)
    sources = [wanted | source for source in _item_sources(tables, view)]
    return Listing(ITEMS, (view.sort, "key"), shows, sources, _marks(view), view.descending)


def _item_sources(tables: Tables, view: ItemsView) -> list[Where]:
    if view.entries:
        entries = (all_of(tables, ENTRIES, key=key, lookup=lookup) for key, lookup, _ in view.entries)
        return [few("key", (entry.item for entry in chain.from_iterable(entries)))]
    own: Where = {"workspace_id": view.viewer.workspace_id}
    if view.access == "own" and view.circuit_id is None:
        return [own]
    reached = few("key", _reached(tables, view.viewer, view.circuit_id))
    if view.access == "circuit" or view.circuit_id is not None:
        return [reached]
    entrusted = few("key", _entrusted(tables, view))
    sources = [entrusted] if view.access == "shared" else [own, entrusted, reached]
    return sources if all(sources) else [{}]


def _marks(view: ItemsView) -> tuple[Condition, ...]:
    """Return what words of an item must be, so that rare filters start from few items."""
    marks: list[Condition] = [StartsWith(word) for word in view.words]
    if view.namespace is not None:
        marks.append(namespace_mark(view.namespace))
    if view.kind is not None:
        marks.append(kind_mark(view.kind))
    if view.evidences:
        marks.append(AnyOf(tuple(map(evidence_mark, view.evidences))))
    if view.alias is not None:
        marks.append(AnyOf(tuple(alias_mark(view.viewer.workspace_id, *each) for each in splits(view.alias))))
    return tuple(marks)


def _accessible(tables: Tables, view: ItemsView, item: Item) -> bool:
    own = item.workspace_id == view.viewer.workspace_id
    if item.dfid is None:
        return own and view.access == "own" and view.circuit_id is None
    if view.circuit_id is not None and view.circuit_id not in open_circuits(tables, view.viewer, item.dfid):
        return False
    match view.access:
        case "own":
            return own
        case "shared":
            return _handed(tables, view, item.dfid)
        case "circuit":
            return bool(open_circuits(tables, view.viewer, item.dfid))
        case _:
            return own or _handed(tables, view, item.dfid) or bool(open_circuits(tables, view.viewer, item.dfid))


def _handed(tables: Tables, view: ItemsView, dfid: str) -> bool:
    # An offer shows no data, so no words of it either.
    return _shared(tables, view, dfid) or (not view.words and _offered(tables, view, dfid))


def _fits(tables: Tables, view: ItemsView, item: Item) -> bool:
    return (
        (not view.entries or any(_carries(tables, view, item, *entry) for entry in view.entries))
        and _identified(tables, view, item)
        and (view.alias is None or any(_named(view, alias) for alias in item.aliases))
        and (not view.words or _worded(view.words, search_tokens(item)))
    )


def _worded(words: tuple[str, ...], tokens: tuple[str, ...]) -> bool:
    return all(any(token.startswith(word) for token in tokens) for word in words)


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
        (namespace is None or entry.namespace == namespace) and _entry_visible(tables, view, item, entry)
        for entry in all_of(tables, ENTRIES, key=key, lookup=lookup, item=item.key)
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


def _members(tables: Tables, view: MembersView) -> Listing[Membership]:
    accounts = tables["accounts"].rows

    def shows(member: Membership) -> bool:
        account = accounts.get(member.user_id)
        return account is not None and account.username.startswith(view.prefix)

    where = given(circuit_id=view.circuit_id, status=MembershipStatus.ACTIVE, role=view.role)
    named = (account.user_id for account in all_of(tables, ACCOUNTS, username=StartsWith(view.prefix)))
    return Listing(MEMBERSHIPS, ("joined_at", "user_id"), shows, [where | few("user_id", named)], descending=False)


def _placements(tables: Tables, view: PlacementsView) -> Listing[Placement]:
    def shows(row: Placement) -> bool:
        return tables["items"].rows[row.dfid].status in view.statuses

    return Listing(PLACEMENTS, ("placed_at", "placement_id"), shows, [{"circuit_id": view.circuit_id}])


def _directory(view: DirectoryView) -> Listing[Circuit]:
    def shows(circuit: Circuit) -> bool:
        opened = page_state(circuit_fact(circuit), view.now) is PageState.OPEN
        return opened and _worded(view.words, page_words(circuit))

    words = tuple(map(StartsWith, view.words))
    return Listing(CIRCUITS, ("public_since", "circuit_id"), shows, [{"listed": True}], words)


def _events(tables: Tables, view: EventsView) -> Listing[Event]:
    wanted = given(
        dfid=view.dfid,
        event_type=AnyOf(view.event_types) if view.event_types else None,
        category=view.category,
        visibility=view.visibility,
        circuit_id=view.circuit_id,
        author_user_id=view.author_user_id,
        author_workspace_id=view.author_workspace_id,
    ) | given(**{view.time: view.period})
    sources = [wanted | source for source in _event_sources(tables, view)]
    order = ("position",) if view.by_position else (view.time, "event_id")
    descending = view.descending and not view.by_position
    return Listing(EVENTS, order, lambda event: _event_visible(tables, view, event), sources, descending=descending)


def _event_sources(tables: Tables, view: EventsView) -> list[Where]:
    if any(each is not None for each in (view.dfid, view.circuit_id, view.author_workspace_id)):
        return [{}]
    viewer = view.viewer
    sources: list[Where] = [{"author_workspace_id": viewer.workspace_id}]
    if view.visibility in (None, EventVisibility.DIRECT):
        sources.append({"visibility": EventVisibility.DIRECT, "recipient_user_id": viewer.user_id})
    if view.visibility in (None, EventVisibility.CIRCUIT_ONLY):
        member = all_of(tables, MEMBERSHIPS, user_id=viewer.user_id, status=MembershipStatus.ACTIVE)
        circuits = few("circuit_id", (each.circuit_id for each in member))
        sources.append(given(visibility=EventVisibility.CIRCUIT_ONLY) | circuits if circuits else {})
    if view.visibility in (None, EventVisibility.PUBLIC):
        own = (item.key for item in all_of(tables, ITEMS, workspace_id=viewer.workspace_id))
        seen = few("dfid", chain(own, _entrusted(tables, view), _reached(tables, viewer)))
        sources.append(given(visibility=EventVisibility.PUBLIC) | seen if seen else {})
    return sources if all(sources) else [{}]


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

"""Lists that span facets, as SQL: the rule of the access decision as a predicate.

No list may walk what its viewer does not see: where several grounds open rows, each names its own from an index, in the
order of the list and no further than a page, and the page is made of those (decision 12).
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import attrs

from adapters.postgres.feeds import activity_page, activity_tallies, actor_totals, last_position
from adapters.postgres.statements import LONGEST_TOKEN
from domain.access.vocabulary import EventVisibility
from domain.activity.values import Activity, Tally
from domain.audit.log import ActorTotal
from domain.circuits.values import Circuit, Membership, Placement
from domain.events.values import Event
from domain.items.search import alias_mark, evidence_mark, kind_mark, namespace_mark, splits
from domain.items.values import Item
from domain.notifications.values import LastPosition
from domain.ports.queries import Between, Cursor
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
)

Parameters = dict[str, Any]

_READABLE = """
    select 1 from placements p
    join memberships m on m.circuit_id = p.circuit_id and m.user_id = %(user)s
        and m.status = 'active' and m.can_pull
    join circuits c on c.circuit_id = p.circuit_id and c.status = 'active'
    where {condition} and (not c.require_approval_for_pull or exists (
        select 1 from operations o where o.circuit_id = p.circuit_id and o.dfid = p.dfid
        and o.requester_id = %(user)s and o.operation_type = 'pull' and o.status = 'completed'
        and o.placement_id = p.placement_id and o.member_since = m.joined_at))
"""
_OPEN = """
    select p.dfid from memberships m join circuits c on c.circuit_id = m.circuit_id
        and c.status = 'active' and not c.require_approval_for_pull
    cross join lateral (select x.dfid from placements x where x.circuit_id = m.circuit_id offset 0) p
    where m.user_id = %(user)s and m.status = 'active' and m.can_pull {named}
"""
_PULLED = """
    select p.dfid from memberships m join circuits c on c.circuit_id = m.circuit_id
        and c.status = 'active' and c.require_approval_for_pull
    join operations o on o.circuit_id = m.circuit_id and o.requester_id = m.user_id and o.status = 'completed'
        and o.operation_type = 'pull' and o.member_since = m.joined_at
    join placements p on p.circuit_id = o.circuit_id and p.dfid = o.dfid and p.placement_id = o.placement_id
    where m.user_id = %(user)s and m.status = 'active' and m.can_pull {named}
"""
_SHARED = """
    select s.dfid from shares s where s.recipient_user_id = %(user)s
    and s.body->>'revoked_at' is null
    and (s.body->>'expires_at' is null or (s.body->>'expires_at')::timestamptz > %(now)s)
"""
_OFFERED = """
    select o.open_dfid from transfers o where o.to_workspace_id = %(workspace)s and o.status = 'open'
    and o.expires_at > %(now)s
"""
NEAR = 1000
"""So many items of a circuit are looked at in their order before the store is asked for those that a list wants."""
FEW_NAMED = 500
"""Up to so many users who bear a name are looked for among the members of a circuit."""
FEW = 5000
"""Up to so many items that a viewer reads by other grounds than ownership are met by their keys. Of more, so large a
part of a list is theirs that walking it finds a page soon."""


_OWN = "t.workspace_id = %(workspace)s"
_PULLS_WAIT = "(select c.require_approval_for_pull from circuits c where c.circuit_id = %(circuit)s)"
"""Whether the circuit named approves pulls: what a viewer may read there starts from the viewer's pulls, which may be
few or none, and not from what stands there."""


def _readable(condition: str) -> str:
    """Placements through which the viewer may view an item: circuit_member or approved_pull (circuits.md 2.2)."""
    return _READABLE.format(condition=condition)


def _opened(*, one_circuit: bool) -> str:
    """The first items of the viewer's circuits that the viewer may view, of all of them or of the one named.

    It says what `_readable` says, and starts from what the viewer pulled where pulls are approved: of a large circuit
    that would be a few among placements that each had to be asked for. What stands in a circuit is walked only once the
    circuit is known to be open, which the offset makes sure of.
    """
    named = "and m.circuit_id = %(circuit)s" if one_circuit else ""
    open_, pulled = (each.format(named=named) for each in (_OPEN, _PULLED))
    return f"(({open_} limit {FEW + 1}) union all ({pulled} limit {FEW + 1}))"


def view_query(view: View[Any], after: Cursor | None, limit: int) -> tuple[type[Any], str, Parameters]:
    """Return the class of the rows, the statement and the parameters of one page of a view.

    A row is its body, its cursor and, in a view that `tells_writers`, what wrote it; there the last part of the cursor,
    which tells the row from all others of the view, is named so.
    """
    match view:
        case ItemsView():
            return _items(view, after, limit)
        case MembersView():
            return _members(view, after, limit)
        case PlacementsView():
            return _placements(view, after, limit)
        case DirectoryView():
            return _directory(view, after, limit)
        case EventsView():
            return _events(view, after, limit)
        case ActivityView():
            return Activity, *activity_page(view, after, limit)
        case ActivityTallies():
            return Tally, *activity_tallies(view, after, limit)
        case ActorTotals():
            return ActorTotal, *actor_totals(view, limit)
        case LastPositionView():
            return LastPosition, *last_position(view)
        case _:
            raise TypeError(f"no such view: {view!r}")


def tells_writers(view: View[Any]) -> bool:
    """Tell whether the rows of a view are stored ones, so that each was written by a transaction."""
    return isinstance(view, ItemsView | MembersView | PlacementsView | DirectoryView | EventsView)


def is_walk(view: View[Any]) -> bool:
    """Tell whether an index leads through a view in its order: others may leave with it, for it is no search."""
    match view:
        case ItemsView(access="own", circuit_id=None, created=None, updated=None):
            return not (view.entries or view.namespace or view.kind or view.evidences or view.alias or view.words)
        case EventsView():
            return view.dfid is not None
        case LastPositionView():
            return True
        case _:
            return False


def _items(view: ItemsView, after: Cursor | None, limit: int) -> tuple[type[Any], str, Parameters]:
    parameters: Parameters = _viewer(view) | {"statuses": list(view.statuses), "limit": limit}
    where = ["t.status = any(%(statuses)s)"]
    if view.circuit_id is not None:
        parameters["circuit"] = view.circuit_id
    if view.entries:
        where.append(_carried(view, parameters))
    if view.namespace is not None or view.kind is not None or view.evidences:
        where.append(_identified(view, parameters))
    if view.alias is not None:
        where.append(
            "exists (select 1 from json_array_elements(t.body->'aliases') a where a->>'workspace_id' = %(workspace)s"
            " and (a->>'scheme') || ':' || (a->>'value') = %(alias)s)"
        )
        parameters["alias"] = view.alias
    if marks := _marks(view):
        where.append("t.tokens @@ %(marks)s::tsquery")
        parameters["marks"] = marks
    where += _worded(view.words, parameters)
    where += _within("created_at", view.created, parameters) + _within("updated_at", view.updated, parameters)
    listing = Listing("items", (view.sort, "key"), descending=view.descending, after=after)
    branches = [attrs.evolve(each, wanted=tuple(where)) for each in _named(view, listing)]
    if (view.words or marks) and not view.entries:
        bounds = _within(view.sort, view.created if view.sort == "created_at" else view.updated, parameters)
        branches = [_sought(each, listing, bounds) if each.where[0] == _OWN else each for each in branches]
    return Item, listing.united(branches, parameters, _few(view)), parameters


def _marks(view: ItemsView) -> str:
    """Return what the words of an item must hold, so that rare filters start from few items."""
    marks = [_lexeme(namespace_mark(view.namespace))] if view.namespace is not None else []
    if view.kind is not None:
        marks.append(_lexeme(kind_mark(str(view.kind))))
    if view.evidences:
        levels = " | ".join(_lexeme(evidence_mark(level)) for level in view.evidences)
        marks.append(f"({levels})")
    if view.alias is not None:
        meant = (alias_mark(view.viewer.workspace_id, *each) for each in splits(view.alias))
        marks.append(f"({' | '.join(map(_lexeme, meant))})")
    return " & ".join(marks)


def _lexeme(text: str) -> str:
    """Write a word as a query of words spells it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def _named(view: ItemsView, listing: "Listing") -> list["Branch"]:
    """Return what together names the items of a view, each fit to start from an index."""
    readable = "p.dfid = t.key" if view.circuit_id is None else "p.dfid = t.key and p.circuit_id = %(circuit)s"
    few = Branch((f"(select count(*) from few) <= {FEW}", "t.key = any(array(select dfid from few))"))
    through = [few, _many(view, listing)]
    if view.entries:
        placed = () if view.circuit_id is None else (f"exists ({_readable(readable)})",)
        return [Branch((_item_access(view), *placed))]
    if view.circuit_id is not None:
        access = () if view.access in ("circuit", "all") else (_item_access(view),)
        if view.sort == "created_at":
            further = _further(listing, "%(circuit)s", _of_status(view))
            late = f"({_PULLS_WAIT} or ((select count(*) from first) < %(limit)s and {further}))"
            through = [attrs.evolve(each, where=(late, *each.where)) for each in through]
            near = _near(listing, "%(circuit)s", _of_status(view))
            through.insert(0, attrs.evolve(near, where=(f"not {_PULLS_WAIT}", *near.where)))
        return [attrs.evolve(each, where=(*each.where, *access)) for each in through]
    shared = f"t.key = any(array({_given(view)}))"
    match view.access:
        case "own":
            return [Branch((_OWN,))]
        case "shared":
            return [Branch((shared,))]
        case "circuit":
            return through
        case _:
            return [Branch((_OWN, "t.key like 'DFID-%%'")), Branch((shared,)), *through]


def _near(listing: "Listing", circuit: str, status: str) -> "Branch":
    """Return what names the next items of a circuit, as far as a page is found among `NEAR`.

    What most of them fulfil is found here, however many they are; what few fulfil, by the other branches.
    """
    columns = ("x.created_at", "x.dfid")
    readable = _readable(f"p.dfid = x.dfid and p.circuit_id = {circuit}")
    return Branch(
        (f"exists ({readable} offset 0)",),
        source=f"""(select {", ".join(columns)} from {_placed(listing, circuit, status)}
            order by {listing.directed(columns)} limit {NEAR}) x join items t on t.key = x.dfid""",
        columns=columns,
    )


def _sought(own: "Branch", listing: "Listing", bounds: Sequence[str]) -> "Branch":
    """Return what names those of the viewer's own items that hold words; within `bounds` they are walked in order.

    What many of them hold is found among the next `NEAR` in the order of the list. Else all that hold it are met by it,
    which are few then: to walk the others in order until a page is full would be to walk them all. The offset keeps
    the server from doing so, and a range of workspaces that is one from walking past the items of all others.
    """
    columns = ("t.workspace_id", *(f"t.{name}" for name in listing.order))
    one = ("t.workspace_id >= %(workspace)s", "t.workspace_id <= %(workspace)s", *own.where[1:], *bounds)
    mine = " and ".join((*one, *listing.beyond(columns, ("%(workspace)s",))))
    order = listing.directed(columns)
    near = f"(select t.*, t.xmin from items t where {mine} order by {order} limit {NEAR}) t"
    further = f"exists (select from items t where {mine} order by {order} offset {NEAR})"
    held = " and ".join((*own.where, *own.wanted, *listing.beyond(columns[1:])))
    held = f"(select t.*, t.xmin from items t where {held} offset 0) t"
    others = f"t.{listing.order[-1]} <> all(array(select {listing.order[-1]} from near))"
    return Branch((), held, nearer=Branch(own.wanted, near), late=f"{further} and {others}")


def _of_status(view: ItemsView) -> str:
    """Return the condition by which an index finds items of a status, however few of a circuit have it.

    Of several statuses no index has the order, so all items are walked.
    """
    return "x.status = any(%(statuses)s)" if len(view.statuses) > 1 else "x.status = (%(statuses)s::text[])[1]"


def _placed(listing: "Listing", circuit: str, status: str) -> str:
    after = listing.beyond(("x.created_at", "x.dfid"))
    return f"placed_items x where {' and '.join((f'x.circuit_id = {circuit}', status, *after))}"


def _further(listing: "Listing", circuit: str, status: str) -> str:
    """Return the condition that more items of a circuit follow than those that are near."""
    return f"exists (select 1 from {_placed(listing, circuit, status)} offset {NEAR})"


def _many(view: ItemsView, listing: "Listing") -> "Branch":
    """Return what names the items of circuits where they are more than a few."""
    many = f"(select count(*) from few) > {FEW}"
    circuit = "" if view.circuit_id is None else " and p.circuit_id = %(circuit)s"
    if view.sort != "created_at":
        # With an offset the server asks it of each row that it walks, instead of collecting all that fulfil it.
        return Branch((many, f"exists ({_readable(f'p.dfid = t.key{circuit}')} offset 0)"), follows=True)
    named = "" if view.circuit_id is None else "and m.circuit_id = %(circuit)s"
    readable, status = _readable("p.dfid = t.key and p.circuit_id = r.circuit_id"), _of_status(view)
    return Branch(
        (many, "x.circuit_id = r.circuit_id", status, f"exists ({readable} offset 0)"),
        source="placed_items x join items t on t.key = x.dfid and t.created_at = x.created_at",
        columns=("x.created_at", "x.dfid"),
        per=_CIRCUITS.format(named=named),
        nearer=_near(listing, "r.circuit_id", status) if view.circuit_id is None else None,
        late=_further(listing, "r.circuit_id", status),
    )


def _few(view: ItemsView) -> str:
    opened = _opened(one_circuit=view.circuit_id is not None)
    return f"few as materialized (select dfid from {opened} as o limit {FEW + 1})"


def _given(view: ItemsView) -> str:
    """Return the query of what was given to the viewer to look at."""
    # An offer shows no data, so no words of it either.
    return _SHARED if view.words else f"{_SHARED} union all {_OFFERED}"


def _viewer(view: ItemsView | EventsView) -> Parameters:
    return {"user": view.viewer.user_id, "workspace": view.viewer.workspace_id, "now": view.now}


def _item_access(view: ItemsView) -> str:
    """Return the condition that the viewer may view an item at hand by the access asked for."""
    grounds = {
        "own": _OWN,
        "shared": f"t.key in ({_given(view)})",
        "circuit": f"exists ({_readable('p.dfid = t.key')})",
    }
    registered = "t.key like 'DFID-%%'"
    return f"({' or '.join(grounds.values())}) and {registered}" if view.access == "all" else grounds[view.access]


def _carried(view: ItemsView, parameters: Parameters) -> str:
    keys, lookups, namespaces = zip(*view.entries, strict=True)
    parameters |= {"keys": list(keys), "lookups": list(lookups), "namespaces": list(namespaces)}
    through = _readable(f"p.dfid = t.key and (p.circuit_id = e.circuit_id or {_also('e.body', 'circuit_id')})")
    mine = f"(t.workspace_id = %(workspace)s or e.workspace_id = %(workspace)s or {_also('e.body', 'workspace_id')})"
    entries = """identifier_entries e
        join unnest(%(keys)s::text[], %(lookups)s::text[], %(namespaces)s::text[]) as d(key, lookup, namespace)
            on e.key = d.key and e.lookup = d.lookup and (d.namespace is null or e.namespace = d.namespace)"""
    return f"""t.key = any(array(select e.item from {entries}))
        and exists (select 1 from {entries} where e.item = t.key
            and ({mine} or (not e.personal and (e.circuit_id is null or exists ({through})))))"""


def _also(body: str, member: str) -> str:
    """Return the condition that an identifier came in another way too: through the circuit of a placement, or by the
    viewer's workspace."""
    sought = {"circuit_id": "p.circuit_id", "workspace_id": "%(workspace)s"}[member]
    return f"exists (select 1 from json_array_elements({body}->'also') w where w->>'{member}' = {sought})"


def _identified(view: ItemsView, parameters: Parameters) -> str:
    through = _readable(f"p.dfid = t.key and (p.circuit_id = i->>'circuit_id' or {_also('i', 'circuit_id')})")
    mine = f"(t.workspace_id = %(workspace)s or i->>'workspace_id' = %(workspace)s or {_also('i', 'workspace_id')})"
    clauses = [f"(i->>'circuit_id' is null or {mine} or exists ({through}))"]
    if view.namespace is not None:
        clauses.append("i->>'namespace' = %(namespace)s")
        parameters["namespace"] = view.namespace
    if view.kind is not None:
        clauses.append("i->>'kind' = %(kind)s")
        parameters["kind"] = str(view.kind)
    if view.evidences:
        clauses.append("i->>'evidence' = any(%(evidences)s)")
        parameters["evidences"] = list(view.evidences)
    return f"exists (select 1 from json_array_elements(t.body->'identifiers') i where {' and '.join(clauses)})"


def _worded(words: tuple[str, ...], parameters: Parameters) -> list[str]:
    if not words:
        return []
    parameters["words"] = " & ".join(f"'{word[:LONGEST_TOKEN]}':*" for word in words)
    return ["t.tokens @@ %(words)s::tsquery"]


def _members(view: MembersView, after: Cursor | None, limit: int) -> tuple[type[Any], str, Parameters]:
    """Few who bear such a name are looked for in the circuit, of many the members are asked in their order."""
    parameters: Parameters = {"circuit": view.circuit_id, "prefix": view.prefix, "limit": limit}
    parameters["beyond"] = view.prefix + chr(0x10FFFF)
    where = ["t.circuit_id = %(circuit)s", "t.status = 'active'"]
    if view.role is not None:
        where.append("t.role = %(role)s")
        parameters["role"] = view.role
    listing = Listing("memberships", ("joined_at", "user_id"), descending=False, after=after)
    named = "a.username >= %(prefix)s and a.username < %(beyond)s"
    bears = f"exists (select 1 from accounts a where a.user_id = t.user_id and {named} offset 0)"
    found = "t.user_id = any(array(select user_id from named))"
    scans = [
        listing.page([f"(select count(*) from named) {size}", *where, asked], parameters)
        for size, asked in ((f"<= {FEW_NAMED}", found), (f"> {FEW_NAMED}", bears))
    ]
    return (
        Membership,
        f"""with named as materialized (select a.user_id from accounts a where {named} limit {FEW_NAMED + 1})
            select l.* from (({") union all (".join(scans)})) l order by l.joined_at, l.last limit %(limit)s""",
        parameters,
    )


def _placements(view: PlacementsView, after: Cursor | None, limit: int) -> tuple[type[Any], str, Parameters]:
    parameters: Parameters = {"circuit": view.circuit_id, "statuses": list(view.statuses), "limit": limit}
    listing = Listing("placements", ("placed_at", "placement_id"), descending=True, after=after)
    placed = Branch(
        ("x.circuit_id = %(circuit)s", "x.status = s.status"),
        source="placed_items x join placements t on t.circuit_id = x.circuit_id and t.dfid = x.dfid",
        columns=("x.placed_at", "x.placement_id"),
    )
    each = f"select t.body, x.placed_at, x.placement_id as last, t.xmin from {listing.walk(placed, parameters)}"
    order = listing.directed(("l.placed_at", "l.last"))
    statuses = "unnest(%(statuses)s::text[]) s(status)"
    return (
        Placement,
        f"select l.* from {statuses} cross join lateral ({each}) l order by {order} limit %(limit)s",
        parameters,
    )


def _directory(view: DirectoryView, after: Cursor | None, limit: int) -> tuple[type[Any], str, Parameters]:
    parameters: Parameters = {"now": view.now, "limit": limit}
    where = ["t.listed = true", "(t.opens_at is null or t.opens_at <= %(now)s)", *_worded(view.words, parameters)]
    order = ("public_since", "circuit_id")
    return Circuit, Listing("circuits", order, descending=True, after=after).page(where, parameters), parameters


def _within(column: str, bounds: Between | None, parameters: Parameters) -> list[str]:
    if bounds is None:
        return []
    clauses = []
    for name, sign, value in ((f"{column}_from", ">=", bounds.start), (f"{column}_to", "<", bounds.end)):
        if value is not None:
            parameters[name] = value
            clauses.append(f"t.{column} {sign} %({name})s")
    return clauses


def _events(view: EventsView, after: Cursor | None, limit: int) -> tuple[type[Any], str, Parameters]:
    parameters: Parameters = _viewer(view) | {"limit": limit}
    where = []
    equal = {
        "dfid": view.dfid,
        "category": view.category,
        "visibility": view.visibility,
        "circuit_id": view.circuit_id,
        "author_user_id": view.author_user_id,
        "author_workspace_id": view.author_workspace_id,
    }
    for name, value in equal.items():
        if value is not None:
            where.append(f"t.{name} = %({name})s")
            parameters[name] = value
    if view.event_types:
        where.append("t.event_type = any(%(types)s)")
        parameters["types"] = list(view.event_types)
    where += _within(view.time, view.period, parameters)
    order = ("position",) if view.by_position else (view.time, "event_id")
    listing = Listing("events", order, descending=view.descending and not view.by_position, after=after)
    named = view.dfid is not None or view.circuit_id is not None or view.by_position
    branches = [Branch((_event_access(),))] if named else list(_event_branches(view))
    branches = [attrs.evolve(each, wanted=tuple(where)) for each in branches]
    return Event, listing.united(branches, parameters, _few_of_events()), parameters


def _event_branches(view: EventsView) -> Iterator["Branch"]:
    """Yield what together names the events that the viewer may see, each fit to start from an index."""
    yield Branch(("t.author_workspace_id = %(workspace)s",))
    if view.author_workspace_id == view.viewer.workspace_id:
        return
    if view.visibility in (None, EventVisibility.DIRECT):
        yield Branch((f"t.visibility = '{EventVisibility.DIRECT}'", "t.recipient_user_id = %(user)s"))
    if view.visibility in (None, EventVisibility.CIRCUIT_ONLY):
        through = _readable("p.dfid = t.dfid and p.circuit_id = t.circuit_id")
        only = f"t.visibility = '{EventVisibility.CIRCUIT_ONLY}'"
        circuits = _CIRCUITS.format(named="")
        yield Branch((only, "t.circuit_id = r.circuit_id", f"exists ({through})"), per=circuits)
    if view.visibility in (None, EventVisibility.PUBLIC):
        public = f"t.visibility = '{EventVisibility.PUBLIC}'"
        yield Branch(
            (public, "f.owner_workspace_id = %(workspace)s", _OWNED),
            source="foreign_events f join events t on t.event_id = f.event_id and t.recorded_at = f.recorded_at",
            columns=("f.recorded_at", "f.event_id") if view.time == "recorded_at" else None,
        )
        few, many = f"(select count(*) from few) <= {FEW}", f"(select count(*) from few) > {FEW}"
        yield Branch((public, few, "t.dfid = any(array(select dfid from few))"))
        seen = f"(t.dfid in ({_SHARED} union all {_OFFERED}) or exists ({_readable('p.dfid = t.dfid')} offset 0))"
        yield Branch((public, many, seen), follows=True)


_CIRCUITS = """(select m.circuit_id from memberships m join circuits c using (circuit_id)
    where m.user_id = %(user)s and m.status = 'active' and m.can_pull and c.status = 'active' {named})"""
_OWNED = "exists (select 1 from items i where i.key = t.dfid and i.workspace_id = %(workspace)s)"


def _few_of_events() -> str:
    given = f"{_SHARED} union all {_OFFERED} union all {_opened(one_circuit=False)}"
    return f"few as materialized (select dfid from ({given}) as g limit {FEW + 1})"


def _event_access() -> str:
    """Return the condition that the viewer may see an event at hand.

    With an offset the server asks it of each event, instead of collecting all placements of the viewer's circuits.
    """
    through = _readable("p.dfid = t.dfid and p.circuit_id = t.circuit_id")
    anywhere = _readable("p.dfid = t.dfid")
    return f"""(t.author_workspace_id = %(workspace)s
        or (t.visibility = '{EventVisibility.DIRECT}' and t.recipient_user_id = %(user)s)
        or (t.visibility = '{EventVisibility.CIRCUIT_ONLY}' and exists ({through} offset 0))
        or (t.visibility = '{EventVisibility.PUBLIC}' and
            ({_OWNED} or exists ({_SHARED} and s.dfid = t.dfid) or exists ({_OFFERED} and o.open_dfid = t.dfid)
                or exists ({anywhere} offset 0))))"""


@attrs.frozen
class Branch:
    """A part of a list: what its rows fulfil, where they lie and by which columns they are walked in the order of the
    list, what it is asked for one by one, what the list wants of its rows, and what is tried before it, when `late`."""

    where: tuple[str, ...]
    source: str | None = None
    columns: tuple[str, ...] | None = None
    per: str | None = None
    follows: bool = False
    wanted: tuple[str, ...] = ()
    nearer: "Branch | None" = None
    late: str = "true"


@attrs.frozen(kw_only=True)
class Listing:
    """A table in an order, from a cursor on."""

    table: str = attrs.field(kw_only=False)
    order: tuple[str, ...] = attrs.field(kw_only=False)
    descending: bool
    after: Cursor | None

    def page(self, where: Sequence[str], parameters: Parameters) -> str:
        """Return the statement of one page."""
        return f"select {self._row('t')} from {self.walk(Branch(tuple(where)), parameters)}"

    def united(self, branches: Sequence[Branch], parameters: Parameters, few: str) -> str:
        """Return the statement of one page of what several branches name, each walked no further than a page.

        A branch that `follows` is not walked beyond the page that the first one fills by itself.
        """
        if len(branches) == 1 and branches[0].per is None:
            return self._alone(branches[0], parameters)
        first, *others = branches
        parts = " union ".join(["select * from first", *(f"({self._part(each, parameters)})" for each in others)])
        key = self.order[-1]
        return f"""with {few}, first as materialized ({self._part(first, parameters)}), named as ({parts})
            select {self._row("n")} from named n join {self.table} t on t.{key} = n.{key}
            order by {self.directed(f"n.{name}" for name in self.order)} limit %(limit)s"""

    def _alone(self, branch: Branch, parameters: Parameters) -> str:
        if branch.nearer is None:
            return self.page((*branch.wanted, *branch.where), parameters)
        rows = self._tried(branch, parameters, f"t.body, {self._names('t')}, t.xmin")
        return f"""select {self._row("t")} from ({rows}) t
            order by {self.directed(f"t.{name}" for name in self.order)} limit %(limit)s"""

    def _tried(self, branch: Branch, parameters: Parameters, columns: str) -> str:
        """Return the rows that are near and, where they are too few for a page, those of the branch."""
        assert branch.nearer is not None
        near = attrs.evolve(branch.nearer, wanted=branch.wanted)
        missing = "(select count(*) from near) < %(limit)s"
        late = attrs.evolve(branch, where=(missing, branch.late, *branch.where))
        return f"""with near as materialized (select {columns} from {self.walk(near, parameters)})
            select * from near union all (select {columns} from {self.walk(late, parameters)})"""

    def _part(self, branch: Branch, parameters: Parameters) -> str:
        if branch.nearer is not None:
            walk = self._tried(branch, parameters, self._names("t"))
        else:
            walk = f"select {self._names('t')} from {self.walk(branch, parameters)}"
        if branch.per is None:
            return walk
        return f"select {self._names('l')} from {branch.per} r cross join lateral ({walk}) l"

    def walk(self, branch: Branch, parameters: Parameters) -> str:
        """Return where the rows of a branch lie, in the order of the list, and note its parameters."""
        where = [*branch.wanted, *branch.where]
        columns = branch.columns or tuple(f"t.{name}" for name in self.order)
        parameters |= {f"after_{i}": part for i, part in enumerate(self.after or ())}
        where += self.beyond(columns)
        if branch.follows:
            name, bottom = self.order[0], "-infinity" if self.descending else "infinity"
            last = f"(select {name} from first order by {self.directed(self.order)} offset %(limit)s - 1 limit 1)"
            where.append(f"{columns[0]} {'>=' if self.descending else '<='} coalesce({last}, '{bottom}')")
        source = branch.source or f"{self.table} t"
        return f"{source} where {' and '.join(where)} order by {self.directed(columns)} limit %(limit)s"

    def _row(self, alias: str) -> str:
        *others, last = (f"{alias}.{name}" for name in self.order)
        return ", ".join(("t.body", *others, f"{last} as last", "t.xmin"))

    def _names(self, alias: str) -> str:
        return ", ".join(f"{alias}.{name}" for name in self.order)

    def beyond(self, columns: Sequence[str], of: Sequence[str] = ()) -> list[str]:
        """Return the condition that rows come after the cursor, if there is one; what is before its columns is `of`."""
        if self.after is None:
            return []
        holes = ", ".join((*of, *(f"%(after_{i})s" for i in range(len(self.order)))))
        return [f"({', '.join(columns)}) {'<' if self.descending else '>'} ({holes})"]

    def directed(self, columns: Iterable[str]) -> str:
        """Return how columns are ordered in this direction."""
        direction = " desc" if self.descending else ""
        return ", ".join(f"{column}{direction}" for column in columns)

"""Lists that span facets, as SQL: the rule of the access decision as a predicate."""

from typing import Any

from adapters.postgres.feeds import activity_page, activity_tallies
from adapters.postgres.statements import LONGEST_TOKEN
from domain.access.vocabulary import EventVisibility
from domain.activity.values import Activity, Tally
from domain.circuits.values import Circuit
from domain.events.values import Event
from domain.items.values import Item
from domain.ports.queries import Between, Cursor
from domain.ports.views import ActivityTallies, ActivityView, DirectoryView, EventsView, ItemsView, View

Parameters = dict[str, Any]

_READABLE = """
    select {columns} from placements p
    join memberships m on m.circuit_id = p.circuit_id and m.user_id = %(user)s
        and m.status = 'active' and m.can_pull
    join circuits c on c.circuit_id = p.circuit_id and c.status = 'active'
    where {condition} and (not c.require_approval_for_pull or exists (
        select 1 from operations o where o.circuit_id = p.circuit_id and o.dfid = p.dfid
        and o.requester_id = %(user)s and o.operation_type = 'pull' and o.status = 'completed'
        and o.placement_id = p.placement_id and o.member_since = m.joined_at))
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


def _readable(condition: str, columns: str = "1") -> str:
    """Placements through which the viewer may view an item: circuit_member or approved_pull (circuits.md 2.2)."""
    return _READABLE.format(columns=columns, condition=condition)


def view_query(view: View[Any], after: Cursor | None, limit: int) -> tuple[type[Any], str, Parameters]:
    """Return the class of the rows, the statement and the parameters of one page of a view."""
    match view:
        case ItemsView():
            return _items(view, after, limit)
        case DirectoryView():
            return _directory(view, after, limit)
        case EventsView():
            return _events(view, after, limit)
        case ActivityView():
            return Activity, *activity_page(view, after, limit)
        case ActivityTallies():
            return Tally, *activity_tallies(view, after, limit)
        case _:
            raise TypeError(f"no such view: {view!r}")


def _items(view: ItemsView, after: Cursor | None, limit: int) -> tuple[type[Any], str, Parameters]:
    parameters: Parameters = _viewer(view) | {"statuses": list(view.statuses), "limit": limit}
    where = ["t.status = any(%(statuses)s)", _item_access(view)]
    if view.circuit_id is not None:
        where.append(f"exists ({_readable('p.dfid = t.key and p.circuit_id = %(circuit)s')})")
        parameters["circuit"] = view.circuit_id
    if view.entries:
        where.append(_carried(view, parameters))
    if view.namespace is not None or view.kind is not None or view.evidences:
        where.append(_identified(view, parameters))
    if view.alias is not None:
        where.append(
            "exists (select 1 from json_array_elements(t.body->'aliases') a where a->>'scheme' = %(scheme)s"
            " and a->>'value' = %(alias)s and a->>'workspace_id' = %(workspace)s)"
        )
        parameters |= {"scheme": view.alias[0], "alias": view.alias[1]}
    where += _worded(view.words, parameters)
    where += _within("created_at", view.created, parameters) + _within("updated_at", view.updated, parameters)
    order = (view.sort, "key")
    return Item, _paged("items", order, where, parameters, after, descending=view.descending), parameters


def _viewer(view: ItemsView | EventsView) -> Parameters:
    return {"user": view.viewer.user_id, "workspace": view.viewer.workspace_id, "now": view.now}


def _item_access(view: ItemsView) -> str:
    # An offer shows no data, so no words of it either.
    shared = _SHARED if view.words else f"{_SHARED} union all {_OFFERED}"
    grounds = {
        "own": "t.workspace_id = %(workspace)s",
        "shared": f"t.key in ({shared})",
        "circuit": f"t.key in ({_readable('true', 'p.dfid')})",
    }
    registered = "t.key like 'DFID-%%'"
    return f"({' or '.join(grounds.values())}) and {registered}" if view.access == "all" else grounds[view.access]


def _carried(view: ItemsView, parameters: Parameters) -> str:
    keys, lookups, namespaces = zip(*view.entries, strict=True)
    parameters |= {"keys": list(keys), "lookups": list(lookups), "namespaces": list(namespaces)}
    through = _readable("p.dfid = t.key and p.circuit_id = e.circuit_id")
    mine = "(t.workspace_id = %(workspace)s or e.workspace_id = %(workspace)s)"
    return f"""t.key in (
        select e.item from identifier_entries e
        join unnest(%(keys)s::text[], %(lookups)s::text[], %(namespaces)s::text[]) as d(key, lookup, namespace)
            on e.key = d.key and e.lookup = d.lookup and (d.namespace is null or e.namespace = d.namespace)
        where e.item = t.key
        and ({mine} or (not e.personal and (e.circuit_id is null or exists ({through})))))"""


def _identified(view: ItemsView, parameters: Parameters) -> str:
    through = _readable("p.dfid = t.key and p.circuit_id = i->>'circuit_id'")
    mine = "(t.workspace_id = %(workspace)s or i->>'workspace_id' = %(workspace)s)"
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


def _directory(view: DirectoryView, after: Cursor | None, limit: int) -> tuple[type[Any], str, Parameters]:
    parameters: Parameters = {"now": view.now, "limit": limit}
    where = ["t.listed = true", "(t.opens_at is null or t.opens_at <= %(now)s)", *_worded(view.words, parameters)]
    order = ("public_since", "circuit_id")
    return Circuit, _paged("circuits", order, where, parameters, after, descending=True), parameters


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
    where = [_event_access()]
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
    descending = view.descending and not view.by_position
    return Event, _paged("events", order, where, parameters, after, descending=descending), parameters


def _event_access() -> str:
    through = _readable("p.dfid = t.dfid and p.circuit_id = t.circuit_id")
    anywhere = _readable("p.dfid = t.dfid")
    owned = "exists (select 1 from items i where i.key = t.dfid and i.workspace_id = %(workspace)s)"
    return f"""(t.author_workspace_id = %(workspace)s
        or (t.visibility = '{EventVisibility.DIRECT}' and t.recipient_user_id = %(user)s)
        or (t.visibility = '{EventVisibility.CIRCUIT_ONLY}' and exists ({through}))
        or (t.visibility = '{EventVisibility.PUBLIC}' and
            ({owned} or exists ({_SHARED} and s.dfid = t.dfid) or exists ({_OFFERED} and o.open_dfid = t.dfid)
                or exists ({anywhere}))))"""


def _paged(
    table: str,
    order: tuple[str, ...],
    where: list[str],
    parameters: Parameters,
    after: Cursor | None,
    *,
    descending: bool,
) -> str:
    names = ", ".join(f"t.{name}" for name in order)
    if after is not None:
        holes = ", ".join(f"%(after_{i})s" for i in range(len(order)))
        parameters |= {f"after_{i}": part for i, part in enumerate(after)}
        where.append(f"({names}) {'<' if descending else '>'} ({holes})")
    direction = " desc" if descending else ""
    ordered = ", ".join(f"t.{name}{direction}" for name in order)
    return f"select t.body, {names} from {table} t where {' and '.join(where)} order by {ordered} limit %(limit)s"

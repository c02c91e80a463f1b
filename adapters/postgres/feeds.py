"""Activity as its viewers see it, as SQL: a merge of index scans, one for each circuit of the viewer."""

from typing import Any

from domain.ports.queries import Cursor
from domain.ports.views import ActivityTallies, ActivityView, ActorTotals, LastPositionView

Parameters = dict[str, Any]

_NEWEST = "order by t.at desc, t.activity_id desc limit %(limit)s"
_OTHERS = "t.actor_user_id is distinct from %(user)s"


def activity_page(view: ActivityView, after: Cursor | None, limit: int) -> tuple[str, Parameters]:
    """Return the statement and the parameters of one page; each scan reads at most `limit` rows."""
    parameters, where = _filters(view)
    parameters["limit"] = limit
    if after is not None:
        where.append("(t.at, t.activity_id) < (%(after_at)s, %(after_id)s)")
        parameters |= {"after_at": after[0], "after_id": after[1]}
    scans = " union all ".join(f"({scan})" for scan in _scans(view, where, _NEWEST))
    return f"select t.body, t.at, t.activity_id from ({scans}) t {_NEWEST}", parameters


def activity_tallies(view: ActivityTallies, after: Cursor | None, limit: int) -> tuple[str, Parameters]:
    """Return the statement and the parameters of one page of numbers."""
    parameters, where = _filters(view.of)
    parameters["limit"] = limit
    scans = " union all ".join(f"({scan})" for scan in _scans(view.of, where, ""))
    beyond = ""
    if after is not None:
        beyond = "where (g.day, g.kind) > (%(after_day)s, %(after_kind)s)"
        parameters |= {"after_day": after[0], "after_kind": after[1]}
    text = f"""
        with g as (
            select to_char(t.at at time zone 'UTC', 'YYYY-MM-DD') collate "C" as day, t.kind, count(*) as count
            from ({scans}) t group by 1, 2)
        select json_build_object('day', g.day, 'kind', g.kind, 'count', g.count), g.day, g.kind
        from g {beyond} order by g.day, g.kind limit %(limit)s"""
    return text, parameters


def actor_totals(view: ActorTotals, limit: int) -> tuple[str, Parameters]:
    """Return the statement and the parameters of the top of the actors."""
    text = """
        select json_build_object('user_id', g.actor, 'count', g.total), g.total, g.actor from (
            select d.actor, sum(c.value::bigint)::bigint as total
            from audit_days d cross join lateral json_each_text(d.body->'counts') c
            where d.day >= %(first)s and d.day < %(after)s and d.actor like '%%-%%'
            and (not %(denied)s or c.key like '%% denied %%')
            group by d.actor) g
        order by g.total desc, g.actor limit %(limit)s"""
    return text, {"first": view.days.start, "after": view.days.end, "denied": view.denied, "limit": limit}


def last_position(view: LastPositionView) -> tuple[str, Parameters]:
    """Return the statement and the parameters of the count of a user's notifications."""
    text = """
        select json_build_object('position', c.last), c.last from notifications_counters c where c.owner = %(user)s"""
    return text, {"user": view.user_id}


def _filters(view: ActivityView) -> tuple[Parameters, list[str]]:
    """Return the parameters of a view, and what every entry of it meets."""
    parameters: Parameters = {"user": view.viewer.user_id, "workspace": view.viewer.workspace_id}
    where: list[str] = []
    if view.circuit_id is not None:
        where.append("t.circuit_id = %(circuit)s")
        parameters["circuit"] = view.circuit_id
    if view.user_id is not None:
        where.append("t.actor_user_id = %(actor)s")
        parameters["actor"] = view.user_id
    if view.kinds:
        where.append("t.kind = any(%(kinds)s)" if len(view.kinds) > 1 else "t.kind = %(kind)s")
        parameters |= {"kinds": list(view.kinds)} if len(view.kinds) > 1 else {"kind": view.kinds[0]}
    if view.dfid is not None:
        where.append("t.tokens @@ %(dfid)s::tsquery")
        parameters["dfid"] = f"'{view.dfid}'"
    for sign, name in ((">=", "start"), ("<", "end")):
        bound = getattr(view.period, name, None)
        if bound is not None:
            where.append(f"t.at {sign} %({name})s")
            parameters[name] = bound
    return parameters, where


def _scans(view: ActivityView, where: list[str], newest: str) -> list[str]:
    """Return the scans of a view; no entry is met by two of them."""
    columns = "t.body, t.at, t.activity_id, t.kind"
    found: list[str] = []

    def scan(*own: str) -> str:
        return f"select {columns} from activity t where {' and '.join((*own, *where))} {newest}"

    hidden = view.dfid is not None and not view.dfid_viewable
    if view.scope != "circuits":
        found.append(scan("t.actor_user_id = %(user)s"))
    if view.scope in (None, "workspace") and view.manages and view.circuit_id is None and not hidden:
        found.append(scan("t.workspace_id = %(workspace)s", "t.circuit_id is null", _OTHERS))
    if view.scope != "mine":
        narrower = [] if view.scope == "circuits" else [_OTHERS]
        if hidden:
            narrower.append("t.actor_user_id = %(user)s")
        elif view.dfid is not None:
            narrower.append("(m.can_pull or t.actor_user_id = %(user)s)")
        if view.scope == "workspace":
            narrower.append("t.workspace_id = %(workspace)s")
        each = scan("t.circuit_id = m.circuit_id", *narrower)
        one = " and m.circuit_id = %(circuit)s" if view.circuit_id is not None else ""
        found.append(
            f"select t.* from memberships m cross join lateral ({each}) t"
            f" where m.user_id = %(user)s and m.status = 'active'{one} {newest}"
        )
    return found

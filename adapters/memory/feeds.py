"""Activity as its viewers see it, evaluated over the tables: the oracle that SQL must agree with."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from domain.access.permissions import Permission
from domain.access.vocabulary import MembershipStatus
from domain.activity.values import Activity, Tally
from domain.audit.log import ActorTotal
from domain.ports.views import ActivityTallies, ActivityView, ActorTotals

Tables = dict[str, Any]


def seen_activity(tables: Tables, view: ActivityView) -> Iterator[Activity]:
    """Yield the entries of a view, in no order."""
    for entry in tables["activity"].rows.values():
        if _fits(view, entry) and _visible(tables, view, entry):
            yield entry


def activity_tallies(tables: Tables, view: ActivityTallies) -> Iterator[Tally]:
    """Yield the numbers of a view, in no order."""
    counted = Counter((f"{entry.at:%Y-%m-%d}", entry.kind) for entry in seen_activity(tables, view.of))
    for (day, kind), count in counted.items():
        yield Tally(day, kind, count)


def actor_totals(tables: Tables, view: ActorTotals) -> Iterator[ActorTotal]:
    """Yield the totals of users, in no order; whoever acts without being a user has no id, hence no hyphen."""
    totals: Counter[str] = Counter()
    for row in tables["audit_days"].rows.values():
        if row.day in view.days and "-" in row.actor:
            counted = (count for key, count in row.counts.items() if not view.denied or " denied " in key)
            totals[row.actor] += sum(counted)
    for user_id, count in totals.items():
        if count:
            yield ActorTotal(user_id, count)


def _fits(view: ActivityView, entry: Activity) -> bool:
    return (
        (view.circuit_id is None or entry.circuit_id == view.circuit_id)
        and (view.user_id is None or entry.actor_user_id == view.user_id)
        and (not view.kinds or entry.kind in view.kinds)
        and (view.dfid is None or view.dfid in entry.dfids)
        and (view.period is None or entry.at in view.period)
    )


def _visible(tables: Tables, view: ActivityView, entry: Activity) -> bool:
    viewer = view.viewer
    own = entry.actor_user_id == viewer.user_id
    home = entry.workspace_id == viewer.workspace_id
    member = tables["memberships"].rows.get((entry.circuit_id, viewer.user_id))
    if member is not None and member.status != MembershipStatus.ACTIVE:
        member = None
    pulls = member is None or Permission.PULL in member.permissions
    if view.dfid is not None and not own and not (view.dfid_viewable and pulls):
        return False
    managed = view.manages and home and entry.circuit_id is None
    match view.scope:
        case "mine":
            return own
        case "circuits":
            return member is not None
        case "workspace":
            return own or managed or (member is not None and home)
        case _:
            return own or managed or member is not None

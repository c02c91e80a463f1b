"""Activity as its viewers see it, evaluated over the tables: the oracle that SQL must agree with."""

from collections import Counter
from collections.abc import Iterator

from adapters.memory.listing import Listing, Tables, Where, all_of, few, given
from domain.access.permissions import Permission
from domain.access.vocabulary import MembershipStatus
from domain.activity.values import Activity, Tally
from domain.audit.log import ActorTotal
from domain.ports.queries import AnyOf
from domain.ports.schema import ACTIVITY, AUDIT_DAYS, MEMBERSHIPS
from domain.ports.views import ActivityTallies, ActivityView, ActorTotals


def activity_listing(tables: Tables, view: ActivityView) -> Listing[Activity]:
    """Return the list of the entries of a view."""
    wanted = given(
        circuit_id=view.circuit_id,
        actor_user_id=view.user_id,
        kind=AnyOf(view.kinds) if view.kinds else None,
        at=view.period,
    )
    named = view.circuit_id is not None or view.user_id is not None
    sources = [wanted] if named else [wanted | source for source in _sources(tables, view)]
    words = () if view.dfid is None else (view.dfid,)
    return Listing(ACTIVITY, ("at", "activity_id"), lambda entry: _shown(tables, view, entry), sources, words)


def _sources(tables: Tables, view: ActivityView) -> list[Where]:
    viewer = view.viewer
    own, home = given(actor_user_id=viewer.user_id), given(workspace_id=viewer.workspace_id)
    if view.scope in ("mine", "workspace"):
        return [own] if view.scope == "mine" else [own, home]
    member = all_of(tables, MEMBERSHIPS, user_id=viewer.user_id, status=MembershipStatus.ACTIVE)
    circuits = few("circuit_id", (each.circuit_id for each in member))
    sources = [circuits] if view.scope == "circuits" else [own, circuits, *([home] if view.manages else [])]
    return sources if circuits else [{}]


def activity_tallies(tables: Tables, view: ActivityTallies) -> Iterator[Tally]:
    """Yield the numbers of a view, in no order."""
    counted = Counter((f"{entry.at:%Y-%m-%d}", entry.kind) for entry in activity_listing(tables, view.of).rows(tables))
    for (day, kind), count in counted.items():
        yield Tally(day, kind, count)


def actor_totals(tables: Tables, view: ActorTotals) -> Iterator[ActorTotal]:
    """Yield the totals of users, in no order; whoever acts without being a user has no id, hence no hyphen."""
    totals: Counter[str] = Counter()
    for row in all_of(tables, AUDIT_DAYS, day=view.days):
        if "-" in row.actor:
            counted = (count for key, count in row.counts.items() if not view.denied or " denied " in key)
            totals[row.actor] += sum(counted)
    for user_id, count in totals.items():
        if count:
            yield ActorTotal(user_id, count)


def _shown(tables: Tables, view: ActivityView, entry: Activity) -> bool:
    return (view.dfid is None or view.dfid in entry.dfids) and _visible(tables, view, entry)


def _visible(tables: Tables, view: ActivityView, entry: Activity) -> bool:
    viewer = view.viewer
    own = entry.actor_user_id == viewer.user_id
    home = entry.workspace_id == viewer.workspace_id
    member = tables["memberships"].rows.get((entry.circuit_id or "", viewer.user_id))
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

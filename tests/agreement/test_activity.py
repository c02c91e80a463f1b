"""Agreement: the feed shows in memory and in PostgreSQL exactly what platform.md 7 lets a viewer see."""

from collections import Counter
from random import Random
from typing import Any

from hypothesis import given

from domain.access.permissions import Permission
from domain.access.vocabulary import MembershipStatus
from domain.activity.values import Activity
from domain.document import Document
from domain.ports.queries import Between
from domain.ports.schema import ACTIVITY
from domain.ports.views import ActivityTallies, ActivityView, Viewer
from tests.agreement.test_views import Stores, seeds, stores, worlds
from tests.agreement.worlds import CIRCUIT_IDS, DFIDS, INSTANTS, VIEWERS, World, world

__all__ = ["stores"]


def entries(random: Random) -> list[Activity]:
    def entry(number: int) -> Activity:
        actor = random.choice(VIEWERS)
        return Activity(
            f"A{number:02d}", random.choice(INSTANTS), random.choice((actor.user_id, None)), actor.workspace_id,
            random.choice(("item_pushed", "item_pulled")), Document(kind="item", id="x"), "t",
            circuit_id=random.choice((None, *CIRCUIT_IDS)),
            dfids=tuple(random.sample(DFIDS, random.randint(0, 3))),
        )  # fmt: skip

    return [entry(number) for number in range(24)]


def visible(all_of: World, viewer: Viewer, manages: bool, entry: Activity) -> bool:
    if entry.actor_user_id == viewer.user_id:
        return True
    if entry.circuit_id is None:
        return manages and entry.workspace_id == viewer.workspace_id
    return member(all_of, viewer, entry.circuit_id) is not None


def member(all_of: World, viewer: Viewer, circuit_id: str | None) -> Any:
    keys = (viewer.user_id, circuit_id, MembershipStatus.ACTIVE)
    return next((each for each in all_of.members if (each.user_id, each.circuit_id, each.status) == keys), None)


@worlds
@given(seed=seeds)
def test_the_feed_is_what_happened_where_the_viewer_belongs_and_nothing_else(stores: Stores, seed: int) -> None:
    all_of, random = world(seed), Random(seed)
    stores.settle(all_of)
    happened = entries(random)
    stores.add(ACTIVITY, happened)
    for viewer in VIEWERS:
        for manages in (False, True):
            allowed = {each.activity_id for each in happened if visible(all_of, viewer, manages, each)}
            found = stores.agree(ActivityView(viewer, manages))
            assert {each.activity_id for each in found} == allowed
            assert found == sorted(found, key=lambda each: (each.at, each.activity_id), reverse=True)
            tallies = stores.agree(ActivityTallies(ActivityView(viewer, manages)))
            assert {(tally.day, tally.kind): tally.count for tally in tallies} == Counter(
                (f"{each.at:%Y-%m-%d}", each.kind) for each in found
            )
            for _ in range(6):
                view = filtered(viewer, manages, random)
                shown = stores.agree(view)
                assert {each.activity_id for each in shown} <= allowed
                stores.agree(ActivityTallies(view))
                if view.dfid is not None:
                    assert all(named(all_of, viewer, view, each) for each in shown)


def named(all_of: World, viewer: Viewer, view: ActivityView, entry: Activity) -> bool:
    """Tell whether the viewer sees the DFID in this entry, so that a filter by it tells nothing new."""
    if entry.actor_user_id == viewer.user_id:
        return True
    holds = entry.circuit_id is None or Permission.PULL in member(all_of, viewer, entry.circuit_id).permissions
    return view.dfid_viewable and holds


def filtered(viewer: Viewer, manages: bool, random: Random) -> ActivityView:
    def maybe(*choices: Any) -> Any:
        return random.choice((None, None, *choices))

    return ActivityView(
        viewer,
        manages,
        scope=maybe("mine", "workspace", "circuits"),
        circuit_id=maybe(*CIRCUIT_IDS),
        user_id=maybe("ana", "bento"),
        kinds=random.choice(((), ("item_pushed",), ("item_pushed", "item_pulled"))),
        dfid=maybe(*DFIDS),
        dfid_viewable=random.random() < 0.5,
        period=maybe(Between(INSTANTS[1]), Between(None, INSTANTS[2])),
    )

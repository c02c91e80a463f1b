"""Lists that span facets: what a reader may see, as query values.

Each states the same rule as the access decision, as a predicate that a store can evaluate; tests hold the two
equal on random worlds (circuits.md 2.8, law 4).
"""

from datetime import datetime
from typing import Generic, TypeVar

import attrs

from domain.activity.values import Activity, Tally
from domain.audit.log import ActorTotal
from domain.circuits.values import Circuit, Membership, Placement
from domain.events.values import Event
from domain.items.values import Item
from domain.notifications.values import LastPosition
from domain.ports.queries import Between

V = TypeVar("V")


class View(Generic[V]):
    """A list that spans facets."""


@attrs.frozen
class Viewer:
    """Who looks: the facts of a principal that lists depend on."""

    user_id: str
    workspace_id: str


@attrs.frozen
class ItemsView(View[Item]):
    """Items the viewer may view (items-events.md 9.1). Views do not differ by the moment at which they are looked at.

    `access` is `own`, `shared`, `circuit` or `all`. `entry` is (key, lookup, namespace or None) of an identifier
    the item carries. `namespace`, `kind` and `evidences` must hold of one identifier that the viewer sees; `alias`
    is `scheme:value` of the viewer's workspace. `words` are prefixes that must each start a word of the item's
    text. Ordered by (`sort`, key); `sort` is `created_at` or `updated_at`.
    """

    viewer: Viewer
    now: datetime = attrs.field(eq=False)
    access: str = "own"
    statuses: tuple[str, ...] = ()
    circuit_id: str | None = None
    entries: tuple[tuple[str, str, str | None], ...] = ()
    namespace: str | None = None
    kind: str | None = None
    evidences: tuple[str, ...] = ()
    alias: str | None = None
    words: tuple[str, ...] = ()
    created: Between | None = None
    updated: Between | None = None
    sort: str = "created_at"
    descending: bool = True


@attrs.frozen
class EventsView(View[Event]):
    """Events the viewer may see (items-events.md 10.3), ordered by (`time`, event id).

    With `by_position` the events of one item ascending by position.
    """

    viewer: Viewer
    now: datetime = attrs.field(eq=False)
    dfid: str | None = None
    event_types: tuple[str, ...] = ()
    category: str | None = None
    visibility: str | None = None
    circuit_id: str | None = None
    author_user_id: str | None = None
    author_workspace_id: str | None = None
    period: Between | None = None
    time: str = "recorded_at"
    descending: bool = True
    by_position: bool = False


@attrs.frozen
class ActivityView(View[Activity]):
    """Activity the viewer may see (platform.md 7), newest first by (`at`, activity id).

    That is what the viewer did, what happened in the circuits of which the viewer is a member, and, for one who
    `manages` the workspace, what its users did outside of circuits. `scope` narrows it to `mine`, `workspace` (by users
    of the viewer's workspace) or `circuits`. With `dfid` only entries in which the viewer sees that it is
    named: own ones, and if `dfid_viewable` those of circuits that let the viewer pull and of the workspace.
    """

    viewer: Viewer
    manages: bool = False
    scope: str | None = None
    circuit_id: str | None = None
    user_id: str | None = None
    kinds: tuple[str, ...] = ()
    dfid: str | None = None
    dfid_viewable: bool = False
    period: Between | None = None


@attrs.frozen
class ActivityTallies(View[Tally]):
    """How many entries `of` shows, by UTC day and kind; ordered by (day, kind)."""

    of: ActivityView


@attrs.frozen
class MembersView(View[Membership]):
    """Active members of a circuit whose user name begins with `prefix`, in the order they joined; by `role` if given,
    as memberships name it (circuits.md 4.20)."""

    circuit_id: str
    prefix: str
    role: str | None = None


@attrs.frozen
class PlacementsView(View[Placement]):
    """Where items of these statuses stand in a circuit, newest placement first (circuits.md 4.20)."""

    circuit_id: str
    statuses: tuple[str, ...]


@attrs.frozen
class DirectoryView(View[Circuit]):
    """Circuits whose public page is open to everybody (circuits.md 4.16), newest page first.

    `words` are prefixes that must each start a word of the page's name or tagline.
    """

    now: datetime = attrs.field(eq=False)
    words: tuple[str, ...] = ()


@attrs.frozen
class ActorTotals(View[ActorTotal]):
    """How many sealed audit entries users have on these UTC days, only refused ones if `denied`; most first.

    There is one page of it, the top.
    """

    days: Between
    denied: bool = False


@attrs.frozen
class LastPositionView(View[LastPosition]):
    """The highest position that a notification of a user ever had, kept or not; one row, none before the first."""

    user_id: str

"""The feed of what happened (platform.md 7)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import attrs

from application.accounts.values import shown_name
from application.facts import about, circuit_facts, items_facts
from application.units import Units
from domain.access.decide import Action, decide
from domain.access.facts import Facts
from domain.access.permissions import Permission
from domain.access.principal import Principal, WorkspaceRole
from domain.access.vocabulary import MembershipStatus
from domain.activity.values import Activity, ActivityKind
from domain.document import Document
from domain.errors import Fault, Invalid, not_found
from domain.items.dfid import parse_dfid
from domain.ports.queries import Between, Cursor, Page
from domain.ports.schema import ACCOUNTS, ACTIVITY, ITEMS, MEMBERSHIPS
from domain.ports.storage import MAX_PAGE, Reader
from domain.ports.views import ActivityTallies, ActivityView, Viewer
from domain.shape import Dfid, Id

LONGEST_PERIOD = timedelta(days=366)
USUAL_PERIOD = timedelta(days=30)


class ActivityScope(StrEnum):
    """Whose activity: the caller's own, that of users of the workspace, or that of the caller's circuits."""

    MINE = "mine"
    WORKSPACE = "workspace"
    CIRCUITS = "circuits"


@attrs.frozen
class ActivityFilter:
    """Which activity to list; `from_` is inclusive, `to` exclusive."""

    scope: ActivityScope | None = None
    circuit_id: Id | None = None
    user_id: Id | None = None
    kind: frozenset[ActivityKind] = frozenset()
    dfid: Dfid | None = None
    from_: datetime | None = None
    to: datetime | None = None


@attrs.frozen
class ActivityPeriod:
    """What to count: at most 366 days, the last 30 unless said otherwise."""

    circuit_id: Id | None = None
    from_: datetime | None = None
    to: datetime | None = None


@attrs.frozen
class ActivityEntry:
    """An entry as its reader sees it. `dfids`, and the id of an item as the resource, are there for those who may
    view the item; `item_count` is always told."""

    activity_id: str
    at: datetime
    kind: ActivityKind
    actor_user_id: str | None
    actor_name: str | None
    workspace_id: str | None
    circuit_id: str | None
    resource: Document
    dfids: tuple[str, ...]
    item_count: int
    status: str
    data: Document
    trace_id: str


@attrs.frozen
class ActivityStats:
    """Numbers of what the caller may see; `by_day` has the UTC days on which something happened."""

    total: int
    by_kind: Document
    by_day: Document


@attrs.frozen
class Activities:
    """Reading the feed."""

    units: Units

    async def page(
        self, principal: Principal, wanted: ActivityFilter, after: Cursor | None = None, limit: int = 50
    ) -> Page[ActivityEntry]:
        """Return what the principal may see, newest first. Raises Refusal `not_found` for a circuit not seen."""
        async with self.units.storage.read() as reader:
            view = await self._view(reader, principal, wanted)
            page = await reader.view(view, after, limit)
            return Page(tuple(await self._entries(reader, principal, page.items)), page.after)

    async def get(self, principal: Principal, activity_id: str) -> ActivityEntry:
        """Return one entry. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            found = await reader.find(ACTIVITY, activity_id)
            if found is None or not await self._visible(reader, principal, found):
                raise not_found()
            return (await self._entries(reader, principal, [found]))[0]

    async def stats(self, principal: Principal, wanted: ActivityPeriod) -> ActivityStats:
        """Count what the principal may see in a period. Raises Refusal `not_found`, Invalid."""
        end = wanted.to or self.units.clock.now()
        start = wanted.from_ or end - USUAL_PERIOD
        if not timedelta() <= end - start <= LONGEST_PERIOD:
            raise Invalid([Fault("out_of_range", "A period of at most 366 days is expected.", parameter="to")])
        asked = ActivityFilter(circuit_id=wanted.circuit_id, from_=start, to=end)
        kinds: dict[str, int] = {}
        days: dict[str, int] = {}
        async with self.units.storage.read() as reader:
            view, after = ActivityTallies(await self._view(reader, principal, asked)), None
            while True:
                page = await reader.view(view, after, MAX_PAGE)
                for tally in page.items:
                    kinds[tally.kind] = kinds.get(tally.kind, 0) + tally.count
                    days[tally.day] = days.get(tally.day, 0) + tally.count
                if (after := page.after) is None:
                    break
        return ActivityStats(sum(days.values()), Document(sorted(kinds.items())), Document(days))

    async def _view(self, reader: Reader, principal: Principal, wanted: ActivityFilter) -> ActivityView:
        if principal.user_id is None or principal.workspace_id is None:
            raise not_found()
        if wanted.circuit_id is not None and not await self._allowed(reader, principal, wanted.circuit_id):
            raise not_found()
        dfid = _dfid(wanted.dfid)
        period = None if wanted.from_ is None and wanted.to is None else Between(wanted.from_, wanted.to)
        return ActivityView(
            Viewer(principal.user_id, principal.workspace_id),
            manages=_manages(principal),
            scope=wanted.scope,
            circuit_id=wanted.circuit_id,
            user_id=wanted.user_id,
            kinds=tuple(sorted(kind.value for kind in wanted.kind)),
            dfid=dfid,
            dfid_viewable=dfid is not None and bool(await self._viewable(reader, principal, {dfid})),
            period=period,
        )

    async def _allowed(
        self, reader: Reader, principal: Principal, circuit_id: str | None, actor: str | None = None
    ) -> bool:
        facts = Facts() if circuit_id is None else (await circuit_facts(reader, principal, circuit_id))[0]
        asked = about(facts, user_id=actor)
        return decide(principal, Action.ACTIVITY_VIEW, asked, self.units.clock.now()).allowed

    async def _visible(self, reader: Reader, principal: Principal, entry: Activity) -> bool:
        if await self._allowed(reader, principal, entry.circuit_id, entry.actor_user_id):
            return True
        return entry.circuit_id is None and _manages(principal) and entry.workspace_id == principal.workspace_id

    async def _viewable(self, reader: Reader, principal: Principal, dfids: set[str]) -> frozenset[str]:
        """Return those of the items that the principal may view."""
        items = list((await reader.get_many(ITEMS, sorted(dfids))).values())
        facts = await items_facts(reader, principal, items)
        now = self.units.clock.now()
        return frozenset(
            item.key for item in items if decide(principal, Action.ITEM_VIEW, about(facts, dfid=item.key), now).allowed
        )

    async def _entries(self, reader: Reader, principal: Principal, rows: Sequence[Activity]) -> list[ActivityEntry]:
        others = [row for row in rows if row.actor_user_id != principal.user_id]
        viewable = await self._viewable(reader, principal, {dfid for row in others for dfid in row.dfids})
        circuits = sorted({row.circuit_id for row in others if row.circuit_id is not None})
        members = await reader.get_many(MEMBERSHIPS, [(one, str(principal.user_id)) for one in circuits])
        pulling = {
            member.circuit_id
            for member in members.values()
            if member.status is MembershipStatus.ACTIVE and Permission.PULL in member.permissions
        }
        names = await actor_names(reader, [row.actor_user_id for row in rows])

        def shown(row: Activity) -> frozenset[str]:
            if row.actor_user_id == principal.user_id:
                return frozenset(row.dfids)
            return viewable if row.circuit_id is None or row.circuit_id in pulling else frozenset()

        return [_entry(row, names.get(row.actor_user_id or ""), shown(row)) for row in rows]


async def actor_names(reader: Reader, users: Sequence[str | None]) -> dict[str, str]:
    """Return the names under which users are shown, by id."""
    accounts = await reader.get_many(ACCOUNTS, sorted({user for user in users if user is not None}))
    return {account.user_id: shown_name(account) or account.username for account in accounts.values()}


def _entry(row: Activity, name: str | None, shown: frozenset[str]) -> ActivityEntry:
    subject = row.resource
    if subject.get("kind") == "item" and subject.get("id") not in shown:
        subject = Document(kind="item", id=None)
    return ActivityEntry(
        activity_id=row.activity_id,
        at=row.at,
        kind=ActivityKind(row.kind),
        actor_user_id=row.actor_user_id,
        actor_name=name,
        workspace_id=row.workspace_id,
        circuit_id=row.circuit_id,
        resource=subject,
        dfids=tuple(dfid for dfid in row.dfids if dfid in shown),
        item_count=row.item_count,
        status=row.status,
        data=row.data,
        trace_id=row.trace_id,
    )


def _manages(principal: Principal) -> bool:
    return principal.workspace_role is WorkspaceRole.MANAGER


def _dfid(text: str | None) -> str | None:
    if text is None:
        return None
    dfid = parse_dfid(text)
    if dfid is None:
        raise Invalid([Fault("format", "This is no DFID.", parameter="dfid")])
    return dfid

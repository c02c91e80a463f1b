"""What a report contains: data and counts, nothing else (platform.md 6.7)."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import attrs

from domain.access.vocabulary import MembershipStatus
from domain.accounts.values import Account
from domain.audit.log import tile_id
from domain.audit.merkle import WIDTH, Tree, edge
from domain.audit.reports import Report, ReportKind
from domain.audit.sequencing import newest
from domain.items.values import Contribution, Identifier, Item
from domain.ports import walking
from domain.ports.queries import AnyOf, Between, Condition, Cursor, Page, Select
from domain.ports.schema import (
    ACCOUNTS,
    ACTIVITY,
    API_KEYS,
    AUDIT,
    CONTRIBUTIONS,
    EVENTS,
    INCIDENTS,
    ITEMS,
    JOIN_REQUESTS,
    LOG_TILES,
    MEMBERSHIPS,
    NOTIFICATIONS,
    PLACEMENTS,
    SESSIONS,
    SHARES,
    TRANSFERS,
    WORKSPACES,
    Facet,
)
from domain.ports.storage import Reader

V = TypeVar("V")
Line = Mapping[str, Any]
SECRET: Final = frozenset({"password_hash", "secret_hash", "previous_hash", "personal_salt", "version", "group"})
EVENT_MEMBERS: Final = (
    "event_id", "dfid", "position", "event_type", "category", "visibility", "recorded_at", "occurred_at", "payload",
)  # fmt: skip
_SOME: Final = 500


def _shown(value: Any) -> Line:
    """Return a stored row without what is secret or the store's own."""
    return {name: each for name, each in attrs.asdict(value, recurse=False).items() if name not in SECRET}


@attrs.frozen
class Pages:
    """A reader of long lists; `turned` is awaited after every page, so that whoever waits knows of the progress."""

    reader: Reader
    turned: Callable[[], Awaitable[None]]

    async def page(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> Page[V]:
        page = await self.reader.page(facet, query, after, limit)
        await self.turned()
        return page


async def _rows(
    pages: Pages, facet: Facet[V], where: Mapping[str, Any], order: str, mine: Callable[[V], bool] | None = None
) -> AsyncIterator[V]:
    async for row in walking.walk(pages, facet, Select(where, (order,))):
        if mine is None or mine(row):
            yield row


async def lines(pages: Pages, report: Report) -> AsyncIterator[tuple[str, Line]]:
    """Yield the lines of a report up to its `as_of`, each with the name of its section."""
    as_of = report.as_of or report.created_at
    match report.kind:
        case ReportKind.SUBJECT_ACCESS:
            account = await pages.reader.find(ACCOUNTS, str(report.subject_user_id))
            found = _Subject(pages, account, as_of).lines() if account is not None else _nothing()
        case ReportKind.AUDIT_TRAIL:
            found = _audit_trail(pages, report, as_of)
        case ReportKind.INCIDENT_SUMMARY:
            found = _incident_summary(pages, report, as_of)
    async for line in found:
        yield line


async def _nothing() -> AsyncIterator[tuple[str, Line]]:
    nothing: tuple[tuple[str, Line], ...] = ()
    for line in nothing:
        yield line


SECTIONS: Final[Mapping[ReportKind, tuple[str, ...]]] = {
    ReportKind.SUBJECT_ACCESS: (
        "account", "workspace", "sessions", "api_keys", "memberships", "join_requests", "items", "contributions",
        "events", "shares_given", "shares_received", "transfers", "activity", "notifications", "audit_entries",
        "incidents", "recipients",
    ),
    ReportKind.AUDIT_TRAIL: ("audit_entries", "checkpoint"),
    ReportKind.INCIDENT_SUMMARY: ("incidents", "rules"),
}  # fmt: skip
"""Every section of a kind; an empty one is told with 0."""


@attrs.frozen
class _Subject:
    """What is kept about one user."""

    pages: Pages
    account: Account
    as_of: datetime

    @property
    def _until(self) -> Between:
        return Between(None, self.as_of)

    def _named(self, identifiers: tuple[Identifier, ...]) -> list[Line]:
        return [{"namespace": one.namespace, "key": one.key, "display": one.display} for one in identifiers]

    async def lines(self) -> AsyncIterator[tuple[str, Line]]:
        yield "account", _shown(self.account)
        workspace = await self.pages.reader.find(WORKSPACES, self.account.workspace_id)
        if workspace is not None:
            yield "workspace", _shown(workspace)
        for part in (self._access, self._content, self._shared, self._told, self._recipients):
            async for line in part():
                yield line

    async def _access(self) -> AsyncIterator[tuple[str, Line]]:
        me, home, read = self.account.user_id, self.account.workspace_id, self.pages
        async for session in _rows(read, SESSIONS, {"user_id": me, "created_at": self._until}, "last_used_at"):
            yield "sessions", _shown(session)
        own_keys = {"workspace_id": home, "created_at": self._until}
        async for key in _rows(read, API_KEYS, own_keys, "created_at", lambda key: key.created_by == me):
            yield "api_keys", _shown(key)
        async for member in _rows(read, MEMBERSHIPS, {"user_id": me, "joined_at": self._until}, "joined_at"):
            yield "memberships", _shown(member)
        asked = {"requester_id": me, "requested_at": self._until}
        async for request in _rows(read, JOIN_REQUESTS, asked, "requested_at"):
            yield "join_requests", _shown(request)

    async def _content(self) -> AsyncIterator[tuple[str, Line]]:
        me, read = self.account.user_id, self.pages
        async for item in self._items():
            names = ("dfid", "local_id", "status", "created_at", "updated_at")
            yield (
                "items",
                {name: getattr(item, name) for name in names} | {"identifiers": self._named(item.identifiers)},
            )
        where = {"user_id": me, "recorded_at": self._until}
        async for one in _rows(read, CONTRIBUTIONS, where, "recorded_at"):
            yield "contributions", self._contribution(one)
        authored = {"author_workspace_id": self.account.workspace_id, "recorded_at": self._until}
        async for event in _rows(read, EVENTS, authored, "recorded_at", lambda event: event.author_user_id == me):
            yield "events", {name: getattr(event, name) for name in EVENT_MEMBERS}

    def _contribution(self, one: Contribution) -> Line:
        names = ("contribution_id", "item", "source", "circuit_id", "recorded_at")
        return {name: getattr(one, name) for name in names} | {"identifiers": self._named(one.identifiers)}

    def _items(self) -> AsyncIterator[Item]:
        own: dict[str, Condition] = {"workspace_id": self.account.workspace_id, "created_at": self._until}
        return _rows(self.pages, ITEMS, own, "created_at", lambda item: item.created_by == self.account.user_id)

    async def _dfids(self) -> AsyncIterator[tuple[str, ...]]:
        """Yield the DFIDs of the items of the subject, some at a time."""
        some: list[str] = []
        async for item in self._items():
            if item.dfid is not None:
                some.append(item.dfid)
            if len(some) == _SOME:
                yield tuple(some)
                some = []
        if some:
            yield tuple(some)

    async def _shared(self) -> AsyncIterator[tuple[str, Line]]:
        me, read = self.account.user_id, self.pages
        async for share in _rows(read, SHARES, {"shared_by": me, "created_at": self._until}, "created_at"):
            yield "shares_given", _shown(share)
        async for share in _rows(read, SHARES, {"recipient_user_id": me, "created_at": self._until}, "created_at"):
            yield "shares_received", _shown(share)
        for side in ("from_workspace_id", "to_workspace_id"):
            where: dict[str, Condition] = {side: self.account.workspace_id, "created_at": self._until}
            async for offer in _rows(read, TRANSFERS, where, "created_at"):
                mine = (
                    offer.offered_by == me
                    if side == "from_workspace_id"
                    else me == offer.decided_by != offer.offered_by
                )
                if mine:
                    yield "transfers", _shown(offer)

    async def _told(self) -> AsyncIterator[tuple[str, Line]]:
        me, read = self.account.user_id, self.pages
        async for entry in _rows(read, ACTIVITY, {"actor_user_id": me, "at": self._until}, "at"):
            yield "activity", _shown(entry)
        async for row in _rows(read, NOTIFICATIONS, {"user_id": me, "created_at": self._until}, "created_at"):
            yield "notifications", _shown(row)
        async for audited in _rows(read, AUDIT, {"actor_user_id": me, "at": self._until}, "at"):
            yield "audit_entries", _shown(audited)
        about: dict[str, Condition] = {"resource_id": me, "resource_kind": "user", "at": self._until}
        async for audited in _rows(read, AUDIT, about, "at", lambda row: row.actor.get("user_id") != me):
            # Where somebody else acted from is theirs.
            yield "audit_entries", {**_shown(audited), "personal": None}
        subject: dict[str, Condition] = {"subject": f"user {me}", "created_at": self._until}
        async for incident in _rows(read, INCIDENTS, subject, "created_at"):
            yield "incidents", _shown(incident)

    async def _recipients(self) -> AsyncIterator[tuple[str, Line]]:
        """Yield the circuits in which items of the subject stand, and the workspaces that can view them."""
        circuits: set[str] = set()
        workspaces: set[str] = set()
        users: set[str] = set()
        async for dfids in self._dfids():
            some: dict[str, Condition] = {"dfid": AnyOf(dfids)}
            circuits |= {row.circuit_id async for row in _rows(self.pages, PLACEMENTS, some, "circuit_id")}
            users |= {
                row.recipient_user_id
                async for row in _rows(self.pages, SHARES, some, "created_at")
                if not row.revoked_at
            }
        for circuit_id in sorted(circuits):
            active: dict[str, Condition] = {"circuit_id": circuit_id, "status": MembershipStatus.ACTIVE.value}
            members = _rows(self.pages, MEMBERSHIPS, active, "joined_at", lambda member: "pull" in member.permissions)
            users |= {member.user_id async for member in members}
            yield "recipients", {"kind": "circuit", "id": circuit_id}
        known = sorted(users)
        for at in range(0, len(known), _SOME):
            accounts = (await self.pages.reader.get_many(ACCOUNTS, known[at : at + _SOME])).values()
            workspaces |= {account.workspace_id for account in accounts}
        for workspace_id in sorted(workspaces - {self.account.workspace_id}):
            yield "recipients", {"kind": "workspace", "id": workspace_id}


async def inclusions(reader: Reader, size: int, indexes: list[int]) -> list[list[str]]:
    """Return the inclusion paths of leaves, with the tiles beside their ways to the root read in one query."""
    places = {place for place, _ in edge(size)}
    for index in indexes:
        level, number = 0, index // WIDTH
        places.add((level, number))
        while number:
            level, number = level + 1, number // WIDTH
            places.add((level, number))
    rows = await reader.get_many(LOG_TILES, [tile_id(*place) for place in sorted(places)])
    tree = Tree(size, {(row.level, row.number): row.hashes for row in rows.values()})
    return [tree.inclusion(index) for index in indexes]


def _period(report: Report, as_of: datetime) -> Between:
    return Between(report.period_from, min(report.period_to or as_of, as_of))


async def _audit_trail(pages: Pages, report: Report, as_of: datetime) -> AsyncIterator[tuple[str, Line]]:
    """Yield the sealed entries of the period with their proofs, and the checkpoint that the proofs lead to."""
    head = await newest(pages.reader)
    if head is None:
        return
    where: dict[str, Condition] = {"at": _period(report, as_of), "log_index": Between(0, head.tree_size)}
    async for entries in walking.pages(pages, AUDIT, Select(where, ("at",)), size=_SOME):
        paths = await inclusions(pages.reader, head.tree_size, [int(entry.log_index or 0) for entry in entries])
        for entry, path in zip(entries, paths, strict=True):
            yield "audit_entries", {**_shown(entry), "path": path}
    yield "checkpoint", _shown(head)


async def _incident_summary(pages: Pages, report: Report, as_of: datetime) -> AsyncIterator[tuple[str, Line]]:
    """Yield the incidents of the period with the seconds until somebody took and resolved them; counts per rule."""
    rules: dict[str, int] = {}
    async for incident in _rows(pages, INCIDENTS, {"created_at": _period(report, as_of)}, "created_at"):
        rules[incident.rule] = rules.get(incident.rule, 0) + 1
        seconds = {
            f"seconds_to_{name}": None if at is None else round((at - incident.created_at).total_seconds(), 3)
            for name, at in (("acknowledge", incident.acknowledged_at), ("resolve", incident.resolved_at))
        }
        yield "incidents", {**_shown(incident), **seconds}
    for rule, count in sorted(rules.items()):
        yield "rules", {"rule": rule, "count": count}

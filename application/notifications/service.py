"""What users are told, and what they do with it (platform.md 8.3): own rows only."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import attrs

from application.activity import actor_names
from application.notifications.texts import rendered
from application.units import Units
from domain.access.decide import Action, decide, require
from domain.access.facts import Facts, Target
from domain.access.principal import Principal
from domain.access.vocabulary import MembershipStatus
from domain.act import Act
from domain.circuits.audience import listeners
from domain.document import Document
from domain.errors import Fault, Invalid, not_found
from domain.notifications.telling import DIRECT_RECIPIENTS, Message, job_of, message_of, tell
from domain.notifications.values import NEVER_MUTED, Notification, NotificationType
from domain.outbox.values import OutboxRow
from domain.ports.bus import Wake
from domain.ports.queries import Between, Condition, Cursor, Page, Select, chosen
from domain.ports.schema import ACCOUNTS, CIRCUITS, MEMBERSHIPS, NOTIFICATIONS
from domain.ports.storage import Reader
from domain.ports.walking import walk
from domain.shape import About, Id, Range

Position = Annotated[int, Range(0, 2**53 - 1)]


@attrs.frozen
class NotificationFilter:
    """Which notifications to list; with `after_position` ascending by position, else the newest first."""

    unread: bool | None = None
    type: frozenset[NotificationType] = frozenset()
    circuit_id: Id | None = None
    after_position: Position | None = None


@attrs.frozen
class MarkRead:
    """Whether it was read."""

    read: bool


@attrs.frozen
class MarkAllRead:
    """Up to which position, all when absent."""

    up_to_position: Position | None = None


@attrs.frozen
class Preferences:
    """The types that produce no rows."""

    muted: Annotated[frozenset[NotificationType], About("Types that are not told from now on.")]


@attrs.frozen
class Unread:
    """How many are unread."""

    unread: int


@attrs.frozen
class Updated:
    """How many were marked."""

    updated: int


@attrs.frozen
class NotificationView:
    """A notification in the reader's language; `link` is a path of this API, at its external address if it has one."""

    notification_id: str
    position: int
    type: NotificationType
    title: str
    message: str
    link: str | None
    data: Document
    actor_user_id: str | None
    circuit_id: str | None
    dfid: str | None
    source_id: str
    created_at: datetime
    read_at: datetime | None


@attrs.frozen
class Notifications:
    """Reading and marking. `base` is the external address of the API, empty for none."""

    units: Units
    base: str = ""

    async def page(
        self, principal: Principal, wanted: NotificationFilter, after: Cursor | None = None, limit: int = 50
    ) -> Page[NotificationView]:
        """Return the caller's notifications."""
        where: dict[str, Condition] = {"user_id": _own(principal)}
        asked = {"unread": wanted.unread, "circuit_id": wanted.circuit_id}
        where |= {name: value for name, value in asked.items() if value is not None}
        where |= chosen(type=wanted.type)
        query = Select(where, ("created_at", "notification_id"), descending=True)
        if wanted.after_position is not None:
            query = Select({**where, "position": Between(wanted.after_position + 1)}, ("position",))
        async with self.units.storage.read() as reader:
            page = await reader.page(NOTIFICATIONS, query, after, limit)
            return Page(tuple(await views(reader, page.items, principal.locale, self.base)), page.after)

    async def unread(self, principal: Principal) -> Unread:
        """Count what is unread."""
        async with self.units.storage.read() as reader:
            return Unread(await count_unread(reader, _own(principal)))

    async def get(self, principal: Principal, notification_id: str) -> NotificationView:
        """Return one. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            row = await self._own(reader, principal, Action.NOTIFICATION_VIEW, notification_id)
            return (await views(reader, [row], principal.locale, self.base))[0]

    async def mark(self, principal: Principal, notification_id: str, read: bool) -> NotificationView:
        """Mark one as read or unread; repeating changes nothing. Raises Refusal `not_found`."""

        async def work(act: Act) -> NotificationView:
            row = await self._own(act.unit, principal, Action.NOTIFICATION_CHANGE, notification_id)
            if (row.read_at is not None) != read:
                row = _marked(row, act.now if read else None)
                await act.unit.save(NOTIFICATIONS, row)
                act.told.add(row.user_id)
            return (await views(act.unit, [row], principal.locale, self.base))[0]

        view = await self.units.perform(principal, work)
        if read:
            self.units.bus.publish(Wake((_own(principal),), read_ids=(notification_id,)))
        return view

    async def mark_many(self, principal: Principal, ids: Sequence[str]) -> Updated:
        """Mark several as read, at most 1,000; foreign and absent ones are passed over."""

        async def work(act: Act) -> Updated:
            found = (await act.unit.get_many(NOTIFICATIONS, ids)).values()
            rows = [row for row in found if row.user_id == _own(principal) and row.read_at is None]
            await act.unit.save(NOTIFICATIONS, *(_marked(row, act.now) for row in rows))
            act.told.add(_own(principal))
            return Updated(len(rows))

        updated = await self.units.perform(principal, work)
        self.units.bus.publish(Wake((_own(principal),), read_ids=tuple(ids)))
        return updated

    async def mark_all(self, principal: Principal, up_to_position: int | None = None) -> Updated:
        """Mark all unread ones up to a position, by default all that there are."""
        where: dict[str, Condition] = {"user_id": _own(principal), "unread": True}
        if up_to_position is not None:
            where["position"] = Between(None, up_to_position + 1)

        last = up_to_position

        async def work(act: Act) -> Updated:
            nonlocal last
            rows = [row async for row in walk(act.unit, NOTIFICATIONS, Select(where, ("position",)))]
            await act.unit.save(NOTIFICATIONS, *(_marked(row, act.now) for row in rows))
            act.told.add(_own(principal))
            if up_to_position is None and rows:
                last = rows[-1].position
            return Updated(len(rows))

        updated = await self.units.perform(principal, work)
        if last is not None:
            self.units.bus.publish(Wake((_own(principal),), read_up_to=last))
        return updated

    async def remove(self, principal: Principal, notification_id: str) -> None:
        """Remove one. Raises Refusal `not_found`."""

        async def work(act: Act) -> None:
            row = await self._own(act.unit, principal, Action.NOTIFICATION_CHANGE, notification_id)
            await act.unit.remove(NOTIFICATIONS, row)
            act.told.add(_own(principal))

        await self.units.perform(principal, work)

    async def _own(self, reader: Reader, principal: Principal, action: Action, notification_id: str) -> Notification:
        row = await reader.find(NOTIFICATIONS, notification_id)
        if row is None:
            raise not_found()
        require(decide(principal, action, Facts(Target(user_id=row.user_id)), self.units.clock.now()))
        return row

    async def remove_read(self, principal: Principal, read: bool) -> None:
        """Remove all that were read; anything but `read=true` is no such request. Raises Invalid."""
        if not read:
            raise Invalid([Fault("not_allowed", "Only read=true removes several at once.", parameter="read")])

        async def work(act: Act) -> None:
            query = Select({"user_id": _own(principal), "unread": False}, ("position",))
            rows = walk(act.unit, NOTIFICATIONS, query)
            await act.unit.remove(NOTIFICATIONS, *[row async for row in rows])

        await self.units.perform(principal, work)

    async def preferences(self, principal: Principal) -> Preferences:
        """Return what the caller muted."""
        async with self.units.storage.read() as reader:
            account = await reader.get(ACCOUNTS, _own(principal))
        return Preferences(frozenset(map(NotificationType, account.muted)))

    async def prefer(self, principal: Principal, wanted: Preferences) -> Preferences:
        """Mute these types and no others. Raises Invalid for one that cannot be muted."""
        if stubborn := sorted(wanted.muted & NEVER_MUTED):
            raise Invalid([Fault("not_allowed", f"{', '.join(stubborn)} cannot be muted.", pointer="/muted")])

        async def work(act: Act) -> Preferences:
            account = await act.unit.get(ACCOUNTS, _own(principal))
            muted = frozenset(kind.value for kind in wanted.muted)
            if muted != account.muted:
                changed = attrs.evolve(account, muted=muted, updated_at=act.now, version=account.version + 1)
                await act.unit.save(ACCOUNTS, changed)
            return wanted

        return await self.units.perform(principal, work)


async def tell_many(act: Act, row: OutboxRow) -> Document | None:
    """Carry out a job `notify`: tell the next users, and return what is left to do.

    The users are named one by one, or as an audience of a circuit, who come after those.
    """
    users = [str(user) for user in row.data["user_ids"]]
    message = message_of(row.data)
    audience = row.data.get("audience")
    if not users and audience is not None:
        members, further = await listeners(act.unit, **audience)
        told = [user for user in members if user != message.actor_user_id]
        act.told.update(await tell(act.unit, act.now, message, told, once=True))
        return None if further is None else _rest(message, [], {**audience, "after": further})
    act.told.update(await tell(act.unit, act.now, message, users[:DIRECT_RECIPIENTS], once=True))
    left = users[DIRECT_RECIPIENTS:]
    return _rest(message, left, audience) if left or audience is not None else None


def _rest(message: Message, users: Sequence[str], audience: Mapping[str, Any] | None) -> Document:
    rest = job_of(message, users)
    return Document(rest if audience is None else rest | {"audience": audience})


async def count_unread(reader: Reader, user_id: str) -> int:
    """Return how many notifications of a user are unread."""
    return (await reader.count(NOTIFICATIONS, {"user_id": user_id, "unread": True}, "unread")).get(True, 0)


async def views(reader: Reader, rows: Sequence[Notification], locale: str, base: str) -> list[NotificationView]:
    """Return notifications of one user in a language, with the names of today; circuits are named to members.

    Links begin with `base`.
    """
    names = await actor_names(reader, [row.actor_user_id for row in rows])
    keys = sorted({(row.circuit_id, row.user_id) for row in rows if row.circuit_id is not None})
    members = (await reader.get_many(MEMBERSHIPS, keys)).values()
    wanted = [member.circuit_id for member in members if member.status is MembershipStatus.ACTIVE]
    circuits = {circuit.circuit_id: circuit.name for circuit in (await reader.get_many(CIRCUITS, wanted)).values()}
    return [_view(row, base, *rendered(row, locale, names, circuits)) for row in rows]


def _view(row: Notification, base: str, title: str, message: str, path: str | None) -> NotificationView:
    link = None if path is None else base + path
    members: dict[str, Any] = {
        name: getattr(row, name)
        for name in (
            "notification_id", "position", "data", "actor_user_id", "circuit_id", "dfid", "source_id", "created_at",
            "read_at",
        )
    }  # fmt: skip
    return NotificationView(type=NotificationType(row.type), title=title, message=message, link=link, **members)


def _marked(row: Notification, read_at: datetime | None) -> Notification:
    return attrs.evolve(row, read_at=read_at, version=row.version + 1)


def _own(principal: Principal) -> str:
    if principal.user_id is None:
        raise not_found()
    return principal.user_id

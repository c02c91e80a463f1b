"""Adding the rows of one notification: in the unit of its cause, or by a worker when many are told (platform.md 8)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs

from domain.document import EMPTY, Document
from domain.ids import new_id
from domain.notifications.values import NEVER_MUTED, Notification, NotificationType
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import ACCOUNTS, NOTIFICATIONS
from domain.ports.storage import Unit
from domain.ports.walking import walk

DIRECT_RECIPIENTS = 500
"""Beyond this many a worker adds the notifications, as many in each unit (platform.md 8.2)."""


@attrs.frozen
class Message:
    """What is told. `source_id` is what caused it: nobody has two rows of one type and source."""

    type: NotificationType
    source_id: str
    actor_user_id: str | None = None
    circuit_id: str | None = None
    dfid: str | None = None
    data: Document = EMPTY

    def to(self, user_id: str, now: datetime) -> Notification:
        """Return the row of one recipient."""
        return Notification(
            notification_id=new_id(),
            user_id=user_id,
            type=self.type.value,
            source_id=self.source_id,
            created_at=now,
            data=self.data,
            actor_user_id=self.actor_user_id,
            circuit_id=self.circuit_id,
            dfid=self.dfid,
        )


def job_of(message: Message, users: Sequence[str]) -> dict[str, Any]:
    """Return the data of the job `notify` that tells `users`."""
    return attrs.asdict(message, recurse=False) | {"type": message.type.value, "user_ids": list(users)}


def message_of(job: Mapping[str, Any]) -> Message:
    """Return what a job `notify` tells."""
    members = {name: job[name] for name in ("source_id", "actor_user_id", "circuit_id", "dfid", "data")}
    return Message(NotificationType(job["type"]), **members)


async def tell(unit: Unit, now: datetime, message: Message, users: Sequence[str], *, once: bool = False) -> list[str]:
    """Add the rows of those users who have not muted the type and return who they are.

    With `once`, who was told of this source before is not told again.
    """
    return await tell_all(unit, now, [(user, message) for user in users], once=once)


async def tell_each(unit: Unit, now: datetime, messages: Mapping[str, Message]) -> list[str]:
    """Add a row of their own message for every user who has not muted its type and return who they are."""
    return await tell_all(unit, now, list(messages.items()))


async def tell_all(unit: Unit, now: datetime, told: Sequence[tuple[str, Message]], *, once: bool = False) -> list[str]:
    """Add a row per user and message, but of types that the user muted, and return who was told, in a number of
    statements that does not grow with the messages but by the thousand."""
    if once:
        told = await _not_told(unit, told)
    accounts = await unit.get_many(ACCOUNTS, {user for user, _ in told})
    heard = [
        (user, message)
        for user, message in told
        if user in accounts and (message.type in NEVER_MUTED or message.type not in accounts[user].muted)
    ]
    await unit.add(NOTIFICATIONS, *(message.to(user, now) for user, message in heard))
    return list(dict.fromkeys(user for user, _ in heard))


async def _not_told(unit: Unit, told: Sequence[tuple[str, Message]]) -> list[tuple[str, Message]]:
    asked = {
        "user_id": AnyOf(tuple(sorted({user for user, _ in told}))),
        "type": AnyOf(tuple(sorted({message.type.value for _, message in told}))),
        "source_id": AnyOf(tuple(sorted({message.source_id for _, message in told}))),
    }
    known = {(row.user_id, row.type, row.source_id) async for row in walk(unit, NOTIFICATIONS, Select(asked))}
    return [one for one in told if (one[0], one[1].type.value, one[1].source_id) not in known]

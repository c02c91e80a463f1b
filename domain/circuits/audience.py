"""Telling the members of a circuit, or those who hold a permission, however many there are (platform.md 8.2)."""

from collections.abc import Iterable
from typing import Any, Final

from domain.access.permissions import Permission
from domain.access.vocabulary import MembershipStatus
from domain.act import Act
from domain.document import Document
from domain.notifications.telling import DIRECT_RECIPIENTS, Message, job_of
from domain.notifications.values import NotificationType
from domain.ports.queries import Condition, Select
from domain.ports.schema import MEMBERSHIPS
from domain.ports.storage import Reader
from domain.ports.walking import walk

_HOLDING: Final = {Permission.APPROVE: "can_approve", Permission.MANAGE_MEMBERS: "can_manage_members"}
"""The permissions whose holders are told, and the column that each is found by."""


async def tell_circuit(
    act: Act,
    kind: str,
    circuit_id: str,
    permission: Permission | None = None,
    *,
    source_id: str,
    dfid: str | None = None,
    data: dict[str, Any] | None = None,
    besides: Iterable[str] = (),
) -> None:
    """Tell the members of a circuit who hold `permission`, or all of them, and others `besides`.

    Costs the same for ten members and for ten thousand: beyond 500 a worker goes through them.
    """
    named = None if permission is None else permission.value
    users, further = await listeners(act.unit, circuit_id, named)
    if further is None:
        told = {*users, *besides}
        await act.notify(kind, told, source_id=source_id, circuit_id=circuit_id, dfid=dfid, data=data)
        return
    actor = act.principal.user_id
    message = Message(NotificationType(kind), source_id, actor, circuit_id, dfid, Document(data or {}))
    audience = {"circuit_id": circuit_id, "permission": named, "after": None}
    await act.job("notify", job_of(message, sorted(set(besides))) | {"audience": audience})


async def listeners(
    reader: Reader, circuit_id: str, permission: str | None, after: str | None = None
) -> tuple[list[str], str | None]:
    """Return up to 500 active members by user id, and after whom the next come, None when these are the last."""
    where: dict[str, Condition] = {"circuit_id": circuit_id, "status": MembershipStatus.ACTIVE}
    if permission is not None:
        where[_HOLDING[Permission(permission)]] = True
    cursor = None if after is None else (after, circuit_id, after)
    page = await reader.page(MEMBERSHIPS, Select(where, ("user_id",)), cursor, DIRECT_RECIPIENTS)
    users = [member.user_id for member in page.items]
    return users, None if page.after is None else users[-1]


async def holders(reader: Reader, circuit_id: str, permission: Permission) -> list[str]:
    """Return the members who hold any permission, by going through all members: for workers, not for requests."""
    query = Select({"circuit_id": circuit_id, "status": MembershipStatus.ACTIVE}, ("joined_at", "user_id"))
    return [row.user_id async for row in walk(reader, MEMBERSHIPS, query) if permission in row.permissions]

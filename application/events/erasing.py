"""Erasing what an event says, not that it happened (items-events.md 10.8)."""

from typing import Annotated

import attrs

from domain.act import Act
from domain.errors import not_found
from domain.ports.schema import EVENTS
from domain.shape import Text


@attrs.frozen
class EraseEvent:
    """Why the payload goes."""

    reason: Annotated[str, Text(1, 500)]


async def erase(act: Act, event_id: str, reason: str) -> None:
    """Remove payload and salt of an event, so that not even a guess of it can be confirmed.

    An erased one stays as it is. Raises Refusal `not_found`.
    """
    event = await act.unit.find(EVENTS, event_id)
    if event is None:
        raise not_found()
    if event.erased_at is not None:
        return
    await act.unit.remove(EVENTS, event)
    await act.unit.add(EVENTS, attrs.evolve(event, payload=None, salt=None, erased_at=act.now))
    details = {"dfid": event.dfid, "position": event.position, "reason": reason}
    await act.audit("event.erased", ("event", event_id), workspace_id=event.author_workspace_id, details=details)
    if event.author_user_id is not None:
        told = {"event_id": event_id}
        await act.notify("event_erased", [event.author_user_id], source_id=event_id, dfid=event.dfid, data=told)

"""What a webhook can listen to, and the rows from which deliveries are made (circuits.md 4.19)."""

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from domain.act import Act
    from domain.circuits.values import Circuit


class Trigger(StrEnum):
    ITEM_PUSHED = "item_pushed"
    ITEM_TOKENIZED = "item_tokenized"
    ITEM_APPROVED = "item_approved"
    ITEM_PUBLISHED = "item_published"
    ITEM_WITHDRAWN = "item_withdrawn"
    MEMBER_JOINED = "member_joined"
    EVENT_RECORDED = "event_recorded"


async def fire(act: "Act", circuit: "Circuit", trigger: Trigger, **data: str | None) -> None:
    """Leave a row for the webhooks of a circuit, if any listens; `data` are the ids that its payload names."""
    if circuit.post_actions_enabled and trigger in circuit.triggers:
        await act.job(trigger, {"circuit_id": circuit.circuit_id, **data}, circuit_id=circuit.circuit_id)

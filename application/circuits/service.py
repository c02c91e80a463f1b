"""Use cases of circuits, each one unit, each deciding through the one access decision."""

from application.circuits.governance import CircuitGovernance
from domain.act import Act
from domain.circuits.clearing import cancel_waiting
from domain.document import Document
from domain.outbox.values import OutboxRow


class Circuits(CircuitGovernance):
    """Everything that can be done with circuits. `dfid` arguments are in canonical form."""


async def clear_waiting(act: Act, row: OutboxRow) -> Document | None:
    """Carry out a job `cancel_waiting`: 500 in a unit, until nothing that waits is left."""
    return None if await cancel_waiting(act, row.data) else row.data

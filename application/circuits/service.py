"""Use cases of circuits, each one unit, each deciding through the one access decision."""

from collections.abc import Mapping
from typing import Any

from application.circuits.governance import CircuitGovernance
from domain.access.principal import system
from domain.act import Act
from domain.circuits.clearing import cancel_waiting


class Circuits(CircuitGovernance):
    """Everything that can be done with circuits. `dfid` arguments are in canonical form."""

    async def cancel_waiting(self, job: Mapping[str, Any], trace_id: str = "") -> None:
        """Carry out a job of that name: cancel what waits, 500 in a unit, until none is left."""

        async def work(act: Act) -> bool:
            return await cancel_waiting(act, job)

        while not await self.units.perform(system(trace_id), work):
            pass

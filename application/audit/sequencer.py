"""The worker that seals audit entries into the log (platform.md 6.4)."""

import asyncio
import random
from datetime import timedelta
from typing import Final

import attrs

from application.audit.signing import NoteSigner
from application.store_life import STORE_KEY
from application.units import Units
from domain.access.principal import system
from domain.act import Act
from domain.audit.sequencing import FOLDED_FOR, Sealed, sequence
from domain.audit.watching import watch
from domain.ports.errors import Contention
from domain.ports.schema import STORE

EVERY: Final = 1.0
"""Seconds between two looks at what waits."""


@attrs.define
class Sequencer:
    """Seals what waits. On any number of instances: what one has sealed, the others find sealed.

    `folded_for` is how long refusals are left open for repetitions to be counted in them.
    """

    units: Units
    seed: bytes | None = attrs.field(repr=False, default=None)
    folded_for: timedelta = FOLDED_FOR
    _signer: NoteSigner | None = None

    async def run(self) -> None:
        """Work until cancelled. Raises StorageError when the store is gone."""
        while True:
            await self.drain()
            await asyncio.sleep(EVERY * random.uniform(0.8, 1.2))  # noqa: S311

    async def drain(self) -> int:
        """Seal everything that waits, but refusals that are still open, and return how many entries that were."""
        total = 0
        while True:
            try:
                sealed = await self._seal()
            except Contention:
                return total
            total += len(sealed.entries)
            if not sealed.more:
                return total

    async def _seal(self) -> Sealed:
        signer = self._signer or await self._named()

        async def work(act: Act) -> Sealed:
            sealed = await sequence(act, signer, self.folded_for)
            await watch(act, sealed.entries)
            return sealed

        return await self.units.perform(system(), work, completes=False)

    async def _named(self) -> NoteSigner:
        async with self.units.storage.read() as reader:
            record = await reader.get(STORE, STORE_KEY)
        self._signer = NoteSigner(record.log_name, self.seed)
        return self._signer

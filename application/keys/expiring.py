"""Telling creators that a key is about to expire (platform.md 4, 8.2)."""

import asyncio
import contextlib

import attrs

from application.units import Units
from domain.access.principal import system
from domain.act import Act
from domain.ids import new_id
from domain.instants import MICROSECOND, wire
from domain.keys.rules import warns_at
from domain.ports.errors import StorageError
from domain.ports.queries import Between, Select
from domain.ports.schema import API_KEYS


@attrs.frozen
class KeyWarnings:
    """Tells each creator once, seven days ahead; keys of a shorter life expire without a word."""

    units: Units

    async def run(self, every: float = 600.0) -> None:
        """Warn each `every` seconds, until cancelled."""
        while True:
            with contextlib.suppress(StorageError):
                await self.warn()
            await asyncio.sleep(every)

    async def warn(self) -> None:
        """Tell of every key whose time has come."""
        due = Between(None, self.units.clock.now() + MICROSECOND)
        while True:
            async with self.units.storage.read() as reader:
                page = await reader.page(API_KEYS, Select({"warns_at": due}, ("warns_at",)), limit=100)
            for key in page.items:
                await self._tell(key.key_id)
            if not page.items:
                return

    async def _tell(self, key_id: str) -> None:
        async def work(act: Act) -> None:
            key = await act.unit.get(API_KEYS, key_id)
            at = warns_at(key)
            if at is None or at > act.now:
                return
            await act.unit.save(API_KEYS, attrs.evolve(key, warned_at=act.now, version=key.version + 1))
            data = {"name": key.name, "expires_at": key.expires_at and wire(key.expires_at)}
            await act.notify("api_key_expiring", [key.created_by], source_id=new_id(), data=data)

        await self.units.perform(system(), work)

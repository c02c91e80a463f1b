"""The worker that carries out what units left for after their commit (architecture.md 6)."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Final

import attrs

from application.units import Units
from application.workers import keep_busy
from domain.access.principal import system
from domain.act import Act
from domain.document import Document
from domain.errors import Refusal
from domain.outbox.values import LEASE, OutboxRow, claimed, continued, failed, released
from domain.ports.errors import Closed, Contention, OutcomeUnknown, StorageError, Unavailable
from domain.ports.queries import Between, Select
from domain.ports.schema import OUTBOX

Job = Callable[[Act, OutboxRow], Awaitable[Document | None]]
"""Carries out a row in the unit of the act, in which the row is settled too, so that an effect in the store happens
exactly once. Returns the data of what is left for another unit, or None when all is done. It has the time of one
lease, and may be run again from the start."""

SLOTS: Final = 16
POLL_SECONDS: Final = 0.5
_STORE_GONE: Final = (Unavailable, OutcomeUnknown, Closed)


@attrs.define
class Relay:
    """Claims rows that are due, runs each by its kind, and settles it.

    Any number of instances may work on one store: a claim saves the version that was read, so one of them gets a row,
    and who lost its lease cannot settle. `tell` hears of every failure; the row of a kind that no job carries out
    fails too, because another release may know it.
    """

    units: Units
    jobs: Mapping[str, Job]
    tell: Callable[[OutboxRow, Exception], None] = lambda row, error: None
    poll: float = POLL_SECONDS

    async def run(self) -> None:
        """Work until cancelled; then let go of what is held. Raises StorageError when the store is gone."""
        await keep_busy(SLOTS, self.poll, self._claim, self._carry_out)

    async def drain(self) -> int:
        """Carry out everything that is due now, and return how many rows were taken."""
        taken = 0
        while rows := await self._claim(SLOTS):
            taken += len(rows)
            await asyncio.gather(*map(self._carry_out, rows))
        return taken

    async def _claim(self, most: int) -> list[OutboxRow]:
        async def work(act: Act) -> list[OutboxRow]:
            due = Select({"ready_at": Between(end=act.now + timedelta(microseconds=1))}, ("ready_at",))
            rows = (await act.unit.page(OUTBOX, due, limit=most)).items
            held = [claimed(row, act.now) for row in rows]
            await act.unit.save(OUTBOX, *held)
            return [row for row in held if row.status == "pending"]

        if most <= 0:
            return []
        try:
            return await self.units.perform(system(), work, completes=False)
        except Contention:
            return []

    async def _carry_out(self, row: OutboxRow) -> None:
        held: OutboxRow | None = row
        try:
            while held is not None:
                row = held
                async with asyncio.timeout(LEASE.total_seconds()):
                    held = await self._step(row)
        except asyncio.CancelledError:
            with contextlib.suppress(StorageError):
                await self._settle(row, released)
            raise
        except _STORE_GONE:
            raise
        except Exception as error:
            name = error.code if isinstance(error, Refusal) else type(error).__name__
            now = self.units.clock.now()
            self.tell(await self._settle(row, partial(failed, now=now, error=name)), error)

    async def _step(self, row: OutboxRow) -> OutboxRow | None:
        """Carry out a row, or the next part of it, in one unit, and return what is left."""
        job = self.jobs.get(row.kind)
        if job is None:
            raise LookupError(f"nothing here carries out {row.kind}")

        async def work(act: Act) -> OutboxRow | None:
            if not await _still_held(act, row):
                return None
            left = await job(act, row)
            if left is None:
                await act.unit.remove(OUTBOX, row)
                return None
            rest = continued(row, left, act.now)
            await act.unit.save(OUTBOX, rest)
            return rest

        return await self.units.perform(system(row.trace_id), work, completes=False)

    async def _settle(self, row: OutboxRow, change: Callable[[OutboxRow], OutboxRow]) -> OutboxRow:
        async def work(act: Act) -> OutboxRow:
            after = change(row)
            if await _still_held(act, row):
                await act.unit.save(OUTBOX, after)
            return after

        return await self.units.perform(system(row.trace_id), work, completes=False)


async def _still_held(act: Act, row: OutboxRow) -> bool:
    """Tell whether nobody else took the row since, because its lease had ended."""
    found = await act.unit.find(OUTBOX, row.row_id)
    return found is not None and found.version == row.version

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


class LeaseLost(Exception):
    """Another worker has taken the row."""


@attrs.define
class Hold:
    """A row that a worker holds; each part of the work that it does in a unit begins the lease anew."""

    units: Units
    row: OutboxRow
    lease: timedelta
    limit: asyncio.Timeout

    async def perform(self, work: Callable[[Act], Awaitable[Document | None]]) -> None:
        """Do a part of the work in one unit. It returns the data of what is left, None when that was the last part.

        Raises LeaseLost, nothing being done.
        """
        row = self.row

        async def part(act: Act) -> OutboxRow | None:
            if not await _still_held(act, row):
                raise LeaseLost
            left = await work(act)
            if left is None:
                await act.unit.remove(OUTBOX, row)
                return None
            rest = continued(row, left, act.now, self.lease)
            await act.unit.save(OUTBOX, rest)
            return rest

        rest = await self.units.perform(system(row.trace_id), part, completes=False)
        if rest is not None:
            self.row = rest
            self.limit.reschedule(asyncio.get_running_loop().time() + self.lease.total_seconds())

    async def keep(self) -> None:
        """Begin the lease anew when a third of it is over. Raises LeaseLost."""

        async def nothing(_: Act) -> Document:
            return self.row.data

        until = self.row.lease_until
        if until is None or until - self.units.clock.now() < 2 * self.lease / 3:
            await self.perform(nothing)


Course = Callable[[Hold], Awaitable[None]]
"""Carries out a row in as many units as it takes, each through the hold; the last one returns None there. Between two
of them it has the time of one lease. It may be run again from where the data of the row says."""


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
    courses: Mapping[str, Course] = attrs.field(factory=dict)
    lease: timedelta = LEASE

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
            held = [claimed(row, act.now, self.lease) for row in rows]
            await act.unit.save(OUTBOX, *held)
            return [row for row in held if row.status == "pending"]

        if most <= 0:
            return []
        try:
            return await self.units.perform(system(), work, completes=False)
        except Contention:
            return []

    async def _carry_out(self, row: OutboxRow) -> None:
        limit = asyncio.timeout(self.lease.total_seconds())
        hold = Hold(self.units, row, self.lease, limit)
        try:
            async with limit:
                await self._course(row.kind)(hold)
        except LeaseLost:
            return
        except asyncio.CancelledError:
            with contextlib.suppress(StorageError):
                await self._settle(hold.row, released)
            raise
        except _STORE_GONE:
            raise
        except Exception as error:
            name = error.code if isinstance(error, Refusal) else type(error).__name__
            now = self.units.clock.now()
            self.tell(await self._settle(hold.row, partial(failed, now=now, error=name)), error)

    def _course(self, kind: str) -> Course:
        """Return how a row is carried out. Raises LookupError."""
        if kind in self.courses:
            return self.courses[kind]
        if kind in self.jobs:
            return partial(_in_steps, self.jobs[kind])
        raise LookupError(f"nothing here carries out {kind}")

    async def _settle(self, row: OutboxRow, change: Callable[[OutboxRow], OutboxRow]) -> OutboxRow:
        async def work(act: Act) -> OutboxRow:
            after = change(row)
            if await _still_held(act, row):
                await act.unit.save(OUTBOX, after)
            return after

        return await self.units.perform(system(row.trace_id), work, completes=False)


async def _in_steps(job: Job, hold: Hold) -> None:
    """Carry out a row and then what is left of it, until nothing is."""
    left: Document | None = hold.row.data

    async def step(act: Act) -> Document | None:
        nonlocal left
        left = await job(act, hold.row)
        return left

    while left is not None:
        await hold.perform(step)


async def _still_held(act: Act, row: OutboxRow) -> bool:
    """Tell whether nobody else took the row since, because its lease had ended."""
    found = await act.unit.find(OUTBOX, row.row_id)
    return found is not None and found.version == row.version

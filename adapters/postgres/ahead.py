"""A unit whose new rows are copied while it goes on, in the transaction that it commits in the end."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import attrs
import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from adapters.postgres.errors import translated
from adapters.postgres.prepared import PreparingConnection
from adapters.postgres.transactions import Copy, Transaction, carry_out, patiently
from domain.ports.schema import Facet, Key

_ROLLBACK_SECONDS = 1.0

Connected = Callable[[], AbstractAsyncContextManager[PreparingConnection]]
"""Lends a connection that may write, for as long as a bulk unit may take."""


@attrs.define(eq=False)
class AheadTransaction:
    """One transaction: what `write` is given is copied at once, `commit` sends the rest."""

    _connected: Connected
    _sent: dict[str, dict[Key, Any]] = attrs.field(factory=dict)
    _jobs: "asyncio.Queue[Copy | Transaction | None]" = attrs.field(factory=asyncio.Queue)
    _abandoned: bool = False
    open: bool = True
    """Whether `commit` was not called yet."""
    task: "asyncio.Task[None]" = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.task = asyncio.get_running_loop().create_task(self._run())
        # What goes wrong after the unit has failed is no news.
        self.task.add_done_callback(lambda task: task.cancelled() or task.exception())

    def write(self, facet: Facet[Any], values: Sequence[Any]) -> None:
        """Begin to copy rows. What goes wrong with them is raised by `commit`."""
        self._sent.setdefault(facet.name, {}).update(zip(map(facet.key_of, values), values, strict=True))
        self._jobs.put_nowait(Copy(facet, list(values)))

    async def commit(self, unit: Transaction) -> None:
        """Send what of a unit was not written yet, and commit. Raises StorageError."""
        self.open = False
        self._jobs.put_nowait(attrs.evolve(unit, sent=self._sent))
        await self.task

    async def abandon(self) -> None:
        if self.open:
            self.open, self._abandoned = False, True
            self._jobs.put_nowait(None)
            # The unit has failed by itself, and waits for no server that does not answer.
            await asyncio.wait([self.task], timeout=_ROLLBACK_SECONDS)

    async def _run(self) -> None:
        committing = False
        try:
            async with self._connected() as connection, patiently(connection):
                while isinstance(job := await self._jobs.get(), Copy) and not self._abandoned:
                    await job.send(connection)
                if not isinstance(job, Transaction):
                    raise psycopg.Rollback
                committing = True
                await carry_out(connection, job.steps())
        except (psycopg.Error, PoolTimeout, PoolClosed, OSError) as error:
            known = translated(error, committing=committing)
            if known is None:
                raise
            raise known from error

"""The hold of one process on a store that it alone writes (docs/decisions/0018)."""

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final, Protocol

from domain.ports.errors import StorageError, WriterRefused

LASTS: Final = 1.0
"""Seconds after the last proof for which memory answers; the next writer waits longer than that."""

_INTERVAL: Final = 0.25
_log = logging.getLogger(__name__)


class Turn(Protocol):
    """Sees whose turn it is to write, over a connection of its own."""

    async def turn(self) -> None:
        """Raises WriterRefused when it is not ours, and Unavailable."""
        ...

    async def release(self) -> None: ...


class Tenure:
    """Proves again and again that the store is ours; once it was lost it is lost for good."""

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._proven = float("-inf")
        self._proven_at = datetime.now(UTC)
        self._lost: WriterRefused | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def stands(self) -> bool:
        """Tell whether memory may answer."""
        return self._lost is None and monotonic() - self._proven < LASTS

    @property
    def without_since(self) -> datetime | None:
        """Since when memory has not answered; None while it may."""
        return None if self.stands else self._proven_at + timedelta(seconds=LASTS)

    def demand(self) -> None:
        """Raise WriterRefused once the store is somebody else's."""
        if self._lost is not None:
            raise WriterRefused(str(self._lost))

    async def begin(self) -> None:
        """Take hold. Raises WriterRefused when somebody else writes, and Unavailable."""
        await self._prove()

    def keep(self) -> None:
        """Go on proving in the background."""
        if self._task is None:
            self._task = asyncio.create_task(self._keep())

    async def end(self) -> None:
        """Let go, so that the next writer need not wait."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        if self._lost is None and self._proven > 0:
            self._proven = float("-inf")
            with suppress(StorageError):
                await self._turn.release()

    def lose(self, error: WriterRefused) -> None:
        if self._lost is None:
            self._lost = error
            _log.error("closed for writes: %s", error)

    async def _prove(self) -> None:
        begun, now = monotonic(), datetime.now(UTC)
        await self._turn.turn()
        self._proven, self._proven_at = begun, now

    async def _keep(self) -> None:
        while self._lost is None:
            await asyncio.sleep(_INTERVAL)
            try:
                await self._prove()
            except WriterRefused as error:
                self.lose(error)
            except StorageError as error:
                _log.warning("the hold on the store could not be proven: %s", error)

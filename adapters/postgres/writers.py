"""Kinds of writers: a store is written by engines of one kind at a time (docs/decisions/0018).

Every connection that commits belongs to a kind for as long as it lives, by a lock of its session. So there is no
moment at which a connection could commit without it.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Final
from weakref import WeakSet

import attrs
import psycopg

from adapters.processes import is_gone, this_process
from domain.ports.errors import WriterRefused

Connection = psycopg.AsyncConnection[Any]
Row = tuple[Any, ...]

ENTER: Final = "select turn, wait, owed_to from defarm_enter(%s, %s)"
TURN: Final = "select turn from store_writers"
RELEASE: Final = "update store_writers set holder = 0, process = '', turn = turn + 1 where holder = %s"

WROTE: Final = (
    "with done as (update store_writers set written = %s where holder = %s and written <> %s returning 1)"
    " select defarm_expect((select count(*) from done), 1, 'store_writers')"
)
"""Comes first, so that a batch whose outcome is unknown is waited for, and met once."""

PLAIN: Final = 1
CACHED: Final = 2
FIRST_OWN: Final = 16
"""From here on kinds are of one process each."""

WRITERS: Final = 25702
"""The class of the advisory locks that say which kinds are at work (migration 24)."""

_ENDING: Final = 2.0
_PAUSE: Final = 0.2
REFUSED: Final = "DF003"


@attrs.frozen
class Mark:
    """Names a batch of units of a kind of writer. A batch that was written before is Stale in `store_writers`."""

    kind: int
    token: str

    @property
    def parameters(self) -> list[Any]:
        return [self.token, self.kind, self.token]


def own_kind() -> int:
    """Return a kind that nobody else is of, for a writer that bears no other."""
    return FIRST_OWN + secrets.randbelow(2**31 - FIRST_OWN)


def kind_name(kind: int) -> str:
    """Return the setting under which writers of a kind run."""
    return {PLAIN: "postgres", CACHED: "redis_cached"}.get(kind, "write_through")


class Entry:
    """What this process knows of the connections by which it writes as one kind."""

    def __init__(self, kind: int = PLAIN) -> None:
        self.kind = kind
        self.turn: int | None = None
        self._entered: WeakSet[Connection] = WeakSet()

    @property
    def alone(self) -> bool:
        """Tell whether this writer bears no other, so that another turn means that the store was somebody else's."""
        return self.kind >= FIRST_OWN

    async def enter(self, connection: Connection, ask: Callable[[str, list[Any]], Awaitable[Row]]) -> None:
        """Make sure that the connection, of which `ask` asks, is of our kind.

        Raises WriterRefused when the store is somebody else's, or was meanwhile; a session of a process that was
        killed a moment ago is given time to end. Who may still answer from memory is waited for, unless it is gone.
        """
        if connection in self._entered:
            return
        until = monotonic() + _ENDING
        me = this_process() if self.alone else ""
        while True:
            try:
                turn, wait, owed_to = await ask(ENTER, [self.kind, me])
                break
            except psycopg.Error as error:
                if error.sqlstate != REFUSED:
                    raise
                if monotonic() > until:
                    raise _refused(self.kind, int(error.diag.message_detail or 0)) from error
            await asyncio.sleep(_PAUSE * (50 + secrets.randbelow(100)) / 100)
        self.took(turn)
        if wait and not is_gone(owed_to):
            await asyncio.sleep(wait)
        self._entered.add(connection)

    def took(self, turn: int) -> None:
        """Take note of whose turn it is. Raises WriterRefused when a writer that bears no other lost its own."""
        if self.alone and self.turn is not None and turn != self.turn:
            raise WriterRefused(
                "another process has written to the database since this one lost its connection to it; "
                "restart this process, which loads the database again"
            )
        self.turn = turn


def _refused(mine: int, other: int) -> WriterRefused:
    return WriterRefused(
        f"a running engine writes to this database with DEFARM_STORAGE={kind_name(other)}, and "
        f"{kind_name(mine)} must not write beside it: stop that engine, or run both with the same storage"
        + (" (write_through takes one process only)" if mine >= FIRST_OWN or other >= FIRST_OWN else "")
    )

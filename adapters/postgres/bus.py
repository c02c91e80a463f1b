"""The bus over PostgreSQL: LISTEN and NOTIFY, on two connections of their own."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import psycopg

from adapters.bus import QUIET, JoiningBus
from adapters.postgres.patience import patience

CHANNEL: Final = "defarm_wake"


class PostgresBus(JoiningBus):
    """Reaches every instance on the same database."""

    def __init__(self, url: Callable[[], str], quiet: float = QUIET) -> None:
        super().__init__(quiet)
        self._url = url

    @property
    def broken(self) -> tuple[type[Exception], ...]:
        return (psycopg.Error, OSError)

    async def _connected(self) -> "psycopg.AsyncConnection[tuple[str, ...]]":
        return await psycopg.AsyncConnection.connect(self._url(), autocommit=True, connect_timeout=5)

    @asynccontextmanager
    async def sender(self) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
        async with await self._connected() as connection:

            async def send(message: str) -> None:
                with patience(connection, self.quiet):
                    await connection.execute("select pg_notify(%s, %s)", (CHANNEL, message))

            yield send

    async def _hearing(self) -> None:
        async with await self._connected() as connection:
            await connection.execute(f"listen {CHANNEL}")
            with self.linked("hearing"):
                await self._listening(connection)

    async def _listening(self, connection: "psycopg.AsyncConnection[tuple[str, ...]]") -> None:
        while True:
            async for notice in connection.notifies(timeout=self.quiet):
                self.hear(notice.payload)
            with patience(connection, self.quiet):
                await connection.execute("select")

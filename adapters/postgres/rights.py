"""The row of rights to the cache, and the gate that its writers pass (docs/decisions/0006)."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import attrs

from adapters.caching.rights import Row
from adapters.postgres.errors import translating
from adapters.postgres.storage import Address, PostgresBackend, PostgresBounds
from adapters.postgres.transactions import GATE
from adapters.postgres.writers import CACHED, Entry
from domain.ports.errors import Unavailable

_ROW = '"generation", "open", "life", "closed_at", clock_timestamp()'
_READ = f"select {_ROW} from cache_rights"
_CLOSE = 'update cache_rights set "open" = false, "closed_at" = clock_timestamp() returning ' + _ROW
_MILLISECOND = "(extract(epoch from clock_timestamp()) * 1000)::bigint"
_REOPEN = (
    # A cache may still hold what another store put there under the first generations of its own.
    f'update cache_rights set "open" = true, "generation" = greatest("generation" + 1, {_MILLISECOND}), "life" = %s'
    f' where not "open" and "generation" = %s returning {_ROW}'
)
_STILL_CLOSED = 'select 1 from cache_rights where not "open" and "generation" = %s'


class PostgresLedger:
    """Asks over connections of its own, so that a busy pool costs nobody the right."""

    def __init__(self, url: Address, bounds: PostgresBounds) -> None:
        self._backend = PostgresBackend(url, attrs.evolve(bounds, pool_min=1, pool_max=2), Entry(CACHED))

    async def open(self) -> None:
        """Open the pool. Raises Unavailable."""
        await self._backend.open()

    async def aclose(self) -> None:
        await self._backend.aclose()

    async def read(self) -> Row:
        # A right is given by a session that keeps writers of other kinds out.
        return _row(await self._backend._query(_READ, [], writing=True))

    async def close(self) -> Row:
        return _row(await self._backend._query(_CLOSE, []))

    async def reopen(self, generation: int, life: str, ready: Callable[[], Awaitable[bool]]) -> Row | None:
        with translating():
            async with self._backend._connection() as connection, connection.transaction():
                await connection.execute("select pg_advisory_xact_lock(%s)", [GATE])
                closed = await (await connection.execute(_STILL_CLOSED, [generation])).fetchone()
                if closed is None or not await ready():
                    return None
                rows = await (await connection.execute(_REOPEN, [life, generation])).fetchall()
                return _row(rows) if rows else None

    async def drained(self) -> datetime:
        with translating():
            async with self._backend._connection() as connection, connection.transaction():
                await connection.execute("select pg_advisory_xact_lock(%s)", [GATE])
                found = await (await connection.execute("select clock_timestamp()")).fetchone()
        if found is None:
            raise Unavailable("the server does not tell the time")
        now: datetime = found[0]
        return now


def _row(rows: list[tuple[Any, ...]]) -> Row:
    if not rows:
        raise Unavailable("the row of rights to the cache is missing")
    return Row(*rows[0])

"""PostgreSQL: reads are single prepared statements by index, a unit is one pipelined transaction."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import attrs
import psycopg
from psycopg.abc import AdaptContext
from psycopg.adapt import Loader
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.codec import decode, encode
from adapters.postgres.errors import translating
from adapters.postgres.statements import STATEMENTS, escape_copy
from adapters.postgres.views import view_query
from adapters.staging import Changes, FacetChanges, StagedStorage
from domain.ports.queries import Cursor, Select
from domain.ports.schema import FACETS, Facet, Key
from domain.ports.views import View

V = TypeVar("V")
Connection = psycopg.AsyncConnection[Any]
Parameters = Sequence[Any] | Mapping[str, Any]
Address = str | Callable[[], str]
"""A libpq URL, or what tells it once the server is there."""

logging.getLogger("psycopg").addFilter(
    # The first error of a pipeline is raised; the driver logs those that follow from it besides.
    lambda record: "pipeline aborted" not in record.getMessage()
)

COPY_FROM = 200
"""From this many new rows of one facet on, COPY is faster than arrays."""


@attrs.frozen
class PostgresBounds:
    """How long PostgreSQL may keep a caller waiting, in seconds, and how many connections one process holds."""

    pool_min: int = 2
    pool_max: int = 8
    pool_wait: float = 2.0
    statement_timeout: float = 5.0
    lock_timeout: float = 2.0
    connect_timeout: float = 5.0


class _Bytes(Loader):
    """Hand JSON bodies over as they are; the codec reads them."""

    def load(self, data: Any) -> bytes:
        return bytes(data)


class PostgresBackend:
    """Rows in PostgreSQL 15 to 18, through a pool of this process."""

    def __init__(self, url: Address, bounds: PostgresBounds = PostgresBounds()) -> None:
        milliseconds = {
            "statement_timeout": bounds.statement_timeout,
            "lock_timeout": bounds.lock_timeout,
            "idle_in_transaction_session_timeout": 60.0,
        }
        options = " ".join(f"-c {name}={int(seconds * 1000)}" for name, seconds in milliseconds.items())
        self.pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=bounds.pool_min,
            max_size=bounds.pool_max,
            timeout=bounds.pool_wait,
            open=False,
            configure=_configure,
            kwargs={
                "autocommit": True,
                "prepare_threshold": 0,
                "options": f"{options} -c timezone=UTC -c client_encoding=UTF8",
                "connect_timeout": max(2, int(bounds.connect_timeout)),
            },
        )

    def __repr__(self) -> str:
        return "postgres"

    async def open(self) -> None:
        """Open the pool. Raises Unavailable when the server does not answer; may be called again after that."""
        with translating():
            # A pool that was waited for in vain closes itself for good, one that is asked goes on trying.
            await self.pool.open()
        await self.ping()

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        statements = STATEMENTS[facet.name]
        if len(keys) == 1:
            key = keys[0]
            rows = await self._query(statements.fetch_one, [key] if isinstance(key, str) else list(key))
        else:
            columns = [keys] if len(facet.key) == 1 else [list(part) for part in zip(*keys, strict=True)]
            rows = await self._query(statements.fetch, columns)
        values = [_value(facet, row) for row in rows]
        return {facet.key_of(value): value for value in values}

    async def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V]:
        text, parameters = STATEMENTS[facet.name].select(query, after, limit)
        return [_value(facet, row) for row in await self._query(text, parameters)]

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> list[tuple[Cursor, V]]:
        facet, text, parameters = view_query(view, after, limit)
        rows = await self._query(text, parameters)
        return [(tuple(row[1:]), decode(facet, row[0])) for row in rows]

    async def _query(self, text: str, parameters: Parameters) -> list[tuple[Any, ...]]:
        with translating():
            async with self.pool.connection() as connection:
                cursor = await connection.execute(text, parameters)
                return await cursor.fetchall()

    async def commit(self, changes: Changes) -> None:
        ordered = [changes[facet.name] for facet in FACETS if facet.name in changes]
        bulk = any(len(change.adds) >= COPY_FROM and facet.serial is None for facet, change in ordered)
        calls = [call for facet, change in ordered for call in _calls(facet, change, copying=bulk)]
        with translating():
            context = self.pool.connection()
            connection = await context.__aenter__()
        try:
            with translating(committing=True):
                await (self._copying(connection, calls, ordered) if bulk else self._pipelined(connection, calls))
        finally:
            await context.__aexit__(None, None, None)

    @staticmethod
    async def _pipelined(connection: Connection, calls: list["Call"]) -> None:
        if len(calls) == 1:
            await connection.execute(calls[0].text, calls[0].parameters)
            return
        async with connection.pipeline():
            await connection.execute("begin")
            for call in calls:
                await connection.execute(call.text, call.parameters)
            await connection.execute("commit")

    @staticmethod
    async def _copying(
        connection: Connection, calls: list["Call"], ordered: list[tuple[Facet[Any], FacetChanges]]
    ) -> None:
        async with connection.transaction():
            await connection.execute("set local statement_timeout = '120s'")
            for call in calls:
                await connection.execute(call.text, call.parameters)
            for facet, change in ordered:
                if len(change.adds) >= COPY_FROM and facet.serial is None:
                    statements = STATEMENTS[facet.name]
                    lines = _copy_lines(facet, list(change.adds.values()))
                    async with connection.cursor() as cursor, cursor.copy(statements.copy) as copy:
                        await copy.write(lines)

    async def take_numbers(self, day: str, count: int) -> range:
        rows = await self._query(
            "insert into sequences as s (day, last) values (%s, %s)"
            " on conflict (day) do update set last = s.last + excluded.last returning last",
            [day, count],
        )
        last = int(rows[0][0])
        return range(last - count + 1, last + 1)

    async def ping(self) -> None:
        await self._query("select 1", [])

    async def aclose(self) -> None:
        await self.pool.close()


@attrs.frozen
class Call:
    text: str
    parameters: Parameters


async def _configure(connection: Connection) -> None:
    context: AdaptContext = connection
    context.adapters.register_loader("json", _Bytes)
    await connection.set_autocommit(True)


def _value(facet: Facet[V], row: tuple[Any, ...]) -> V:
    value = decode(facet, row[0])
    return attrs.evolve(value, **{facet.serial[0]: row[1]}) if facet.serial else value  # type: ignore[misc]


def _calls(facet: Facet[Any], change: FacetChanges, *, copying: bool) -> list[Call]:
    """Return the statements of one facet: what is relied on, what goes, what changes, what is new."""
    statements = STATEMENTS[facet.name]
    calls = []
    if change.confirms:
        calls.append(Call(statements.confirm, _keyed(facet, change.confirms)))
    if change.removes:
        expected = {key: -1 if version is None else version for key, (_, version) in change.removes.items()}
        calls.append(Call(statements.delete, _keyed(facet, expected)))
    if change.saves:
        saves = sorted(change.saves.values(), key=lambda save: facet.key_of(save[0]))
        columns = _columns(facet, [value for value, _ in saves])
        calls.append(Call(statements.update, [*columns, [version for _, version in saves], len(saves)]))
    adds = list(change.adds.values())
    if len(adds) == 1 and facet.serial is None:
        calls.append(Call(statements.insert_one, statements.parameters(adds[0], encode(adds[0]))))
    elif adds and not (copying and len(adds) >= COPY_FROM and facet.serial is None):
        calls.append(Call(statements.insert, _columns(facet, adds)))
    return calls


def _keyed(facet: Facet[Any], versions: dict[Key, int]) -> list[Any]:
    keys = sorted(versions)
    parts = [keys] if len(facet.key) == 1 else [list(part) for part in zip(*keys, strict=True)]
    return [*parts, [versions[key] for key in keys], len(keys)]


def _columns(facet: Facet[Any], values: list[Any]) -> list[list[Any]]:
    statements = STATEMENTS[facet.name]
    rows = [statements.parameters(value, encode(value)) for value in values]
    return [list(column) for column in zip(*rows, strict=True)]


def _copy_lines(facet: Facet[Any], values: list[Any]) -> bytes:
    parameters = STATEMENTS[facet.name].parameters
    return "".join(
        "\t".join([escape_copy(field, _text) for field in parameters(value, encode(value))]) + "\n" for value in values
    ).encode()


def _text(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "t" if value else "f"
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


class PostgresStorage(StagedStorage):
    """The storage port over PostgreSQL."""

    backend: PostgresBackend

    def __init__(self, url: Address, bounds: PostgresBounds = PostgresBounds()) -> None:
        super().__init__(PostgresBackend(url, bounds))

    async def open(self) -> None:
        """Open the pool. Raises Unavailable when the server does not answer; may be called again after that."""
        await self.backend.open()

"""PostgreSQL: reads are single prepared statements by index, a unit is one pipelined transaction."""

import asyncio
import logging
import os
import select
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import datetime
from time import monotonic
from typing import Any, TypeVar

import attrs
import psycopg
from psycopg.abc import AdaptContext
from psycopg.adapt import Loader
from psycopg.pq import TransactionStatus
from psycopg_pool import AsyncConnectionPool

from adapters.caching.guard import Guard
from adapters.changes import Changes, FacetChanges, order_key
from adapters.postgres.codec import decode, encode
from adapters.postgres.errors import translating
from adapters.postgres.statements import STATEMENTS, escape_copy
from adapters.postgres.views import view_query
from adapters.staging import StagedStorage
from domain.ports.queries import Cursor, Select
from domain.ports.schema import Facet, Key
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

GATE = 0x6361636865
"""The advisory lock that writers share from their check of the rights to the cache on, and openers hold alone."""

_PREPARED = 500
_MARGIN = 1.0
_UNIT_SECONDS = 30.0
_BULK_SECONDS = 120.0


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
        self._bounds = bounds
        milliseconds = {
            "statement_timeout": bounds.statement_timeout,
            "lock_timeout": bounds.lock_timeout,
            "idle_in_transaction_session_timeout": 60.0,
        }
        settings = "-c timezone=UTC -c client_encoding=UTF8 -c enable_seqscan=off"
        options = " ".join(f"-c {name}={int(seconds * 1000)}" for name, seconds in milliseconds.items())
        self.pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=bounds.pool_min,
            max_size=bounds.pool_max,
            timeout=bounds.pool_wait,
            # An attempt that goes on for long waits longer and longer between its tries.
            reconnect_timeout=bounds.connect_timeout,
            open=False,
            configure=_configure,
            kwargs={
                "autocommit": True,
                "prepare_threshold": 0,
                # By index rows are met, and locked, in the order of their keys, and a plan made when a table was empty
                # stays good when it has grown.
                "options": f"{options} {settings}",
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
            async with self._connection() as connection:
                with _patience(connection, self._bounds.statement_timeout + _MARGIN):
                    cursor = await connection.execute(text, parameters)
                    return await cursor.fetchall()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """Borrow a connection whose link still stands."""
        deadline = monotonic() + self._bounds.pool_wait
        connection = await self.pool.getconn()
        while not _stands(connection):
            await connection.close()
            await self.pool.putconn(connection)
            connection = await self.pool.getconn(max(0.0, deadline - monotonic()))
        try:
            yield connection
        finally:
            await self.pool.putconn(connection)

    async def commit(self, changes: Changes, guard: Guard | None = None) -> None:
        steps = [step for change in changes for step in _steps(change)]
        if guard is not None:
            steps += _demanding(guard)
        bulk = any(isinstance(step, Copy) for step in steps)
        patience = (_BULK_SECONDS if bulk else _UNIT_SECONDS) + _MARGIN
        with translating():
            async with self._connection() as connection:
                with translating(committing=True), _patience(connection, patience):
                    await (_stepwise(connection, steps) if bulk else _pipelined(connection, steps))

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
    """A statement of a unit."""

    text: str
    parameters: Parameters


@attrs.frozen
class Copy:
    """Many new rows of a unit, as lines of COPY."""

    text: str
    lines: bytes


Step = Call | Copy


async def _configure(connection: Connection) -> None:
    context: AdaptContext = connection
    context.adapters.register_loader("json", _Bytes)
    connection.prepared_max = _PREPARED
    await connection.set_autocommit(True)


def _stands(connection: Connection) -> bool:
    """Tell, without asking the server, whether the link of an idle connection still stands."""
    link = select.poll()
    link.register(connection.fileno(), select.POLLIN)
    try:
        while link.poll(0):
            connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def _patience(connection: Connection, seconds: float) -> Iterator[None]:
    """Break the link when the block takes longer: a frozen server ends nothing by itself, nor a lost route."""
    timer = asyncio.get_running_loop().call_later(seconds, _break_link, connection)
    try:
        yield
    finally:
        timer.cancel()


def _break_link(connection: Connection) -> None:
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.shutdown(socket.SHUT_RDWR)


async def _pipelined(connection: Connection, steps: Sequence[Step]) -> None:
    """Send all statements at once, as one transaction."""
    calls = [step for step in steps if isinstance(step, Call)]
    if len(calls) == 1:
        await connection.execute(calls[0].text, calls[0].parameters)
        return
    try:
        async with connection.pipeline():
            await connection.execute("begin")
            for call in calls:
                await connection.execute(call.text, call.parameters)
            await connection.execute("commit")
    except BaseException:
        if connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
            await connection.rollback()
        raise


async def _stepwise(connection: Connection, steps: Sequence[Step]) -> None:
    """Send one statement after the other, as one transaction; COPY has no place in a pipeline."""
    async with connection.transaction():
        await connection.execute(f"set local statement_timeout = '{_BULK_SECONDS:.0f}s'")
        for step in steps:
            if isinstance(step, Call):
                await connection.execute(step.text, step.parameters)
            else:
                async with connection.cursor() as cursor, cursor.copy(step.text) as copy:
                    await copy.write(step.lines)


def _value(facet: Facet[V], row: tuple[Any, ...]) -> V:
    value = decode(facet, row[0])
    return attrs.evolve(value, **{facet.serial[0]: row[1]}) if facet.serial else value  # type: ignore[misc]


def _steps(change: FacetChanges) -> Iterator[Step]:
    """Yield the statements of one facet: what is relied on, what goes, what changes, what is new.

    Rows are met in the order of their keys. Where a unit both relies on rows and changes others, one statement takes
    them all before, in that order.
    """
    facet, statements = change.facet, STATEMENTS[change.facet.name]
    if change.confirms and (change.removes or change.saves):
        yield Call(statements.lock, _key_columns(facet, {*change.confirms, *change.removes, *change.saves}))
    if change.confirms:
        yield Call(statements.confirm, _keyed(facet, change.confirms))
    if change.removes:
        yield Call(statements.delete, _keyed(facet, {key: version for key, (_, version) in change.removes.items()}))
    if change.saves:
        saves = sorted(change.saves.values(), key=lambda save: facet.key_of(save[0]))
        columns = _columns(facet, [value for value, _ in saves])
        yield Call(statements.update, [*columns, [version for _, version in saves], len(saves)])
    yield from _additions(facet, list(change.adds.values()))


def _demanding(guard: Guard) -> list[Step]:
    """Return what ends the unit unless the rights to the cache stand; the last statements, to hold the gate briefly."""
    demanded = [guard.generation, guard.open, guard.life, guard.deadline]
    return [
        Call("select pg_advisory_xact_lock_shared(%s)", [GATE]),
        Call("select defarm_cache_guard(%s, %s, %s, %s)", demanded),
    ]


def _additions(facet: Facet[Any], values: list[Any]) -> Iterator[Step]:
    statements = STATEMENTS[facet.name]
    if facet.serial is None:
        values.sort(key=lambda value: _place(facet, value))
        if len(values) == 1:
            yield Call(statements.insert_one, statements.parameters(values[0], encode(values[0])))
            return
        if len(values) >= COPY_FROM:
            yield Copy(statements.copy, copy_lines(facet, values))
            return
    if values:
        yield Call(statements.insert, _columns(facet, values))


def _place(facet: Facet[Any], value: Any) -> tuple[Any, ...]:
    """Order new rows by what others may wait for: a unique key before the key."""
    names = (*(facet.unique[0] if facet.unique else ()), *facet.key)
    return order_key(tuple(facet.columns[name](value) for name in names))


def _key_columns(facet: Facet[Any], keys: Iterable[Key]) -> list[list[str]]:
    inorder: list[Any] = sorted(keys)
    return [inorder] if len(facet.key) == 1 else [list(part) for part in zip(*inorder, strict=True)]


def _keyed(facet: Facet[Any], versions: Mapping[Key, int | None]) -> list[Any]:
    return [*_key_columns(facet, versions), [versions[key] for key in sorted(versions)], len(versions)]


def _columns(facet: Facet[Any], values: list[Any]) -> list[list[Any]]:
    statements = STATEMENTS[facet.name]
    rows = [statements.parameters(value, encode(value)) for value in values]
    return [list(column) for column in zip(*rows, strict=True)]


def copy_lines(facet: Facet[Any], values: list[Any]) -> bytes:
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

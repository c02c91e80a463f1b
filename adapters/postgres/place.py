"""A PostgreSQL store as one end of a copy (platform.md 13.2)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any

import attrs
import psycopg
from psycopg.conninfo import make_conninfo

from adapters.postgres.backing import PostgresBacking, Server
from adapters.postgres.codec import decode, encode
from adapters.postgres.errors import translating
from adapters.postgres.prepared import PreparingConnection
from adapters.postgres.statements import STATEMENTS, copy_text
from adapters.postgres.storage import PostgresStorage
from adapters.postgres.writers import FIRST_OWN, WRITERS
from domain.audit.values import AuditEntry
from domain.ports.backing import SchemaBehind
from domain.ports.moving import DFIDS, NUMBERS, CannotMove, Counter, Row, Sealed
from domain.ports.schema import AUDIT, FACETS, STORE, Facet, Key
from domain.store import StoreRecord

Connection = psycopg.AsyncConnection[Any]

PORTION_ROWS = 1000
PORTION_BYTES = 4 * 1024 * 1024
FETCHED = 250
"""Rows that are asked for at a time; with them a portion ends at once when it has so many rows or bytes."""

COPYING = 0x64656661726D
"""The advisory lock of whoever copies into a store."""

_SEAL_WAIT = "30s"
_NOTHING_BUT_THESE = {AUDIT.name: " where action <> 'system.migrated'"}
"""What `defarm migrate` leaves in a database without a store; it goes when a copy begins."""

_AT_WORK = (
    "select 1 from pg_locks where locktype = 'advisory' and classid = %s and objid::bigint >= %s and granted"
    " and database = (select oid from pg_database where datname = current_database()) limit 1"
)
_NUMBERED = tuple(facet for facet in FACETS if facet.serial is not None)
_TABLES = (*(facet.name for facet in FACETS), DFIDS, *(f"{facet.name}_counters" for facet in _NUMBERED))
_COUNTED = {DFIDS: (DFIDS, "day")} | {facet.name: (f"{facet.name}_counters", "owner") for facet in _NUMBERED}
_ALL_NUMBERS = " union all ".join(
    f"select '{space}' as space, \"{owner}\" as owner, last from {table}" for space, (table, owner) in _COUNTED.items()
)


@attrs.frozen
class Size:
    """Rows, and bytes on disk."""

    rows: int
    bytes: int


class PostgresHolding:
    """What one transaction sees."""

    def __init__(self, connection: Connection, name: str, record: StoreRecord | None, batch: int) -> None:
        self._batch = batch
        self._connection = connection
        self._name = name
        self._record = record

    @property
    def record(self) -> StoreRecord:
        return _present(self._record, self._name)

    async def count(self, part: Facet[Any]) -> int:
        table = f"({_ALL_NUMBERS}) as n" if part is NUMBERS else part.name
        with translating():
            row = await (await self._connection.execute(f"select count(*) from {table}")).fetchone()
        return int(row[0]) if row else 0

    async def rows(self, part: Facet[Any], after: Key | None = None) -> AsyncIterator[Sequence[Any]]:
        order = ", ".join(f'"{name}"' for name in part.key)
        what = "space, owner, last" if part is NUMBERS else STATEMENTS[part.name].answer
        table = f"({_ALL_NUMBERS}) as n" if part is NUMBERS else part.name
        last = () if after is None else (after,) if isinstance(after, str) else after
        beyond = f" where ({order}) > ({', '.join('%s' for _ in last)})" if last else ""
        portion: list[Any] = []
        size = 0
        with translating():
            async with self._connection.cursor(name="portions") as cursor:
                cursor.itersize = FETCHED
                await cursor.execute(f"select {what} from {table}{beyond} order by {order}", last)
                async for row in cursor:
                    portion.append(Counter(*row) if part is NUMBERS else _value(part, row))
                    size += 0 if part is NUMBERS else len(row[0])
                    if len(portion) >= self._batch or size >= PORTION_BYTES:
                        yield portion
                        portion, size = [], 0
        if portion:
            yield portion


class PostgresPlace:
    """A store in PostgreSQL, remote or embedded in `folder`, read by portions of at most `batch` rows.

    `name` is what messages call it.
    """

    def __init__(self, name: str, server: Server, folder: Path | None = None, batch: int = PORTION_ROWS) -> None:
        self.name = name
        self._batch = batch
        self._server = server
        self._folder = folder
        self.storage = PostgresStorage(lambda: server.url)
        self._backing = PostgresBacking(server, self.storage)
        self._taking: Connection | None = None

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[PostgresHolding]:
        await self._current()
        async with await self._connected() as connection:
            with translating():
                await connection.execute("begin isolation level repeatable read, read only")
                record = await _record(connection)
            yield PostgresHolding(connection, self.name, record, self._batch)

    async def sealed(self) -> Sealed | None:
        await self._current()
        record = _present(await self.bears(), self.name)
        return Sealed(record, _state(record)) if record.read_only else None

    async def seal(self, entry: AuditEntry) -> Sealed:
        found = await self.sealed()
        if found is not None:
            return found
        async with await self._connected() as connection:
            await self._nobody_answers_from_memory(connection)
            with translating():
                async with connection.transaction():
                    await connection.execute(f"set local lock_timeout = '{_SEAL_WAIT}'")
                    await connection.execute(f"lock table {', '.join(_TABLES)} in share row exclusive mode")
                    before = _present(await _record(connection), self.name)
                    _whole(before, self.name)
                    record = attrs.evolve(before, read_only=True, version=before.version + 1)
                    await _put(connection, record)
                    await _insert(connection, AUDIT, entry)
                    for table in _TABLES:
                        await connection.execute(
                            f"create or replace trigger defarm_sealed before insert or update or delete on {table}"
                            " for each statement execute function defarm_refuse_change()"
                        )
        return Sealed(record, _state(record))

    async def release(self, entry: AuditEntry, *, retire: bool) -> StoreRecord:
        await self._current()
        async with await self._connected() as connection:
            await self._nobody_answers_from_memory(connection)
            with translating():
                async with connection.transaction():
                    await connection.execute(f"set local lock_timeout = '{_SEAL_WAIT}'")
                    for table in (STORE.name, AUDIT.name) if retire else _TABLES:
                        await connection.execute(f"drop trigger if exists defarm_sealed on {table}")
                    before = _present(await _record(connection), self.name)
                    record = attrs.evolve(before, read_only=retire, retired=retire, version=before.version + 1)
                    await _put(connection, record)
                    await _insert(connection, AUDIT, entry)
                    for table in (STORE.name, AUDIT.name) if retire else ():
                        await connection.execute(
                            f"create trigger defarm_sealed before insert or update or delete on {table}"
                            " for each statement execute function defarm_refuse_change()"
                        )
        return record

    async def prepare(self) -> None:
        await self._backing.connect()
        await self._backing.migrate()
        await self._backing.open()
        if self._taking is None:
            self._taking = await self._connected()
        with translating():
            row = await (await self._taking.execute("select pg_try_advisory_lock(%s)", [COPYING])).fetchone()
        if not row or not row[0]:
            raise CannotMove(f"Somebody else copies into {self.name} just now.")

    async def bears(self) -> StoreRecord | None:
        if self._absent:
            return None
        async with await self._connected() as connection:
            with translating():
                return await _record(connection)

    async def filled(self) -> list[str]:
        if self._absent:
            return []
        names = [*(facet.name for facet in FACETS), DFIDS]
        async with await self._connected() as connection:
            there = await self._asked(
                connection, "select name from unnest(%s::text[]) name where to_regclass(name) is not null", names
            )
            union = " union all ".join(
                f"select '{name}' where exists (select from {name}{_NOTHING_BUT_THESE.get(name, '')})"
                for (name,) in there
            )
            return [name for (name,) in await self._asked(connection, union)] if there else []

    async def sizes(self) -> dict[str, Size]:
        """Return how many rows and bytes each part has, indexes included."""
        await self._current()
        union = " union all ".join(
            f"select '{facet.name}', (select count(*) from {facet.name}), pg_total_relation_size('{facet.name}')"
            for facet in FACETS
        )
        async with await self._connected() as connection:
            return {name: Size(rows, size) for name, rows, size in await self._asked(connection, union)}

    async def _asked(self, connection: Connection, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with translating():
            return await (await connection.execute(text, parameters)).fetchall()

    async def _nobody_answers_from_memory(self, connection: Connection) -> None:
        """See that no `write_through` process is at work, which would not learn of a change (decision 18)."""
        if await self._asked(connection, _AT_WORK, WRITERS, FIRST_OWN):
            raise CannotMove(f"A server writes to {self.name} with DEFARM_STORAGE=write_through; stop it first.")

    @property
    def _absent(self) -> bool:
        """Whether this is an embedded store that nobody made yet."""
        return self._folder is not None and not (self._folder / "postgres").exists()

    async def take(self, part: Facet[Any], rows: Sequence[Row], record: StoreRecord) -> None:
        assert self._taking is not None, "prepare() comes before"
        with translating(committing=True):
            async with self._taking.transaction():
                await self._taking.execute("delete from audit where not exists (select from store)")
                if rows and part is NUMBERS:
                    await _copy_numbers(self._taking, rows)
                elif rows:
                    await _copy(self._taking, part, rows)
                await _put(self._taking, record)

    async def aclose(self) -> None:
        if self._taking is not None:
            await self._taking.close()
        await self._backing.aclose()

    async def _current(self) -> None:
        """Bring the server up and see that its schema is that of this release."""
        if self._absent:
            raise CannotMove(f"{self.name} holds no store.")
        await self._backing.connect()
        schema = await self._backing.schema()
        if not schema.applied:
            raise CannotMove(f"{self.name} holds no store.")
        if schema.pending:
            raise SchemaBehind(
                f"The schema of {self.name} waits for {', '.join(schema.pending)}: run `defarm migrate`."
            )
        await self._backing.open()

    async def _connected(self) -> Connection:
        """Return a connection of its own, whose statements may take their time."""
        await self._backing.connect()
        options = "-c timezone=UTC -c client_encoding=UTF8 -c enable_seqscan=off -c statement_timeout=0"
        with translating():
            return await PreparingConnection.connect(
                make_conninfo(self._server.url, connect_timeout=5, options=options), autocommit=True
            )


def _value(part: Facet[Any], row: tuple[Any, ...]) -> Any:
    value = decode(part.value, row[0])
    return attrs.evolve(value, **{part.serial[0]: row[1]}) if part.serial else value


def _present(record: StoreRecord | None, name: str) -> StoreRecord:
    if record is None:
        raise CannotMove(f"{name} holds no store.")
    return record


def _whole(record: StoreRecord, name: str) -> None:
    if record.copying is not None:
        raise CannotMove(f"{name} holds a copy that was not completed.")


def _state(record: StoreRecord) -> str:
    return f"{record.store_id} {record.version}"


async def _record(connection: Connection) -> StoreRecord | None:
    if (await (await connection.execute("select to_regclass('store')")).fetchone() or (None,))[0] is None:
        return None
    row = await (await connection.execute("select body from store")).fetchone()
    return None if row is None else decode(STORE.value, row[0])


async def _put(connection: Connection, record: StoreRecord) -> None:
    await connection.execute("delete from store")
    await _insert(connection, STORE, record)


async def _insert(connection: Connection, facet: Facet[Any], value: Any) -> None:
    statements = STATEMENTS[facet.name]
    await connection.execute(statements.insert_one, statements.parameters(value, encode(value)))


async def _copy(connection: Connection, part: Facet[Any], rows: Sequence[Row]) -> None:
    statements = STATEMENTS[part.name]
    values = [value for value, _ in rows]
    number = (part.serial[0],) if part.serial else ()
    names = ", ".join(f'"{name}"' for name in (*statements.columns, *number))
    columns = statements.transposed(values, [body.decode() for _, body in rows])
    numbers = [list(map(attrgetter(name), values)) for name in number]
    async with connection.cursor() as cursor, cursor.copy(f"copy {part.name} ({names}) from stdin") as copy:
        await copy.write(copy_text([*columns, *numbers]))


async def _copy_numbers(connection: Connection, rows: Sequence[Row]) -> None:
    for space, (table, owner) in _COUNTED.items():
        mine = [(number.owner, number.last) for number, _ in rows if number.space == space]
        async with connection.cursor() as cursor:
            await cursor.executemany(f'insert into {table} ("{owner}", last) values (%s, %s)', mine)

"""The life of a PostgreSQL store: its server, its schema, its connections."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, TypeVar

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool

from adapters.postgres.embedded import EmbeddedBusy, EmbeddedError, EmbeddedPostgres
from adapters.postgres.errors import translating
from adapters.postgres.migrations import SchemaNewer, applied_version, migrate, migrations, pending
from adapters.postgres.prepared import PreparingConnection
from domain.ports.backing import Schema, ServerFacts, StoreBroken, StoreRefused
from domain.ports.errors import Unavailable, WriterRefused

R = TypeVar("R")


class Server(Protocol):
    """A PostgreSQL server. Its calls block."""

    @property
    def url(self) -> str:
        """The libpq URL; valid once the server was started."""
        ...

    def start(self) -> str: ...

    def stop(self) -> None: ...


class RemoteServer:
    """A server that somebody else runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def start(self) -> str:
        return self.url

    def stop(self) -> None:
        return None


class JoinedServer:
    """The embedded server for the time of a command: the running one, else one of its own."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._joined: EmbeddedPostgres | None = None

    @property
    def url(self) -> str:
        return self.start() if self._joined is None else self._joined.url

    def start(self) -> str:
        if self._joined is not None and self._joined.owned:
            return self._joined.start()
        if self._joined is not None and self._joined.pid is None:
            self.stop()
        if self._joined is None:
            self._joined = EmbeddedPostgres.join(self._data_dir)
        return self._joined.url

    def stop(self) -> None:
        if self._joined is not None:
            self._joined.stop()
            self._joined = None


class Pooled(Protocol):
    """A backend that asks PostgreSQL through a pool."""

    @property
    def pool(self) -> AsyncConnectionPool[PreparingConnection]: ...


class PooledStorage(Protocol):
    """A storage over such a backend."""

    @property
    def backend(self) -> Pooled: ...

    async def open(self) -> None: ...

    async def aclose(self) -> None: ...


class PostgresBacking:
    """A server, remote or embedded, and the storage that uses it."""

    def __init__(self, server: Server, storage: PooledStorage, *, connect_timeout: float = 5.0) -> None:
        self._server = server
        self._storage = storage
        self._connect_timeout = max(2, int(connect_timeout))
        self._open = False

    @property
    def mode(self) -> str:
        return "postgres" if isinstance(self._server, RemoteServer) else "embedded"

    async def connect(self) -> None:
        try:
            await _in_thread(self._server.start)
        except EmbeddedBusy as error:
            raise StoreRefused(str(error)) from error
        except EmbeddedError as error:
            raise StoreBroken(str(error)) from error

    async def schema(self) -> Schema:
        with _refusing(), translating():
            async with self._connection() as connection:
                applied = await applied_version(connection)
            waiting = pending(applied)
        names = tuple(f"{migration.version:04d}_{migration.name}" for migration in waiting)
        return Schema(applied, migrations()[-1].version, names)

    async def migrate(self) -> tuple[str, ...]:
        with _refusing(), translating():
            done = await migrate(self._conninfo())
        return tuple(f"{migration.version:04d}_{migration.name}" for migration in done)

    async def open(self) -> None:
        try:
            await self._storage.open()
        except WriterRefused as error:
            raise StoreRefused(str(error)) from error
        self._open = True

    async def facts(self) -> ServerFacts:
        with translating():
            async with self._connection() as connection:
                cursor = await connection.execute(
                    "select current_setting('server_version_num')::int / 10000, current_setting('server_encoding'),"
                    " clock_timestamp(), current_setting('max_connections')::int"
                )
                row = await cursor.fetchone()
        if row is None:
            raise Unavailable("the server does not describe itself")
        return ServerFacts(*row)

    async def aclose(self) -> None:
        self._open = False
        await self._storage.aclose()
        await _in_thread(self._server.stop)

    def _conninfo(self) -> str:
        return make_conninfo(self._server.url, connect_timeout=self._connect_timeout)

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        if self._open:
            async with self._storage.backend.pool.connection() as pooled:
                yield pooled
            return
        async with await psycopg.AsyncConnection.connect(self._conninfo(), autocommit=True) as connection:
            yield connection


@contextlib.contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except SchemaNewer as error:
        raise StoreRefused(str(error)) from error


async def _in_thread(work: Callable[[], R]) -> R:
    """Run blocking work beside the loop, to its end also when the caller is cancelled meanwhile."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise

"""The link between a storage and its server, in the hands of the test."""

import asyncio
import contextlib
from collections.abc import Iterator
from enum import Enum, auto
from typing import Any, Self

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo


class Mode(Enum):
    OPEN = auto()
    CUT = auto()
    """Connections are gone and new ones refused."""
    FROZEN = auto()
    """Connections stand, nothing gets through."""
    STALE = auto()
    """Connections that stood carry nothing any more and are not ended; new ones work."""
    LOSES_QUESTIONS = auto()
    """What is asked next is lost together with its connection."""
    LOSES_ANSWERS = auto()
    """What is asked next is done, and its answer lost together with its connection."""


class Link:
    """A relay on a port of its own to the server of a libpq URL."""

    def __init__(self, url: str) -> None:
        self._target = conninfo_to_dict(url)
        self._mode = Mode.OPEN
        self._open = asyncio.Event()
        self._open.set()
        self._relays: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._stale: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def start(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        rest = {name: value for name, value in self._target.items() if name not in ("host", "port", "hostaddr")}
        self.url = make_conninfo(**rest | {"host": "127.0.0.1", "port": port, "sslmode": "disable"})
        return self

    @contextlib.contextmanager
    def mode(self, mode: Mode) -> Iterator[None]:
        """Hurt the link for the time of the block."""
        self._mode = mode
        if mode is Mode.CUT:
            self._drop()
        if mode is Mode.FROZEN:
            self._open.clear()
        if mode is Mode.STALE:
            self._stale |= self._writers
        try:
            yield
        finally:
            self._mode = Mode.OPEN
            self._open.set()

    def _drop(self) -> None:
        for writer in tuple(self._writers):
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = str(self._target.get("host") or "127.0.0.1")
        port = int(str(self._target.get("port") or 5432))
        if host.startswith("/"):
            return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        return await asyncio.open_connection(host, port)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode is Mode.CUT:
            writer.transport.abort()
            return
        server_reader, server_writer = await self._connect()
        both = (writer, server_writer)
        self._writers.update(both)
        for source, sink, questions in ((reader, server_writer, True), (server_reader, writer, False)):
            task = asyncio.ensure_future(self._relay(source, sink, both, questions=questions))
            self._relays.add(task)
            task.add_done_callback(self._relays.discard)

    async def _relay(
        self,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        both: tuple[asyncio.StreamWriter, ...],
        *,
        questions: bool,
    ) -> None:
        loses = Mode.LOSES_QUESTIONS if questions else Mode.LOSES_ANSWERS
        try:
            while data := await source.read(65536):
                await self._open.wait()
                if self._mode is loses:
                    break
                if sink in self._stale:
                    continue
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            for writer in both:
                self._writers.discard(writer)
                self._stale.discard(writer)
                writer.transport.abort()

    async def aclose(self) -> None:
        assert self._server is not None
        self._open.set()
        self._server.close()
        self._drop()
        if self._relays:
            await asyncio.wait(self._relays)
        await self._server.wait_closed()


async def execute(url: str, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
    """Run one statement on a connection of its own, past every link."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(statement.encode(), parameters)
        return await cursor.fetchall() if cursor.description else []

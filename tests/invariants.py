"""The invariants of every store, held after each test that worked on one: `stores_hold` of conftest.

Stores in memory are noticed when they are written; a database is held before it is dropped; an engine in a process of
its own, before that ends.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from adapters.changes import Changes
from adapters.memory.storage import MemoryBackend, MemoryStorage
from adapters.postgres.backing import JoinedServer
from adapters.postgres.storage import PostgresStorage
from application.invariants import INVARIANTS, breaches
from domain.ports.storage import Storage

Judges = frozenset[str]
HELD = pytest.StashKey[bool]()
"""Set on a test whose own fixture holds its store."""


async def hold_in(storage: Storage, *, apart_from: Judges = frozenset()) -> None:
    """Demand that a store breaks no invariant, but for those whose judges are named."""
    WRITTEN.forget(storage)
    told = [
        f"{one.rule} ({one.judge}): {one.facet} {one.key}: {one.what}"
        async for one in breaches(storage, [each.name for each in INVARIANTS if each.name not in apart_from])
    ]
    assert not told, "\n".join(told)


class Written:
    """The stores in memory that were written since they were held the last time."""

    def __init__(self) -> None:
        self._backends: dict[int, MemoryBackend] = {}

    def watched(
        self, commit: Callable[[MemoryBackend, Changes], Coroutine[Any, Any, None]]
    ) -> Callable[[MemoryBackend, Changes], Coroutine[Any, Any, None]]:
        """Return the commit of every store in memory, noticed here."""

        async def noticed(backend: MemoryBackend, changes: Changes) -> None:
            self._backends[id(backend)] = backend
            await commit(backend, changes)

        return noticed

    def forget(self, storage: Storage) -> None:
        """Take a store for one that nobody has written."""
        self._backends.pop(id(getattr(storage, "backend", None)), None)

    def taken(self) -> list[MemoryBackend]:
        """Return the stores that were written, and take them for held."""
        found = list(self._backends.values())
        self._backends.clear()
        return found


WRITTEN = Written()


def hold_all(backends: list[MemoryBackend]) -> None:
    """Demand that no store in memory breaks an invariant, outside of the event loop of any test."""

    async def held() -> None:
        for backend in backends:
            await hold_in(MemoryStorage(backend))

    if backends:
        _apart(held())


def hold_database(url: str) -> None:
    """Demand that a database breaks no invariant; one without the schema of the engine holds nothing."""
    _apart(_held_database(url))


def hold_embedded(data_dir: Path) -> None:
    """Demand that the embedded store of a directory breaks no invariant, beside the engine that serves it."""
    server = JoinedServer(data_dir)
    try:
        hold_database(server.start())
    finally:
        server.stop()


async def _held_database(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        found = await (await connection.execute("select to_regclass('log_checkpoints') is not null")).fetchone()
    if found != (True,):
        return
    storage = PostgresStorage(url)
    await storage.open()
    try:
        await hold_in(storage)
    finally:
        await storage.aclose()


def _apart(work: Coroutine[Any, Any, None]) -> None:
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, work).result()


@asynccontextmanager
async def checked_store(request: pytest.FixtureRequest, *, apart_from: Judges = frozenset()) -> AsyncIterator[Storage]:
    """An empty store of the kind `request.param`, which breaks no invariant after the test.

    A test marked `tampers` changes it in a way that no engine does, and is not checked.
    """
    storage: Storage
    if request.param == "memory":
        storage = MemoryStorage()
    else:
        storage = postgres = PostgresStorage(request.getfixturevalue("migrated_url"))
        await postgres.open()
    request.node.stash[HELD] = True
    try:
        yield storage
        if request.node.get_closest_marker("tampers") is None:
            await hold_in(storage, apart_from=apart_from)
    finally:
        WRITTEN.forget(storage)
        await storage.aclose()

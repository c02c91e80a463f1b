"""The invariants of every store, held after each test that worked on one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.memory.storage import MemoryStorage
from adapters.postgres.storage import PostgresStorage
from application.invariants import INVARIANTS, breaches
from domain.ports.storage import Storage

Judges = frozenset[str]


async def hold_in(storage: Storage, *, apart_from: Judges = frozenset()) -> None:
    """Demand that a store breaks no invariant, but for those whose judges are named."""
    told = [
        f"{one.rule} ({one.judge}): {one.facet} {one.key}: {one.what}"
        async for one in breaches(storage, [each.name for each in INVARIANTS if each.name not in apart_from])
    ]
    assert not told, "\n".join(told)


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
    try:
        yield storage
        if request.node.get_closest_marker("tampers") is None:
            await hold_in(storage, apart_from=apart_from)
    finally:
        await storage.aclose()

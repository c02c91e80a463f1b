"""Import of many rows against a bare COPY of the same rows (C0)."""

import asyncio
import time
from collections.abc import AsyncIterator

import psycopg

from adapters.postgres.statements import STATEMENTS
from adapters.postgres.storage import PostgresStorage
from adapters.postgres.transactions import copy_lines
from application.imports import ImportOptions, Imports
from application.units import DfidSource, Units
from domain.access.principal import Principal, PrincipalKind
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.ports.clock import SystemClock
from domain.ports.queries import Select
from domain.ports.schema import ITEMS

ROWS = 20_000


async def bulk_rows(url: str) -> list[tuple[str, str, str, str, float]]:
    """Import a file of SISBOV numbers and copy the resulting item rows into an equal, bare table."""
    storage = PostgresStorage(url)
    await storage.open()
    clock = SystemClock()
    imports = Imports(Units(storage, clock, DfidSource(storage, clock)), IdentifierKeys(bytes(32)))
    principal = Principal(PrincipalKind.USER, user_id=new_id(), workspace_id=new_id(), trace_id="0" * 32)
    lines = [b"sisbov,peso\n", *(b"076%012d,%d\n" % (n, n) for n in range(1, ROWS + 1))]

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(lines), 5000):
            yield b"".join(lines[start : start + 5000])

    begun = time.perf_counter()
    view = await imports.run(principal, ImportOptions(), chunks())
    took = time.perf_counter() - begun
    assert view.counts["created"] == ROWS, view
    copied = await _copied(storage, url)
    await storage.aclose()
    ours, bare = ROWS / took, ROWS / copied
    return [("import", f"{ROWS // 1000}k", f"{ours:,.0f} rows/s", f"{bare:,.0f} rows/s", round(ours / bare, 3))]


async def _copied(storage: PostgresStorage, url: str) -> float:
    """Return the seconds that a COPY of the same item rows takes, bytes prepared."""
    values = []
    after = None
    async with storage.read() as reader:
        while True:
            page = await reader.page(ITEMS, Select({}, ("created_at",)), after, 1000)
            values += page.items
            after = page.after
            if after is None:
                break
    prepared = copy_lines(ITEMS, values)

    def copy() -> float:
        with psycopg.connect(url) as connection:
            connection.execute("create table bare (like items including all)")
            begun = time.perf_counter()
            with connection.cursor().copy(STATEMENTS["items"].copy.replace("copy items", "copy bare")) as sink:
                sink.write(prepared)
            connection.commit()
            return time.perf_counter() - begun

    return await asyncio.to_thread(copy)

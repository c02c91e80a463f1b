"""How fast the items of a store come into memory, and what each of them takes there."""

import time

import psutil
import psycopg

from adapters.postgres.bulk_reading import raw_rows
from adapters.write_through.preload import ahead
from adapters.write_through.rows import Kept, Rows
from domain.ports.schema import ITEMS

Line = tuple[str, str, str, float | None]
"""Name, figure, baseline, ratio."""


def loaded(url: str) -> Line:
    """Load every item as a start does, in this process; the baseline reads the same rows and keeps nothing.

    Besides the rate, which other work on the machine lowers, the CPU time of this process per item is told.
    """
    process = psutil.Process()
    with psycopg.connect(url, autocommit=True) as connection:
        begun = time.perf_counter()
        count = sum(len(rows) for rows in raw_rows(connection, ITEMS, ITEMS.key))
        read = count / (time.perf_counter() - begun)
        held: Rows[object] = Rows(Kept(ITEMS))
        before, begun, cpu = process.memory_info().rss, time.perf_counter(), time.process_time()
        held.load(ahead(raw_rows(connection, ITEMS, ITEMS.key)))
        kept, cpu = count / (time.perf_counter() - begun), time.process_time() - cpu
        each = (process.memory_info().rss - before) / count
    figure = f"{kept:,.0f}/s ({cpu / count * 1e6:.2f} µs of CPU each), {each:,.0f} bytes each"
    return "items loaded", figure, f"read only {read:,.0f}/s; must 400,000/s, 800 bytes", round(kept / read, 2)

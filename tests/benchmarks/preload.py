"""How fast the items of a store come into memory, and what each of them takes there."""

import time
from collections.abc import Iterator

import psutil
import psycopg

from adapters.postgres.bulk_reading import raw_rows
from adapters.write_through.preload import ahead
from adapters.write_through.rows import Kept, Rows
from domain.ports.schema import ITEMS
from tests.benchmarks.rows import Row


def loaded(url: str) -> Iterator[Row]:
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
    remark = f"{cpu / count * 1e6:.2f} µs of CPU each"
    yield Row("items loaded", kept, "/s", baseline="read only", theirs=read, remark=remark)
    yield Row("bytes of a loaded item", each, " B")

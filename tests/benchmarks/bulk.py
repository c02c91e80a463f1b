"""C0: a bare COPY of prepared bytes into a table like the one of the items, with all its indexes."""

import time

import attrs
import psycopg

from tests.benchmarks.client import Load
from tests.benchmarks.operations import Baseline, Stage

COPIED = 10_000


@attrs.frozen
class Copy(Baseline):
    """COPY of the item rows of a store into a bare table, in one transaction; `per_second` are rows."""

    url: str = ""
    columns: str = ""
    prepared: bytes = b""

    def measure(self, stage: Stage) -> Load:
        """Empty the table and fill it once."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("truncate bare_items")
            begun = time.perf_counter()
            with connection.cursor().copy(f"copy bare_items ({self.columns}) from stdin") as sink:
                sink.write(self.prepared)
            took = time.perf_counter() - begun
        return Load(COPIED / took, took * 1000, took * 1000, 0)


def copy_baseline(url: str) -> Copy:
    """Prepare C0 in a store of at least `COPIED` items, which no engine uses."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table bare_items (like items including all)")
        columns = ", ".join(columns_of(connection, "items"))
        with connection.cursor().copy(f"copy (select {columns} from items limit {COPIED}) to stdout") as source:
            prepared = b"".join(bytes(piece) for piece in source)
    return Copy("C0", lambda _: b"", url, columns, prepared)


def columns_of(connection: psycopg.Connection, table: str) -> list[str]:
    """Return the columns of a table that can be written, quoted."""
    found = connection.execute(
        "select quote_ident(attname) from pg_attribute"
        " where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum",
        [table],
    )
    return [str(row[0]) for row in found]

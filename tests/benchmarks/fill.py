"""Filling a store to scale: the rows of one real item, copied inside PostgreSQL with numbers of their own."""

import contextlib
from collections.abc import Iterator

import psycopg

from domain.items.dfid import format_dfid

DAY = "20200101"
_TABLES = {
    "items": "key",
    "contributions": "contribution_id",
    "claims": "lookup",
    "identifier_entries": "item",
    "chains": "dfid",
    "events": "event_id",
}


def fill(url: str, dfid: str, sisbov: str, local: int, count: int) -> None:
    """Add `count` items like `dfid`, which carries the SISBOV `sisbov` and nothing else that is unique.

    DFIDs and numbers are those of `local` on; ids get the number in front. The hashes of the copies do not
    verify: they serve to measure sizes and plans, not content.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create temporary table numbers (n bigint, dfid text)")
        with connection.cursor().copy("copy numbers from stdin") as sink:
            sink.write("".join(f"{n}\t{format_dfid(DAY, n)}\n" for n in range(local, local + count)))
        connection.execute("set synchronous_commit = off")
        connection.execute("set maintenance_work_mem = '512MB'")
        for table in _TABLES:
            with _without_indexes(connection, table):
                _copy(connection, table, dfid, sisbov)
        connection.execute("vacuum analyze")


@contextlib.contextmanager
def _without_indexes(connection: psycopg.Connection, table: str) -> Iterator[None]:
    """Drop the indexes of a table that no constraint needs, and build them after the block: that is quicker."""
    found = connection.execute(
        "select indexrelid::regclass::text, pg_get_indexdef(indexrelid) from pg_index"
        " where indrelid = %s::regclass and not exists (select from pg_constraint where conindid = indexrelid)",
        [table],
    ).fetchall()
    for name, _ in found:
        connection.execute(f"drop index {name}")
    yield
    for _, definition in found:
        connection.execute(definition)


def dfids_of(count: int) -> tuple[str, ...]:
    """Return up to 100,000 of the DFIDs with which a store was filled to `count` items, all over it."""
    return tuple(format_dfid(DAY, number) for number in range(1, count, max(1, count // 100_000)))


def _copy(connection: psycopg.Connection, table: str, dfid: str, sisbov: str) -> None:
    columns = [
        (row[0], row[1])
        for row in connection.execute(
            "select column_name, data_type from information_schema.columns where table_name = %s"
            " order by ordinal_position",
            [table],
        )
    ]
    owner = {"items": "key", "claims": "item", "identifier_entries": "item", "chains": "dfid", "events": "dfid"}.get(
        table, "item"
    )
    chosen = ", ".join(_expression(name, kind) for name, kind in columns)
    names = ", ".join(f'"{name}"' for name, _ in columns)
    connection.execute(
        f"insert into {table} ({names}) select {chosen} from {table} t, numbers where t.{owner} = %(dfid)s",
        {"dfid": dfid, "sisbov": sisbov},
    )


def _expression(name: str, kind: str) -> str:
    if kind == "tsvector":
        return "to_tsvector('simple', 'nelore ' || n)"
    if kind in {"json", "text", "USER-DEFINED"}:
        replaced = (
            f'replace(replace(t."{name}"::text, %(dfid)s, numbers.dfid),'
            " %(sisbov)s, '0761' || lpad(n::text, 11, '0'))"
        )
        identity = name in {"contribution_id", "event_id"}
        cast = "::json" if kind == "json" else ""
        return f"(lpad(n::text, 9, '0') || {replaced}){cast}" if identity else f"({replaced}){cast}"
    if name in {"created_at", "updated_at"}:
        return f"t.\"{name}\" - n * interval '1 millisecond'"
    return f't."{name}"'

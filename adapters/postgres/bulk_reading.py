"""All rows of a facet as PostgreSQL holds them, many at a time and without their being decoded."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import psycopg
from psycopg.types.string import ByteaBinaryLoader

from adapters.postgres.errors import translating
from domain.ports.schema import Facet

_CHUNK = 1000


def estimated_rows(connection: psycopg.Connection[Any], facet: Facet[Any]) -> int:
    """Return about how many rows there are, 0 when nobody knows."""
    row = connection.execute("select reltuples::bigint from pg_class where oid = %s::regclass", [facet.name]).fetchone()
    return max(0, int(row[0])) if row else 0


def raw_rows(
    connection: psycopg.Connection[Any], facet: Facet[Any], columns: Sequence[str]
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the columns and the body of every row, from one snapshot, in no order. Blocks; raises as the port."""
    names = ", ".join(f'"{name}"' for name in (*columns, "body"))
    with translating(), connection.cursor(binary=True) as cursor:
        # JSON bodies are handed over as they are.
        cursor.adapters.register_loader("json", ByteaBinaryLoader)
        rows = cursor.stream(f"select {names} from {facet.name}".encode(), size=_CHUNK)
        while chunk := list(islice(rows, _CHUNK)):
            yield chunk

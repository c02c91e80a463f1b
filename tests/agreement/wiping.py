"""Emptying a database between examples."""

import psycopg

from domain.ports.schema import FACETS

TABLES = (
    "sequences",
    "foreign_events",
    "placed_items",
    *(facet.name for facet in FACETS),
    *(f"{each.name}_counters" for each in FACETS if each.serial),
)


async def wipe(url: str) -> None:
    """Remove every row of every facet, and what the store counted."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        for table in TABLES:
            await connection.execute(f"delete from {table}".encode())

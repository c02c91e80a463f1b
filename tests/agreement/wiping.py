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
        await connection.execute("; ".join(f"delete from {table}" for table in TABLES).encode())

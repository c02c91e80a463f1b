"""Filling the front before the first read."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import Any, Final, TypeVar

import attrs
import psycopg

from adapters.postgres.bulk_reading import estimated_rows, raw_rows
from adapters.postgres.errors import translating
from adapters.write_through.rows import Rows

_TOLD_EVERY: Final = 1.0
_CONNECT_SECONDS: Final = 5
_log = logging.getLogger(__name__)

R = TypeVar("R")


@attrs.frozen
class Progress:
    """How far the loading of one facet is; `expected` is an estimate, 0 when there is none."""

    facet: str
    loaded: int
    expected: int
    seconds: float

    def __str__(self) -> str:
        rate = self.loaded / self.seconds if self.seconds else 0.0
        of = f" of about {self.expected:,}" if self.expected > self.loaded else ""
        return f"loaded {self.loaded:,}{of} {self.facet}, {rate:,.0f}/s"


def tell(progress: Progress) -> None:
    _log.info("%s", progress)


async def preload(url: str, wanted: Sequence[Rows[Any]], told: Callable[[Progress], None] = tell) -> None:
    """Load every row of the facets that are wanted, over one connection. Raises Unavailable."""
    await asyncio.to_thread(_load, url, wanted, told)


def _load(url: str, wanted: Sequence[Rows[Any]], told: Callable[[Progress], None]) -> None:
    with translating(), psycopg.connect(url, autocommit=True, connect_timeout=_CONNECT_SECONDS) as connection:
        for rows in wanted:
            _load_facet(connection, rows, told)


def _load_facet(connection: psycopg.Connection[Any], rows: Rows[Any], told: Callable[[Progress], None]) -> None:
    facet = rows.facet
    chunks = ahead(raw_rows(connection, facet, (*facet.key, *rows.lists)))
    rows.load(_telling(chunks, facet.name, estimated_rows(connection, facet), told))


def ahead(parts: Iterator[R]) -> Iterator[R]:
    """Yield the same parts, each taken in a thread of its own while the caller is busy with the one before."""
    with ThreadPoolExecutor(1, "ahead") as reader:
        taken = reader.submit(next, parts, None)
        while (part := taken.result()) is not None:
            taken = reader.submit(next, parts, None)
            yield part


def _telling(
    chunks: Iterator[list[tuple[Any, ...]]], name: str, expected: int, told: Callable[[Progress], None]
) -> Iterator[list[tuple[Any, ...]]]:
    begun = last = monotonic()
    count = 0
    for rows in chunks:
        yield rows
        count += len(rows)
        if (now := monotonic()) - last >= _TOLD_EVERY:
            last = now
            told(Progress(name, count, expected, now - begun))
    told(Progress(name, count, 0, monotonic() - begun))

"""Filled stores: one is filled for each size, by COPY, and every stack gets a copy of its files."""

import contextlib
import secrets
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import attrs
import psycopg

from tests.benchmarks.client import note
from tests.benchmarks.delays import Delays
from tests.benchmarks.servers import engine
from tests.benchmarks.world import World, fill_in_database, settle
from tests.servers import PostgresServer


@attrs.define
class Stores:
    """The stores of one run, in its own PostgreSQL."""

    server: PostgresServer
    delays: Delays
    _filled: dict[int, tuple[str, World]] = attrs.field(factory=dict)

    @contextlib.contextmanager
    def copy(self, count: int) -> Iterator[tuple[str, World]]:
        """Yield the URL of a store of `count` items and what is in it; the store is dropped after the block."""
        template, world = self._template(count)
        name = f"bench_{secrets.token_hex(6)}"
        self._execute(f'create database {name} template "{_database(template)}" strategy file_copy', "checkpoint")
        try:
            yield self.delays.through(self.server.url.replace("/postgres?", f"/{name}?")), attrs.evolve(world)
        finally:
            self._execute(f"drop database {name} with (force)")

    @contextlib.contextmanager
    def empty(self) -> Iterator[str]:
        """Yield the URL of a store without rows; it is dropped after the block."""
        url = self.server.create_migrated_database()
        yield self.delays.through(url)
        self.server.drop_database(url)

    def _template(self, count: int) -> tuple[str, World]:
        if count not in self._filled:
            begun = time.perf_counter()
            url = self.server.create_migrated_database()
            with engine(DATABASE_URL=url) as served:
                world = settle(served)
            fill_in_database(world, url, count)
            note(f"filled a store of {count:,} items in {time.perf_counter() - begun:.0f} s")
            self._filled[count] = url, world
        return self._filled[count]

    def _execute(self, *statements: str) -> None:
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement)


def _database(url: str) -> str:
    return urlsplit(url).path.lstrip("/")

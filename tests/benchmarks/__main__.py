"""Ours against baselines: `python -m tests.benchmarks [--scale …] [--stack …] [--only TEXT] [--json FILE]`.

Everything that is needed is started here: a durable PostgreSQL, a Redis, the engine as `defarm serve`, the bare server
for the baselines. Loads come from a process of their own.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import psycopg

from container import Container
from tests.benchmarks.bulk import bulk_rows
from tests.benchmarks.cache import flat_memory, outages, uncached_read
from tests.benchmarks.circuits import circuit_rows
from tests.benchmarks.client import Load, measure, note
from tests.benchmarks.logins import login_rows
from tests.benchmarks.operations import OPERATIONS, R0, Operation
from tests.benchmarks.overload import overload_rows
from tests.benchmarks.preload import loaded
from tests.benchmarks.servers import Served, bare, engine
from tests.benchmarks.world import World, fill_in_database, fill_through_api, settle
from tests.machines import DURABLE_VARIABLE
from tests.servers import PostgresServer, RedisServer, postgres_server, redis_server

SCALES = {"1k": 1_000, "100k": 100_000, "1m": 1_000_000}
LARGEST_IN_MEMORY = 100_000
"""Items of the memory stack, which only imports can fill."""
ON_STACKS = (*(one.name for one in OPERATIONS), "start to ready", "resident memory", "items loaded", "Redis outages")
"""Rows for which every stack is filled and served."""
SECONDS = 2.0
ROUNDS = 3


@attrs.frozen
class Row:
    """One line of the table: the median of the rounds, and its ratio to the baseline of the same run."""

    name: str
    stack: str
    scale: str
    figure: str
    baseline: str = ""
    ratio: float | None = None


def main() -> int:
    """Run the benchmarks and print their table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--scale", choices=[*SCALES, "all"], default="1k")
    parser.add_argument("--stack", choices=sorted(Container.storage.providers), action="append")
    parser.add_argument("--only", default="", help="part of the name of a row")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scales = list(SCALES) if options.scale == "all" else [options.scale]
    rows: list[Row] = []
    os.environ[DURABLE_VARIABLE] = "on"
    server = postgres_server(private=True)
    try:
        note(f"Python {platform.python_version()}, {server_version(server.url)}, {platform.machine()}")
        stacks = options.stack or sorted(Container.storage.providers)
        for stack in stacks if any(options.only in name for name in ON_STACKS) else ():
            for row in stack_rows(server, stack, scales, options.only):
                note(line(row))
                rows.append(row)
        if options.only in "import":
            found = asyncio.run(bulk_rows(server.create_migrated_database()))
            rows += [Row(name, "postgres", *rest) for name, *rest in found]
        if options.only == "overload":
            rows += [Row(name, "postgres", *rest) for name, *rest in overload_rows(server.create_migrated_database())]
        if options.only in "circuit":
            for scale in scales:
                for name, *rest in circuit_rows(server.create_migrated_database(), SCALES[scale]):
                    rows.append(Row(name, "postgres", *rest))
                    note(line(rows[-1]))
        if options.only in "logins":
            rows += [Row(name, "postgres", *rest) for name, *rest in login_rows(server.create_migrated_database())]
    finally:
        server.remove()
    print(table(rows))
    if options.json:
        options.json.write_text(json.dumps([attrs.asdict(row) for row in rows], indent=1))
    return 0


def server_version(url: str) -> str:
    """Return the version of a PostgreSQL server."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select split_part(version(), ' on ', 1)").fetchone()
    return str(row[0]) if row else ""


def stack_rows(server: PostgresServer, stack: str, scales: list[str], only: str) -> Iterator[Row]:
    """Measure the serving engine on one stack at each scale."""
    with contextlib.ExitStack() as held:
        settings = {"DEFARM_STORAGE": stack}
        if stack != "memory":
            settings["DATABASE_URL"] = server.create_migrated_database()
        redis: RedisServer | None = None
        if stack == "redis_cached":
            redis = held.enter_context(redis_server(private=True))
            settings["REDIS_URL"] = redis.url
        world: World | None = None
        if stack != "memory":
            with engine(**settings) as served:
                world = settle(served)
        for scale in scales:
            if world is not None:
                fill_in_database(world, settings["DATABASE_URL"], SCALES[scale])
            elif SCALES[scale] > LARGEST_IN_MEMORY:
                continue
            uncached: float | None = None
            if redis is not None and world is not None and only in "Redis outages":
                uncached = uncached_read(world, settings["DATABASE_URL"])
            if stack == "write_through" and only in "items loaded":
                name, *rest = loaded(settings["DATABASE_URL"])
                yield Row(name, stack, scale, *rest)
            with engine(**settings) as served, bare() as baseline:
                if world is None:
                    world = settle(served)
                    fill_through_api(world, served, SCALES[scale])
                yield from _measured(served, baseline, world, (stack, scale), only)
                if redis is not None and uncached is not None:
                    for name, *rest in outages(served, redis, world, uncached):
                        yield Row(name, stack, scale, *rest)
            if stack == "memory":
                world = None


def _measured(served: Served, baseline: Served, world: World, place: tuple[str, str], only: str) -> Iterator[Row]:
    if only in "start to ready":
        yield Row("start to ready", *place, f"{served.ready_after:.2f} s")
    if only in "resident memory":
        yield Row("resident memory, idle", *place, f"{served.resident():.0f} MB")
    for operation in OPERATIONS:
        if only in operation.name:
            for clients in operation.clients:
                yield _compared(operation, clients, place, world, served, baseline)
    if only in "resident memory":
        yield Row("resident memory, after load", *place, f"{served.resident():.0f} MB")
        name, *rest = flat_memory(served, world)
        yield Row(name, *place, *rest)


def _compared(
    operation: Operation, clients: int, place: tuple[str, str], world: World, served: Served, baseline: Served
) -> Row:
    """Measure ours and the baseline in turn, and compare their medians."""
    rounds = []
    for _ in range(ROUNDS):
        requests = operation.prepare(world, served)
        ours = measure(served.address, requests, clients, SECONDS)
        rounds.append((ours, measure(baseline.address, itertools.repeat(operation.baseline), clients, SECONDS)))
    mine, theirs = (_median([pair[side] for pair in rounds]) for side in (0, 1))
    rate = mine.per_second * operation.counts
    figure = f"{rate:,.0f}/s, p50 {mine.p50:.2f} ms, p99 {mine.p99:.2f} ms"
    failed = sum(ours.failed for ours, _ in rounds)
    base = f"{'R0' if operation.baseline is R0 else 'P0'} {theirs.per_second:,.0f}/s, p50 {theirs.p50:.2f} ms"
    name = f"{operation.name}, {clients} client{'s'[: clients > 1]}"
    return Row(
        name, *place, figure + (f", {failed} FAILED" if failed else ""), base, round(rate / theirs.per_second, 2)
    )


def _median(loads: list[Load]) -> Load:
    return sorted(loads, key=lambda load: load.per_second)[len(loads) // 2]


def line(row: Row) -> str:
    """Return a row as it is told while the run goes on."""
    return "  ".join((row.name, row.stack, row.scale, row.figure, row.baseline, str(row.ratio or "")))


def table(rows: list[Row]) -> str:
    """Return the rows as a table."""
    cells = [("row", "stack", "scale", "engine", "baseline", "ratio")]
    cells += [(r.name, r.stack, r.scale, r.figure, r.baseline, f"{r.ratio:.2f}" if r.ratio else "") for r in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)


if __name__ == "__main__":
    sys.exit(main())

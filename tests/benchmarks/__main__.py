"""`python -m tests.benchmarks [--scale 1k|100k|1m|all] [--only NAME] [--json FILE]`: ours against baselines.

Everything that is needed is started here: a durable PostgreSQL, the engine as `defarm serve`, the bare server for the
baselines. Loads come from a process of their own.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psycopg

from tests.benchmarks.bulk import bulk_rows
from tests.benchmarks.client import Load, measure, note, repeated, request
from tests.benchmarks.fill import fill
from tests.benchmarks.servers import Served, bare, engine
from tests.machines import DURABLE_VARIABLE
from tests.servers import postgres_server

SCALES = {"1k": 1_000, "100k": 100_000, "1m": 1_000_000}
SECONDS = 3.0
ROUNDS = 3


@attrs.frozen
class Row:
    """One line of the table: the median of the rounds, and its ratio to the baseline of the same run."""

    name: str
    scale: str
    figure: str
    baseline: str = ""
    ratio: float | None = None


def main() -> int:
    """Run the benchmarks and print their table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("--scale", choices=[*SCALES, "all"], default="1k")
    parser.add_argument("--only", default="")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    scales = list(SCALES) if options.scale == "all" else [options.scale]
    rows: list[Row] = []
    os.environ[DURABLE_VARIABLE] = "on"
    server = postgres_server(private=True)
    try:
        note(f"Python {platform.python_version()}, {server_version(server.url)}, {platform.machine()}")
        if options.only in ("", "import"):
            rows += [Row(*row) for row in asyncio.run(bulk_rows(server.create_migrated_database()))]
        if options.only in ("", "http", "ready"):
            rows += http_rows(server.create_migrated_database(), scales)
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


def http_rows(url: str, scales: list[str]) -> list[Row]:
    """Measure reads and writes of the serving engine at each scale."""
    rows: list[Row] = []
    held = 0
    with engine(DATABASE_URL=url) as served:
        registered = served.call(
            "POST",
            "/api/auth/register",
            {"username": "bench", "email": "bench@example.org", "password": "benchmark pass phrase"},
        )
        token = registered["access_token"]
        template = served.call("POST", "/api/items", _item("076000000000001"), token)["dfid"]
    for scale in scales:
        fill(url, template, "076000000000001", held + 1, SCALES[scale] - held)
        held = SCALES[scale]
        with engine(DATABASE_URL=url) as served, bare() as baseline:
            rows.append(Row("start to ready", scale, f"{served.ready_after:.2f} s"))
            rows.append(Row("resident memory idle", scale, f"{served.resident():.0f} MB"))
            rows += list(_interleaved(served, baseline, scale, token, template))
            rows.append(Row("resident memory after load", scale, f"{served.resident():.0f} MB"))
    return rows


def _interleaved(served: Served, baseline: Served, scale: str, token: str, template: str) -> Iterator[Row]:
    read = repeated(request("GET", f"/api/items/{template}", token))
    constant = repeated(request("GET", "/r0"))
    posted = repeated(request("POST", "/p0", body=_item("076000000000001")))
    start = iter(range(int(time.time() * 10), 10**12, 1_000_000))

    def created() -> Iterator[bytes]:
        number = next(start)
        while True:
            number += 1
            yield request("POST", "/api/items", token, _item(f"076{number % 10**12:012d}"))

    for clients in (1, 32):
        for name, ours, theirs in (("GET item", read, constant), ("POST item", created, posted)):
            rounds = [
                (measure(served.address, ours, clients, SECONDS), measure(baseline.address, theirs, clients, SECONDS))
                for _ in range(ROUNDS)
            ]
            yield _compared(f"{name}, {clients} clients", scale, rounds)


def _compared(name: str, scale: str, rounds: list[tuple[Load, Load]]) -> Row:
    mine = sorted((ours for ours, _ in rounds), key=lambda load: load.per_second)[len(rounds) // 2]
    theirs = sorted((base for _, base in rounds), key=lambda load: load.per_second)[len(rounds) // 2]
    figure = f"{mine.per_second:,.0f}/s, p50 {mine.p50:.2f} ms, p99 {mine.p99:.2f} ms, failed {mine.failed}"
    base = f"{theirs.per_second:,.0f}/s, p50 {theirs.p50:.2f} ms"
    return Row(name, scale, figure, base, round(mine.per_second / theirs.per_second, 2))


def _item(sisbov: str) -> dict[str, Any]:
    return {"identifiers": [{"key": "sisbov", "value": sisbov}], "data": {"raça": "Nelore", "peso_kg": 412.5}}


def table(rows: list[Row]) -> str:
    """Return the rows as a table."""
    cells = [("row", "scale", "engine", "baseline", "ratio")]
    cells += [(r.name, r.scale, r.figure, r.baseline, f"{r.ratio:.2f}" if r.ratio else "") for r in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)


if __name__ == "__main__":
    sys.exit(main())

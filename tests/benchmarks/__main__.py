"""Ours against baselines, in one run: `python -m tests.benchmarks`; `--help` tells what can be chosen.

Everything that is needed is started here: a durable PostgreSQL, a Redis, the engine as `defarm serve`, the bare server
for the baselines. Loads come from processes of their own.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from container import Container
from tests.benchmarks.client import note
from tests.benchmarks.delays import Delays
from tests.benchmarks.goals import COLUMNS as GOAL_COLUMNS
from tests.benchmarks.goals import verdicts
from tests.benchmarks.machine import described, round_trip
from tests.benchmarks.plot import drawn
from tests.benchmarks.rounds import ROUNDS
from tests.benchmarks.rows import COLUMNS, Row, cells, line, plain, table
from tests.benchmarks.run import NAMES, ON_REQUEST, SCALES, Options, estimated, rows_of
from tests.benchmarks.stores import Stores
from tests.machines import DURABLE_VARIABLE
from tests.servers import PostgresServer, postgres_server, redis_server

OUT = Path("build/benchmarks")
BASELINES = """
R0      Litestar route of constant bytes, same server, same load; of a page: of as many bytes; with authentication: it
        verifies an access token as the engine does, without asking a store
P0      Litestar POST that decodes an item and encodes it again
C0      COPY of 10,000 prepared item rows into a table with the same indexes, one transaction
W0      UPDATE of one item row and its commit by psycopg, prepared, one connection and eight
Each is measured in the rounds of the rows that are held against it; no verdict when it moved by more than 15 %."""


def main() -> int:
    """Run the benchmarks and print their tables."""
    chosen = _arguments()
    scales = SCALES if "all" in (chosen.scale or ["1k"]) else chosen.scale or ["1k"]
    options = Options(
        tuple(scales),
        tuple(chosen.stack or sorted(Container.storage.providers)),
        tuple(chosen.instances or ([1] if chosen.minutes else [1, 2])),
        chosen.only,
        chosen.rounds,
        chosen.seconds,
        chosen.minutes,
    )
    os.environ[DURABLE_VARIABLE] = "on"
    delays = Delays(chosen.disk_delay, chosen.network_delay)
    server = postgres_server(private=True)
    rows: list[Row] = []
    taken_on: dict[str, str] = {}
    try:
        taken_on |= _taken_on(server, delays, options)
        note("\n".join(f"{name}: {text}" for name, text in taken_on.items()))
        note(f"about {estimated(options) / 60:.0f} minutes from {time.strftime('%H:%M:%S')} on\n")
        for row in rows_of(options, server, Stores(server, delays)):
            note(line(row))
            rows.append(row)
    finally:
        delays.close()
        server.remove()
        _written(chosen.out, taken_on, rows)
    _print(rows)
    print(f"\n{chosen.out}/benchmarks.json, {chosen.out}/benchmarks.svg; ended at {time.strftime('%H:%M:%S')}")
    return 1 if any(word in row.remark for row in rows for word in ("FAILED", "LOST")) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", epilog=f"Rows: {'; '.join(NAMES)}.")
    parser.add_argument("--scale", choices=[*SCALES, "all"], action="append", help="items of the store; 1k by itself")
    parser.add_argument("--stack", choices=sorted(Container.storage.providers), action="append")
    parser.add_argument("--instances", type=int, choices=[1, 2], action="append", help="1 and 2 by themselves")
    parser.add_argument("--only", default="", help=f"part of the name of a row; {' and '.join(ON_REQUEST)} only so")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=0.25, help="length of one load in one round")
    parser.add_argument("--minutes", type=float, default=0.0, help="nothing but the mixed load, for so long")
    parser.add_argument("--disk-delay", type=float, default=0.0, metavar="MS", help="more per flush of a commit")
    parser.add_argument("--network-delay", type=float, default=0.0, metavar="MS", help="more per round trip to stores")
    parser.add_argument("--out", type=Path, default=OUT, help=f"directory of the JSON and the SVG; {OUT}")
    chosen = parser.parse_args()
    if not any(chosen.only in name for name in NAMES):
        parser.error(f"no row has {chosen.only!r} in its name; there are: {'; '.join(NAMES)}")
    return chosen


def _taken_on(server: PostgresServer, delays: Delays, options: Options) -> dict[str, str]:
    with redis_server(private=True) as redis:
        told = described(server.url, redis.url)
    delays.slow_disk(server.url)
    rounds = f"medians of {options.rounds} rounds of {options.seconds:g} s"
    slower = f", {delays.disk:g} ms disk, {delays.network:g} ms network" if delays.disk or delays.network else ""
    reached = f"{round_trip(delays.through(server.url)):.2f} ms"
    return {**told, "`select 1`": reached, "rounds": rounds + slower}


def _written(out: Path, taken_on: dict[str, str], rows: Sequence[Row]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    goals = [dict(zip(GOAL_COLUMNS, one, strict=True)) for one in verdicts(rows)]
    content = {"taken on": taken_on, "rows": [plain(row) for row in rows], "goals": goals}
    (out / "benchmarks.json").write_text(json.dumps(content, indent=1, ensure_ascii=False))
    (out / "benchmarks.svg").write_text(drawn(rows))


def _print(rows: Sequence[Row]) -> None:
    print(table(map(cells, rows), COLUMNS))
    print(BASELINES)
    reached = list(verdicts(rows))
    if reached:
        print("\n" + table(reached, GOAL_COLUMNS))


if __name__ == "__main__":
    sys.exit(main())

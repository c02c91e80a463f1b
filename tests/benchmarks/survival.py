"""What is acknowledged is there after SIGKILL: of the engine, and of PostgreSQL with it, in the middle of a load."""

import itertools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg

from tests.benchmarks.client import Load, measure, note, request
from tests.benchmarks.rows import Row
from tests.benchmarks.servers import engine
from tests.benchmarks.world import World
from tests.servers import PostgresServer

CLIENTS, SECONDS = 32, 3.0
_FOUND = (
    "select (select count(*) from items where key = any(%s)), (select count(*) from events where event_id = any(%s))"
)


def survival_row(server: PostgresServer, url: str, world: World, settings: dict[str, str]) -> Row:
    """Create items and append events, kill both without warning, start them again, and count what is left."""
    with engine(**settings) as served, ThreadPoolExecutor(1) as beside:
        load = beside.submit(measure, served.address, _writes(world), CLIENTS, 60.0, keep=True)
        time.sleep(SECONDS)
        served.process.kill()
        server.kill()
        written: Load = load.result()
    note("engine and PostgreSQL are killed")
    server.start()
    with engine(**settings):
        pass
    answers = [json.loads(body) for body in written.bodies]
    events = [one["event_id"] for one in answers if "event_id" in one]
    items = [one["dfid"] for one in answers if "event_id" not in one]
    with psycopg.connect(url) as connection:
        found = sum(connection.execute(_FOUND, [items, events]).fetchone() or ())
    acknowledged = len(set(items)) + len(set(events))
    remark = "" if found == acknowledged else f"{acknowledged - found} LOST"
    if written.failed:
        remark += f" {written.failed} FAILED {dict(written.statuses)}"
    return Row("writes found after SIGKILL", found, "", baseline="acknowledged", theirs=acknowledged, remark=remark)


def _writes(world: World) -> Iterator[bytes]:
    animals = world.new_items()
    for dfid in itertools.cycle(world.dfids):
        yield request("POST", "/api/items", world.token, next(animals))
        yield request(
            "POST", "/api/events", world.token, {"dfid": dfid, "category": "weighing", "payload": {"peso_kg": 430}}
        )

"""What the loads work on: two users, a circuit, and a store filled to scale."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

import attrs

from tests.benchmarks.client import measure, request
from tests.benchmarks.fill import dfids_of, fill
from tests.benchmarks.servers import Served

PASSWORD = "benchmark pass phrase"
LOGS_IN = "visitor"
"""Who signs in: a user has so many sessions, and the oldest ends when there are more."""
FIRST_SISBOV = "076000000000001"
_IMPORTED = 50_000
_SECONDS_TO_IMPORT = 600.0


def item(sisbov: str) -> dict[str, Any]:
    """Return the submission of an animal."""
    return {"identifiers": [{"key": "sisbov", "value": sisbov}], "data": {"raça": "Nelore", "peso_kg": 412.5}}


@attrs.define
class World:
    """One store: its owner and a member of its circuit, one hot item, and numbers nobody has used.

    `deep` is the address of a deep page, once somebody has walked there.
    """

    token: str
    member: str
    hot: str
    shared: str
    circuit: str
    held: int = 1
    dfids: tuple[str, ...] = ()
    deep: str = ""
    _unused: Iterator[int] = attrs.field(factory=lambda: itertools.count(200_000 + int(time.time()) % 700 * 1000))
    """Millions of numbers, beyond those with which stores are filled."""

    def new_items(self) -> Iterator[dict[str, Any]]:
        """Return submissions of animals that no other load creates."""
        # Taken now: loads run in forked processes, which would all take the same later.
        first = next(self._unused) * 1_000_000
        return (item(f"076{number % 10**12:012d}") for number in itertools.count(first))


def settle(served: Served) -> World:
    """Register the users of a fresh store and what they share."""
    token, member, _ = (
        served.call(
            "POST",
            "/api/auth/register",
            {"username": name, "email": f"{name}@example.org", "password": PASSWORD},
        )["access_token"]
        for name in ("bench", "member", LOGS_IN)
    )
    hot = served.call("POST", "/api/items", item(FIRST_SISBOV), token)["dfid"]
    shared = served.call("POST", "/api/items", item("076000000000002"), token)["dfid"]
    circuit = served.call("POST", "/api/circuits", {"name": "Bench"}, token)["circuit_id"]
    served.call("POST", f"/api/circuits/{circuit}/members", {"username": "member", "role": "member"}, token)
    served.call("POST", f"/api/circuits/{circuit}/push/{shared}", None, token)
    return World(token, member, hot, shared, circuit)


def fill_in_database(world: World, url: str, count: int) -> None:
    """Bring a store in PostgreSQL to `count` items; its engine must not be running."""
    fill(url, world.hot, FIRST_SISBOV, world.held, count - world.held)
    world.held = count
    world.dfids = dfids_of(count)


def fill_through_api(world: World, served: Served, count: int) -> None:
    """Bring a running engine to `count` items by imports."""
    animals = world.new_items()
    while world.held < count:
        step = min(_IMPORTED, count - world.held)
        loaded = measure(served.address, iter([import_request(world, animals, step)]), 1, _SECONDS_TO_IMPORT)
        if loaded.failed:
            raise RuntimeError(f"an import answers {dict(loaded.statuses)}")
        world.held += step
    page = served.call("GET", "/api/items?limit=200", None, world.token)
    world.dfids = tuple(entry["dfid"] for entry in page["items"])


def import_request(world: World, animals: Iterator[dict[str, Any]], count: int) -> bytes:
    """Return the upload of a CSV file of so many animals."""
    numbers = (next(animals)["identifiers"][0]["value"] for _ in range(count))
    lines = "sisbov,peso\n" + "".join(f"{number},{400 + place % 100}\n" for place, number in enumerate(numbers))
    return request("POST", "/api/items/import", world.token, lines.encode(), {"Content-Type": "text/csv"})

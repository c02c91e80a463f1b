"""The loads: what each of them asks, and the baseline that it is held against."""

import itertools
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from tests.benchmarks.cache import evict
from tests.benchmarks.client import Load, measure, request
from tests.benchmarks.servers import Served
from tests.benchmarks.world import LOGS_IN, PASSWORD, World, import_request, item
from tests.servers import RedisServer

Requests = Iterator[bytes]

BATCH, BULK = 1_000, 10_000
DEEP = 50_000
"""Rows before a deep page, or half of the store."""
MOST_A_SECOND = {1: 1_500, 32: 4_000}
"""What a load that uses things up can use up in a second, by its clients."""


@attrs.frozen
class Stage:
    """What a load plays on: the store, its instances, the bare server, and how long it is to last.

    `imports` are the rows of an import.
    """

    world: World
    engines: tuple[Served, ...]
    bare: Served
    redis: RedisServer | None = None
    seconds: float = 1.0
    clients: int = 1
    imports: int = 100_000

    @property
    def served(self) -> Served:
        """The first instance."""
        return self.engines[0]

    @property
    def addresses(self) -> list[str]:
        """Where the instances listen."""
        return [one.address for one in self.engines]

    def plenty(self) -> int:
        """Return how many things a load can use up while it lasts."""
        return int(self.seconds * MOST_A_SECOND.get(self.clients, 4_000)) + self.clients


@attrs.frozen
class Operation:
    """One load. `prepare` makes its requests before the clock runs; each of them stands for `counts` units.

    A load that uses up what was prepared ends with it; with `times` it lasts so many requests. `lone` ones are measured
    with one instance only, `once` in one round; `takes` are about the seconds of one that does not last for a time.
    """

    name: str
    prepare: Callable[[Stage], Requests]
    clients: tuple[int, ...] = (1, 32)
    counts: Callable[[Stage], int] = lambda _: 1
    times: int | None = None
    lone: bool = False
    once: bool = False
    takes: float = 0.0

    def measure(self, stage: Stage) -> Load:
        """Measure it once."""
        requests = itertools.islice(self.prepare(stage), self.times)
        load = measure(stage.addresses, requests, stage.clients, 600.0 if self.times else stage.seconds)
        return attrs.evolve(load, per_second=load.per_second * self.counts(stage))


@attrs.frozen
class Baseline:
    """What the bare server is asked, as often as the operations that are held against it."""

    name: str
    ask: Callable[[Stage], bytes]

    def measure(self, stage: Stage) -> Load:
        """Measure it once, with as many clients as the stage has."""
        return measure(stage.bare.address, itertools.repeat(self.ask(stage)), stage.clients, stage.seconds)


R0 = Baseline("R0", lambda _: request("GET", "/r0"))
R0_SIGNED = Baseline("R0 with authentication", lambda stage: request("GET", "/r0-signed", stage.world.token))
R0_PAGE = Baseline("R0 of a page", lambda _: request("GET", "/r0-page"))
P0 = Baseline("P0", lambda _: request("POST", "/p0", body=item("076000000000001")))


def gathered(stage: Stage, requests: Requests) -> list[Any]:
    """Send every request before the clock runs, on 32 connections, and return what was answered."""
    load = measure(stage.addresses, requests, 32, 600.0, keep=True)
    if load.failed or load.lost:
        raise RuntimeError(f"what a load needs is refused: {dict(load.statuses)}, {load.lost} lost")
    return [json.loads(body) for body in load.bodies]


def _get(world: World, path: str) -> bytes:
    return request("GET", path, world.token)


def _get_hot(stage: Stage) -> Requests:
    return itertools.repeat(_get(stage.world, f"/api/items/{stage.world.hot}"))


def _get_cold(stage: Stage) -> Requests:
    """Every item at most once and, with a cache, none that it holds."""
    _evict(stage)
    dfids = random.sample(stage.world.dfids, len(stage.world.dfids))
    return (_get(stage.world, f"/api/items/{one}") for one in (dfids if stage.redis else itertools.cycle(dfids)))


def _evict(stage: Stage) -> None:
    """Take from Redis what it may throw away by itself."""
    if stage.redis is not None:
        evict(stage.redis)
        stage.served.call("GET", f"/api/items/{stage.world.hot}", token=stage.world.token)


def _get_any(stage: Stage) -> Requests:
    return (_get(stage.world, f"/api/items/{random.choice(stage.world.dfids)}") for _ in itertools.count())


def _get_as_member(stage: Stage) -> Requests:
    return itertools.repeat(request("GET", f"/api/items/{stage.world.shared}", stage.world.member))


def _get_unchanged(stage: Stage) -> Requests:
    path = f"/api/items/{stage.world.hot}"
    tag = stage.served.tag(path, stage.world.token)
    return itertools.repeat(request("GET", path, stage.world.token, headers={"If-None-Match": tag}))


def _first_page(stage: Stage) -> Requests:
    return itertools.repeat(_get(stage.world, "/api/items?limit=50"))


def _deep_page(stage: Stage) -> Requests:
    if not stage.world.deep:
        path = "/api/items?limit=200"
        for _ in range(min(DEEP, stage.world.held // 2) // 200):
            cursor = stage.served.call("GET", path, None, stage.world.token)["next_cursor"]
            path = f"/api/items?limit=200&cursor={cursor}"
        stage.world.deep = path.replace("limit=200", "limit=50")
    return itertools.repeat(_get(stage.world, stage.world.deep))


def _search_page(stage: Stage) -> Requests:
    return itertools.repeat(_get(stage.world, "/api/items?q=nelore&limit=50"))


def _timeline(stage: Stage) -> Requests:
    return itertools.repeat(_get(stage.world, f"/api/events/item/{stage.world.hot}?limit=50"))


def _create(stage: Stage) -> Requests:
    return (request("POST", "/api/items", stage.world.token, animal) for animal in stage.world.new_items())


def _push(stage: Stage) -> Requests:
    made = _made(stage, stage.plenty())
    return (request("POST", f"{_circuit(stage)}/push/{one}", stage.world.token) for one in made)


def _draft(stage: Stage) -> Requests:
    return (request("POST", "/api/items/local", stage.world.token, animal) for animal in stage.world.new_items())


def _push_draft(stage: Stage) -> Requests:
    drafts = [one["local_id"] for one in gathered(stage, itertools.islice(_draft(stage), stage.plenty()))]
    return (request("POST", f"{_circuit(stage)}/push-local", stage.world.token, {"local_id": one}) for one in drafts)


def _push_batch(stage: Stage) -> Requests:
    batch = {"items": [{"dfid": one} for one in _made(stage, BATCH)]}
    return iter([request("POST", f"{_circuit(stage)}/push/batch", stage.world.token, batch)])


def _bulk_create(stage: Stage) -> Requests:
    batch = {"items": list(itertools.islice(stage.world.new_items(), BULK))}
    return iter([request("POST", "/api/items/batch", stage.world.token, batch)])


def _import(stage: Stage) -> Requests:
    return iter([import_request(stage.world, stage.world.new_items(), stage.imports)])


def _made(stage: Stage, count: int) -> list[str]:
    animals = stage.world.new_items()
    steps = (min(BULK, count - begun) for begun in range(0, count, BULK))
    batches = ({"items": list(itertools.islice(animals, step))} for step in steps)
    asked = (request("POST", "/api/items/batch", stage.world.token, batch) for batch in batches)
    return [result["dfid"] for answer in gathered(stage, asked) for result in answer["results"]]


def _circuit(stage: Stage) -> str:
    return f"/api/circuits/{stage.world.circuit}"


def _append(stage: Stage) -> Requests:
    body = {"dfid": stage.world.hot, "category": "weighing", "payload": {"peso_kg": 430}}
    return itertools.repeat(request("POST", "/api/events", stage.world.token, body))


def _append_spread(stage: Stage) -> Requests:
    bodies = (
        {"dfid": dfid, "category": "weighing", "payload": {"peso_kg": 430}}
        for dfid in itertools.cycle(stage.world.dfids)
    )
    return (request("POST", "/api/events", stage.world.token, body) for body in bodies)


def _login(_: Stage) -> Requests:
    return itertools.repeat(request("POST", "/api/auth/login", body={"username": LOGS_IN, "password": PASSWORD}))


def mixed(stage: Stage) -> Requests:
    """90 % reads, 9 % writes, 1 % logins and lists."""
    reads, writes = _get_any(stage), _create(stage)
    rare = itertools.cycle([next(_login(stage)), next(_first_page(stage))])
    hundred = [*[reads] * 90, *[writes] * 9, rare]
    return (next(source) for source in itertools.cycle(random.sample(hundred, len(hundred))))


@attrs.frozen
class Block:
    """Operations that are measured in turn, round by round, with the baselines that they are held against first."""

    baselines: tuple[Baseline, ...]
    operations: tuple[Operation, ...]
    copies: bool = False
    """Whether they are held against C0, a bare COPY, instead."""


BLOCKS = (
    Block(
        (R0, R0_SIGNED),
        (
            Operation("GET item, hot", _get_hot),
            Operation("GET item, cold", _get_cold),
            Operation("GET item as member", _get_as_member, lone=True),
            Operation("GET item, 304", _get_unchanged, lone=True),
            Operation("timeline page", _timeline, lone=True),
        ),
    ),
    Block(
        (R0_PAGE,),
        (
            Operation("first page of 50", _first_page),
            Operation("deep page of 50", _deep_page, lone=True),
            Operation("search page of 50", _search_page, lone=True),
        ),
    ),
    Block(
        (P0, R0),
        (
            Operation("create item", _create),
            Operation("push by DFID", _push),
            Operation("create a draft", _draft, lone=True),
            Operation("push a draft", _push_draft, lone=True),
            Operation("append, one chain", _append, clients=(1,), lone=True),
            Operation("append, many chains", _append_spread),
            Operation("login", _login, clients=(1, 32), lone=True),
        ),
    ),
    Block((R0,), (Operation("mixed", mixed, clients=(32,)),)),
    Block(
        (),
        (
            Operation("push 1,000", _push_batch, (1,), lambda _: BATCH, 1, lone=True, takes=1.0),
            Operation("create 10,000", _bulk_create, (1,), lambda _: BULK, 1, lone=True, takes=3.0),
            Operation("import", _import, (1,), lambda stage: stage.imports, 1, lone=True, once=True),
        ),
        copies=True,
    ),
)

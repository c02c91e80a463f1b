"""The loads: what each of them asks, and the baseline that it is held against."""

import itertools
import random
from collections.abc import Callable, Iterator

import attrs

from tests.benchmarks.client import request
from tests.benchmarks.servers import Served
from tests.benchmarks.world import PASSWORD, World, item

Requests = Iterator[bytes]

R0 = request("GET", "/r0")
P0 = request("POST", "/p0", body=item("076000000000001"))
BATCH = 1_000
BULK = 10_000
PUSHED, BATCHES, BULKS = 1_500, 5, 2


@attrs.frozen
class Operation:
    """One load. `prepare` makes its requests before the clock runs; each of them stands for `counts` units.

    A load that uses up what was prepared ends with it.
    """

    name: str
    baseline: bytes
    prepare: Callable[[World, Served], Requests]
    counts: int = 1
    clients: tuple[int, ...] = (1, 32)


def _get_hot(world: World, _: Served) -> Requests:
    return itertools.repeat(request("GET", f"/api/items/{world.hot}", world.token))


def _get_cold(world: World, _: Served) -> Requests:
    return (request("GET", f"/api/items/{random.choice(world.dfids)}", world.token) for _ in itertools.count())


def _get_as_member(world: World, _: Served) -> Requests:
    return itertools.repeat(request("GET", f"/api/items/{world.shared}", world.member))


def _get_unchanged(world: World, served: Served) -> Requests:
    tag = served.tag(f"/api/items/{world.hot}", world.token)
    return itertools.repeat(request("GET", f"/api/items/{world.hot}", world.token, headers={"If-None-Match": tag}))


def _create(world: World, _: Served) -> Requests:
    return (request("POST", "/api/items", world.token, animal) for animal in world.new_items())


def _bulk_create(world: World, _: Served) -> Requests:
    animals = world.new_items()
    batches = [{"items": list(itertools.islice(animals, BULK))} for _ in range(BULKS)]
    return iter([request("POST", "/api/items/batch", world.token, batch) for batch in batches])


def _drafted(world: World, served: Served, count: int) -> Iterator[str]:
    for animal in itertools.islice(world.new_items(), count):
        yield served.call("POST", "/api/items/local", animal, world.token)["local_id"]


def _push_local(world: World, served: Served) -> Requests:
    drafts = list(_drafted(world, served, PUSHED))
    return (request("POST", f"{_circuit(world)}/push-local", world.token, {"local_id": one}) for one in drafts)


def _push(world: World, served: Served) -> Requests:
    return (request("POST", f"{_circuit(world)}/push/{one}", world.token) for one in _made(world, served, PUSHED))


def _push_batch(world: World, served: Served) -> Requests:
    batches = [{"items": [{"dfid": one} for one in _made(world, served, BATCH)]} for _ in range(BATCHES)]
    return iter([request("POST", f"{_circuit(world)}/push/batch", world.token, batch) for batch in batches])


def _made(world: World, served: Served, count: int) -> list[str]:
    batch = {"items": list(itertools.islice(world.new_items(), count))}
    return [result["dfid"] for result in served.call("POST", "/api/items/batch", batch, world.token)["results"]]


def _circuit(world: World) -> str:
    return f"/api/circuits/{world.circuit}"


def _first_page(world: World, _: Served) -> Requests:
    return itertools.repeat(request("GET", "/api/items?limit=50", world.token))


def _deep_page(world: World, served: Served) -> Requests:
    path = "/api/items?limit=200"
    for _ in range(min(10, world.held // 200)):
        cursor = served.call("GET", path, None, world.token)["next_cursor"]
        if cursor is None:
            break
        path = f"/api/items?limit=200&cursor={cursor}"
    return itertools.repeat(request("GET", path.replace("limit=200", "limit=50"), world.token))


def _search_page(world: World, _: Served) -> Requests:
    return itertools.repeat(request("GET", "/api/items?q=nelore&limit=50", world.token))


def _append(world: World, _: Served) -> Requests:
    body = {"dfid": world.hot, "category": "weighing", "payload": {"peso_kg": 430}}
    return itertools.repeat(request("POST", "/api/events", world.token, body))


def _append_spread(world: World, _: Served) -> Requests:
    bodies = ({"dfid": dfid, "payload": {"peso_kg": 430}} for dfid in itertools.cycle(world.dfids))
    return (request("POST", "/api/events", world.token, body) for body in bodies)


def _timeline(world: World, _: Served) -> Requests:
    return itertools.repeat(request("GET", f"/api/events/item/{world.hot}?limit=50", world.token))


def _login(_: World, __: Served) -> Requests:
    return itertools.repeat(request("POST", "/api/auth/login", body={"username": "bench", "password": PASSWORD}))


def _mixed(world: World, served: Served) -> Requests:
    """90 % reads, 9 % writes, 1 % logins and lists."""
    reads, writes = _get_cold(world, served), _create(world, served)
    rare = itertools.cycle([next(_login(world, served)), next(_first_page(world, served))])
    hundred = [*[reads] * 90, *[writes] * 9, rare]
    return (next(source) for source in itertools.cycle(random.sample(hundred, len(hundred))))


OPERATIONS = (
    Operation("GET item, hot", R0, _get_hot),
    Operation("GET item, cold", R0, _get_cold),
    Operation("GET item as member", R0, _get_as_member),
    Operation("GET item, 304", R0, _get_unchanged),
    Operation("first page of 50", R0, _first_page),
    Operation("deep page of 50", R0, _deep_page),
    Operation("search page of 50", R0, _search_page),
    Operation("timeline page", R0, _timeline),
    Operation("create item", P0, _create),
    Operation("push by DFID", P0, _push),
    Operation("push a draft", P0, _push_local),
    Operation("append, one chain", P0, _append, clients=(1,)),
    Operation("append, many chains", P0, _append_spread),
    Operation("push 1,000", P0, _push_batch, BATCH, (1,)),
    Operation("create 10,000", P0, _bulk_create, BULK, (1,)),
    Operation("login", P0, _login, clients=(1, 8)),
    Operation("mixed", R0, _mixed, clients=(32,)),
)

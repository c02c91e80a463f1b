"""The order of a run: what is measured once, then every stack at every size, with one instance and with two."""

import contextlib
import time
from collections.abc import Iterator

import attrs

from tests.benchmarks.bulk import COPIED, Copy, copy_baseline
from tests.benchmarks.cache import outages, uncached_read
from tests.benchmarks.circuits import circuit_rows
from tests.benchmarks.direct import DIRECT, Place, direct_rows
from tests.benchmarks.lasting import lasting_rows
from tests.benchmarks.logins import LOGINS, login_rows
from tests.benchmarks.machine import generator_rows
from tests.benchmarks.operations import BLOCKS, Stage
from tests.benchmarks.overload import overload_rows
from tests.benchmarks.preload import loaded
from tests.benchmarks.rounds import block_rows, seconds_of
from tests.benchmarks.rows import Row
from tests.benchmarks.servers import Served, bare, engines
from tests.benchmarks.stores import Stores
from tests.benchmarks.survival import survival_row
from tests.benchmarks.world import World, fill_through_api, settle
from tests.servers import PostgresServer, RedisServer, redis_server

SCALES = {"1k": 1_000, "100k": 100_000, "1m": 1_000_000}
IMPORTS = {"1k": 10_000}
"""Rows of an import where it is not 100,000."""
IN_MEMORY = 100_000
"""Items of the memory stack, which only requests can fill."""
SHARED = ("postgres", "redis_cached")
"""Stacks that several instances share."""
SMALL = 1_000
_OPERATIONS = tuple(one.name for block in BLOCKS for one in block.operations)
MEMORY = "resident memory"
_OF_STACKS = ("start to ready", MEMORY, "items loaded", "bytes of a loaded item", "Redis outages")
GENERATOR, READER, FOUND = "load generator on R0", f"reader p99 during {LOGINS} logins", "writes found after SIGKILL"
ON_REQUEST = ("overload", "circuit")
NAMES = (GENERATOR, *(one.name for one in DIRECT), READER, *_OPERATIONS, *_OF_STACKS, FOUND, *ON_REQUEST)
"""What `--only` may name a part of."""


@attrs.frozen
class Options:
    """What of it is wanted; `minutes` replaces everything by the mixed load for so long."""

    scales: tuple[str, ...]
    stacks: tuple[str, ...]
    instances: tuple[int, ...]
    only: str = ""
    rounds: int = 5
    seconds: float = 0.25
    minutes: float = 0.0

    def wants(self, *names: str) -> bool:
        """Tell whether one of these rows is wanted."""
        return any(self.only in name for name in names)

    def named(self, name: str) -> bool:
        """Tell whether a row is wanted that is measured only when it is asked for by its name."""
        return bool(self.only) and self.only in name

    def places(self) -> list[tuple[str, str, int]]:
        """Return the stacks, sizes and numbers of instances that go together."""
        return [
            (scale, stack, instances)
            for scale in self.scales
            for stack in self.stacks
            for instances in self.instances
            if (instances == 1 or stack in SHARED) and (stack != "memory" or SCALES[scale] <= IN_MEMORY)
        ]

    @property
    def carried_out(self) -> str:
        """A part of the names of the operations that are carried out: all, when it is memory that is asked for."""
        return "" if self.named(MEMORY) else self.only

    def copies(self) -> bool:
        """Tell whether an operation is carried out that is held against C0."""
        return not self.minutes and any(
            self.carried_out in one.name for block in BLOCKS if block.copies for one in block.operations
        )

    def on_stacks(self) -> bool:
        """Tell whether a row is wanted that needs a served stack."""
        return self.wants(*_OPERATIONS, *_OF_STACKS)


def rows_of(options: Options, server: PostgresServer, stores: Stores) -> Iterator[Row]:
    """Measure what is wanted."""
    if not options.minutes:
        yield from _once(options, stores)
    if options.minutes or options.on_stacks():
        with contextlib.ExitStack() as held:
            copied = copy_baseline(held.enter_context(stores.copy(COPIED))[0]) if options.copies() else None
            for scale, stack, instances in options.places():
                for row in _stack_rows(options, stores, copied, (scale, stack, instances)):
                    yield attrs.evolve(row, stack=stack, scale=scale)
    if not options.minutes and options.wants(FOUND):
        for stack in options.stacks:
            if stack != "memory":
                yield attrs.evolve(_survival(options, server, stores, stack), stack=stack, scale="1k")


def _once(options: Options, stores: Stores) -> Iterator[Row]:
    if options.wants(GENERATOR):
        with bare() as served:
            yield from generator_rows(served, options.rounds, options.seconds)
    if options.wants(*(one.name for one in DIRECT)):
        with stores.copy(COPIED) as (url, world), redis_server(private=True) as redis:
            place = Place(url, stores.delays.through(redis.url), world.dfids)
            yield from direct_rows(place, options.rounds, options.seconds, options.only)
    if options.wants(READER):
        with stores.copy(SMALL) as (url, _):
            yield from _on_postgres(login_rows(url), "1k")
    if options.named("overload"):
        with stores.empty() as url:
            yield from _on_postgres(overload_rows(url), "1k")
    if options.named("circuit"):
        for scale in options.scales:
            with stores.empty() as url:
                yield from _on_postgres(circuit_rows(url, SCALES[scale]), scale)


def _on_postgres(rows: Iterator[Row], scale: str) -> Iterator[Row]:
    return (attrs.evolve(row, stack="postgres", scale=scale) for row in rows)


def _stack_rows(options: Options, stores: Stores, copied: Copy | None, place: tuple[str, str, int]) -> Iterator[Row]:
    scale, stack, instances = place
    with contextlib.ExitStack() as held:
        settings, world, redis = _stores_of(held, stores, stack, SCALES[scale])
        outage = redis if options.wants("Redis outages") and place == _first(options, stack) else None
        uncached = uncached_read(world, settings["DATABASE_URL"]) if outage and world else 0.0
        if stack == "write_through" and options.wants("items loaded", "bytes of a loaded item"):
            yield from loaded(settings["DATABASE_URL"])
        served = held.enter_context(engines(instances, **settings))
        if world is None:
            world = settle(served[0])
            fill_through_api(world, served[0], SCALES[scale])
        page = served[0].size("/api/items?limit=50", world.token)
        stage = Stage(world, served, held.enter_context(bare(page)), redis, options.seconds)
        stage = attrs.evolve(stage, imports=IMPORTS.get(scale, stage.imports))
        if options.minutes:
            yield from lasting_rows(stage, options.minutes)
            return
        yield from _served_rows(options, stage, copied)
        if outage:
            yield from outages(served[0], outage, world, uncached)


def _first(options: Options, stack: str) -> tuple[str, str, int]:
    return next(place for place in options.places() if place[1] == stack)


def _stores_of(
    held: contextlib.ExitStack, stores: Stores, stack: str, count: int
) -> tuple[dict[str, str], World | None, RedisServer | None]:
    """Return the settings of a stack with what it keeps its items in; the memory stack is filled later."""
    settings = {"DEFARM_STORAGE": stack}
    if stack == "memory":
        return settings, None, None
    settings["DATABASE_URL"], world = held.enter_context(stores.copy(count))
    if stack != "redis_cached":
        return settings, world, None
    redis = held.enter_context(redis_server(private=True))
    settings["REDIS_URL"] = stores.delays.through(redis.url)
    return settings, world, redis


def _served_rows(options: Options, stage: Stage, copied: Copy | None) -> Iterator[Row]:
    instances = len(stage.engines)
    if options.wants("start to ready"):
        slowest = max(served.ready_after for served in stage.engines)
        yield Row("start to ready", slowest, " s", instances=instances)
    if options.wants(MEMORY):
        yield _resident(f"{MEMORY}, idle", stage.engines)
    for block in BLOCKS:
        held_against = attrs.evolve(block, baselines=(copied,)) if block.copies and copied else block
        for row in block_rows(held_against, stage, options.rounds, options.carried_out):
            if not options.named(MEMORY):
                yield row
        if options.wants(MEMORY) and block in BLOCKS[-2:]:
            yield _resident(f"{MEMORY}, after {'bulk' if block.copies else 'load'}", stage.engines)


def _resident(name: str, served: tuple[Served, ...]) -> Row:
    # A process gives back every other second what has become free.
    time.sleep(3)
    return Row(name, max(one.resident() for one in served), " MB", instances=len(served))


def _survival(options: Options, server: PostgresServer, stores: Stores, stack: str) -> Row:
    with contextlib.ExitStack() as held:
        settings, world, _ = _stores_of(held, stores, stack, SMALL)
        assert world is not None
        return survival_row(server, settings["DATABASE_URL"], world, settings)


def estimated(options: Options) -> float:
    """Return about how many seconds a run takes, on two cores that do nothing else."""
    if options.minutes:
        return len(options.places()) * (options.minutes * 60 + 10) + _filling(options)
    total = options.rounds * (options.seconds + 0.3) * 11 if options.wants(*(one.name for one in DIRECT)) else 0.0
    total += 30.0 if options.wants(READER) else 0.0
    total += 8.0 * len(options.stacks) if options.wants(FOUND) else 0.0
    total += 70.0 if options.named("overload") else 0.0
    if not options.on_stacks():
        return total + 8
    total += 30.0 if "redis_cached" in options.stacks and options.wants("Redis outages") else 0.0
    for scale, _, instances in options.places():
        total += 6 + seconds_of(instances, options.rounds, options.seconds, options.carried_out)
        total += IMPORTS.get(scale, 100_000) / 3_000 if instances == 1 and options.wants("import") else 0.0
    return total + _filling(options)


def _filling(options: Options) -> float:
    items = sum(SCALES[scale] for scale in options.scales)
    copies = sum(SCALES[scale] for scale, stack, _ in options.places() if stack != "memory")
    imported = sum(SCALES[scale] for scale, stack, _ in options.places() if stack == "memory")
    return 6 + items / 12_000 + copies / 60_000 + imported / 6_000

"""Readers and writers over several serving processes while everything beneath them breaks (architecture.md 5, 8)."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
import psycopg
from redis.asyncio import Redis

from domain.ids import new_id
from tests.coherence.history import Fate, Operation, Read, Violation, Write, violations
from tests.coherence.process import Client, Instance, fleet
from tests.invariants import hold_database
from tests.servers import PostgresServer, RedisServer

GONE = {401, 403, 404}
TRAPPED = 6.0
"""Seconds within which some writer walks into the trap, unless the cache stays closed."""
LOST_LINKS = (OSError, EOFError, TimeoutError)


@attrs.frozen
class Row:
    """A row that everybody reads and writes: an item or a circuit."""

    path: str
    method: str

    @property
    def key(self) -> str:
        return self.path.rpartition("/")[2]

    def body(self, value: str) -> dict[str, Any]:
        return {"name": value} if self.method == "PATCH" else {"data": {"mark": value}}

    def value(self, found: Any) -> str:
        return str(found["name"] if self.method == "PATCH" else found["data"].get("mark", ""))


@attrs.define
class Verdict:
    """What a soak has done and found."""

    seconds: float = 0.0
    counts: Counter[str] = attrs.field(factory=Counter)
    faults: Counter[str] = attrs.field(factory=Counter)
    violations: list[Violation] = attrs.field(factory=list)
    errors: list[str] = attrs.field(factory=list)

    def __str__(self) -> str:
        done = ", ".join(f"{count:,} {name}" for name, count in sorted(self.counts.items()))
        hurt = ", ".join(f"{count} x {name}" for name, count in sorted(self.faults.items())) or "none"
        wrong = [*map(str, self.violations[:5]), *self.errors[:5]]
        found = f"{len(self.violations)} violations, {len(self.errors)} unexpected answers"
        return "\n  ".join([f"{self.seconds:.0f} s: {done}", f"faults: {hurt}", found, *wrong])


Fault = Callable[["Soak"], Awaitable[bool]]
"""Does something bad, and tells whether it happened."""


class Soak:
    """A fleet of instances under load. One round has rows of its own and is checked when it ends."""

    def __init__(self, instances: list[Instance], trap: Path, url: str, redis: RedisServer, seed: int = 0) -> None:
        self.instances = instances
        self.trap = trap
        self.url = url
        self.redis = redis
        self.chance = random.Random(seed)
        self.verdict = Verdict()
        self.token = ""
        self.reviving: list[asyncio.Task[None]] = []
        self._history: list[Operation] = []
        self._clients: list[Client] = []

    async def begin(self) -> None:
        """Start the instances and register the user who does everything."""
        for instance in self.instances:
            instance.start()
        await asyncio.gather(*(instance.ready() for instance in self.instances))
        client = Client(self.instances[0].port)
        account = {"username": "soak", "email": "soak@example.org", "password": "a long enough secret"}
        self.token = (await client.call("POST", "/api/auth/register", account)).body["access_token"]
        client.close()

    async def round(
        self,
        seconds: float,
        faults: Sequence[Fault],
        *,
        rows: int = 2,
        pause: float = 0.02,
    ) -> None:
        """Read and write new rows for a time, with the faults one after the other in it, then check everything."""
        begun = time.monotonic()
        chosen = [await self._row("PATCH", n) for n in range(rows)] + [await self._row("PUT", n) for n in range(rows)]
        end = time.monotonic() + seconds
        tasks = [asyncio.create_task(self._read(each, chosen, end)) for each in self.instances for _ in range(3)]
        tasks += [
            asyncio.create_task(self._write(each, chosen, end, pause)) for each in self.instances for _ in range(2)
        ]
        for number, fault in enumerate(faults):
            await asyncio.sleep(max(0.0, end - seconds + (number + 0.2) * seconds / len(faults) - time.monotonic()))
            if await fault(self):
                self.verdict.faults[getattr(fault, "__name__", "fault").replace("_", " ")] += 1
        await asyncio.gather(*tasks, *self.reviving)
        self.reviving = []
        await self._check(chosen)
        self.verdict.seconds += time.monotonic() - begun

    async def caught(self, seconds: float) -> Verdict:
        """Go on without faults until a promise was broken, for so long at the most."""
        while not self.verdict.violations and self.verdict.seconds < seconds:
            await self.round(2.5, (), rows=1, pause=0.005)
        return self.verdict

    async def _check(self, rows: list[Row]) -> None:
        last = {}
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            for row in rows:
                table, column = ("circuits", "circuit_id") if row.method == "PATCH" else ("items", "key")
                found = await connection.execute(f"select body from {table} where {column} = %s", [row.key])
                body = (await found.fetchone() or (None,))[0]
                if body is not None:
                    value = body if isinstance(body, dict) else json.loads(body)
                    last[row.key] = int(value["version"]), row.value(value)
        self.verdict.violations += violations(self._history, last)
        self._history = []

    def _client(self, instance: Instance) -> Client:
        client = Client(instance.port, self.token)
        self._clients.append(client)
        return client

    async def _row(self, method: str, number: int) -> Row:
        client = self._client(self.instances[number % len(self.instances)])
        value = new_id()
        start = time.monotonic()
        if method == "PATCH":
            made = (await client.call("POST", "/api/circuits", {"name": value})).body
            row = Row(f"/api/circuits/{made['circuit_id']}", method)
        else:
            lot = {"identifiers": [{"key": "lote", "value": value}], "data": {"mark": value}}
            row = Row(f"/api/items/{(await client.call('POST', '/api/items', lot)).body['dfid']}", method)
        self._history.append(Write(row.key, start, time.monotonic(), value, Fate.DONE, 1))
        return row

    async def _read(self, instance: Instance, rows: list[Row], end: float) -> None:
        client = self._client(instance)
        while time.monotonic() < end:
            try:
                await self._look(client, self.chance.choice(rows))
            except LOST_LINKS:
                await asyncio.sleep(0.05)

    async def _look(self, client: Client, row: Row) -> int:
        """Read a row and return its version, 0 when there was no answer of use."""
        start = time.monotonic()
        answer = await client.call("GET", row.path)
        end = time.monotonic()
        if answer.status in GONE:
            self._history.append(Read(row.key, start, end, 0, ""))
        elif answer.status == 200:
            self.verdict.counts["reads"] += 1
            version = int(answer.body["version"])
            self._history.append(Read(row.key, start, end, version, row.value(answer.body)))
            return version
        elif answer.status != 503:
            self.verdict.errors.append(f"GET {row.path}: {answer}")
        return 0

    async def _write(self, instance: Instance, rows: list[Row], end: float, pause: float) -> None:
        client = self._client(instance)
        while time.monotonic() < end:
            row = self.chance.choice(rows)
            with suppress(*LOST_LINKS):
                version = await self._look(client, row)
                if version:
                    await self._change(client, row, version)
            await asyncio.sleep(self.chance.uniform(0, 2 * pause))

    async def _change(self, client: Client, row: Row, version: int) -> None:
        value, start, made, reason = new_id(), time.monotonic(), 0, ""
        try:
            answer = await client.call(row.method, row.path, row.body(value), If_Match=f'"{version}"')
        except LOST_LINKS:
            fate = Fate.UNKNOWN
        else:
            fate = self._fate(row, answer.status, answer.body)
            made = int(answer.body["version"]) if fate is Fate.DONE else 0
            reason = f": {answer.body['code']}" if fate is Fate.REFUSED else ""
        self.verdict.counts[f"writes {fate.value}{reason}"] += 1
        self._history.append(Write(row.key, start, time.monotonic(), value, fate, made))

    def _fate(self, row: Row, status: int, body: Any) -> Fate:
        if status == 200:
            return Fate.DONE
        if status == 503 and body.get("code") == "outcome_unknown":
            return Fate.UNKNOWN
        if status >= 500 and status != 503:
            self.verdict.errors.append(f"{row.method} {row.path}: {status} {body}")
            return Fate.UNKNOWN
        return Fate.REFUSED

    def close(self) -> None:
        for client in self._clients:
            client.close()


async def redis_is_frozen(soak: Soak) -> bool:
    soak.redis.pause()
    try:
        await asyncio.sleep(soak.chance.uniform(0.4, 1.2))
    finally:
        soak.redis.resume()
    return True


async def redis_is_killed_and_returns_empty(soak: Soak) -> bool:
    await asyncio.to_thread(soak.redis.kill)
    await asyncio.sleep(soak.chance.uniform(0.1, 1.0))
    await asyncio.to_thread(soak.redis.start)
    return True


async def redis_returns_with_an_old_snapshot(soak: Soak) -> bool:
    async with Redis.from_url(soak.redis.url) as client:
        await client.save()
        folder: Any = await client.config_get("dir")
        await asyncio.sleep(soak.chance.uniform(0.5, 1.0))
    await asyncio.to_thread(soak.redis.kill)
    await asyncio.to_thread(soak.redis.start)
    (Path(folder["dir"]) / "dump.rdb").unlink(missing_ok=True)
    return True


async def redis_is_flushed(soak: Soak) -> bool:
    async with Redis.from_url(soak.redis.url) as client:
        return bool(await client.flushall())


async def values_are_evicted(soak: Soak) -> bool:
    async with Redis.from_url(soak.redis.url) as client:
        for _ in range(30):
            key = await client.randomkey()
            if key is not None and await client.pttl(key) >= 0:
                await client.delete(key)
            await asyncio.sleep(0.01)
    return True


async def an_instance_dies_between_commit_and_unmark(soak: Soak) -> bool:
    soak.trap.touch()
    deadline = time.monotonic() + TRAPPED
    while soak.trap.exists() and time.monotonic() < deadline:
        await asyncio.sleep(0.02)
    if soak.trap.exists():
        # Nobody marks while the cache is closed.
        soak.trap.unlink(missing_ok=True)
        return False
    while all(instance.alive for instance in soak.instances):
        await asyncio.sleep(0.01)
    _revive(soak)
    return True


async def an_instance_is_killed(soak: Soak) -> bool:
    soak.chance.choice(soak.instances).kill()
    _revive(soak)
    return True


def _revive(soak: Soak) -> None:
    """Start what is dead. It is ready some seconds later, in the midst of what else happens."""
    for instance in soak.instances:
        if not instance.alive:
            instance.start()
            soak.reviving.append(asyncio.create_task(instance.ready()))


FAULTS: tuple[Fault, ...] = (
    an_instance_dies_between_commit_and_unmark,
    redis_is_frozen,
    redis_returns_with_an_old_snapshot,
    redis_is_killed_and_returns_empty,
    redis_is_flushed,
    an_instance_is_killed,
    values_are_evicted,
)


@asynccontextmanager
async def soaking(
    postgres: PostgresServer, redis: RedisServer, instances: int, *, seed: int = 0, control: bool = False
) -> AsyncIterator[Soak]:
    """Start a fleet over a new database and a Redis that may be hurt."""
    url = postgres.create_migrated_database()
    with fleet(instances, control=control, DATABASE_URL=url, REDIS_URL=redis.url) as (made, trap):
        soak = Soak(made, trap, url, redis, seed)
        try:
            await soak.begin()
            yield soak
        finally:
            soak.close()
    if not control:
        await asyncio.to_thread(hold_database, url)
    postgres.drop_database(url)

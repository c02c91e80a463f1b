"""The cache in Redis: each step of the port is one Lua script per hash tag (architecture.md 5)."""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, TypeVar

from adapters.caching.keys import KeySpace
from adapters.joining import Joiner, Wish
from adapters.redis.cells import Decoder, deadline_text, encode_mark, open_epoch, split_epoch
from adapters.redis.link import Commands, Link, RedisLink, Scripts, info
from adapters.redis.wire import Command
from domain.ports.cache import (
    Absent,
    CacheServer,
    CacheStats,
    CacheUnavailable,
    Cell,
    Changed,
    Epoch,
    EpochState,
    Lease,
    Mark,
    Outcome,
    Value,
)

SCRIPTS = ("acquire", "fill", "mark", "unmark", "reap", "drop", "swap")
_PER_COMMAND = 256
_PER_EXCHANGE = 1024
_NOTHING = b""

_COUNTED: Mapping[type[Cell], str] = {Absent: "misses", Mark: "busy", Lease: "busy"}

LOOK_LANES = 2
"""Looks under way at a time; while they are, the next ones gather."""

T = TypeVar("T")
Look = Wish[Collection[str], Mapping[str, Cell]]


class RedisCache:
    """Keeps cells in one Redis server or cluster, shared by every instance that uses the same key space."""

    def __init__(
        self,
        link: Link,
        scripts: Scripts,
        keyspace: KeySpace,
        *,
        value_life: float = 3600.0,
        lease_life: float = 2.0,
    ) -> None:
        """Both lives are in seconds. The link is closed with the cache."""
        self._link = link
        self._scripts = scripts
        self._space = keyspace
        self._value_life = round(value_life * 1000)
        self._lease_life = round(lease_life * 1000)
        self._looks: Joiner[Collection[str], Mapping[str, Cell]] = Joiner(
            LOOK_LANES, _next_looks, self._look_together, (CacheUnavailable,)
        )
        self._epoch_keys = {tag: keyspace.epoch_key(tag) for tag in keyspace.all_tags()}
        self._decoder = Decoder()
        self._counts: Counter[str] = Counter()

    def __repr__(self) -> str:
        return f"RedisCache({self._space.prefix!r})"

    async def look(self, keys: Collection[str]) -> Mapping[str, Cell]:
        """Return the cell of every key; looks that wait for the server leave together, as one MGET per tag."""
        return await self._looks.ask(keys) if keys else {}

    async def acquire(self, keys: Collection[str], token: str) -> frozenset[str]:
        """Put a lease into each absent cell."""
        return await self._each("acquire", keys, (token, self._lease_life), lambda _: ())

    async def fill(self, token: str, values: Mapping[str, Value]) -> frozenset[str]:
        """Keep each value whose cell is exactly the lease of `token`."""
        kept = await self._each("fill", values, (token, self._value_life), lambda key: _value(values[key]))
        self._counts.update(fills=len(kept), fills_refused=len(values) - len(kept))
        return kept

    async def mark(self, keys: Collection[str], token: str, deadline: datetime) -> None:
        """Make each cell a mark that names this writer."""
        await self._each("mark", keys, (token, deadline_text(deadline)), lambda _: ())

    async def unmark(self, token: str, outcomes: Mapping[str, Outcome]) -> None:
        """Take this writer off each mark, with its outcome."""
        await self._each("unmark", outcomes, (token, self._value_life), lambda key: _value(outcomes[key]))

    async def reap(self, seen: Mapping[str, Mark]) -> frozenset[str]:
        """Delete each cell that is still, byte for byte, the mark that was seen."""
        reaped: set[str] = set()
        for tag_keys in self._by_tag(seen).values():
            for part in _parts(tag_keys, _PER_COMMAND):
                marks = [encode_mark(seen[key]) for key in part]
                answers = await self._one(self._scripts.call("reap", part, marks))
                reaped.update(key for key, done in zip(part, answers, strict=True) if done)
        return frozenset(reaped)

    async def drop(self, keys: Collection[str]) -> int:
        """Delete values and leases, never marks."""
        dropped = 0
        for tag_keys in self._by_tag(keys).values():
            for part in _parts(tag_keys, _PER_COMMAND):
                dropped += await self._one(self._scripts.call("drop", part, ()))
        return dropped

    async def layouts(self) -> frozenset[str]:
        """Walk over the keys under the prefix by SCAN."""
        found: set[str] = set()
        for link in await self._link.links():
            async for keys in _scanned(link, _literal(f"{self._space.prefix}:") + "*"):
                found.update(filter(None, map(self._space.schema_of, keys)))
        return frozenset(found)

    async def keys(self, kind: str | None = None) -> AsyncIterator[Sequence[str]]:
        """Walk over the keys of one kind, or of all, by SCAN."""
        pattern = _literal(self._space.start(kind)) + "*"
        for link in await self._link.links():
            async for found in _scanned(link, pattern):
                yield found

    async def run(self) -> str:
        """Ask which run of the server answers."""
        run, _ = await self._link.exchange(_always([("PING",)]), any_run=True)
        return run.decode()

    def bind(self, run: str) -> None:
        """Reach no other run of the server from now on."""
        self._link.bind(run.encode())

    async def epoch(self) -> Epoch:
        """Read the epoch keys of all tags."""
        keys = [self._space.epoch_key(tag) for tag in self._space.all_tags()]
        run, raws = await self._link.exchange(lambda _: [("GET", key) for key in keys])
        return Epoch(_common_state(raws, run), tuple(raws))

    async def quarantine(self, seen: Epoch, note: str) -> Epoch:
        """Note the quarantine under every tag whose epoch is missing."""
        await self._swap(seen, lambda kind, current: not (kind and current), f"Q {note} ")
        return await self.epoch()

    async def begin_epoch(self, seen: Epoch, name: str) -> bool:
        """Open a new epoch under every tag in quarantine."""
        if seen.state is not EpochState.QUARANTINED:
            return False
        swapped = await self._swap(seen, lambda kind, current: kind == b"Q" and current, f"E {name} ")
        return bool(swapped) and all(swapped)

    async def server(self) -> CacheServer | None:
        """Ask INFO of every server; the latency is that of this very call."""
        links = await self._link.links()
        started = time.perf_counter()
        answers = await asyncio.gather(*(link.exchange(_always([("INFO", "server")])) for link in links))
        latency = (time.perf_counter() - started) * 1000
        wholes = await asyncio.gather(*(link.exchange(_always([("INFO",)])) for link in links))
        every = [info(whole) for _, (whole,) in wholes]
        return CacheServer(
            version=info(answers[0][1][0])["redis_version"],
            latency=latency,
            used_memory=sum(int(each["used_memory"]) for each in every),
            max_memory=sum(int(each.get("maxmemory", 0)) for each in every),
            eviction=every[0].get("maxmemory_policy", ""),
            evicted=sum(int(each.get("evicted_keys", 0)) for each in every),
            persistent=any(each.get("aof_enabled") == "1" for each in every),
        )

    def stats(self) -> CacheStats:
        """Return this instance's counters."""
        return CacheStats(**self._counts, failures=self._link.failures, degraded_since=self._link.open_since)

    async def aclose(self) -> None:
        """Close the link."""
        await self._link.aclose()

    async def _look_together(self, looks: Sequence[Look]) -> None:
        keys = list(dict.fromkeys(chain.from_iterable([look.wanted for look in looks])))
        cells = await self._fetch(keys)
        self._count(looks, cells)
        for look in looks:
            look.settle({key: cells[key] for key in look.wanted})

    async def _fetch(self, keys: Sequence[str]) -> Mapping[str, Cell]:
        parts = self._parts_by_tag(keys)
        cells: dict[str, Cell] = {}
        for chunk in _parts(parts, _PER_EXCHANGE // _PER_COMMAND):
            mgets = [("MGET", epoch_key, *part) for epoch_key, part in chunk]
            run, answers = await self._link.exchange(_always(mgets))
            for (_, part), (epoch, *raws) in zip(chunk, answers, strict=True):
                name = open_epoch(epoch, run)
                for key, raw in zip(part, raws, strict=True):
                    cells[key] = self._decoder.decode(key, raw, name)
        return cells

    async def _each(
        self,
        script: str,
        keys: Collection[str],
        shared: tuple[str | int, ...],
        own: Callable[[str], tuple[str | bytes | int, ...]],
    ) -> frozenset[str]:
        parts = self._parts_by_tag(keys)
        done: set[str] = set()
        for chunk in _parts(parts, _PER_EXCHANGE // _PER_COMMAND):
            arguments = [[*shared, *(arg for key in part for arg in own(key))] for _, part in chunk]
            _, answers = await self._link.exchange(self._calls(script, chunk, arguments))
            for (_, part), answer in zip(chunk, answers, strict=True):
                if isinstance(answer, list):
                    done.update(key for key, yes in zip(part, answer, strict=True) if yes)
        return frozenset(done)

    def _calls(
        self,
        script: str,
        parts: Sequence[tuple[str, Sequence[str]]],
        arguments: Sequence[Sequence[str | bytes | int]],
    ) -> Commands:
        return lambda run: [
            self._scripts.call(script, [epoch_key, *part], [run, *args])
            for (epoch_key, part), args in zip(parts, arguments, strict=True)
        ]

    async def _swap(self, seen: Epoch, wanted: Callable[[bytes, bool], bool], text: str) -> list[bool]:
        def commands(run: bytes) -> list[Command]:
            found = []
            for tag, raw in zip(self._space.all_tags(), seen.seen, strict=True):
                kind, _, written = split_epoch(raw)
                if wanted(kind, written == run):
                    key = self._space.epoch_key(tag)
                    found.append(self._scripts.call("swap", [key], [raw or _NOTHING, text.encode() + run]))
            return found

        _, answers = await self._link.exchange(commands)
        return [bool(answer) for answer in answers]

    async def _one(self, command: Command) -> Any:
        _, answers = await self._link.exchange(_always([command]))
        return answers[0]

    def _parts_by_tag(self, keys: Iterable[str]) -> list[tuple[str, Sequence[str]]]:
        return [
            (self._epoch_keys[tag], part)
            for tag, tag_keys in self._by_tag(keys).items()
            for part in _parts(tag_keys, _PER_COMMAND)
        ]

    def _by_tag(self, keys: Iterable[str]) -> Mapping[str, list[str]]:
        if self._space.tags == 1:
            return {tag: list(keys) for tag in self._epoch_keys}
        grouped: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            grouped[self._space.tag(key)].append(key)
        return grouped

    def _count(self, looks: Sequence[Look], cells: Mapping[str, Cell]) -> None:
        others = {key: cell for key, cell in cells.items() if not isinstance(cell, Value)}
        asked = sum([len(look.wanted) for look in looks])
        counted = [others[key] for look in looks for key in look.wanted if key in others] if others else []
        self._counts["hits"] += asked - len(counted)
        for cell in counted:
            self._counts[_COUNTED[type(cell)]] += 1


def _next_looks(waiting: deque[Look]) -> list[Look]:
    """Take the next looks that leave together: one of any size, or as many as fit into one exchange."""
    looks, room = [waiting.popleft()], _PER_EXCHANGE
    room -= len(looks[0].wanted)
    while waiting and len(waiting[0].wanted) <= room:
        looks.append(waiting.popleft())
        room -= len(looks[-1].wanted)
    return looks


async def _scanned(link: RedisLink, pattern: str) -> AsyncIterator[Sequence[str]]:
    cursor = b"0"
    while True:
        _, ((cursor, found),) = await link.exchange(_always([("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)]))
        if found:
            yield [key.decode() for key in found]
        if cursor == b"0":
            return


def _value(outcome: Outcome) -> tuple[str | bytes | int, ...]:
    match outcome:
        case Value(version, data):
            return version, data
        case Changed():
            return "changed", _NOTHING
        case None:
            return "", _NOTHING


def _common_state(raws: Sequence[bytes | None], run: bytes) -> EpochState:
    kinds = {kind if written == run else b"" for kind, _, written in map(split_epoch, raws)}
    if kinds == {b"E"}:
        return EpochState.OPEN
    return EpochState.QUARANTINED if kinds <= {b"E", b"Q"} else EpochState.MISSING


def _parts(whole: Sequence[T], size: int) -> Iterable[Sequence[T]]:
    return (whole[at : at + size] for at in range(0, len(whole), size))


def _always(commands: Sequence[Command]) -> Commands:
    return lambda _: commands


def _literal(text: str) -> str:
    return "".join(f"\\{sign}" if sign in "*?[]\\^-" else sign for sign in text)

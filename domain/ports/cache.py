"""The cache port: the cells and the compare-and-set steps that keep a cache coherent (architecture.md 5).

A cache never decides what is true. It keeps one cell per key, and a cell is in one of four states:

    Absent   nothing is known; a reader asks the database
    Value    what the database holds, at a version; it may vanish at any time
    Lease    one reader has announced that it is loading the value; it may vanish at any time
    Mark     at least one writer may be changing the value; it never vanishes by itself

Versions grow by one per change of a key; version 0 stands for a value that does not exist. Bytes go in and
come out unchanged. Keys and tokens are made by the caller (`adapters.caching.keys`), a token once per use.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol

import attrs


class CacheUnavailable(Exception):
    """The cache did not answer in time, or refused. What was asked may have been done, now or later."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@attrs.frozen
class Absent:
    """Nothing usable is in the cell."""


@attrs.frozen
class Value:
    """What the database holds at `version`; 0 when it holds nothing."""

    version: int
    data: bytes


@attrs.frozen
class Lease:
    """A reader is loading the value and will fill the cell."""

    token: str


@attrs.frozen
class Writer:
    """One unit that marked the cell; past `deadline`, on the database's clock, it can no longer commit."""

    token: str
    deadline: datetime


@attrs.frozen
class Mark:
    """Units are changing the value. `epoch` is None when no epoch was open as the mark was made."""

    epoch: str | None
    version: int
    writers: tuple[Writer, ...]

    def past(self, now: datetime) -> bool:
        """Tell whether no writer of this mark can still pass its deadline, `now` being the database's."""
        return all(writer.deadline < now for writer in self.writers)


Cell = Absent | Value | Lease | Mark


@attrs.frozen
class Changed:
    """The outcome of a writer that committed a change and leaves no value.

    It did not make one (it changed a part of what the cell holds), or its version does not say whether it is
    newer than another writer's (it removed the row, or put one in the place of a removed one).
    """


Outcome = Value | Changed | None

NO_VERSION_IS_HIGHER = 2**53
"""The version of a mark to which a writer told `Changed`; the largest whole number that Lua counts to."""


class EpochState(StrEnum):
    """Whether readers may fill the cache."""

    MISSING = "missing"
    QUARANTINED = "quarantined"
    OPEN = "open"


@attrs.frozen
class Epoch:
    """The epoch keys as they were found: their common state and, per key, the very bytes."""

    state: EpochState
    seen: tuple[bytes | None, ...]


@attrs.frozen
class CacheStats:
    """Counters of this instance since its start; `degraded_since` while the cache is given up."""

    hits: int = 0
    misses: int = 0
    busy: int = 0
    fills: int = 0
    fills_refused: int = 0
    failures: int = 0
    degraded_since: datetime | None = None


@attrs.frozen
class CacheServer:
    """What a cache server says about itself, `latency` in milliseconds and memory in bytes.

    `eviction` is its policy, `max_memory` 0 without a bound, `evicted` counts keys that had to go since its start,
    and `persistent` tells that it logs what it is sent.
    """

    version: str
    latency: float
    used_memory: int
    max_memory: int = 0
    eviction: str = ""
    evicted: int = 0
    persistent: bool = False


class Cache(Protocol):
    """Keeps cells, and changes them only by the steps below.

    An implementation must run each step as one atomic operation per key, must end every call within a bound,
    must never let a mark expire or be evicted, and may lose values and leases whenever it likes. It may lose
    everything at once (a wipe, a restart, a fail-over) provided that the epoch is then no longer open.
    Every verb raises `CacheUnavailable` when the cache did not answer; none of them tries again.
    """

    async def look(self, keys: Collection[str]) -> Mapping[str, Cell]:
        """Return the cell of every key. Values and leases of another epoch than the open one are absent."""
        ...

    async def acquire(self, keys: Collection[str], token: str) -> frozenset[str]:
        """Put a lease into each absent cell and return the keys that got it; none while no epoch is open."""
        ...

    async def fill(self, token: str, values: Mapping[str, Value]) -> frozenset[str]:
        """Keep each value whose cell is exactly the lease of `token` in the open epoch; return those keys."""
        ...

    async def mark(self, keys: Collection[str], token: str, deadline: datetime) -> None:
        """Make each cell a mark that names this writer, whatever the cell was. Before the commit, always.

        If it raises, some keys may be marked: the caller still calls `unmark` for all of them.
        """
        ...

    async def unmark(self, token: str, outcomes: Mapping[str, Outcome]) -> None:
        """Take this writer off each mark, with the value it committed, `Changed`, or None for nothing committed.

        The mark keeps the highest version told. The last writer leaves its value behind if that is the
        highest version, no writer of the mark told `Changed`, and the mark was made in the open epoch; else
        nothing is left. A cell that is no mark is deleted. A writer that does not know its outcome must not
        call this: its marks are for reaping.
        """
        ...

    async def reap(self, seen: Mapping[str, Mark]) -> frozenset[str]:
        """Delete each cell that is still, byte for byte, the mark that was seen; return those keys.

        Only after the database has shown that every writer of the mark has ended: its clock is past the
        deadlines, and no transaction that might have passed the check before is still running.
        """
        ...

    async def drop(self, keys: Collection[str]) -> int:
        """Delete values and leases, never marks; return how many."""
        ...

    async def layouts(self) -> frozenset[str]:
        """Return the schemas under which keys of this prefix lie; walks over all keys."""
        ...

    def keys(self, kind: str | None = None) -> AsyncIterator[Sequence[str]]:
        """Walk over the keys of one kind, or of all, in no order, some perhaps twice, a batch at a time."""
        ...

    async def run(self) -> str:
        """Return which run of the server answers now, bound or not: a restart, a promoted replica is another."""
        ...

    def bind(self, run: str) -> None:
        """From now on answer `CacheUnavailable` when another run of the server than this would be reached."""
        ...

    async def epoch(self) -> Epoch:
        """Read the epoch keys. Missing includes: written under another life of the server."""
        ...

    async def quarantine(self, seen: Epoch, note: str) -> Epoch:
        """Note, where the epoch is missing as seen, that a quarantine has begun; return what stands now.

        A wipe takes the note away with everything else, so a note that stood unchanged for a time proves that
        nothing was lost during that time.
        """
        ...

    async def begin_epoch(self, seen: Epoch, name: str) -> bool:
        """Open a new epoch if the quarantine stands exactly as seen; tell whether this call did it.

        Only after that quarantine has stood for longer than the longest possible write, and the database has
        shown that every transaction from before it has ended.
        """
        ...

    async def server(self) -> CacheServer | None:
        """Ask the server about itself; None when there is no server."""
        ...

    def stats(self) -> CacheStats:
        """Return this instance's counters; asks nobody."""
        ...

    async def aclose(self) -> None:
        """Let go of connections and tasks; a closed cache answers `CacheUnavailable`."""
        ...

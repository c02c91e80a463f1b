"""What an administrator may ask of, and do to, what a storage keeps in front of its database (platform.md 9.3)."""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import attrs

from domain.ports.cache import CacheServer, CacheStats
from domain.ports.schema import Facet


class CacheMode(StrEnum):
    """Where a storage keeps what it has read."""

    NONE = "none"
    REDIS = "redis"
    WRITE_THROUGH = "write_through"


@attrs.frozen
class WriteBehindState:
    """Units that were acknowledged before the database had them; the age of the oldest in seconds."""

    enabled: bool
    queued: int = 0
    oldest_seconds: float = 0.0
    capacity: int = 0


@attrs.frozen(kw_only=True)
class CacheReport:
    """`entries` counts by facet, as of `as_of`; `counters` are this instance's since its start.

    `pending` counts marks whose unit has ended and that still stand. `mismatches` counts hits that differed from the
    database when they were compared. `degraded_since` is set while this instance may not use the cache. `reached`
    tells whether the server answered just now, None when there is none.
    """

    entries: Mapping[str, int]
    as_of: datetime
    counters: CacheStats = attrs.field(factory=CacheStats)
    mismatches: int = 0
    pending: int = 0
    degraded_since: datetime | None = None
    reached: bool | None = None
    server: CacheServer | None = None
    write_behind: WriteBehindState | None = None


@attrs.frozen(kw_only=True)
class CacheProbe:
    """What a look at the server of a cache found.

    `server` is None when it does not answer. `fills` tells that a value could be put and found again. `reason` says why
    the server did not answer, or refused the value. `closed_for` is the seconds since somebody last had to write
    without the cache, None while it is open. `elsewhere` tells that the instances in use reach another server, or
    another life of it, than this process.
    """

    server: CacheServer | None
    reason: str = ""
    fills: bool = False
    closed_for: float | None = None
    elsewhere: bool = False
    layouts: int = 0


class CacheControl(Protocol):
    """The cache of a storage, seen from outside."""

    @property
    def mode(self) -> CacheMode: ...

    @property
    def degraded_since(self) -> datetime | None:
        """Since when this instance has answered without the cache; None while it uses it."""
        ...

    @property
    def write_behind(self) -> WriteBehindState | None:
        """What was acknowledged before the database had it; None where nothing ever is."""
        ...

    @property
    def lost(self) -> int:
        """How many units were acknowledged that the database will not have: it refused them, or there was no time."""
        ...

    @property
    def pending(self) -> int:
        """How many marks of this instance stand though their unit has ended."""
        ...

    def tallies(self) -> Mapping[str, Mapping[str, int]]:
        """Return what this instance has met since its start, by kind of row and result; asks nobody."""
        ...

    async def report(self) -> CacheReport:
        """Count and ask. Entries are counted at most every 10 s. A server that does not answer is no error."""
        ...

    async def invalidate(self, facets: Collection[Facet[Any]], ids: Collection[str] | None) -> int:
        """Let every instance forget the rows of these facets, or those of them that belong to `ids`; return how many.

        When it returns, the next read of such a row on any instance comes from the database. A row belongs to an id
        when its key is the id or begins with it. Raises Unavailable, nothing being done, when the cache does not
        answer.
        """
        ...

    async def probe(self) -> CacheProbe | None:
        """Look at the server and try it; None when there is none. The store must be open. Raises StorageError."""
        ...

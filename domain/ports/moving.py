"""Moving whole stores (platform.md 13.2): everything one holds, in the order of keys, and a bulk way into another."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from operator import attrgetter
from typing import Any, Protocol

import attrs

from domain.audit.values import AuditEntry
from domain.ports.schema import FACETS, INSTANCES, STORE, Facet, Key
from domain.ports.storage import Storage
from domain.store import StoreRecord


class CannotMove(Exception):
    """This cannot be copied, or not to there; the message says why and what to do. Nothing was changed by it."""


class SnapshotDamaged(CannotMove):
    """A snapshot file does not hold what was written to it; the message names the file and the place."""


@attrs.frozen
class Counter:
    """The last number that a store gave to an `owner`: of DFIDs a UTC day, of a numbered facet whom it numbers for."""

    space: str
    owner: str
    last: int


DFIDS = "sequences"
"""The space of DFID numbers; that of a numbered facet is its name."""

NUMBERS = Facet(
    "numbers",
    Counter,
    ("space", "owner"),
    {name: attrgetter(name) for name in ("space", "owner")},
    versioned=False,
)
"""What a store numbers, as rows; a part of every copy, though no facet that units know."""

PARTS: tuple[Facet[Any], ...] = (*(facet for facet in FACETS if facet not in (STORE, INSTANCES)), NUMBERS)
"""What is copied, parents before children. The record of the store is carried over by hand, the processes that serve
it are not part of it."""

Row = tuple[Any, bytes]
"""A value and its canonical bytes."""


@attrs.frozen
class Sealed:
    """The record of a source that takes no changes, and a text that another state of it would not have."""

    record: StoreRecord
    state: str


class Holding(Protocol):
    """Everything a store holds, as it was at one instant."""

    @property
    def record(self) -> StoreRecord:
        """The record of the store. Raises CannotMove where there is none."""
        ...

    async def count(self, part: Facet[Any]) -> int:
        """Return how many rows a part has."""
        ...

    def rows(self, part: Facet[Any], after: Key | None = None) -> AsyncIterator[Sequence[Any]]:
        """Yield the rows of a part in the order of their keys, a portion at a time. Raises Corrupt, SnapshotDamaged."""
        ...


class Source(Protocol):
    """What can be copied. All raise StorageError."""

    @property
    def name(self) -> str:
        """What to call it, without a credential."""
        ...

    def standing(self) -> AbstractAsyncContextManager[Holding]:
        """Hold everything at one instant, however long the block takes and whoever writes meanwhile."""
        ...

    async def sealed(self) -> Sealed | None:
        """Return the record if no changes are taken, else None. Raises CannotMove where nothing is."""
        ...

    async def seal(self, entry: AuditEntry) -> Sealed:
        """Take no more changes, from when those under way have ended; `entry` is the last row. Idempotent."""
        ...

    async def aclose(self) -> None:
        """Let go of it."""
        ...


class Target(Source, Protocol):
    """What can be copied into, and released again."""

    @property
    def storage(self) -> Storage:
        """Reads what is there."""
        ...

    async def prepare(self) -> None:
        """Make it ready to take rows, and let nobody else copy into it. Raises CannotMove, StoreRefused."""
        ...

    async def bears(self) -> StoreRecord | None:
        """Return the record of the store, None where there is none."""
        ...

    async def filled(self) -> list[str]:
        """Return the names of the parts that have rows."""
        ...

    async def take(self, part: Facet[Any], rows: Sequence[Row], record: StoreRecord) -> None:
        """Add rows of a part and put the record in the place of the one that is there, in one unit."""
        ...

    async def release(self, entry: AuditEntry, *, retire: bool) -> StoreRecord:
        """Take changes again, or with `retire` never again; `entry` is added. Returns the record."""
        ...

"""The storage port: a reader answers questions, a unit is a reader that also stages changes.

A unit commits when its block ends normally and leaves no trace when it does not. The laws that every
implementation obeys stand in docs/architecture.md and are pinned by tests/conformance.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from typing import Any, Final, Protocol, TypeVar

import attrs

from domain.ports.errors import Contention, KeyedError, Stale, StorageError
from domain.ports.queries import Condition, Cursor, Page, Scalar, Select
from domain.ports.schema import Facet, Key
from domain.ports.views import View

V = TypeVar("V")
R = TypeVar("R")

MAX_PAGE = 1000

Place = tuple[Facet[Any], Key]
"""Where a row stands."""


@attrs.define
class Questions:
    """How often a store was asked, by readers and units of one task."""

    asked: int = 0


QUESTIONS: Final[ContextVar[Questions | None]] = ContextVar("questions", default=None)
"""What counts the questions of the present task, where somebody wants to know."""


class Reader(Protocol):
    """Answers questions from committed state (and, in a unit, from what the unit itself has staged)."""

    async def find(self, facet: Facet[V], key: Key) -> V | None:
        """Return the row under `key`, or None."""
        ...

    async def get(self, facet: Facet[V], key: Key) -> V:
        """Return the row under `key`. Raises NotFound."""
        ...

    async def get_many(self, facet: Facet[V], keys: Iterable[Key]) -> dict[Key, V]:
        """Return the rows under `keys` by key, in one round trip; absent ones are left out."""
        ...

    async def find_each(self, *places: Place) -> tuple[Any, ...]:
        """Return the row at each place or None, in order and in one round trip for all facets together."""
        ...

    async def page(self, facet: Facet[V], query: Select, after: Cursor | None = None, limit: int = 50) -> Page[V]:
        """Return up to `limit` (1..1000) rows that match, continuing after the cursor of an earlier page.

        Following the cursor skips nothing and repeats nothing that existed before.
        """
        ...

    async def page_each(self, *asked: tuple[Facet[Any], Select], limit: int = MAX_PAGE) -> tuple[Page[Any], ...]:
        """Return the first page of each query, in order and in one round trip for all of them together."""
        ...

    async def count(self, facet: Facet[V], where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        """Return how many rows match, by the value of the column `by`; values without a row are left out."""
        ...

    async def view(self, view: View[V], after: Cursor | None = None, limit: int = 50) -> Page[V]:
        """Return one page of a list that spans facets. Reads committed state only, also inside a unit."""
        ...

    async def numbers_taken(self, day: str) -> int:
        """Return how many DFID numbers of the UTC day `YYYYMMDD` are taken, which is the last one; at once."""
        ...


class Unit(Reader, Protocol):
    """A reader that stages changes and commits them together when its block ends.

    Every verb may raise at the call or at the end of the block; after a write error the unit is doomed.
    """

    async def add(self, facet: Facet[V], *values: V) -> None:
        """Add rows that must not exist. Raises AlreadyExists."""
        ...

    async def add_final(self, facet: Facet[V], *values: V) -> None:
        """Add rows that this unit does not touch again, under keys that it has made and nobody else can wait for.

        A store may begin to write them while the unit goes on. Raises AlreadyExists.
        """
        ...

    async def save(self, facet: Facet[V], *values: V) -> None:
        """Replace rows; the stored version must be one less than the value's. Raises Stale."""
        ...

    async def remove(self, facet: Facet[V], *values: V) -> None:
        """Remove rows; a versioned row must stand at the value's version. Raises Stale."""
        ...

    async def foresee(self, *places: Place) -> None:
        """Read in one round trip what the use case is going to ask for by key, from several facets.

        The next question for each of these rows is answered with what was found, once; the one after it is asked.
        """
        ...

    def know(self, rows: Iterable[tuple[Place, Any]]) -> None:
        """Take over rows, None for absent ones, that were read for this request before, as if foreseen."""
        ...

    async def confirm(self, facet: Facet[V], *values: V) -> None:
        """Demand that these rows still stand at their versions at commit, unchanged by this unit. Raises Stale."""
        ...


class Storage(Protocol):
    """Everything the engine keeps."""

    def read(self) -> AbstractAsyncContextManager[Reader]:
        """Open a reader."""
        ...

    def write(self) -> AbstractAsyncContextManager[Unit]:
        """Open a unit. Raises NestedUnit inside a unit of the same task."""
        ...

    async def take_numbers(self, day: str, count: int) -> range:
        """Take `count` DFID numbers of the UTC day `YYYYMMDD`, at once and for good; numbers start at 1."""
        ...

    async def ping(self) -> None:
        """Ask the store for a sign of life. Raises Unavailable."""
        ...

    async def aclose(self) -> None:
        """Let go of everything; later calls raise Closed."""
        ...


async def transact(storage: Storage, work: Callable[[Unit], Awaitable[R]], *, attempts: int = 5) -> R:
    """Run `work` in a unit, again when it lost a race (`rerun`), and return what it returned.

    `work` may run more than once and keeps nothing between runs.
    """

    async def attempt() -> R:
        async with storage.write() as unit:
            return await work(unit)

    return await rerun(attempt, attempts=attempts)


async def rerun(
    attempt: Callable[[], Awaitable[R]],
    *,
    attempts: int = 5,
    again: tuple[type[StorageError], ...] = (Contention, Stale),
    free: frozenset[str] = frozenset(),
) -> R:
    """Await `attempt()` until it does not lose a race.

    It is run again on the errors of `again`, at most `attempts` times in all; losses on a facet named in `free`
    do not count, because one unit wins each round and the time budget of the request bounds the rounds. The last
    error is raised when attempts run out.
    """
    while True:
        try:
            return await attempt()
        except again as error:
            if not (isinstance(error, KeyedError) and error.facet in free):
                attempts -= 1
            if attempts <= 0:
                raise

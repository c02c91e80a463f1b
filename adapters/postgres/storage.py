"""PostgreSQL: reads are single prepared statements by index, a unit is one pipelined transaction."""

import asyncio
import logging
import select
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, TypeVar

import attrs
import psycopg
from psycopg_pool import AsyncConnectionPool

from adapters.caching.guard import Guard
from adapters.changes import Changes
from adapters.joining import Joiner, Wish
from adapters.postgres.ahead import AheadTransaction
from adapters.postgres.codec import decode, decode_again
from adapters.postgres.errors import translating
from adapters.postgres.pages import Pages, page_from, telling
from adapters.postgres.patience import patience
from adapters.postgres.prepared import Call, Parameters, PreparingConnection, Rows
from adapters.postgres.statements import STATEMENTS, fetching
from adapters.postgres.transactions import BULK_SECONDS, Group, Transaction, united
from adapters.postgres.uniting import Query, as_one, dealt
from adapters.postgres.views import is_walk, view_query
from adapters.postgres.writers import RELEASE, TURN, Entry, Mark
from adapters.staging import Asked, Found, StagedStorage, Wanted
from domain.ports.errors import Closed, OutcomeUnknown, Unavailable
from domain.ports.queries import Condition, Cursor, Page, Scalar, Select
from domain.ports.schema import FACET_BY_NAME, Facet, Key
from domain.ports.views import View

V = TypeVar("V")
Queries = Sequence[Query]
Address = str | Callable[[], str]
"""A libpq URL, or what tells it once the server is there."""

logging.getLogger("psycopg").addFilter(
    # The first error of a pipeline is raised; the driver logs those that follow from it besides.
    lambda record: "pipeline aborted" not in record.getMessage()
)

MOST_JOINED = 200
"""Keys of a read that may wait for others, and leave with them."""

MOST_WISHES, MOST_STATEMENTS = 32, 16
"""Those whose queries leave together, and the statements that these may be."""

AHEAD_LANES = 2
"""Units whose rows are written before they commit, each of which holds a connection for as long as it goes on."""

READ_LANES, QUERY_LANES, COMMIT_LANES = 2, 3, 3
"""Joined round trips under way at a time; while they are, the next ones gather."""

_MARGIN = 1.0
_GONE = (Unavailable, OutcomeUnknown, Closed)


@attrs.frozen
class PostgresBounds:
    """How long PostgreSQL may keep a caller waiting, in seconds, and how many connections one process holds."""

    pool_min: int = 2
    pool_max: int = 8
    pool_wait: float = 2.0
    statement_timeout: float = 5.0
    lock_timeout: float = 2.0
    connect_timeout: float = 5.0


class PostgresBackend:
    """Rows in PostgreSQL 15 to 18, through a pool of this process."""

    def __init__(self, url: Address, bounds: PostgresBounds = PostgresBounds(), entry: Entry | None = None) -> None:
        self._bounds = bounds
        self.entry = entry or Entry()
        milliseconds = {
            "statement_timeout": bounds.statement_timeout,
            "lock_timeout": bounds.lock_timeout,
            "idle_in_transaction_session_timeout": 60.0,
        }
        settings = "-c timezone=UTC -c client_encoding=UTF8 -c enable_seqscan=off"
        options = " ".join(f"-c {name}={int(seconds * 1000)}" for name, seconds in milliseconds.items())
        self.pool: AsyncConnectionPool[PreparingConnection] = AsyncConnectionPool(
            url,
            connection_class=PreparingConnection,
            min_size=bounds.pool_min,
            max_size=bounds.pool_max,
            timeout=bounds.pool_wait,
            # An attempt that goes on for long waits longer and longer between its tries.
            reconnect_timeout=bounds.connect_timeout,
            open=False,
            kwargs={
                "autocommit": True,
                # What PreparingConnection prepares, psycopg must not, which would mistake its own for it.
                "prepare_threshold": None,
                # By index rows are met, and locked, in the order of their keys, and a plan made when a table was empty
                # stays good when it has grown.
                "options": f"{options} {settings}",
                "connect_timeout": max(2, int(bounds.connect_timeout)),
            },
        )

        self._pages = Pages()
        self._reads: Joiner[Wanted, Found] = Joiner(READ_LANES, _taken, self._answer, _GONE)
        self._queries: Joiner[Queries, list[Rows]] = Joiner(QUERY_LANES, _several, self._answer_each, _GONE)
        self._commits: Joiner[Transaction, None] = Joiner(COMMIT_LANES, _joinable, self._commit_joined, _GONE)
        self._aheads: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return "postgres"

    async def open(self) -> None:
        """Open the pool. Raises Unavailable when the server does not answer; may be called again after that."""
        with translating():
            # A pool that was waited for in vain closes itself for good, one that is asked goes on trying.
            await self.pool.open()
            # The pool is empty: what is waited for is the server, and not that somebody gives a connection back.
            await self.pool.putconn(await self._borrowed(max(self._bounds.pool_wait, self._bounds.connect_timeout)))
        await self.ping()

    async def fetch(self, facet: Facet[V], keys: list[Key]) -> dict[Key, V]:
        if not keys:
            return {}
        rows = (await self._found({facet.name: keys}))[facet.name]
        return {key: rows[key] for key in keys if key in rows}

    async def fetch_each(self, wanted: Wanted) -> Found:
        return await self._found(wanted)

    async def _found(self, wanted: Wanted) -> Found:
        if sum(map(len, wanted.values())) > MOST_JOINED:
            return await self._rows(wanted, decode)
        return await self._reads.ask(wanted)

    async def _rows(self, wanted: Wanted, value_of: Callable[[type[Any], bytes], Any]) -> Found:
        text, parameters = fetching(wanted)
        found: dict[str, dict[Key, Any]] = {name: {} for name in wanted}
        for row in await self._query(text, parameters):
            facet = FACET_BY_NAME[row[0]]
            value = _numbered(facet, value_of(facet.value, row[1]), row[2:])
            found[facet.name][facet.key_of(value)] = value
        return found

    async def _answer(self, wishes: list[Wish[Wanted, Found]]) -> None:
        found = await self._rows(_united(wishes), decode_again)
        for wish in wishes:
            wish.settle(found)

    async def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V]:
        asked = Query(*STATEMENTS[facet.name].select(query, after, limit))
        return [_value(facet, row) for row in (await self._queries.ask([asked]))[0]]

    async def select_each(self, asked: Asked, limit: int) -> list[list[Any]]:
        queries = [Query(*STATEMENTS[facet.name].select(query, None, limit)) for facet, query in asked]
        found = await self._queries.ask(queries)
        return [[_value(facet, row) for row in rows] for (facet, _), rows in zip(asked, found, strict=True)]

    async def count(self, facet: Facet[V], where: Mapping[str, Condition], by: str) -> dict[Scalar, int]:
        text, parameters = STATEMENTS[facet.name].count(where, by)
        return dict(await self._query(text, parameters))

    async def view(self, view: View[V], after: Cursor | None, limit: int) -> Page[V]:
        place = (view, after, limit)
        known = self._pages.find(place)
        if known is not None and known.told == (await self._viewed(view, known.question(view)))[0][0][0]:
            return known.page
        kind, text, parameters = view_query(view, after, limit + 1)
        asked = Query(text, parameters)
        if not self._pages.is_asked_again(place):
            (rows,) = await self._viewed(view, asked)
            self._pages.note(place, rows)
            return page_from(view, kind, rows, limit)
        question = Query(telling(text), parameters)
        rows, ((told,),) = await self._viewed(view, asked, question)
        page = page_from(view, kind, rows, limit)
        self._pages.hold(place, question, told, rows, page)
        return page

    async def _viewed(self, view: View[Any], *queries: Query) -> list[Rows]:
        if is_walk(view):
            return await self._queries.ask(queries)
        return await self._asked([(each.text, each.parameters) for each in queries])

    async def _answer_each(self, wishes: list[Wish[Queries, list[Rows]]]) -> None:
        alike: dict[Hashable, list[Query]] = {}
        for wish in wishes:
            for query in wish.wanted:
                alike.setdefault(query.form, []).append(query)
        found = await self._asked([as_one(queries) for queries in alike.values()])
        hands = {
            form: iter(dealt(rows, len(queries))) for (form, queries), rows in zip(alike.items(), found, strict=True)
        }
        for wish in wishes:
            wish.settle([next(hands[query.form]) for query in wish.wanted])

    async def _asked(self, statements: Sequence[tuple[str, Parameters]]) -> list[Rows]:
        """Return the rows of each statement; all of them leave together."""
        if len(statements) == 1:
            return [await self._query(*statements[0])]
        with translating():
            async with self._connection() as connection:
                with patience(connection, self._bounds.statement_timeout + _MARGIN):
                    return await connection.ask(*[Call(*each) for each in statements])

    async def _query(self, text: str, parameters: Parameters, *, writing: bool = False) -> Rows:
        with translating():
            async with self._connection() as connection:
                if writing:
                    await self._enter(connection)
                with patience(connection, self._bounds.statement_timeout + _MARGIN):
                    return (await connection.ask(Call(text, parameters)))[0]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[PreparingConnection]:
        """Borrow a connection whose link still stands."""
        deadline = monotonic() + self._bounds.pool_wait
        connection = await self._borrowed()
        while not _stands(connection):
            await connection.close()
            await self.pool.putconn(connection)
            connection = await self._borrowed(max(0.0, deadline - monotonic()))
        try:
            yield connection
        finally:
            await self.pool.putconn(connection)

    async def _borrowed(self, wait: float | None = None) -> PreparingConnection:
        """Borrow a connection.

        The pool waits by asyncio.wait_for, which before Python 3.12 loses a cancellation that comes together with
        what is waited for. A worker that is told to stop once must not go on.
        """
        task = asyncio.current_task()
        told = task.cancelling() if task is not None else 0
        connection = await self.pool.getconn(wait)
        if task is not None and task.cancelling() > told:
            await self.pool.putconn(connection)
            raise asyncio.CancelledError
        return connection

    async def commit(self, changes: Changes, guard: Guard | None = None, mark: Mark | None = None) -> None:
        unit = Transaction(changes, guard, mark)
        ahead = next((change.ahead for change in changes if isinstance(change.ahead, AheadTransaction)), None)
        if ahead is not None and ahead.open:
            await ahead.commit(unit)
        else:
            await (self._commit(unit) if unit.bulk or mark else self._commits.ask(unit))

    def ahead(self) -> AheadTransaction | None:
        """Begin the transaction of a unit that goes on; None when enough others are open."""
        if len(self._aheads) >= AHEAD_LANES:
            return None
        begun = AheadTransaction(self._writing)
        self._aheads.add(begun.task)
        begun.task.add_done_callback(self._aheads.discard)
        return begun

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[PreparingConnection]:
        """Borrow a connection that may write, for as long as a bulk unit may take."""
        async with self._connection() as connection:
            await self._enter(connection)
            with patience(connection, BULK_SECONDS + _MARGIN):
                yield connection

    async def _commit(self, transaction: Transaction) -> None:
        with translating():
            async with self._connection() as connection:
                with translating(committing=True):
                    await self._enter(connection)
                with translating(committing=True), patience(connection, transaction.patience + _MARGIN):
                    await transaction.send(connection)

    async def _commit_joined(self, wishes: list[Wish[Transaction, None]]) -> None:
        await self._commit(united([wish.wanted for wish in wishes]))
        for wish in wishes:
            wish.settle(None)

    async def take_numbers(self, day: str, count: int) -> range:
        rows = await self._query(
            "insert into sequences as s (day, last) values (%s, %s)"
            " on conflict (day) do update set last = s.last + excluded.last returning last",
            [day, count],
            writing=True,
        )
        last = int(rows[0][0])
        return range(last - count + 1, last + 1)

    async def numbers_taken(self, day: str) -> int:
        rows = await self._query("select last from sequences where day = %s", [day])
        return int(rows[0][0]) if rows else 0

    async def _enter(self, connection: PreparingConnection) -> None:
        async def ask(text: str, parameters: Parameters) -> tuple[Any, ...]:
            with patience(connection, self._bounds.statement_timeout + _MARGIN):
                rows = (await connection.ask(Call(text, parameters)))[0]
            if not rows:
                raise Unavailable("the server does not tell whose turn it is to write")
            return rows[0]

        await self.entry.enter(connection, ask)

    async def turn(self) -> None:
        """Enter as a writer if need be, and see whose turn it is. Raises WriterRefused when it is not ours."""
        rows = await self._query(TURN, [], writing=True)
        self.entry.took(int(rows[0][0]))

    async def release(self) -> None:
        """Tell that this writer is done and keeps no copy."""
        await self._query(f"{RELEASE} returning 1", [self.entry.kind])

    async def ping(self) -> None:
        await self._query("select 1", [])

    async def aclose(self) -> None:
        await self.pool.close()


def _taken(waiting: deque[Wish[Wanted, Found]]) -> list[Wish[Wanted, Found]]:
    """Take the next reads that leave together."""
    return [waiting.popleft() for _ in range(min(len(waiting), MOST_JOINED))]


def _several(waiting: deque[Wish[Queries, list[Rows]]]) -> list[Wish[Queries, list[Rows]]]:
    """Take the next queries that leave together."""
    taken: list[Wish[Queries, list[Rows]]] = []
    forms: set[Hashable] = set()
    while waiting and len(taken) < MOST_WISHES:
        forms.update(query.form for query in waiting[0].wanted)
        if taken and len(forms) > MOST_STATEMENTS:
            break
        taken.append(waiting.popleft())
    return taken


def _joinable(waiting: deque[Wish[Transaction, None]]) -> list[Wish[Transaction, None]]:
    """Take the next unit, and those behind it that can commit in the same transaction; the others keep their order."""
    taken: list[Wish[Transaction, None]] = []
    group = Group()
    for _ in range(len(waiting)):
        wish = waiting.popleft()
        (taken if group.admit(wish.wanted) else waiting).append(wish)
    return taken


def _united(wishes: Iterable[Wish[Wanted, Found]]) -> Wanted:
    """Return every key that is wished for, once."""
    keys: dict[str, dict[Key, None]] = {}
    for wish in wishes:
        for name, wanted in wish.wanted.items():
            keys.setdefault(name, {}).update(dict.fromkeys(wanted))
    return {name: list(wanted) for name, wanted in keys.items()}


def _stands(connection: PreparingConnection) -> bool:
    """Tell, without asking the server, whether the link of an idle connection still stands."""
    link = select.poll()
    link.register(connection.fileno(), select.POLLIN)
    try:
        while link.poll(0):
            connection.pgconn.consume_input()
    except psycopg.OperationalError:
        return False
    return True


def _value(facet: Facet[V], row: tuple[Any, ...]) -> V:
    return _numbered(facet, decode(facet.value, row[0]), row[1:])


def _numbered(facet: Facet[V], value: V, number: tuple[Any, ...]) -> V:
    """Give a value the number that its row bears beside its body, where the facet has one."""
    return attrs.evolve(value, **{facet.serial[0]: number[0]}) if facet.serial else value  # type: ignore[misc]


class PostgresStorage(StagedStorage):
    """The storage port over PostgreSQL."""

    backend: PostgresBackend

    def __init__(
        self, url: Address, bounds: PostgresBounds = PostgresBounds(), backend: PostgresBackend | None = None
    ) -> None:
        super().__init__(PostgresBackend(url, bounds) if backend is None else backend)

    def ahead(self) -> AheadTransaction | None:
        return self.backend.ahead()

    async def open(self) -> None:
        """Open the pool. Raises Unavailable when the server does not answer; may be called again after that."""
        await self.backend.open()

"""Law 7: every call ends. `Unavailable` means nothing was committed, `OutcomeUnknown` that it may have been."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import psycopg
import pytest

from adapters.postgres.storage import PostgresBounds
from domain.access.vocabulary import ItemStatus
from domain.ports.errors import Contention, OutcomeUnknown, StorageError, Unavailable
from domain.ports.queries import Select
from domain.ports.schema import ITEMS, MAPPINGS, WORKSPACES
from domain.ports.storage import Storage
from domain.ports.views import ItemsView, Viewer
from tests.conformance.storage.link import Mode, execute
from tests.conformance.storage.stacks import PostgresStack, Stack
from tests.conformance.storage.values import NOW, item, mapping, touched, workspace

PATIENCE = 9.0
"""Pool wait, statement timeout and margin of the stacks, and what a busy machine adds."""


@contextmanager
def ends(within: float = PATIENCE) -> Iterator[None]:
    start = monotonic()
    yield
    assert monotonic() - start < within


async def kept(stack: Stack, *keys: str) -> set[Any]:
    truth = await stack.truth()
    async with truth.read() as reader:
        return set(await reader.get_many(MAPPINGS, keys))


async def add_two(storage: Storage, first: str, second: str) -> None:
    async with storage.write() as unit:
        await unit.add(MAPPINGS, mapping(first))
        await unit.add(WORKSPACES, workspace())
        await unit.add(MAPPINGS, mapping(second))


async def add_one(storage: Storage, first: str, second: str) -> None:
    async with storage.write() as unit:
        await unit.add(MAPPINGS, mapping(first))


async def add_many(storage: Storage, first: str, second: str) -> None:
    async with storage.write() as unit:
        await unit.add(MAPPINGS, mapping(first), *(mapping() for _ in range(300)), mapping(second))


async def add_ahead(storage: Storage, first: str, second: str) -> None:
    async with storage.write() as unit:
        await unit.add_final(MAPPINGS, mapping(first), *(mapping() for _ in range(300)))
        await asyncio.sleep(0.05)
        await unit.add(MAPPINGS, mapping(second))


async def find(storage: Storage) -> None:
    async with storage.read() as reader:
        await reader.find(WORKSPACES, "1")


async def page(storage: Storage) -> None:
    async with storage.read() as reader:
        await reader.page(WORKSPACES, Select())


CALLS: dict[str, Callable[[Storage], Awaitable[Any]]] = {
    "ping": lambda storage: storage.ping(),
    "take_numbers": lambda storage: storage.take_numbers("20260301", 1),
    "find": find,
    "page": page,
}
UNITS = {"one row": add_one, "several facets": add_two, "bulk": add_many, "ahead": add_ahead}
each_unit = pytest.mark.parametrize("add", UNITS.values(), ids=UNITS.keys())


@pytest.mark.parametrize("mode", [Mode.CUT, Mode.FROZEN], ids=lambda mode: mode.name.lower())
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
async def test_a_question_to_a_store_that_is_gone_or_frozen_is_unavailable_in_time(
    linked: Stack, call: Callable[[Storage], Awaitable[Any]], mode: Mode
) -> None:
    storage = await linked.fresh()
    with linked.hurt(mode), ends(), pytest.raises(Unavailable):
        await call(storage)
    await soon(call, storage)


@each_unit
async def test_a_unit_that_cannot_reach_the_store_is_unavailable_and_left_nothing(
    linked: Stack, add: Callable[[Storage, str, str], Awaitable[None]]
) -> None:
    storage = await linked.fresh()
    with linked.hurt(Mode.CUT), ends(), pytest.raises(Unavailable):
        await asyncio.sleep(0.05)
        await add(storage, "a", "b")
    assert await kept(linked, "a", "b") == set()
    await soon(lambda again: add(again, "a", "b"), storage)


@each_unit
async def test_a_unit_whose_question_was_lost_is_of_unknown_outcome_and_left_nothing(
    linked: Stack, add: Callable[[Storage, str, str], Awaitable[None]]
) -> None:
    storage = await linked.fresh()
    # What is lost before the commit is asked for leaves nothing unknown.
    told = (OutcomeUnknown, Unavailable) if add is add_ahead else OutcomeUnknown
    with linked.hurt(Mode.LOSES_QUESTIONS), ends(), pytest.raises(told):
        await add(storage, "a", "b")
    assert await kept(linked, "a", "b") == set()
    await soon(lambda again: add(again, "a", "b"), storage)


@pytest.mark.parametrize("add", [add_one, add_two])
async def test_a_unit_whose_answer_was_lost_is_of_unknown_outcome_and_may_have_happened(
    linked: Stack, add: Callable[[Storage, str, str], Awaitable[None]]
) -> None:
    storage = await linked.fresh()
    # The first unit of a connection asks once more, whether this process may write at all.
    for number in range(16):
        await add_one(storage, f"before {number}", "")
    with linked.hurt(Mode.LOSES_ANSWERS), ends(), pytest.raises(OutcomeUnknown):
        await add(storage, "a", "b")
    assert add is add_one or await kept(linked, "a", "b") == {"a", "b"}
    await soon(lambda again: add(again, "c", "d"), storage)


async def test_a_pool_whose_sessions_all_ended_serves_the_next_calls_as_if_nothing_was(linked: Stack) -> None:
    storage = await linked.fresh()
    await asyncio.gather(*(find(storage) for _ in range(20)))
    await linked.end_sessions()
    await asyncio.sleep(0.2)
    await find(storage)
    await add_two(storage, "a", "b")
    assert await kept(linked, "a", "b") == {"a", "b"}


async def test_units_whose_sessions_are_ended_meanwhile_tell_the_truth(linked: Stack) -> None:
    """Whatever is said to have committed has; what is said not to have has not; and none is half done."""
    storage = await linked.fresh()
    told: dict[int, type[BaseException] | None] = {}

    async def write(number: int) -> None:
        try:
            await add_two(storage, f"{number}a", f"{number}b")
            told[number] = None
        except StorageError as error:
            told[number] = type(error)

    for start in range(0, 120, 20):
        await asyncio.gather(*(write(start + n) for n in range(20)), linked.end_sessions())
        await asyncio.sleep(0.1)
    found = await kept(linked, *(f"{number}{half}" for number in range(120) for half in "ab"))
    for number, error in told.items():
        halves = {f"{number}a", f"{number}b"} & found
        assert len(halves) in (0, 2), number
        if error is None:
            assert halves, number
        elif error is not OutcomeUnknown:
            assert error is Unavailable, number
            assert not halves, number


async def test_a_store_that_comes_back_is_used_again_soon(linked: Stack) -> None:
    storage = await linked.fresh()
    with linked.hurt(Mode.CUT):
        for _ in range(4):
            with ends(), pytest.raises(Unavailable):
                await find(storage)
    with ends(5.0):
        await soon(find, storage, tries=5)


async def test_the_first_connection_may_take_as_long_as_the_server_is_waited_for(migrated_url: str) -> None:
    stack = await PostgresStack(migrated_url, PostgresBounds(pool_wait=0.1, connect_timeout=10.0)).start()
    try:
        with stack.hurt(Mode.FROZEN):
            opening = asyncio.create_task(stack.fresh())
            await asyncio.sleep(0.3)
        await find(await opening)
    finally:
        await stack.aclose()


async def test_a_read_that_is_cancelled_ends_and_gives_its_connection_back(linked: Stack) -> None:
    storage = await linked.fresh()
    with linked.hurt(Mode.FROZEN):
        tasks = [asyncio.create_task(find(storage)) for _ in range(20)]
        await asyncio.sleep(0.1)
        with ends(15.0):
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    await soon(find, storage)
    await asyncio.gather(*(find(storage) for _ in range(20)))


async def soon(call: Callable[[Storage], Awaitable[Any]], storage: Storage, tries: int = 8) -> None:
    """Make the call once the storage has noticed that its store is back."""
    for _ in range(tries - 1):
        try:
            await call(storage)
        except Unavailable:
            continue
        return
    await call(storage)


async def test_waiting_for_a_row_that_somebody_holds_is_contention_in_time(postgres: PostgresStack) -> None:
    storage, one = await postgres.fresh(), workspace(key="1")
    async with storage.write() as unit:
        await unit.add(WORKSPACES, one)
    holding = asyncio.create_task(
        execute(postgres.url, "do $$ begin perform 1 from workspaces for update; perform pg_sleep(4); end $$")
    )
    await asyncio.sleep(0.5)
    with ends(4.0), pytest.raises(Contention):
        async with storage.write() as unit:
            await unit.save(WORKSPACES, touched(one))
            await unit.add(MAPPINGS, mapping("a"))
    assert await kept(postgres, "a") == set()
    await holding


@pytest.mark.parametrize("add", [add_one, add_two])
async def test_a_statement_that_takes_too_long_is_unavailable_and_left_nothing(
    postgres: PostgresStack, add: Callable[[Storage, str, str], Awaitable[None]]
) -> None:
    await _trigger(postgres, "perform pg_sleep(3)", "insert on mappings")
    storage = await postgres.fresh()
    with ends(), pytest.raises(Unavailable):
        await add(storage, "a", "b")
    assert await kept(postgres, "a", "b") == set()


async def test_a_bulk_unit_may_take_longer_than_a_statement(postgres: PostgresStack) -> None:
    await _trigger(postgres, "perform pg_sleep(0.01)", "insert on mappings")
    storage = await postgres.fresh()
    await add_many(storage, "a", "b")
    assert await kept(postgres, "a", "b") == {"a", "b"}


async def test_a_unit_that_takes_back_what_it_called_final_is_a_fault_and_leaves_nothing(
    postgres: PostgresStack,
) -> None:
    storage, links = await postgres.fresh(), [mapping(f"{number}") for number in range(300)]
    with pytest.raises(ValueError, match="mappings"):
        async with storage.write() as unit:
            await unit.add_final(MAPPINGS, *links)
            await unit.remove(MAPPINGS, links[0])
    assert await kept(postgres, "0", "1") == set()


async def test_a_session_ended_in_the_middle_of_its_unit_left_nothing(postgres: PostgresStack) -> None:
    await _trigger(postgres, "perform pg_terminate_backend(pg_backend_pid())", "insert on workspaces")
    storage = await postgres.fresh()
    with ends(), pytest.raises((OutcomeUnknown, Unavailable)):
        await add_two(storage, "a", "b")
    assert await kept(postgres, "a", "b") == set()
    await add_one(storage, "c", "")


async def test_a_session_ended_at_commit_is_of_unknown_outcome(postgres: PostgresStack) -> None:
    await _trigger(
        postgres,
        "perform pg_terminate_backend(pg_backend_pid())",
        "insert on workspaces deferrable initially deferred",
        kind="constraint trigger",
        moment="after",
    )
    storage = await postgres.fresh()
    with ends(), pytest.raises(OutcomeUnknown):
        await add_two(storage, "a", "b")
    assert await kept(postgres, "a", "b") == set()


async def test_a_fault_in_the_middle_of_a_unit_leaves_nothing_and_a_fit_connection(
    postgres: PostgresStack, caplog: pytest.LogCaptureFixture
) -> None:
    """A fault is not the store's to translate: neither the server's nor that of a text no store can hold."""
    await _trigger(postgres, "raise exception 'no such thing'", "insert on workspaces")
    storage = await postgres.fresh()
    with pytest.raises(Exception, match="no such thing"):
        await add_two(storage, "a", "b")
    await execute(postgres.url, "drop trigger hurt on workspaces")
    with pytest.raises(Exception, match="0x00"):
        async with storage.write() as unit:
            await unit.add(WORKSPACES, workspace())
            await unit.add(MAPPINGS, mapping("c"), mapping("d\0"))
    assert await kept(postgres, "a", "b", "c") == set()
    await add_one(storage, "e", "")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_key_that_no_server_can_read_fails_the_one_who_asks_for_it(postgres: PostgresStack) -> None:
    """Reads that leave together fail alone."""
    storage = await postgres.fresh()
    kept_row = mapping("kept")
    async with storage.write() as unit:
        await unit.add(MAPPINGS, kept_row)
    async with storage.read() as reader:
        asked = [reader.find(MAPPINGS, key) for key in ("kept", "bad\0", "absent")]
        found, failure, absent = await asyncio.gather(*asked, return_exceptions=True)
    assert (found, absent) == (kept_row, None)
    assert isinstance(failure, psycopg.DataError)


async def test_queries_that_leave_together_have_their_own_answers_and_fail_alone(postgres: PostgresStack) -> None:
    storage = await postgres.fresh()
    rows = [mapping(f"row{n:02}") for n in range(40)]
    items = [item(workspace_id=f"w{n:02}", status=ItemStatus.ACTIVE) for n in range(40)]
    async with storage.write() as unit:
        await unit.add(MAPPINGS, *rows)
        await unit.add(ITEMS, *items)
    async with storage.read() as reader:
        asked = [*(row.local_id for row in rows), "bad\0"]
        pages = [reader.page(MAPPINGS, Select({"local_id": key})) for key in asked]
        viewers = [*(Viewer("u", str(one.workspace_id)) for one in items), Viewer("u", "bad\0")]
        lists = [reader.view(ItemsView(viewer, NOW, statuses=("active",))) for viewer in viewers]
        both = [each for pair in zip(pages, lists, strict=True) for each in pair]
        answers = await asyncio.gather(*both, return_exceptions=True)
    assert [type(failure) for failure in answers[-2:]] == [psycopg.DataError] * 2
    assert [answer.items for answer in answers[:-2]] == [
        (one,) for pair in zip(rows, items, strict=True) for one in pair
    ]


async def _trigger(stack: PostgresStack, does: str, on: str, kind: str = "trigger", moment: str = "before") -> None:
    await execute(
        stack.url,
        f"create function hurt() returns trigger language plpgsql as $$ begin {does}; return new; end $$;"
        f" create {kind} hurt {moment} {on} for each row execute function hurt()",
    )

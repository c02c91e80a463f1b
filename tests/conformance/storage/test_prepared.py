"""What a connection is asked leaves as one transaction, prepared once, and comes back as it was meant."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from adapters.postgres import prepared
from adapters.postgres.prepared import Call, PreparingConnection
from tests.servers import PostgresServer

LATE = datetime(2199, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
VALUES: dict[str, list[Any]] = {
    "text": [None, "", "x", "'\\\"{}, NULL", "ação 🐄", "\t\n" + "long " * 500],
    "bigint": [0, None, -(2**63), 2**63 - 1],
    "timestamptz": [LATE, datetime(1899, 1, 1, 0, 0, 0, 1, tzinfo=UTC), None, datetime(2000, 1, 1, tzinfo=UTC)],
    "boolean": [True, None, False],
}


@pytest.fixture
async def connection(postgres_server: PostgresServer) -> AsyncIterator[PreparingConnection]:
    async with await PreparingConnection.connect(
        postgres_server.url, autocommit=True, options="-c timezone=UTC"
    ) as opened:
        await opened.execute(
            "create temporary table notes (key text primary key, at bigint unique deferrable initially deferred)"
        )
        yield opened


async def _asked(connection: PreparingConnection, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return (await connection.ask(Call(text, parameters)))[0]


@pytest.mark.parametrize("kind", VALUES)
async def test_parameters_arrive_as_what_they_are(connection: PreparingConnection, kind: str) -> None:
    for values in ([], [None], VALUES[kind]):
        assert await _asked(connection, f"select %b::{kind}[]", values) == [(values,)]
    for value in VALUES[kind]:
        assert await _asked(connection, f"select %s::{kind}", value) == [(value,)]


async def test_names_may_repeat_and_percent_signs_stay(connection: PreparingConnection) -> None:
    call = Call("select %(a)s::text, %(b)s::bigint, %(a)s::text like 'x%%'", {"a": "xy", "b": 1, "c": object()})
    assert await connection.ask(call) == [[("xy", 1, True)]]


@pytest.mark.parametrize("value", ["a\0b", object()])
async def test_what_cannot_be_written_is_refused_and_nothing_is_sent(
    connection: PreparingConnection, value: object
) -> None:
    with pytest.raises((psycopg.DataError, TypeError)):
        await connection.ask(Call("insert into notes values ('a')", []), Call("select %s::text", [value]))
    assert await _asked(connection, "select * from notes") == []


async def test_a_statement_is_prepared_once(connection: PreparingConnection) -> None:
    add = "insert into notes values (%s)"
    await connection.ask(Call(add, ["a"]), Call(add, ["b"]))
    await connection.ask(Call(add, ["c"]))
    assert await _asked(connection, "select count(*) from pg_prepared_statements where statement like 'insert%%'") == [
        (1,)
    ]


async def test_statements_are_let_go_of_when_there_are_many(
    connection: PreparingConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepared, "MOST_PREPARED", 3)
    for number in (*range(9), *range(9)):
        assert await _asked(connection, f"select {number}") == [(number,)]
    assert (await _asked(connection, "select count(*) from pg_prepared_statements"))[0][0] <= 4


@pytest.mark.parametrize(
    "wrong", ["select 1 / 0", "select nothing", "insert into notes values ('b', 1)", "insert into notes values ('a')"]
)
async def test_what_fails_leaves_nothing_and_the_connection_goes_on(
    connection: PreparingConnection, wrong: str
) -> None:
    await connection.execute("insert into notes values ('z', 1)")
    for _ in range(2):
        with pytest.raises(
            (psycopg.errors.DivisionByZero, psycopg.errors.UndefinedColumn, psycopg.errors.UniqueViolation)
        ):
            await connection.ask(
                Call("insert into notes values ('a')", []), Call(wrong, []), Call("insert into notes values ('c')", [])
            )
        assert await _asked(connection, "select key from notes") == [("z",)]


async def test_it_takes_part_in_a_transaction_that_was_begun(connection: PreparingConnection) -> None:
    async with connection.transaction(force_rollback=True):
        await connection.ask(Call("insert into notes values (%s)", ["a"]))
        assert await _asked(connection, "select key from notes") == [("a",)]
    assert await _asked(connection, "select key from notes") == []


async def test_whoever_is_cancelled_leaves_a_connection_that_answers(connection: PreparingConnection) -> None:
    begun = asyncio.get_running_loop().time()
    asking = asyncio.ensure_future(
        connection.ask(Call("insert into notes values ('a')", []), Call("select pg_sleep(30)", []))
    )
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await _asked(connection, "select count(*) from notes") == [(0,)]
    assert asyncio.get_running_loop().time() - begun < 10


async def test_a_server_process_that_ends_is_told_and_the_connection_is_closed(connection: PreparingConnection) -> None:
    with pytest.raises(psycopg.OperationalError):
        await connection.ask(Call("select pg_terminate_backend(pg_backend_pid())", []), Call("select 1", []))
    assert connection.closed

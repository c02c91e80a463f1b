"""The schema is what the migrations make, and every statement of the adapter stands and runs by its index."""

import asyncio
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest

from adapters.postgres.migrations import migrate, migrations
from adapters.postgres.statements import STATEMENTS, Statements
from adapters.postgres.views import view_query
from domain.ports.queries import AnyOf, Between, Select, StartsWith
from domain.ports.schema import FACETS, Facet
from domain.ports.views import (
    ActivityTallies,
    ActivityView,
    ActorTotals,
    DirectoryView,
    EventsView,
    ItemsView,
    LastPositionView,
    MembersView,
    PlacementsView,
    Viewer,
)
from tests.conformance.storage.link import execute

Connection = psycopg.AsyncConnection[Any]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
TYPES = {"text": "text", "bigint": "bigint", "boolean": "boolean", "timestamptz": "timestamp with time zone"}
ROOT = Path(__file__).parents[3]
each_facet = pytest.mark.parametrize("facet", FACETS, ids=lambda facet: facet.name)


@pytest.fixture
async def connection(migrated_url: str) -> AsyncIterator[Connection]:
    async with await Connection.connect(migrated_url, autocommit=True) as opened:
        yield opened


async def rows(connection: Connection, text: str, *parameters: Any) -> list[tuple[Any, ...]]:
    return await (await connection.execute(text.encode(), parameters or None)).fetchall()


def wanted_columns(statements: Statements) -> dict[str, str]:
    special = {"body": "json", "tokens": "tsvector"}
    named = dict(zip(statements.columns, statements.types, strict=True))
    if statements.facet.serial:
        named[statements.facet.serial[0]] = "bigint"
    return {name: special.get(name) or TYPES[kind] for name, kind in named.items()}


async def test_the_tables_are_those_of_the_facets_and_their_helpers(connection: Connection) -> None:
    found = {name for (name,) in await rows(connection, "select tablename from pg_tables where schemaname = 'public'")}
    counters = {f"{facet.name}_counters" for facet in FACETS if facet.serial}
    helpers = {"schema_migrations", "sequences", "cache_rights", "store_writers", "foreign_events", "placed_items"}
    assert found - helpers == {facet.name for facet in FACETS} | counters


@each_facet
async def test_every_column_is_there_with_its_type_and_no_other(connection: Connection, facet: Facet[Any]) -> None:
    found = await rows(
        connection,
        "select column_name, data_type from information_schema.columns where table_name = %s",
        facet.name,
    )
    assert dict(found) == wanted_columns(STATEMENTS[facet.name])


@each_facet
async def test_a_column_may_be_null_exactly_when_the_value_may(connection: Connection, facet: Facet[Any]) -> None:
    """Cursors are cheaper over columns that are never null, so the adapter must know which are."""
    statements = STATEMENTS[facet.name]
    found = await rows(
        connection,
        "select column_name, is_nullable = 'YES' from information_schema.columns where table_name = %s",
        facet.name,
    )
    members = {each.name for each in attrs.fields(facet.value)}
    nullable = dict(found)
    assert {name: nullable[name] for name in facet.columns if name in members} == {
        name: statements.may_be_null(name) for name in facet.columns if name in members
    }
    assert not [name for name, null in nullable.items() if null and not statements.may_be_null(name)]


@each_facet
async def test_text_compares_by_code_point(connection: Connection, facet: Facet[Any]) -> None:
    found = await rows(
        connection,
        "select column_name from information_schema.columns"
        " where table_name = %s and data_type = 'text' and collation_name is distinct from 'C'",
        facet.name,
    )
    assert found == []


async def indexes(connection: Connection, table: str) -> dict[tuple[str, ...], tuple[bool, bool]]:
    """Return the indexes of a table by their columns: unique, and looked at when a row changes."""
    found = await rows(
        connection,
        "select array(select a.attname from unnest(i.indkey) with ordinality k(n, o) join pg_attribute a"
        " on a.attrelid = i.indrelid and a.attnum = k.n order by k.o)::text[], i.indisunique, i.indimmediate"
        " from pg_index i where i.indrelid = %s::regclass and i.indisvalid",
        table,
    )
    return {tuple(columns): (unique, immediate) for columns, unique, immediate in found}


@each_facet
async def test_keys_unique_columns_and_declared_indexes_are_there(connection: Connection, facet: Facet[Any]) -> None:
    found = await indexes(connection, facet.name)
    assert found[facet.key] == (True, True)
    assert {found[columns] for columns in facet.unique} <= {(True, True)}
    assert [columns for columns in facet.indexes if columns not in found] == []


@each_facet
async def test_no_index_is_there_that_nothing_declares(connection: Connection, facet: Facet[Any]) -> None:
    declared = {facet.key, *facet.unique, *facet.indexes, *([("tokens",)] if facet.tokens else [])}
    assert set(await indexes(connection, facet.name)) == declared


def queries(facet: Facet[Any]) -> Iterator[Select]:
    """Yield a query for every index of a facet and every condition."""
    yield Select()
    for columns in (facet.key, *facet.unique, *facet.indexes):
        for split in range(len(columns) + 1):
            where = {name: _sample(name) for name in columns[:split]}
            for descending in (False, True):
                yield Select(where, columns[split:], descending)
    for name in facet.columns:
        for condition in (None, AnyOf((_sample(name), None)), AnyOf((_sample(name),)), Between(_sample(name))):
            yield Select({name: condition})
        if isinstance(_sample(name), str):
            yield Select({name: StartsWith("a")})


def _sample(name: str) -> Any:
    kind = _types().get(name, "text")
    return {"bigint": 1, "boolean": True, "timestamptz": NOW}.get(kind, "a")


def _types() -> dict[str, str]:
    return {name: kind for each in STATEMENTS.values() for name, kind in zip(each.columns, each.types, strict=True)}


def texts(facet: Facet[Any]) -> Iterator[str]:
    """Yield every statement that the adapter makes of a facet."""
    made = STATEMENTS[facet.name]
    yield from (made.fetch, made.fetch_one, made.insert, made.delete, made.lock)
    if facet.serial is None:
        yield made.insert_one
    yield made.update
    if facet.versioned:
        yield made.confirm
    for query in queries(facet):
        yield made.select(query, None, 10)[0]
        yield made.count(query.where, facet.key[0])[0]
        order = (*query.order, *facet.key)
        for after in (
            tuple(map(_sample, order)),
            tuple(None if made.may_be_null(name) else _sample(name) for name in order),
        ):
            yield made.select(query, after, 10)[0]


def numbered(text: str) -> str:
    """Write the holes of a statement as the server names them."""
    holes = count(1)
    return re.sub("%[sb]", lambda _: f"${next(holes)}", text)


@each_facet
async def test_every_statement_of_a_facet_can_be_prepared(connection: Connection, facet: Facet[Any]) -> None:
    for number, text in enumerate(dict.fromkeys(texts(facet))):
        await connection.execute(f"prepare p{number} as {numbered(text)}".encode())


@each_facet
async def test_bulk_rows_go_into_the_columns_of_the_table(connection: Connection, facet: Facet[Any]) -> None:
    if facet.serial is None:
        async with connection.cursor() as cursor, cursor.copy(STATEMENTS[facet.name].copy) as copy:
            await copy.write(b"")


VIEWS: tuple[Any, ...] = (
    ItemsView(Viewer("u", "w"), NOW, statuses=("active",)),
    *(ItemsView(Viewer("u", "w"), NOW, access, ("active",), descending=False) for access in ("shared", "circuit")),
    ItemsView(
        Viewer("u", "w"), NOW, "all", ("active",), "C", (("k", "v", None), ("k", "v", "n")), "n", "canonical",
        ("format_ok",), "s:v", ("word",), Between(NOW), Between(None, NOW), "updated_at",
    ),
    ItemsView(Viewer("u", "w"), NOW, "circuit", ("active",), "C", words=("word",)),
    ItemsView(Viewer("u", "w"), NOW, "shared", ("active",), "C", sort="updated_at"),
    MembersView("C", "an"),
    MembersView("C", "an", "viewer"),
    PlacementsView("C", ("active", "merged")),
    DirectoryView(NOW, ("word",)),
    ItemsView(Viewer("u", "w"), NOW, statuses=("active",), namespace="o'x\\:*", alias="':\\"),
    EventsView(Viewer("u", "w"), NOW),
    EventsView(Viewer("u", "w"), NOW, dfid="D", by_position=True),
    EventsView(
        Viewer("u", "w"), NOW, "D", ("created",), "c", "public", "C", "u", "w", Between(NOW, NOW), "occurred_at", False
    ),
    ActivityView(Viewer("u", "w"), True),
    ActivityView(Viewer("u", "w"), True, "workspace", None, "u", ("a", "b"), "D", False, Between(NOW, NOW)),
    ActivityView(Viewer("u", "w"), True, "circuits", "C", "u", ("a",), "D", True),
    ActivityTallies(ActivityView(Viewer("u", "w"), True)),
    ActorTotals(Between("2026-03-01", "2026-03-08"), denied=True),
    LastPositionView("u"),
)  # fmt: skip


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: type(view).__name__)
async def test_every_view_runs_and_continues(connection: Connection, view: Any) -> None:
    places = {True: (1,), False: (NOW, "x")}
    place = ("2026-03-01", "x") if isinstance(view, ActivityTallies) else places[getattr(view, "by_position", False)]
    for after in (None, place):
        _, text, parameters = view_query(view, after, 10)
        await connection.execute(text.encode(), parameters)


async def plan(connection: Connection, text: str, parameters: Any) -> str:
    async with connection.transaction():
        await connection.execute("set local enable_seqscan = off")
        cursor = await connection.execute(f"explain {text}".encode(), parameters)
        return "\n".join(line for (line,) in await cursor.fetchall())


@each_facet
async def test_pages_walk_the_declared_index_without_sorting(connection: Connection, facet: Facet[Any]) -> None:
    """Each declared index, with its first column fixed, is walked in its order from wherever a cursor stands."""
    made = STATEMENTS[facet.name]
    await connection.execute("set enable_bitmapscan = off")
    await connection.execute("set enable_sort = off")
    for columns in (facet.key, *facet.indexes):
        for descending in (False, True):
            query = Select({columns[0]: _sample(columns[0])}, columns[1:], descending)
            order = tuple(dict.fromkeys((*query.order, *facet.key)))
            for after in (None, tuple(map(_sample, (*query.order, *facet.key)))):
                shown = await plan(connection, *made.select(query, after, 10))
                assert "Index" in shown, shown
                if columns[-len(facet.key) :] == facet.key or order == columns[1:]:
                    assert "Sort" not in shown, shown


@each_facet
async def test_rows_are_met_by_key_through_an_index(connection: Connection, facet: Facet[Any]) -> None:
    made = STATEMENTS[facet.name]
    arrays: list[Any] = [["a", "b"] for _ in facet.key]
    versions: list[Any] = [*arrays, [1, 1], 2]
    every: dict[str, tuple[str, list[Any]]] = {
        "fetch_one": (made.fetch_one, ["a" for _ in facet.key]),
        "fetch": (made.fetch, arrays),
        "delete": (made.delete, versions),
        "lock": (made.lock, arrays),
    }
    if facet.versioned:
        every["confirm"] = (made.confirm, versions)
    for name, (text, parameters) in every.items():
        shown = await plan(connection, text, parameters)
        assert f"Seq Scan on {facet.name}" not in shown, (name, shown)
        assert "Index Cond" in shown, (name, shown)


HOT_VIEWS = {
    "own items": (ItemsView(Viewer("u", "w"), NOW, statuses=("active",)), "items_by_workspace_id"),
    "events of an item": (EventsView(Viewer("u", "w"), NOW, dfid="D", by_position=True), "events_dfid_position_key"),
    "circuit items": (ItemsView(Viewer("u", "w"), NOW, "circuit", ("active",)), "memberships_by_user_id"),
    "shared items": (ItemsView(Viewer("u", "w"), NOW, "shared", ("active",)), "shares_by_recipient_user_id"),
    "everything viewable": (ItemsView(Viewer("u", "w"), NOW, "all", ("active",)), "items_by_workspace_id"),
    "items of a rare namespace": (
        ItemsView(Viewer("u", "big"), NOW, "own", ("active",), namespace="n"),
        "items_by_words",
    ),
    "items of an alias": (ItemsView(Viewer("u", "big"), NOW, "own", ("active",), alias="s:v"), "items_by_words"),
    "items of a word": (ItemsView(Viewer("u", "big"), NOW, "own", ("active",), words=("w",)), "items_by_words"),
    "the newest items of a word": (
        ItemsView(Viewer("u", "big"), NOW, "own", ("active",), words=("w",)),
        "items_by_workspace_id_created_at_key",
    ),
    "all events": (EventsView(Viewer("u", "w"), NOW), "events_by_author_workspace_id_recorded_at_event_id"),
    "all events by what happened": (
        EventsView(Viewer("u", "w"), NOW, time="occurred_at"),
        "events_by_author_workspace_id_occurred_at_event_id",
    ),
    "public events by others": (EventsView(Viewer("u", "w"), NOW), "foreign_events_by_owner_workspace_id"),
    "direct events": (EventsView(Viewer("u", "w"), NOW), "events_by_recipient_user_id_recorded_at_event_id"),
    "by identifier": (
        ItemsView(Viewer("u", "w"), NOW, "all", ("active",), entries=(("k", "v", None),)),
        "identifier_entries_by_key_lookup_item",
    ),
}


@pytest.mark.parametrize(("view", "index"), HOT_VIEWS.values(), ids=HOT_VIEWS.keys())
async def test_hot_views_start_from_their_index(populated: Connection, view: Any, index: str) -> None:
    _, text, parameters = view_query(view, None, 50)
    shown = await plan(populated, text, parameters)
    assert index in shown, shown
    assert "Seq Scan on items" not in shown and "Seq Scan on events" not in shown, shown


@pytest.fixture
async def populated(connection: Connection) -> Connection:
    """Enough rows that the planner has something to choose from."""
    await connection.execute("""
        insert into items (key, workspace_id, status, created_at, updated_at, profile, version, tokens, body)
            select 'DFID-' || n, 'w' || n % 50, 'active', now() - n * interval '1 s', now(), '["active"]',
            1, '', '{"identifiers": [], "aliases": []}' from generate_series(1, 5000) n;
        insert into items (key, workspace_id, status, created_at, updated_at, profile, version, tokens, body)
            select 'DFID-' || n, 'big', 'active', now() - n * interval '1 s', now(), '["active"]',
            1, '#nbovino', '{"identifiers": [], "aliases": []}' from generate_series(10000, 20000) n;
        insert into shares (share_id, dfid, recipient_user_id, shared_by, created_at, version, body)
            select n::text, 'DFID-' || n, 'u' || n % 100, 'u', now(), 1, '{}' from generate_series(1, 1000) n;
        insert into circuits (circuit_id, owner_id, status, created_at, require_approval_for_pull, listed, tokens,
                version, body)
            select n::text, 'u', 'active', now(), false, false, '', 1, '{}' from generate_series(1, 50) n;
        insert into memberships (circuit_id, user_id, status, joined_at, can_pull, role, can_approve,
                can_manage_members, version, body)
            select (n % 50)::text, 'u' || n, 'active', now(), true, 'viewer', false, false, 1, '{}'
            from generate_series(1, 1000) n;
        insert into placements select (n % 50)::text, 'DFID-' || n, n::text, now(), 'u', false, null, 'w', 1, '{}'
            from generate_series(1, 3000) n;
        insert into identifier_entries select 'DFID-' || n, 'g', 'k', 'v' || n, null, 'w', null, false, '{}'
            from generate_series(1, 5000) n;
        insert into events select n::text, 'DFID-' || n % 500, n, 'created', null, 'public', null, null, 'u',
            'w' || n % 50, now(), now(), null, '{}' from generate_series(1, 5000) n
    """)
    await connection.execute("analyze")
    return connection


async def test_items_are_counted_from_an_index_without_their_rows(populated: Connection) -> None:
    text, parameters = STATEMENTS["items"].count({"workspace_id": "w"}, "profile")
    await populated.execute("vacuum items")
    assert "Index Only Scan using items_by_workspace_id_profile" in await plan(populated, text, parameters)


async def test_two_processes_that_migrate_an_empty_store_at_once_both_succeed_and_one_did_it(
    database_url: str,
) -> None:
    program = (
        "import asyncio, sys; from adapters.postgres.migrations import migrate;"
        " print(len(asyncio.run(migrate(sys.argv[1]))))"
    )
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, database_url], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]
    ended = [await asyncio.to_thread(process.communicate, timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0], ended
    assert sorted(int(out) for out, _ in ended) == [0, len(migrations())]
    applied = await execute(database_url, "select version, name from schema_migrations order by version")
    assert applied == [(migration.version, migration.name) for migration in migrations()]


async def test_migrations_are_numbered_without_gap_and_applied_once(database_url: str) -> None:
    assert [migration.version for migration in migrations()] == list(range(1, len(migrations()) + 1))
    assert await migrate(database_url) == migrations()
    assert await migrate(database_url) == ()


async def test_a_migration_that_fails_leaves_the_schema_before_it(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = migrations()
    broken = attrs.evolve(whole[-1], version=len(whole) + 1, sql="create table half (a int); select 1 / 0")
    monkeypatch.setattr("adapters.postgres.migrations.migrations", lambda: (*whole, broken))
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(database_url)
    assert await execute(database_url, "select max(version), to_regclass('half') from schema_migrations") == [
        (len(whole), None)
    ]

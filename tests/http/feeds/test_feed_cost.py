"""A page of the feed costs the same wherever it lies (platform.md 7, 17)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from adapters.postgres.views import view_query
from domain.ports.views import ActivityView, Viewer

CIRCUITS, EACH, LIMIT = 200, 150, 51
START = datetime(2026, 3, 1, tzinfo=UTC)


async def rows_read(connection: "psycopg.AsyncConnection[Any]", after: Any) -> int:
    """Return how many rows of activity one page reads."""
    _, text, parameters = view_query(ActivityView(Viewer("u", "w"), True), after, LIMIT)
    answer = await (await connection.execute(f"explain (analyze, format json) {text}".encode(), parameters)).fetchone()
    assert answer is not None
    told = answer[0] if not isinstance(answer[0], str | bytes) else json.loads(answer[0])
    return _activity_rows(told[0]["Plan"])


def _activity_rows(plan: Any) -> int:
    own = 0
    if plan.get("Relation Name") == "activity":
        assert "Index" in plan["Node Type"], plan
        own = int(plan["Actual Rows"] * plan["Actual Loops"]) + plan.get("Rows Removed by Filter", 0)
    return own + sum(_activity_rows(each) for each in plan.get("Plans", ()))


@pytest.mark.tampers
async def test_scenario_50_the_first_and_the_last_page_read_as_many_rows_in_one_query(migrated_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(migrated_url, autocommit=True) as connection:
        await connection.execute(
            "insert into activity select c || '-' || n, %s + n * interval '1 s', c::text, 'x', 'other', 'item_pushed',"
            " '{}', '' from generate_series(1, %s) c, generate_series(1, %s) n",
            (START, CIRCUITS, EACH),
        )
        await connection.execute(
            "insert into memberships (circuit_id, user_id, status, joined_at, can_pull, role, can_approve,"
            " can_manage_members, version, body)"
            " select c::text, 'u', 'active', now(), true, 'viewer', false, false, 1, '{}'"
            " from generate_series(1, %s) c",
            (CIRCUITS,),
        )
        await connection.execute("analyze activity")
        await connection.execute("analyze memberships")
        most = CIRCUITS * LIMIT + 2 * LIMIT
        first = await rows_read(connection, None)
        middle = await rows_read(connection, (START + timedelta(seconds=EACH // 2), "~"))
        last = await rows_read(connection, (START + timedelta(seconds=2), "~"))
        assert 0 < last <= most
        assert LIMIT <= middle <= most
        assert LIMIT <= first <= most

"""What is kept for a time only goes after it, some rows at a time (platform.md 3.4; http.md 9; items-events.md 1.9)."""

from datetime import timedelta
from typing import Any

import attrs
import httpx
import pytest

from application import retention
from container import Container
from domain.ports.queries import Select
from domain.ports.schema import (
    IDEMPOTENCY,
    IMPORT_ROWS,
    IMPORTS,
    PASSWORD_RESETS,
    PENDING,
    REFRESH_TOKENS,
    SESSIONS,
    Facet,
)
from tests.http.accounts.conftest import SteppedClock
from tests.http.accounts.test_administration import act, login, operator
from tests.http.accounts.test_api_keys import rows
from tests.http.accounts.test_routes import bearer, register


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)


async def count(container: Container, facet: Facet[Any]) -> int:
    return len(await rows(container, facet))


async def refreshed(client: httpx.AsyncClient, pair: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post("/api/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_used_refresh_tokens_go_seven_days_after_their_use(
    client: httpx.AsyncClient, container: Container, clock: SteppedClock
):
    pair = await register(client)
    for _ in range(5):
        pair = await refreshed(client, pair)
    clock.ahead = timedelta(days=6, hours=23)
    await container.retention().prune()
    assert await count(container, REFRESH_TOKENS) == 6
    clock.ahead = timedelta(days=7, hours=1)
    await container.retention().prune()
    assert await count(container, REFRESH_TOKENS) == 1
    await refreshed(client, pair)


async def test_a_session_goes_with_its_tokens_seven_days_after_its_end(
    client: httpx.AsyncClient, container: Container, clock: SteppedClock
):
    pair = await register(client)
    ended = [await login(client, "ana") for _ in range(5)]
    for each in ended:
        await refreshed(client, each)
        await client.post("/api/auth/logout", headers=bearer(each))
    clock.ahead = timedelta(days=6, hours=23)
    await container.retention().prune()
    assert (await count(container, SESSIONS), await count(container, REFRESH_TOKENS)) == (6, 11)
    clock.ahead = timedelta(days=7, hours=1)
    await container.retention().prune()
    assert (await count(container, SESSIONS), await count(container, REFRESH_TOKENS)) == (1, 1)
    await refreshed(client, pair)
    clock.ahead += timedelta(days=30 + 7, hours=1)
    await container.retention().prune()
    assert (await count(container, SESSIONS), await count(container, REFRESH_TOKENS)) == (0, 0)


async def test_stored_answers_go_when_their_keys_may_be_used_again(
    client: httpx.AsyncClient, container: Container, clock: SteppedClock
):
    headers = bearer(await register(client))
    for number in range(5):
        body = {"identifiers": [{"key": "lote", "value": str(number)}]}
        await client.post("/api/items", json=body, headers=headers | {"idempotency-key": f"make-{number}"})
    clock.ahead = timedelta(hours=23)
    await container.retention().prune()
    assert await count(container, IDEMPOTENCY) == 5
    clock.ahead = timedelta(hours=25)
    await container.retention().prune()
    assert await count(container, IDEMPOTENCY) == 0


async def test_password_resets_that_nobody_can_use_go(
    client: httpx.AsyncClient, container: Container, clock: SteppedClock
):
    root = await operator(client, container)
    for name in ("ana", "bia", "caio"):
        assert (await act(client, root, await register(client, name), "password-reset")).status_code == 201
    clock.ahead = timedelta(days=7)
    await container.retention().prune()
    assert await count(container, PASSWORD_RESETS) == 3
    clock.ahead = timedelta(days=7, hours=2)
    await container.retention().prune()
    assert await count(container, PASSWORD_RESETS) == 0


@pytest.mark.parametrize("import_days", [90, 400])
async def test_closed_records_of_the_queue_go_after_a_year_and_after_the_imports_that_name_them_and_open_ones_stay(
    client: httpx.AsyncClient, container: Container, clock: SteppedClock, import_days: int
):
    kept = max(365, import_days)
    upkeep = attrs.evolve(container.retention(), import_days=import_days)
    headers = bearer(await register(client))
    waiting = []
    for number in range(4):
        body = {"identifiers": [{"key": "sisbov", "value": f"07600000000000{number}x"}], "data": {}}
        parked = await client.post("/api/items?on_problem=queue", json=body, headers=headers)
        waiting.append(parked.json()["pending_id"])
    clock.ahead = timedelta(days=100)
    headers = bearer(await login(client, "ana"))
    for pending_id in waiting[:3]:
        answer = await client.post(
            f"/api/items/pending/{pending_id}/resolve", json={"action": "reject"}, headers=headers
        )
        assert answer.status_code == 200, answer.text
    clock.ahead = timedelta(days=100 + kept - 1)
    await upkeep.prune()
    headers = bearer(await login(client, "ana"))
    path = "/api/items/pending"
    assert (await client.get(f"{path}/{waiting[0]}", headers=headers)).json()["status"] == "rejected"
    clock.ahead = timedelta(days=100 + kept + 1)
    await upkeep.prune()
    assert [row.pending_id for row in await rows(container, PENDING)] == waiting[3:]
    assert (await client.get(f"{path}/{waiting[0]}", headers=bearer(await login(client, "ana")))).status_code == 404


async def test_the_rows_of_an_import_go_after_ninety_days_and_the_import_stays(
    client: httpx.AsyncClient, container: Container, clock: SteppedClock
):
    headers = bearer(await register(client)) | {"content-type": "text/csv"}
    for start in (1, 6):
        lines = [f"0760000000000{number:02d}" for number in range(start, start + 5)]
        answer = await client.post("/api/items/import", content="\n".join(["sisbov", *lines]), headers=headers)
        assert answer.status_code in (200, 201), answer.text
    clock.ahead = timedelta(days=89)
    await container.retention().prune()
    assert await count(container, IMPORT_ROWS) == 10
    clock.ahead = timedelta(days=91)
    await container.retention().prune()
    assert await count(container, IMPORT_ROWS) == 0
    assert [one.counts["created"] for one in await rows(container, IMPORTS)] == [5, 5]
    async with container.storage().read() as reader:
        assert {one.forgotten for one in (await reader.page(IMPORTS, Select())).items} == {True}

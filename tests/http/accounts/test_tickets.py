"""Stream tickets over HTTP (platform.md 3.7, 17)."""

from datetime import timedelta

import httpx
from structlog.testing import capture_logs

from container import Container
from domain.ports.queries import Select
from domain.ports.schema import AUDIT
from tests.http.accounts.conftest import SteppedClock
from tests.http.accounts.test_routes import bearer, problem, register


async def ticket_of(client: httpx.AsyncClient, pair: dict[str, str]) -> str:
    answer = await client.post("/api/notifications/tickets", headers=bearer(pair))
    assert answer.status_code == 201 and answer.headers["cache-control"] == "no-store"
    return str(answer.json()["ticket"])


async def opened(client: httpx.AsyncClient, ticket: str) -> httpx.Response:
    return await client.get("/api/test/stream", params={"ticket": ticket})


async def test_a_ticket_opens_a_stream_for_its_user(client: httpx.AsyncClient):
    ana = await register(client)
    answer = await opened(client, await ticket_of(client, ana))
    assert answer.json() == {"user_id": ana["user"]["user_id"], "key_id": None}


async def test_scenario_47_a_ticket_is_no_good_after_30_seconds_nor_on_a_data_route(
    client: httpx.AsyncClient, clock: SteppedClock
):
    ana = await register(client)
    ticket = await ticket_of(client, ana)
    on_data = await client.get("/api/items", params={"ticket": ticket})
    assert problem(on_data) == (401, "unauthenticated")
    as_bearer = await client.get("/api/auth/profile", headers={"authorization": f"Bearer {ticket}"})
    assert problem(as_bearer) == (401, "unauthenticated")
    clock.ahead += timedelta(seconds=31)
    with capture_logs() as logs:
        assert problem(await opened(client, ticket)) == (401, "token_expired")
    assert [log["event"] for log in logs] == ["http.request"] and ticket not in repr(logs)


async def test_a_ticket_falls_with_its_session_and_an_access_token_is_no_ticket(client: httpx.AsyncClient):
    ana = await register(client)
    ticket = await ticket_of(client, ana)
    await client.post("/api/auth/logout", headers=bearer(ana))
    assert problem(await opened(client, ticket)) == (401, "token_revoked")
    assert problem(await opened(client, ana["access_token"])) == (401, "unauthenticated")


async def test_tickets_that_somebody_else_signed_are_audited(client: httpx.AsyncClient, container: Container):
    head, body, _ = (await ticket_of(client, await register(client))).split(".")
    assert problem(await opened(client, f"{head}.{body}.AAAA")) == (401, "unauthenticated")
    await container.denials().flush()
    async with container.storage().read() as reader:
        (entry,) = (await reader.page(AUDIT, Select({"action": "token.forged"}), limit=9)).items
    assert (entry.resource, entry.count) == ({"kind": "token", "id": "ticket"}, 1)


async def test_tokens_that_somebody_else_signed_are_audited_folded(client: httpx.AsyncClient, container: Container):
    ana = await register(client)
    head, body, _ = ana["access_token"].split(".")
    for _ in range(5):
        forged = await client.get("/api/auth/profile", headers={"authorization": f"Bearer {head}.{body}.AAAA"})
        assert problem(forged) == (401, "unauthenticated")
    garbage = await client.get("/api/auth/profile", headers={"authorization": "Bearer abc"})
    assert problem(garbage) == (401, "unauthenticated")
    await container.denials().flush()
    async with container.storage().read() as reader:
        (entry,) = (await reader.page(AUDIT, Select({"action": "token.forged"}), limit=9)).items
    assert (entry.count, entry.severity, entry.outcome) == (5, "warning", "denied")
    assert entry.personal is not None and entry.personal["address"] == "203.0.113.7"

"""Jobs, configuration and checks, as administrators see them (platform.md 9.1)."""

from datetime import timedelta
from typing import Any

import httpx

from container import Container
from domain.document import Document
from domain.instants import wire
from domain.outbox.values import OutboxRow
from domain.ports.schema import AUDIT, OUTBOX
from tests.http.accounts.conftest import OPTIONS, SteppedClock
from tests.http.accounts.test_administration import operator
from tests.http.accounts.test_api_keys import issue, rows
from tests.http.accounts.test_routes import bearer, problem, register

JOBS = "/api/admin/jobs"


async def leave(container: Container, number: int, kind: str, **members: Any) -> str:
    """Put a job into the outbox."""
    row_id = f"018f3a00-0000-7000-8000-00000000000{number}"
    at = container.clock().now() + timedelta(seconds=number)
    row = OutboxRow(row_id, kind, at, "0" * 32, data=Document(secret="canary"), **members)
    async with container.storage().write() as unit:
        await unit.add(OUTBOX, row)
    return row_id


async def test_jobs_are_listed_without_what_they_carry_and_dead_ones_tried_again(
    client: httpx.AsyncClient, container: Container
):
    root = await operator(client, container)
    waiting = await leave(container, 1, "notify")
    dead = await leave(container, 2, "webhook", status="dead", attempts=12, last_error="timeout")
    held = await leave(container, 3, "notify", lease_until=container.clock().now() + timedelta(minutes=1))

    async def listed(**params: str) -> list[str]:
        answer = await client.get(JOBS, headers=bearer(root), params=params)
        assert "canary" not in answer.text
        return [job["job_id"] for job in answer.json()["items"]]

    assert await listed() == [held, dead, waiting]
    assert await listed(status="running") == [held] and await listed(status="pending") == [waiting]
    assert await listed(status="running,dead") == [job for job in await listed() if job != waiting]
    assert await listed(status="dead") == await listed(kind="webhook") == [dead]
    answer = await client.post(f"{JOBS}/{dead}/retry", headers=bearer(root))
    assert (answer.status_code, answer.json()["status"], answer.json()["attempts"]) == (202, "pending", 0)
    (entry,) = await rows(container, AUDIT, trace_id=answer.headers["x-trace-id"])
    assert entry.action == "job.retried"
    again = await client.post(f"{JOBS}/{dead}/retry", headers=bearer(root))
    assert problem(again) == (409, "job_state") and again.json()["current_status"] == "pending"
    absent = await client.post(f"{JOBS}/018f3a00-0000-7000-8000-0000000000ff/retry", headers=bearer(root))
    assert problem(absent) == (404, "not_found")


async def test_the_configuration_shows_no_secret_and_to_nobody_else(client: httpx.AsyncClient, container: Container):
    root, ana = await operator(client, container), await register(client)
    answer = await client.get("/api/admin/config", headers=bearer(root))
    shown = {one["name"]: (one["value"], one["source"]) for one in answer.json()["variables"]}
    assert shown["JWT_SECRET"][0] == "[set]" and shown["DEFARM_STORAGE"][0] == "memory"
    assert not [secret for secret in (OPTIONS["JWT_SECRET"], OPTIONS["DEFARM_SECRET_KEY"]) if secret in answer.text]
    assert problem(await client.get("/api/admin/config", headers=bearer(ana))) == (403, "admin_required")


async def test_the_doctor_examines_the_running_engine(client: httpx.AsyncClient, container: Container):
    root = await operator(client, container)
    found = (await client.get("/api/admin/doctor", headers=bearer(root))).json()
    assert {check["check"] for check in found["checks"]} >= {"configuration", "secrets", "hashing"}
    assert found["status"] in ("ok", "warn") and all(check["text"] for check in found["checks"])


async def test_the_numbers_of_the_store_are_those_of_what_is_in_it_and_a_minute_old_at_most(
    client: httpx.AsyncClient, container: Container, clock: SteppedClock
):
    root, ana = await operator(client, container), await register(client)
    lot = {"identifiers": [{"key": "lote", "value": "1"}]}
    await client.post("/api/items", json=lot, headers=bearer(ana))
    await client.post("/api/items/local", json=lot, headers=bearer(ana))
    await client.post("/api/circuits", json={"name": "Boi"}, headers=bearer(ana))
    await issue(client, ana, expires_at=wire(clock.now() + timedelta(days=3)))
    await container.statistics().announce()
    numbers = (await client.get("/api/admin/dashboard/stats", headers=bearer(root))).json()
    assert numbers["users"] == {
        "total": 2,
        "active": 2,
        "frozen": 0,
        "erased": 0,
        "admins": 1,
        "new_30d": 2,
        "seen_30d": 1,
    }
    assert numbers["workspaces"] == {"total": 2, "new_30d": 2}
    assert numbers["circuits"] == {"active": 1, "inactive": 0, "archived": 0, "public": 0}
    assert numbers["items"] == {"local": 1, "active": 1, "deprecated": 0, "merged": 0, "split": 0}
    assert numbers["operations"] == {"pending": 0, "oldest_pending_seconds": None}
    assert numbers["api_keys"] == {"active": 1, "expiring_30d": 1} and numbers["webhooks"] == {"pending": 0, "dead": 0}
    assert numbers["storage"]["mode"] == "memory" and len(numbers["instances"]) == 1
    await register(client, "bia")
    again = (await client.get("/api/admin/dashboard/stats", headers=bearer(root))).json()
    assert (again["as_of"], again["users"]["total"]) == (numbers["as_of"], 2)
    clock.ahead += timedelta(seconds=61)
    await container.statistics().count()
    later = (await client.get("/api/admin/dashboard/stats", headers=bearer(root))).json()
    assert later["users"]["total"] == 3 and later["instances"] == []

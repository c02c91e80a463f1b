"""Jobs, configuration and checks, as administrators see them (platform.md 9.1)."""

from datetime import timedelta
from typing import Any

import httpx

from container import Container
from domain.document import Document
from domain.outbox.values import OutboxRow
from domain.ports.schema import AUDIT, OUTBOX
from tests.http.accounts.conftest import OPTIONS
from tests.http.accounts.test_administration import operator
from tests.http.accounts.test_api_keys import rows
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

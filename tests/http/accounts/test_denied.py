"""Who is refused leaves a trace; a key opens no route but those of its scopes (platform.md 1.4, 6.3; http.md 18)."""

from typing import Any

import httpx
import pytest

from adapters.memory.storage import MemoryBackend
from container import Container
from domain.access.principal import Scope
from domain.ports.schema import AUDIT
from entrypoints.http.assembly import engine_routes
from entrypoints.http.routing import Route
from tests.http.accounts.conftest import client_of
from tests.http.accounts.test_api_keys import issue, rows, with_key
from tests.http.accounts.test_routes import bearer, problem, register

ID, DFID = "018f3a00-0000-7000-8000-00000000ffff", "DFID-20250108-000042-94E"


async def denials(container: Container) -> list[Any]:
    await container.denials().flush()
    return list(await rows(container, AUDIT, action="access.denied"))


async def test_scenario_36_requests_for_a_foreign_item_are_one_entry_that_counts_them(
    client: httpx.AsyncClient, container: Container
):
    ana, bia = await register(client), await register(client, "bia")
    made = await client.post("/api/items", json={"identifiers": [{"key": "lote", "value": "1"}]}, headers=bearer(ana))
    dfid = made.json()["dfid"]
    foreign, absent = f"/api/items/{dfid}", f"/api/items/{DFID}"
    for _ in range(100):
        assert (await client.get(foreign, headers=bearer(bia))).status_code == 404
    entries = await denials(container)
    assert len(entries) <= 2 and sum(entry.count for entry in entries) == 100
    (entry, *_) = entries
    assert (entry.reason, entry.details["route"]) == ("not_found", "GET /api/items/{dfid}")
    assert (entry.resource["id"], entry.actor["user_id"]) == (dfid, bia["user"]["user_id"])
    assert (await client.get(absent, headers=bearer(bia))).status_code == 404
    assert sum(entry.count for entry in await denials(container)) == 100


async def test_scenario_36_the_store_is_asked_the_same_for_a_foreign_and_an_absent_item(
    client: httpx.AsyncClient, container: Container, monkeypatch: pytest.MonkeyPatch
):
    ana, bia = await register(client), await register(client, "bia")
    made = await client.post("/api/items", json={"identifiers": [{"key": "lote", "value": "1"}]}, headers=bearer(ana))
    calls: list[tuple[str, str]] = []

    def noted(verb: str) -> None:
        asked = getattr(MemoryBackend, verb)

        async def ask(self: Any, what: Any, *rest: Any) -> Any:
            calls.append((verb, getattr(what, "name", type(what).__name__)))
            return await asked(self, what, *rest)

        monkeypatch.setattr(MemoryBackend, verb, ask)

    for verb in ("fetch", "fetch_each", "select", "count", "view"):
        noted(verb)
    commits: list[int] = []
    committed = MemoryBackend.commit

    async def commit(self: Any, changes: Any) -> None:
        commits.append(1)
        await committed(self, changes)

    monkeypatch.setattr(MemoryBackend, "commit", commit)
    told = []
    for dfid in (made.json()["dfid"], DFID):
        calls.clear()
        assert (await client.get(f"/api/items/{dfid}", headers=bearer(bia))).status_code == 404
        told.append(list(calls))
    assert told[0] == told[1] != [] and not commits


async def test_what_a_rule_refuses_is_in_the_audit_once(client: httpx.AsyncClient, container: Container):
    ana = await register(client)
    assert problem(await client.get("/api/admin/users", headers=bearer(ana))) == (403, "admin_required")
    wrong = {"current_password": "wrong", "new_password": "nine white cows rest"}
    assert problem(await client.put("/api/auth/password", json=wrong, headers=bearer(ana))) == (403, "password_wrong")
    circuit = (await client.post("/api/circuits", json={"name": "Boi"}, headers=bearer(ana))).json()["circuit_id"]
    bia = await register(client, "bia")
    assert (await client.get(f"/api/circuits/{circuit}", headers=bearer(bia))).status_code == 404
    told = {(entry.reason, entry.resource["kind"], entry.resource["id"]) for entry in await denials(container)}
    assert told == {("admin_required", "route", "admin_user_list"), ("not_found", "circuit", circuit)}


async def test_law_2_a_key_opens_the_routes_of_its_scopes_and_no_other(client: httpx.AsyncClient, container: Container):
    """Every route of the engine, with a key of every scope but its own."""
    ana = await register(client)
    scopes = sorted(scope.value for scope in Scope if not scope.startswith("admin:"))
    keys = {scope: (await issue(client, ana, *(set(scopes) - {scope})))["secret"] for scope in scopes}
    every = (await issue(client, ana, *scopes))["secret"]
    wrong = []
    async with client_of(container, "203.0.113.8") as made:
        for route in engine_routes(container):
            if not route.public and not route.any_credential:
                secret = keys.get(route.scope or "", every)
                answer = await made.request(route.method, _path(route), headers=with_key(secret))
                if (answer.status_code, answer.json().get("code")) != (403, _expected(route)):
                    wrong.append(f"{route.operation_id}: {answer.status_code} {answer.text}")
    assert not wrong, "\n".join(wrong)


def _expected(route: Route) -> str:
    return "session_required" if route.session else "scope_missing"


def _path(route: Route) -> str:
    return route.path.format_map({name: DFID if kind == "dfid" else ID for name, kind in route.parameters.items()})

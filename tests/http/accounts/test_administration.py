"""Accounts and workspaces as administrators manage them (platform.md 9.1, 9.2, 17)."""

import asyncio
import gzip
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from application.accounts.values import NewAdministrator
from container import Container
from domain.access.principal import system
from domain.audit.record import entry_hash
from domain.ports.queries import Select
from domain.ports.schema import AUDIT, FACETS, NOTIFICATIONS, REPORT_CHUNKS
from tests.http.accounts.conftest import SteppedClock, client_of
from tests.http.accounts.test_api_keys import issue, join, rows, with_key
from tests.http.accounts.test_routes import PASSWORD, bearer, problem, register

USERS = "/api/admin/users"


async def login(client: httpx.AsyncClient, name: str) -> dict[str, Any]:
    answer = await client.post("/api/auth/login", json={"username": name, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def operator(client: httpx.AsyncClient, container: Container, name: str = "root") -> dict[str, Any]:
    """Sign in as an administrator made by the command line."""
    request = NewAdministrator(username=name, email=f"{name}@example.com", password=PASSWORD)
    await container.accounts().registrations.create_admin(system(), request)
    return await login(client, name)


def of(pair: dict[str, Any]) -> str:
    return f"{USERS}/{pair['user']['user_id']}"


async def act(
    client: httpx.AsyncClient, admin: dict[str, Any], pair: dict[str, Any], verb: str, **body: Any
) -> httpx.Response:
    return await client.post(f"{of(pair)}/{verb}", json=body, headers=bearer(admin))


async def test_accounts_are_found_by_what_administrators_know_of_them(client: httpx.AsyncClient, container: Container):
    root = await operator(client, container)
    ana, bia = await register(client), await register(client, "bia")
    await act(client, root, bia, "freeze", reason="left")

    async def named(**params: Any) -> list[str]:
        answer = await client.get(USERS, headers=bearer(root), params=params)
        assert answer.status_code == 200, answer.text
        return [user["username"] for user in answer.json()["items"]]

    assert await named() == ["bia", "ana", "root"]
    assert await named(username="AN") == await named(email="Ana@") == ["ana"]
    assert await named(status="frozen") == ["bia"] and await named(status="active") == ["ana", "root"]
    assert await named(status="active,frozen") == await named()
    assert await named(is_admin="true") == ["root"]
    assert await named(workspace_id=ana["workspace"]["workspace_id"]) == ["ana"]
    created = (await client.get(of(ana), headers=bearer(root))).json()["created_at"]
    assert await named(created_from=created) == ["bia", "ana"] and await named(created_to=created) == ["root"]
    refused = await client.get(USERS, headers=bearer(ana))
    assert problem(refused) == (403, "admin_required")


async def test_an_account_is_told_with_what_it_has(client: httpx.AsyncClient, container: Container):
    root, ana = await operator(client, container), await register(client)
    await client.post("/api/items", json={"identifiers": [{"key": "lote", "value": "1"}]}, headers=bearer(ana))
    await client.post("/api/circuits", json={"name": "Boi"}, headers=bearer(ana))
    await issue(client, ana)
    answer = await client.get(of(ana), headers=bearer(root))
    user = answer.json()
    assert user["counts"] == {
        "items": 1,
        "circuits_owned": 1,
        "memberships": 1,
        "active_sessions": 1,
        "active_keys": 1,
    }
    assert user["email"] == "ana@example.com" and answer.headers["etag"].startswith('"1-')
    assert not {"password_hash", "token_epoch", "locale", "muted"} & set(user)
    sessions = await client.get(f"{of(ana)}/sessions", headers=bearer(root))
    assert [session["current"] for session in sessions.json()["items"]] == [False]
    assert problem(await client.get(f"{USERS}/{'0' * 8}-0000-7000-8000-{'0' * 12}", headers=bearer(root))) == (
        404,
        "not_found",
    )


async def test_an_account_without_a_password_gets_one_by_its_reset_token(
    client: httpx.AsyncClient, container: Container
):
    root, ana = await operator(client, container), await register(client)
    body = {"username": "bia", "email": "bia@example.com", "workspace_id": ana["workspace"]["workspace_id"]}
    answer = await client.post(USERS, json=body, headers=bearer(root))
    made = answer.json()
    assert answer.status_code == 201 and answer.headers["location"] == f"{USERS}/{made['user']['user_id']}"
    assert made["user"]["workspace_role"] == "member"
    await client.post("/api/auth/password/reset", json={"reset_token": made["reset_token"], "new_password": PASSWORD})
    assert (await login(client, "bia"))["workspace"] == ana["workspace"]
    own = await client.post(
        USERS,
        json={"username": "cid", "email": "cid@example.com", "password": PASSWORD, "is_admin": True},
        headers=bearer(root),
    )
    assert own.json()["reset_token"] is None and own.json()["user"]["workspace_role"] == "manager"
    assert (await client.get(USERS, headers=bearer(await login(client, "cid")))).status_code == 200
    taken = await client.post(USERS, json={"username": "ANA", "email": "x@example.com"}, headers=bearer(root))
    assert problem(taken) == (409, "account_exists")
    wrong = {"username": "dan", "email": "xxx", "workspace_name": "x", "workspace_role": "member"}
    faults = await client.post(USERS, json=body | wrong, headers=bearer(root))
    assert {fault["pointer"] for fault in faults.json()["errors"]} == {"/email", "/workspace_name"}
    absent = await client.post(
        USERS,
        json={"username": "dan", "email": "dan@example.com", "workspace_id": ana["user"]["user_id"]},
        headers=bearer(root),
    )
    assert absent.json()["errors"][0]["pointer"] == "/workspace_id"


async def test_a_change_is_one_entry_in_the_audit_and_told_to_the_user(client: httpx.AsyncClient, container: Container):
    root, ana = await operator(client, container), await register(client)
    bia = await join(client, ana, "bia")
    body = {"is_admin": True, "workspace_role": "manager", "email": "Bia.New@example.com"}
    version = {"if-match": (await client.get(of(bia), headers=bearer(root))).headers["etag"]}
    answer = await client.patch(of(bia), json=body, headers=bearer(root) | version)
    assert answer.status_code == 200, answer.text
    assert answer.json()["is_admin"] and answer.json()["email"] == "Bia.New@example.com"
    trace = answer.headers["x-trace-id"]
    (entry,) = await rows(container, AUDIT, trace_id=trace)
    assert (entry.action, entry.severity) == ("account.admin_granted", "warning")
    assert "Bia.New" not in str(entry.details) and entry.details["changed"] == ("email",)
    told = {row.type: row.data for row in await rows(container, NOTIFICATIONS, user_id=bia["user"]["user_id"])}
    assert told["workspace_role_changed"]["new"] == "manager"
    assert told["account_updated"]["changed"] == ("email", "is_admin")
    assert problem(await client.get("/api/auth/profile", headers=bearer(bia))) == (401, "token_revoked")
    stale = await client.patch(of(bia), json={"is_admin": False}, headers=bearer(root) | version)
    assert problem(stale) == (412, "version_mismatch")
    own = await client.patch(of(root), json={"is_admin": False}, headers=bearer(root) | {"if-match": '"2"'})
    assert problem(own) == (409, "self_forbidden")


async def test_scenario_11_a_frozen_user_is_refused_by_every_instance_at_once(
    client: httpx.AsyncClient, container: Container
):
    root, ana = await operator(client, container), await register(client)
    key = with_key((await issue(client, ana))["secret"])
    async with client_of(container, "198.51.100.4") as other:
        frozen = await act(other, root, ana, "freeze", reason="stolen telephone")
        again = await act(other, root, ana, "freeze", reason="again")
    assert frozen.json()["frozen_reason"] == "stolen telephone" and again.json() == frozen.json()
    assert problem(await client.get("/api/auth/profile", headers=bearer(ana))) == (401, "token_revoked")
    refresh = await client.post("/api/auth/refresh", json={"refresh_token": ana["refresh_token"]})
    assert problem(refresh) == (401, "refresh_invalid")
    assert problem(await client.get("/api/items", headers=key)) == (401, "unauthenticated")
    assert problem(await act(client, root, ana, "password-reset")) == (409, "account_not_active")
    assert (await act(client, root, ana, "unfreeze")).json()["status"] == "active"
    assert (await client.get("/api/items", headers=key)).status_code == 200
    assert problem(await client.get("/api/auth/profile", headers=bearer(ana))) == (401, "token_revoked")
    assert (await client.get("/api/auth/profile", headers=bearer(await login(client, "ana")))).status_code == 200


async def test_an_administrator_ends_all_sessions_of_a_user(client: httpx.AsyncClient, container: Container):
    root, ana = await operator(client, container), await register(client)
    assert (await act(client, root, ana, "logout-all")).status_code == 204
    assert problem(await client.get("/api/auth/profile", headers=bearer(ana))) == (401, "token_revoked")
    assert (await act(client, root, ana, "password-reset")).json()["secret"].startswith("dfp_")


async def test_scenario_19_of_two_administrators_who_demote_each_other_one_stays(
    client: httpx.AsyncClient, container: Container
):
    one, two = await operator(client, container), await operator(client, container, "toor")
    demote = {"json": {"is_admin": False}}
    answers = await asyncio.gather(
        client.patch(of(two), headers=bearer(one) | {"if-match": '"2"'}, **demote),
        client.patch(of(one), headers=bearer(two) | {"if-match": '"2"'}, **demote),
    )
    assert sorted(answer.status_code for answer in answers) in ([200, 401], [200, 409])
    assert len(await container.accounts().administration.administrators()) == 1


async def test_scenario_20_the_only_administrator_neither_freezes_nor_demotes_themself(
    client: httpx.AsyncClient, container: Container
):
    root = await operator(client, container)
    assert problem(await act(client, root, root, "freeze", reason="tired")) == (409, "self_forbidden")
    headers = bearer(root) | {"if-match": '"2"'}
    assert problem(await client.patch(of(root), json={"is_admin": False}, headers=headers)) == (409, "self_forbidden")


async def test_scenario_23_keys_of_a_demoted_administrator_lose_administration_at_once(
    client: httpx.AsyncClient, container: Container
):
    root, two = await operator(client, container), await operator(client, container, "toor")
    secret = (await issue(client, two, "admin:read", "items:read"))["secret"]
    assert (await client.get(USERS, headers=with_key(secret))).status_code == 200
    written = await client.post(f"{of(root)}/logout-all", headers=with_key(secret))
    assert problem(written) == (403, "scope_missing")
    version = (await client.get(of(two), headers=bearer(root))).headers["etag"]
    await client.patch(of(two), json={"is_admin": False}, headers=bearer(root) | {"if-match": version})
    assert problem(await client.get(USERS, headers=with_key(secret))) == (403, "admin_required")
    assert (await client.get("/api/items", headers=with_key(secret))).status_code == 200


async def reported(client: httpx.AsyncClient, container: Container, admin: dict[str, Any], user: dict[str, Any]) -> str:
    """Return the content of reports about a user, and of the trail and of the incidents of these days."""
    while await container.sequencer().drain():
        pass
    now = datetime.now(UTC)
    period = {"period_from": str(now - timedelta(days=1)), "period_to": str(now + timedelta(days=1))}
    about = {"kind": "subject_access", "subject_user_id": user["user"]["user_id"]}
    trail, summary = {"kind": "audit_trail", **period}, {"kind": "incident_summary", **period}
    for who, body in ((admin, about), (user, {"kind": "subject_access"}), (admin, trail), (admin, summary)):
        answer = await client.post("/api/audit/reports", json=body, headers=bearer(who))
        assert answer.status_code == 202, answer.text
    await container.relay().drain()
    return await contents(container)


async def contents(container: Container) -> str:
    """Return the content of all reports."""
    chunks = await rows(container, REPORT_CHUNKS)
    return "".join(gzip.decompress(b64decode(chunk.packed)).decode() for chunk in chunks)


async def test_scenario_38_of_an_erased_user_nothing_personal_is_left(
    client: httpx.AsyncClient, container: Container, clock: SteppedClock
):
    root, ana = (
        await operator(client, container),
        await register(client, "ana-secret", display_name="Ana-Secret", workspace_name="Boa Vista"),
    )
    invited = {"email": "bia@example.com"}
    await client.post("/api/workspace/invitations", json=invited, headers=bearer(ana))
    bia = await join(client, ana, "bia")
    manager = {"if-match": (await client.get(of(bia), headers=bearer(root))).headers["etag"]}
    await client.patch(of(bia), json={"workspace_role": "manager"}, headers=bearer(root) | manager)
    circuit = (await client.post("/api/circuits", json={"name": "Boi"}, headers=bearer(ana))).json()["circuit_id"]
    key = with_key((await issue(client, ana))["secret"])
    async with client_of(container, "198.51.100.77") as farm:
        await farm.post("/api/items", json={"identifiers": [{"key": "lote", "value": "1"}]}, headers=bearer(ana))
        wrong = {"username": "ana-secret@example.com", "password": "x"}
        await farm.post("/api/auth/login", json=wrong)

    kept = await reported(client, container, root, ana)
    assert [text for text in ("ana-secret", "Ana-Secret", "198.51.100.77") if text not in kept] == []

    assert problem(await act(client, root, ana, "erase", reason="asked")) == (409, "not_frozen")
    await act(client, root, ana, "freeze", reason="asked")
    refused = await act(client, root, ana, "erase", reason="asked")
    assert problem(refused) == (409, "owns_circuits") and refused.json()["circuit_ids"] == [circuit]
    await act(client, root, ana, "unfreeze")
    ana_again = await login(client, "ana-secret")
    await client.put(f"/api/circuits/{circuit}/archive", headers=bearer(ana_again))
    await act(client, root, ana, "freeze", reason="asked")
    erased = await act(client, root, ana, "erase", reason="asked to be forgotten")
    assert erased.status_code == 200, erased.text
    assert erased.json()["display_name"] == "erased user" and erased.json()["username"].startswith("erased-")
    await container.relay().drain()
    await container.retention().prune()

    dump = await contents(container)
    async with container.storage().read() as reader:
        for facet in FACETS:
            dump += str((await reader.page(facet, Select(), limit=1000)).items)
    assert [text for text in ("ana-secret", "Ana-Secret", "198.51.100.77") if text in dump] == []
    for entry in await rows(container, AUDIT):
        assert entry.entry_hash == entry_hash(entry)
    left = (await client.get("/api/audit/reports", headers=bearer(root))).json()["items"]
    assert [report["kind"] for report in left] == ["incident_summary", "audit_trail"]
    gone = await client.get(f"/api/audit/reports/{left[1]['report_id']}/content", headers=bearer(root))
    assert problem(gone) == (410, "report_expired")
    assert problem(await client.get("/api/items", headers=key)) == (401, "key_revoked")
    assert problem(await act(client, root, ana, "unfreeze")) == (409, "account_erased")
    assert problem(await act(client, root, ana, "erase", reason="x")) == (409, "account_erased")
    look_up = await client.get("/api/users/by-username/ana-secret", headers=bearer(root))
    assert problem(look_up) == (404, "not_found")
    await register(client, "ana-secret")


async def test_the_workspace_of_an_erased_user_who_was_alone_in_it_is_renamed(
    client: httpx.AsyncClient, container: Container
):
    root, ana = await operator(client, container), await register(client)
    await act(client, root, ana, "freeze", reason="asked")
    erased = (await act(client, root, ana, "erase", reason="asked")).json()
    path = f"/api/admin/workspaces/{ana['workspace']['workspace_id']}"
    assert (await client.get(path, headers=bearer(root))).json()["name"] == erased["username"]


async def test_workspaces_are_made_renamed_and_told_with_what_they_have(
    client: httpx.AsyncClient, container: Container
):
    root, ana = await operator(client, container), await register(client)
    answer = await client.post("/api/admin/workspaces", json={"name": "Boa Vista"}, headers=bearer(root))
    made = answer.json()
    assert answer.status_code == 201 and made["counts"] == {"users": 0, "items": 0, "active_keys": 0}
    assert (await client.get(answer.headers["location"], headers=bearer(root))).json() == made
    body = {"username": "bia", "email": "bia@example.com", "workspace_id": made["workspace_id"]}
    user = (await client.post(USERS, json=body, headers=bearer(root))).json()["user"]
    assert user["workspace_role"] == "manager"
    listed = await client.get("/api/admin/workspaces", headers=bearer(root), params={"name": "boa  V"})
    assert [one["name"] for one in listed.json()["items"]] == ["Boa Vista"]
    taken = await client.post("/api/admin/workspaces", json={"name": "BOA vista"}, headers=bearer(root))
    assert problem(taken) == (409, "workspace_name_taken")
    path = f"/api/admin/workspaces/{ana['workspace']['workspace_id']}"
    assert problem(await client.patch(path, json={"name": "Sol"}, headers=bearer(root))) == (428, "if_match_required")
    renamed = await client.patch(path, json={"name": "Sol"}, headers=bearer(root) | {"if-match": '"1"'})
    assert renamed.json()["name"] == "Sol" and renamed.json()["counts"]["users"] == 1


@pytest.mark.parametrize("verb", ["freeze", "unfreeze", "password-reset", "logout-all", "erase"])
async def test_scenario_33_what_an_administrator_does_is_one_entry_with_the_trace_of_the_answer(
    client: httpx.AsyncClient, container: Container, verb: str
):
    root, ana = await operator(client, container), await register(client)
    if verb in ("unfreeze", "erase"):
        await act(client, root, ana, "freeze", reason="left")
    answer = await act(client, root, ana, verb, **({"reason": "left"} if verb in ("freeze", "erase") else {}))
    assert answer.status_code < 300
    (entry,) = await rows(container, AUDIT, trace_id=answer.headers["x-trace-id"])
    assert entry.actor["user_id"] == root["user"]["user_id"] and entry.resource["id"] == ana["user"]["user_id"]
    absent = await client.post(f"{USERS}/018f3a00-0000-7000-8000-00000000ffff/{verb}", json={}, headers=bearer(root))
    assert not await rows(container, AUDIT, trace_id=absent.headers["x-trace-id"])

"""Accounts over HTTP: what a client of the API sees (platform.md 2, 3, 17; http.md)."""

import time
from statistics import median
from typing import Any

import httpx
import pytest

from adapters.memory.limits import MemoryRateLimiter
from application.passwords import Passwords
from container import Container
from entrypoints.http.openapi import document
from entrypoints.http.routes.accounts import account_routes
from entrypoints.http.routes.workspaces import workspace_routes
from tests.http.accounts.conftest import client_of

PASSWORD = "seven brown oxen graze"
TRIES = 200


def bearer(pair: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {pair['access_token']}"}


async def register(client: httpx.AsyncClient, name: str = "ana", **more: Any) -> dict[str, Any]:
    body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **more}
    answer = await client.post("/api/auth/register", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


async def test_a_registration_answers_a_token_pair_that_opens_the_profile(client: httpx.AsyncClient):
    body = {"username": "Ana.Souza", "email": "Ana@Example.COM", "password": PASSWORD}
    answer = await client.post("/api/auth/register", json=body)
    assert answer.status_code == 201
    assert answer.headers["location"] == "/api/auth/profile"
    assert answer.headers["cache-control"] == "no-store"
    pair = answer.json()
    assert pair["token_type"] == "Bearer" and pair["expires_in"] == 900
    assert pair["user"] == {
        "user_id": pair["user"]["user_id"],
        "username": "ana.souza",
        "display_name": "",
        "is_admin": False,
        "workspace_role": "manager",
    }
    assert pair["workspace"]["name"] == "ana.souza"

    profile = await client.get(answer.headers["location"], headers=bearer(pair))
    assert profile.status_code == 200
    assert profile.json()["email"] == "Ana@example.com"
    assert profile.headers["etag"].startswith('"1-')
    assert not {"password_hash", "token_epoch"} & set(profile.json())


async def test_every_fault_of_a_registration_is_told_at_once_and_nobody_names_an_actor(client: httpx.AsyncClient):
    body = {"username": "a!", "email": "x", "password": "short", "user_id": "b"}
    shape = await client.post("/api/auth/register", json=body)
    assert problem(shape) == (422, "validation_failed")
    assert {fault["pointer"] for fault in shape.json()["errors"]} == {"/username", "/email", "/user_id"}
    policy = await client.post("/api/auth/register", json={"username": "ana", "email": "xxx", "password": "short"})
    assert {(fault["pointer"], fault["code"]) for fault in policy.json()["errors"]} == {
        ("/email", "format"),
        ("/password", "too_short"),
    }


async def test_taken_names_are_refused(client: httpx.AsyncClient):
    await register(client, workspace_name="Boa Vista")
    for body, code in (
        ({"username": "ANA", "email": "other@example.com"}, "account_exists"),
        ({"username": "other", "email": "ANA@example.com"}, "account_exists"),
        ({"username": "bia", "email": "b@example.com", "workspace_name": "BOA   vista"}, "workspace_name_taken"),
    ):
        answer = await client.post("/api/auth/register", json={"password": PASSWORD, **body})
        assert problem(answer) == (409, code)


async def test_login_refresh_and_logout(client: httpx.AsyncClient):
    await register(client)
    wrong = await client.post("/api/auth/login", json={"username": "ana", "password": "wrong"})
    assert problem(wrong) == (401, "login_failed")
    answer = await client.post("/api/auth/login", json={"username": "ANA@example.com", "password": PASSWORD})
    assert answer.status_code == 200
    pair = answer.json()
    fresh = await client.post("/api/auth/refresh", json={"refresh_token": pair["refresh_token"]})
    assert fresh.status_code == 200 and fresh.json()["session_id"] == pair["session_id"]
    listed = await client.get("/api/auth/sessions", headers=bearer(pair), params={"limit": 1})
    assert len(listed.json()["items"]) == 1 and listed.json()["next_cursor"]
    rest = await client.get(
        "/api/auth/sessions", headers=bearer(pair), params={"limit": 1, "cursor": listed.json()["next_cursor"]}
    )
    sessions = [*listed.json()["items"], *rest.json()["items"]]
    assert [session["current"] for session in sessions] == [True, False]
    assert (await client.post("/api/auth/logout", headers=bearer(pair))).status_code == 204
    assert problem(await client.get("/api/auth/profile", headers=bearer(pair))) == (401, "token_revoked")


async def test_a_session_of_somebody_else_is_not_found(client: httpx.AsyncClient):
    ana, bia = await register(client), await register(client, "bia")
    answer = await client.delete(f"/api/auth/sessions/{ana['session_id']}", headers=bearer(bia))
    assert problem(answer) == (404, "not_found")
    assert (await client.get("/api/auth/profile", headers=bearer(ana))).status_code == 200


@pytest.mark.parametrize("token", ["x", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", "é", "x" * 5000])
async def test_garbage_is_no_credential(client: httpx.AsyncClient, token: str):
    answer = await client.get("/api/auth/profile", headers={"authorization": f"Bearer {token}".encode("latin-1")})
    assert problem(answer) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_an_api_key_is_no_credential_before_there_are_any(client: httpx.AsyncClient):
    answer = await client.get("/api/auth/profile", headers={"x-api-key": "dfm_" + "0" * 40 + "2NB7do"})
    assert problem(answer) == (401, "unauthenticated")


async def test_a_profile_changes_under_its_tag_only_and_an_email_needs_the_password(client: httpx.AsyncClient):
    me = bearer(await register(client))
    patch = {"display_name": "Ana", "locale": "pt_br"}
    assert problem(await client.patch("/api/auth/profile", headers=me, json=patch)) == (428, "if_match_required")
    stale = await client.patch("/api/auth/profile", headers=me | {"if-match": '"9"'}, json=patch)
    assert problem(stale) == (412, "version_mismatch")
    done = await client.patch("/api/auth/profile", headers=me | {"if-match": '"1"'}, json=patch)
    assert done.status_code == 200 and done.json()["display_name"] == "Ana" and done.json()["version"] == 2
    tagged = me | {"if-match": done.headers["etag"]}
    bare = await client.patch("/api/auth/profile", headers=tagged, json={"email": "new@example.com"})
    assert problem(bare) == (422, "validation_failed")
    wrong = {"email": "new@example.com", "current_password": "wrong"}
    assert problem(await client.patch("/api/auth/profile", headers=tagged, json=wrong)) == (403, "password_wrong")
    right = {"email": "new@example.com", "current_password": PASSWORD}
    assert (await client.patch("/api/auth/profile", headers=tagged, json=right)).json()["email"] == "new@example.com"


async def test_a_workspace_is_its_members(client: httpx.AsyncClient):
    ana = await register(client, workspace_name="Boa Vista")
    invited = await client.post("/api/workspace/invitations", headers=bearer(ana), json={"email": "bia@example.com"})
    assert invited.status_code == 201 and invited.headers["cache-control"] == "no-store"
    same = await client.get(invited.headers["location"], headers=bearer(ana))
    assert same.json() == invited.json()["invitation"] and "token_hash" not in same.json()
    bia = await register(client, "bia", invitation_token=invited.json()["secret"])

    space = await client.get("/api/workspace", headers=bearer(bia))
    assert space.json()["member_count"] == 2
    seen_by_bia = (await client.get("/api/workspace/members", headers=bearer(bia))).json()["items"]
    seen_by_ana = (await client.get("/api/workspace/members", headers=bearer(ana))).json()["items"]
    assert [member["email"] for member in seen_by_bia] == [None, None]
    assert [member["email"] for member in seen_by_ana] == ["bia@example.com", "ana@example.com"]

    path = f"/api/workspace/members/{bia['user']['user_id']}"
    own = f"/api/workspace/members/{ana['user']['user_id']}"
    assert problem(await client.post(f"{own}/freeze", headers=bearer(bia), json={"reason": "x"})) == (
        403,
        "manager_required",
    )
    assert problem(await client.post(f"{own}/freeze", headers=bearer(ana), json={"reason": "x"})) == (
        409,
        "self_forbidden",
    )
    version = (await client.get("/api/auth/profile", headers=bearer(ana))).headers["etag"]
    demoted = await client.patch(own, headers=bearer(ana) | {"if-match": version}, json={"workspace_role": "member"})
    assert problem(demoted) == (409, "last_manager")
    frozen = await client.post(f"{path}/freeze", headers=bearer(ana), json={"reason": "left"})
    assert frozen.status_code == 200 and frozen.json()["status"] == "frozen"
    assert problem(await client.get("/api/workspace", headers=bearer(bia))) == (401, "token_revoked")
    login = await client.post("/api/auth/login", json={"username": "bia", "password": PASSWORD})
    assert problem(login) == (403, "account_frozen")
    assert problem(await client.get("/api/users/by-username/bia", headers=bearer(ana))) == (404, "not_found")
    assert (await client.post(f"{path}/unfreeze", headers=bearer(ana))).status_code == 200
    found = await client.get("/api/users/by-username/BIA", headers=bearer(ana))
    assert found.json()["workspace"]["name"] == "Boa Vista" and "email" not in found.json()


async def test_21_a_manager_freezes_neither_administrators_nor_strangers(
    client: httpx.AsyncClient, container: Container
):
    token = await container.accounts().registrations.setup_token()
    body = {"setup_token": token, "username": "root", "email": "root@example.com", "password": PASSWORD}
    root = (await client.post("/api/auth/setup", json=body)).json()
    secret = (
        await client.post("/api/workspace/invitations", headers=bearer(root), json={"workspace_role": "manager"})
    ).json()["secret"]
    manager, stranger = await register(client, "bia", invitation_token=secret), await register(client, "cid")
    for user, answer in ((root, (403, "admin_required")), (stranger, (404, "not_found"))):
        path = f"/api/workspace/members/{user['user']['user_id']}/freeze"
        assert problem(await client.post(path, headers=bearer(manager), json={"reason": "x"})) == answer


async def test_setup_is_done_once(client: httpx.AsyncClient, container: Container):
    token = await container.accounts().registrations.setup_token()
    body = {"setup_token": token, "username": "root", "email": "root@example.com", "password": PASSWORD}
    wrong = await client.post("/api/auth/setup", json=body | {"setup_token": "dfs_wrong"})
    assert problem(wrong) == (401, "setup_invalid")
    assert (await client.post("/api/auth/setup", json=body)).status_code == 201
    assert problem(await client.post("/api/auth/setup", json=body)) == (409, "setup_done")


async def test_scenario_5_over_http_a_known_name_and_an_unknown_one_cannot_be_told_apart(container: Container):
    """Not by status, headers or body, and not by the median of the times of tries that take turns.

    Processor time is what a stranger would see on a machine that does nothing else.
    """
    container.limiter.override(MemoryRateLimiter({}))
    # What is small beside a hash of the real size would not be seen: that one is computed is counted.
    container.passwords.override(Passwords(workers=1, queue=8, time_cost=1, memory_kib=1024))
    hashed: list[bool] = []
    took: dict[str, list[float]] = {"known": [], "unknown": []}
    async with client_of(container) as client:
        await register(client, "known")
        container.passwords().observe = lambda seconds: hashed.append(True)
        answers = {}
        for turn in range(TRIES):
            for name in sorted(took, reverse=bool(turn % 2)):
                begun = time.process_time()
                answers[name] = await client.post("/api/auth/login", json={"username": name, "password": "wrong one"})
                took[name].append(time.process_time() - begun)
    assert len(hashed) == 2 * TRIES
    known, unknown = (_comparable(answers[name]) for name in took)
    assert known == unknown and known[0] == 401
    medians = [median(times) for times in took.values()]
    assert max(medians) < 1.2 * min(medians), medians


def _comparable(answer: httpx.Response) -> tuple[int, dict[str, str], dict[str, Any]]:
    told = {name: text for name, text in answer.headers.items() if name not in ("x-request-id", "x-trace-id", "date")}
    return answer.status_code, told, answer.json() | {"trace_id": None}


async def test_ten_wrong_passwords_limit_the_login_with_a_time_to_wait(client: httpx.AsyncClient):
    await register(client)
    for _ in range(10):
        await client.post("/api/auth/login", json={"username": "ana", "password": "wrong"})
    answer = await client.post("/api/auth/login", json={"username": "ana", "password": PASSWORD})
    assert problem(answer) == (429, "login_limited")
    assert int(answer.headers["retry-after"]) >= 1


async def test_every_route_of_accounts_has_its_place_in_the_document(container: Container):
    accounts = container.accounts()
    routes = [*account_routes(accounts), *workspace_routes(accounts)]
    described = document(routes, "1")
    assert len(routes) == sum(len(operations) for operations in described["paths"].values())
    public = {route.path for route in routes if route.public}
    assert public == {f"/api/auth/{name}" for name in ("login", "register", "refresh", "setup", "password/reset")}

"""API keys over HTTP (platform.md 4, 17)."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from dependency_injector import providers

from application.ahead import NOTHING_AHEAD
from application.keys.service import MOST_ACTIVE
from application.secrets import checksum
from application.settings import load
from container import Container, opened
from domain.instants import wire
from domain.ports.queries import Select
from domain.ports.schema import ACTIVITY, AUDIT, KEY_USAGE, NOTIFICATIONS, Facet
from tests.http.accounts.conftest import OPTIONS, SteppedClock, client_of
from tests.http.accounts.test_routes import PASSWORD, bearer, problem, register

ITEM = {"identifiers": [{"key": "sisbov", "value": "076000000000001"}], "data": {}}
WEEK = timedelta(days=7)


def with_key(secret: str) -> dict[str, str]:
    return {"x-api-key": secret}


async def issue(client: httpx.AsyncClient, pair: dict[str, Any], *scopes: str, **more: Any) -> dict[str, Any]:
    body = {"name": "scales", "scopes": list(scopes or ("items:read",)), **more}
    answer = await client.post("/api/api-keys", json=body, headers=bearer(pair))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def rows(container: Container, facet: Facet[Any], **where: Any) -> tuple[Any, ...]:
    async with container.storage().read() as reader:
        return (await reader.page(facet, Select(where), limit=1000)).items


async def join(client: httpx.AsyncClient, manager: dict[str, Any], name: str) -> dict[str, Any]:
    invited = await client.post("/api/workspace/invitations", json={}, headers=bearer(manager))
    return await register(client, name, invitation_token=invited.json()["secret"])


@pytest.fixture
async def other(container: Container, tmp_path: Path, clock: SteppedClock) -> AsyncIterator[httpx.AsyncClient]:
    """A second instance on the same store."""
    second = Container(settings=load({}, options=OPTIONS | {"DEFARM_DATA_DIR": str(tmp_path)}))
    second.memory_storage.override(providers.Object(container.storage()))
    second.clock.override(providers.Object(clock))
    async with opened(second), client_of(second) as made:
        yield made


async def test_a_key_is_shown_once_and_opens_what_its_scopes_name(client: httpx.AsyncClient, container: Container):
    ana = await register(client)
    answer = await client.post(
        "/api/api-keys",
        json={"name": " scales ", "scopes": ["items:write", "items:read"], "allowed_networks": ["203.0.113.9/24"]},
        headers=bearer(ana),
    )
    issued = answer.json()
    key, secret = issued["key"], issued["secret"]
    assert answer.headers["location"] == f"/api/api-keys/{key['key_id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert secret.startswith("dfm_") and key["prefix"] == secret[:12] and len(secret) == 50
    assert (key["status"], key["scopes"], key["name"]) == ("active", ["items:read", "items:write"], "scales")
    assert key["allowed_networks"] == ["203.0.113.0/24"] and key["expires_at"] is not None
    again = await client.get(answer.headers["location"], headers=bearer(ana))
    assert again.json() == key and again.headers["etag"].startswith('"1-') and secret not in again.text
    assert (await client.post("/api/items", json=ITEM, headers=with_key(secret))).status_code == 201
    assert (await client.get("/api/items", headers={"authorization": f"bearer {secret}"})).status_code == 200
    (entry,) = await rows(container, AUDIT, action="item.created")
    assert (entry.actor["kind"], entry.actor["key_id"]) == ("api_key", key["key_id"])
    (told,) = await rows(container, NOTIFICATIONS, type="api_key_created")
    assert told.user_id == ana["user"]["user_id"] and secret not in str(told)
    assert {row.kind for row in await rows(container, ACTIVITY)} >= {"api_key_created"}


async def test_faults_of_a_new_key_are_told_together(client: httpx.AsyncClient):
    ana = await register(client)
    body = {
        "name": "k",
        "scopes": ["items:read"],
        "allowed_networks": ["10.0.0.0/8", "here", "::ffff:10.1.2.3", "10.1.2.3/33"],
        "expires_at": "2020-01-01T00:00:00Z",
    }
    answer = await client.post("/api/api-keys", json=body, headers=bearer(ana))
    assert [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]] == [
        ("/allowed_networks/1", "format"),
        ("/allowed_networks/3", "format"),
        ("/expires_at", "out_of_range"),
    ]
    for wrong in ({"scopes": []}, {"scopes": ["items:all"]}, {"per_minute": 0}, {"created_by": "x"}):
        refused = await client.post("/api/api-keys", json=body | wrong, headers=bearer(ana))
        assert problem(refused) == (422, "validation_failed")


async def test_scenario_22_a_key_lacks_what_it_does_not_name_and_never_manages_keys(client: httpx.AsyncClient):
    ana = await register(client)
    issued = await issue(client, ana, "items:read")
    refused = await client.post("/api/items", json=ITEM, headers=with_key(issued["secret"]))
    assert problem(refused) == (403, "scope_missing") and refused.json()["needed"] == ["items:write"]
    listed = await client.get("/api/api-keys", headers=with_key(issued["secret"]))
    assert problem(listed) == (403, "session_required")


async def test_scenario_23_only_administrators_give_keys_of_administration(
    client: httpx.AsyncClient, container: Container
):
    ana = await register(client)
    wanted = {"name": "k", "scopes": ["admin:read", "items:read"]}
    refused = await client.post("/api/api-keys", json=wanted, headers=bearer(ana))
    assert problem(refused) == (403, "scope_not_held") and refused.json()["needed"] == ["admin:read"]
    key = await issue(client, ana, "items:read")
    headers = bearer(ana) | {"if-match": '"1"'}
    raised = await client.patch(
        f"/api/api-keys/{key['key']['key_id']}", json={"scopes": ["admin:read"]}, headers=headers
    )
    assert problem(raised) == (403, "scope_not_held")


async def test_scenario_24_a_foreign_network_is_refused_whatever_it_forwards(
    client: httpx.AsyncClient, container: Container
):
    ana = await register(client)
    issued = await issue(client, ana, allowed_networks=["203.0.113.0/24", "2001:db8::/32"])
    assert (await client.get("/api/items", headers=with_key(issued["secret"]))).status_code == 200
    async with client_of(container, "198.51.100.4") as outside:
        for forged in ({}, {"x-forwarded-for": "203.0.113.7"}):
            answer = await outside.get("/api/items", headers=with_key(issued["secret"]) | forged)
            assert problem(answer) == (403, "address_not_allowed")
    await container.denials().flush()
    (entry,) = await rows(container, AUDIT, action="api_key.refused")
    assert (entry.reason, entry.count, entry.severity) == ("address_not_allowed", 2, "warning")
    assert entry.resource["id"] == issued["key"]["key_id"]


async def test_scenario_25_a_revoked_key_is_refused_by_every_instance_at_once(
    client: httpx.AsyncClient, other: httpx.AsyncClient
):
    ana = await register(client)
    issued = await issue(client, ana)
    path, headers = f"/api/api-keys/{issued['key']['key_id']}", with_key(issued["secret"])
    assert (await other.get("/api/items", headers=headers)).status_code == 200
    for _ in range(2):
        assert (await client.delete(path, headers=bearer(ana))).status_code == 204
    assert problem(await other.get("/api/items", headers=headers)) == (401, "key_revoked")
    for change in ("rotate", ""):
        send = client.post if change else client.patch
        refused = await send(f"{path}/{change}".rstrip("/"), json={}, headers=bearer(ana) | {"if-match": '"2"'})
        assert problem(refused) == (409, "key_final")


async def test_scenario_26_after_a_rotation_both_secrets_work_for_the_grace(
    client: httpx.AsyncClient, clock: SteppedClock
):
    ana = await register(client)
    issued = await issue(client, ana)
    path = f"/api/api-keys/{issued['key']['key_id']}/rotate"
    rotated = (await client.post(path, json={"grace_seconds": 60}, headers=bearer(ana))).json()
    old, new = issued["secret"], rotated["secret"]
    assert old != new and rotated["key"]["version"] == 2
    for secret in (old, new):
        assert (await client.get("/api/items", headers=with_key(secret))).status_code == 200
    clock.ahead += timedelta(seconds=61)
    assert problem(await client.get("/api/items", headers=with_key(old))) == (401, "unauthenticated")
    assert (await client.get("/api/items", headers=with_key(new))).status_code == 200
    last = (await client.post(path, headers=bearer(ana))).json()["secret"]
    assert problem(await client.get("/api/items", headers=with_key(new))) == (401, "unauthenticated")
    assert (await client.get("/api/items", headers=with_key(last))).status_code == 200


async def test_scenario_27_what_cannot_be_a_key_costs_no_store_access(
    client: httpx.AsyncClient, container: Container, monkeypatch: pytest.MonkeyPatch
):
    ana = await register(client)
    secret = (await issue(client, ana))["secret"]
    other_checksum = secret[:-1] + ("0" if secret[-1] != "0" else "1")

    def untouched() -> None:
        raise AssertionError("the store was asked")

    monkeypatch.setattr(container.key_check().storage, "read", untouched, raising=False)
    for wrong in (secret[:-1], other_checksum, "dfm_" + "é" * 46, "dfi_" + secret[4:], secret + "0"):
        answer = await client.get("/api/items", headers={"authorization": f"Bearer {wrong}".encode("latin-1")})
        assert problem(answer) == (401, "unauthenticated")


async def test_an_unknown_key_is_refused(client: httpx.AsyncClient):
    body = "dfm_" + "z" * 40
    answer = await client.get("/api/items", headers=with_key(body + checksum(body)))
    assert problem(answer) == (401, "unauthenticated")


async def test_an_expired_key_is_refused_and_listed_as_such(client: httpx.AsyncClient, clock: SteppedClock):
    ana = await register(client)
    issued = await issue(client, ana, expires_at=wire(clock.now() + timedelta(minutes=5)))
    clock.ahead += timedelta(minutes=6)
    assert problem(await client.get("/api/items", headers=with_key(issued["secret"]))) == (401, "key_expired")
    listed = await client.get("/api/api-keys", headers=bearer(ana), params={"status": "expired"})
    assert [key["key_id"] for key in listed.json()["items"]] == [issued["key"]["key_id"]]


async def test_keys_of_a_frozen_user_work_again_after_unfreezing(client: httpx.AsyncClient):
    ana = await register(client)
    bia = await join(client, ana, "bia")
    secret = (await issue(client, bia))["secret"]
    path = f"/api/workspace/members/{bia['user']['user_id']}"
    await client.post(f"{path}/freeze", json={"reason": "left"}, headers=bearer(ana))
    assert problem(await client.get("/api/items", headers=with_key(secret))) == (401, "unauthenticated")
    await client.post(f"{path}/unfreeze", headers=bearer(ana))
    assert (await client.get("/api/items", headers=with_key(secret))).status_code == 200


async def test_keys_of_others_are_seen_and_revoked_by_managers_alone(client: httpx.AsyncClient):
    ana, cid = await register(client), await register(client, "cid")
    bia = await join(client, ana, "bia")
    of_ana, of_bia = await issue(client, ana), await issue(client, bia)

    async def listed(pair: dict[str, Any], **params: str) -> set[str]:
        answer = await client.get("/api/api-keys", headers=bearer(pair), params=params)
        return {key["key_id"] for key in answer.json()["items"]}

    both = {of_ana["key"]["key_id"], of_bia["key"]["key_id"]}
    assert await listed(ana) == both and await listed(cid) == set()
    assert await listed(ana, created_by=bia["user"]["user_id"]) == await listed(bia) == {of_bia["key"]["key_id"]}
    assert await listed(bia, created_by=ana["user"]["user_id"]) == set()
    path = f"/api/api-keys/{of_ana['key']['key_id']}"
    for stranger in (bia, cid):
        assert problem(await client.get(path, headers=bearer(stranger))) == (404, "not_found")
        assert problem(await client.delete(path, headers=bearer(stranger))) == (404, "not_found")
    path = f"/api/api-keys/{of_bia['key']['key_id']}"
    changed = await client.patch(path, json={"name": "x"}, headers=bearer(ana) | {"if-match": '"1"'})
    assert problem(changed) == (403, "creator_required")
    assert (await client.delete(path, headers=bearer(ana))).status_code == 204
    assert await listed(ana) == {of_ana["key"]["key_id"]}
    assert await listed(ana, status="revoked,active") == both


async def test_a_change_needs_the_version_and_clears_what_is_null(client: httpx.AsyncClient):
    ana = await register(client)
    issued = await issue(client, ana, per_minute=5, notes="dock 3")
    path = f"/api/api-keys/{issued['key']['key_id']}"
    assert problem(await client.patch(path, json={"name": "x"}, headers=bearer(ana))) == (428, "if_match_required")
    headers = bearer(ana) | {"if-match": '"1"'}
    body = {"per_minute": None, "expires_at": None, "scopes": ["events:read"]}
    answer = await client.patch(path, json=body, headers=headers)
    key = answer.json()
    assert (key["per_minute"], key["expires_at"], key["scopes"], key["notes"]) == (
        None,
        None,
        ["events:read"],
        "dock 3",
    )
    assert problem(await client.patch(path, json={"name": "x"}, headers=headers)) == (412, "version_mismatch")


async def test_a_key_is_held_to_the_limits_of_its_own(client: httpx.AsyncClient):
    ana = await register(client)
    by_minute = (await issue(client, ana, per_minute=2))["secret"]
    by_day = (await issue(client, ana, per_day=1))["secret"]
    answers = [await client.get("/api/items", headers=with_key(by_minute)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["ratelimit-policy"] == '"key";q=2;w=60'
    assert int(answers[2].headers["retry-after"]) >= 1
    assert (await client.get("/api/items", headers=with_key(by_day))).status_code == 200
    daily = await client.get("/api/items", headers=with_key(by_day))
    assert problem(daily) == (429, "rate_limited") and '"key_day";q=1;w=86400' in daily.headers["ratelimit-policy"]
    assert (await client.get("/api/items", headers=bearer(ana))).status_code == 200


async def test_use_is_counted_by_day_and_does_not_change_the_version(
    client: httpx.AsyncClient, container: Container, clock: SteppedClock
):
    ana = await register(client)
    issued = await issue(client, ana, per_minute=3)
    path, headers = f"/api/api-keys/{issued['key']['key_id']}", with_key(issued["secret"])
    for url in ("/api/items", "/api/circuits", "/api/items", "/api/items", "/api/items"):
        await client.get(url, headers=headers)
    await container.key_meter().flush()
    clock.ahead += timedelta(days=1)
    ana = (await client.post("/api/auth/login", json={"username": "ana", "password": PASSWORD})).json()
    await client.get("/api/circuits", headers=headers)
    await container.key_meter().flush()
    usage = (await client.get(f"{path}/usage", headers=bearer(ana))).json()
    assert usage["total"] == {"requests": 6, "errors": 2, "limited": 1}
    assert [(day["requests"], day["errors"], day["limited"]) for day in usage["days"]] == [(1, 1, 0), (5, 1, 1)]
    today = (await client.get(f"{path}/usage", headers=bearer(ana), params={"days": 1})).json()
    assert today["total"]["requests"] == 1
    key = (await client.get(path, headers=bearer(ana))).json()
    assert key["version"] == 1 and key["last_used_at"] is not None
    clock.ahead += timedelta(days=401)
    await container.key_meter().prune()
    assert not await rows(container, KEY_USAGE)


async def test_the_creator_is_told_once_seven_days_before_a_key_expires(
    client: httpx.AsyncClient, container: Container, clock: SteppedClock
):
    ana = await register(client)
    await issue(client, ana, expires_at=wire(clock.now() + 2 * WEEK))
    await issue(client, ana, expires_at=None)
    await issue(client, ana, expires_at=wire(clock.now() + WEEK - timedelta(hours=1)))

    async def told() -> int:
        await container.key_warnings().warn()
        return len(await rows(container, NOTIFICATIONS, type="api_key_expiring"))

    assert await told() == 0
    clock.ahead += WEEK + timedelta(seconds=1)
    assert (await told(), await told()) == (1, 1)


async def test_a_workspace_has_a_bounded_number_of_active_keys(
    client: httpx.AsyncClient, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
):
    """Also when one that has expired is given more time."""
    assert MOST_ACTIVE == 200
    monkeypatch.setattr("application.keys.service.MOST_ACTIVE", 2)
    ana = await register(client)
    first, _ = await issue(client, ana), await issue(client, ana)
    body = {"name": "third", "scopes": ["items:read"]}
    assert problem(await client.post("/api/api-keys", json=body, headers=bearer(ana))) == (409, "quota_reached")
    await client.delete(f"/api/api-keys/{first['key']['key_id']}", headers=bearer(ana))
    assert (await client.post("/api/api-keys", json=body, headers=bearer(ana))).status_code == 201
    third = (await client.get("/api/api-keys", headers=bearer(ana))).json()["items"][0]
    match = {"if-match": f'"{third["version"]}"'}
    soon = {"expires_at": wire(clock.now() + timedelta(seconds=1))}
    path = f"/api/api-keys/{third['key_id']}"
    shorter = await client.patch(path, json=soon, headers=bearer(ana) | match)
    assert shorter.status_code == 200
    clock.ahead += timedelta(seconds=2)
    await issue(client, ana)
    match = {"if-match": shorter.headers["etag"]}
    longer = await client.patch(path, json={"expires_at": None}, headers=bearer(ana) | match)
    assert problem(longer) == (409, "quota_reached")
    renamed = await client.patch(path, json={"name": "old"}, headers=bearer(ana) | match)
    assert renamed.status_code == 200


async def test_a_key_found_under_the_previous_root_key_is_moved_under_the_current_one(
    client: httpx.AsyncClient, container: Container, tmp_path: Path
):
    ana = await register(client)
    secret = (await issue(client, ana))["secret"]
    rotating = {"DEFARM_SECRET_KEY": "another root key of the tests!!!", "DEFARM_DATA_DIR": str(tmp_path)}
    previous = {"DEFARM_SECRET_KEY_PREVIOUS": OPTIONS["DEFARM_SECRET_KEY"]}
    check = container.key_check()
    for options in (previous, {}):
        peppers = Container(settings=load({}, options=OPTIONS | rotating | options)).peppers()
        principal = await attrs.evolve(check, peppers=peppers)(secret, _Line())
        assert principal.user_id == ana["user"]["user_id"]


class _Line:
    address, user_agent, trace_id, ahead = "203.0.113.7", "tests/1", "0" * 32, NOTHING_AHEAD

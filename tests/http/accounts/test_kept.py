"""Answers that are given again: as fresh as the store, for whom they were made, and no longer (decision 31)."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from application.items.service import Items
from container import Container
from domain.access.principal import Principal
from tests.http.accounts.conftest import SteppedClock, client_of
from tests.http.accounts.test_routes import bearer, problem, register

ITEM = {"identifiers": [{"key": "lote", "value": "1"}], "data": {"peso_kg": 1}}


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often the use case was asked for an item since this was asked last."""
    calls: list[str] = []
    plain = Items.get

    async def counted(self: Items, principal: Principal, dfid: str, *rest: Any) -> Any:
        calls.append(dfid)
        return await plain(self, principal, dfid, *rest)

    def since() -> int:
        found = len(calls)
        calls.clear()
        return found

    monkeypatch.setattr(Items, "get", counted)
    return since


async def item_of(client: httpx.AsyncClient, pair: dict[str, Any]) -> str:
    answer = await client.post("/api/items", json=ITEM, headers=bearer(pair))
    assert answer.status_code == 201, answer.text
    return f"/api/items/{answer.json()['dfid']}"


async def test_an_answer_is_made_once_until_its_item_changes(client: httpx.AsyncClient, made: Callable[[], int]):
    ana = await register(client)
    path = await item_of(client, ana)
    answers = [await client.get(path, headers=bearer(ana)) for _ in range(3)]
    assert made() == 1
    assert len({answer.content for answer in answers}) == len({answer.headers["etag"] for answer in answers}) == 1
    assert len({answer.headers["x-trace-id"] for answer in answers}) == 3
    left = [int(answer.headers["ratelimit"].split("r=")[1].split(";")[0]) for answer in answers]
    assert left == [left[0], left[0] - 1, left[0] - 2]
    await client.put(path, json={"data": {"peso_kg": 2}}, headers=bearer(ana) | {"if-match": '"1"'})
    changed = [(await client.get(path, headers=bearer(ana))).json()["data"] for _ in range(2)]
    assert (made(), changed) == (1, [{"peso_kg": 2}, {"peso_kg": 2}])


async def test_who_knows_the_answer_is_told_so_as_long_as_it_is_that(
    client: httpx.AsyncClient, made: Callable[[], int]
):
    ana = await register(client)
    path = await item_of(client, ana)
    knows = bearer(ana) | {"if-none-match": (await client.get(path, headers=bearer(ana))).headers["etag"]}
    answers = [await client.get(path, headers=knows) for _ in range(2)]
    assert [(answer.status_code, answer.content) for answer in answers] == [(304, b"")] * 2
    assert made() == 2
    await client.put(path, json={"data": {"peso_kg": 2}}, headers=bearer(ana) | {"if-match": '"1"'})
    assert (await client.get(path, headers=knows)).json()["data"] == {"peso_kg": 2}


async def test_no_answer_is_given_to_a_session_that_has_ended(client: httpx.AsyncClient, made: Callable[[], int]):
    ana = await register(client)
    path = await item_of(client, ana)
    for _ in range(2):
        assert (await client.get(path, headers=bearer(ana))).status_code == 200
    await client.post("/api/auth/logout", headers=bearer(ana))
    assert problem(await client.get(path, headers=bearer(ana))) == (401, "token_revoked")
    assert made() == 1


async def test_no_answer_is_given_to_a_token_past_its_time(client: httpx.AsyncClient, clock: SteppedClock):
    ana = await register(client)
    path = await item_of(client, ana)
    for _ in range(2):
        assert (await client.get(path, headers=bearer(ana))).status_code == 200
    clock.ahead += timedelta(hours=2)
    assert problem(await client.get(path, headers=bearer(ana))) == (401, "token_expired")


async def test_an_answer_is_for_the_credential_that_it_was_made_for(client: httpx.AsyncClient, made: Callable[[], int]):
    ana, rui = await register(client), await register(client, "rui")
    path = await item_of(client, ana)
    assert (await client.get(path, headers=bearer(ana))).status_code == 200
    assert problem(await client.get(path, headers=bearer(rui))) == (404, "not_found")
    assert problem(await client.get(path)) == (401, "unauthenticated")
    both = bearer(ana) | {"x-api-key": "dfm_" + "a" * 40}
    assert problem(await client.get(path, headers=both)) == (400, "ambiguous_credentials")
    twice = [("authorization", bearer(ana)["authorization"])] * 2
    assert problem(await client.get(path, headers=twice)) == (400, "ambiguous_credentials")


async def test_an_answer_that_rests_on_more_than_rows_read_ahead_is_made_anew(
    client: httpx.AsyncClient, made: Callable[[], int]
):
    ana, rui = await register(client), await register(client, "rui")
    path = await item_of(client, ana)
    circuit = (await client.post("/api/circuits", json={"name": "Novilho"}, headers=bearer(ana))).json()["circuit_id"]
    members = f"/api/circuits/{circuit}/members"
    member = {"member_id": rui["user"]["user_id"], "role": "member"}
    await client.post(members, json=member, headers=bearer(ana))
    await client.post(f"/api/circuits/{circuit}/push/{path.split('/')[-1]}", json={}, headers=bearer(ana))
    for _ in range(2):
        assert (await client.get(path, headers=bearer(rui))).status_code == 200
    assert made() == 2
    for _ in range(2):
        assert (await client.get(f"{path}?include=contributions", headers=bearer(ana))).status_code == 200
    assert made() == 2
    await client.delete(f"{members}/{member['member_id']}", headers=bearer(ana))
    assert problem(await client.get(path, headers=bearer(rui))) == (404, "not_found")


async def test_what_another_instance_changed_is_not_answered_as_before(container: Container, client: httpx.AsyncClient):
    ana = await register(client)
    path = await item_of(client, ana)
    async with client_of(container) as other:
        for weight in range(2, 5):
            etag = (await client.get(path, headers=bearer(ana))).headers["etag"]
            change = {"data": {"peso_kg": weight}}
            assert (await other.put(path, json=change, headers=bearer(ana) | {"if-match": etag})).status_code == 200
            assert (await client.get(path, headers=bearer(ana))).json()["data"] == change["data"]


async def test_two_readers_of_one_item_are_each_shown_what_is_theirs(client: httpx.AsyncClient):
    ana, rui = await register(client), await register(client, "rui")
    path = await item_of(client, ana)
    circuit = (await client.post("/api/circuits", json={"name": "Novilho"}, headers=bearer(ana))).json()["circuit_id"]
    member = {"member_id": rui["user"]["user_id"], "role": "member"}
    await client.post(f"/api/circuits/{circuit}/members", json=member, headers=bearer(ana))
    await client.post(f"/api/circuits/{circuit}/push/{path.split('/')[-1]}", json={}, headers=bearer(ana))
    shown = [(await client.get(path, headers=bearer(who))).json()["created_by"] for who in (rui, ana, rui, ana)]
    assert shown == [None, ana["user"]["user_id"]] * 2

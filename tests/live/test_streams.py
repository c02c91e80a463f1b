"""Notifications as they happen, over real sockets (platform.md 8.4, 8.5, 17)."""

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect

from domain.access.principal import system
from tests.live.conftest import Instance, Start
from tests.servers import PostgresServer, RedisServer

STREAM = "/api/notifications/stream"


async def events(answer: httpx.Response) -> Any:
    """Yield (name, id, data) of the events of a stream."""
    name, position, data = "", None, None
    async for line in answer.aiter_lines():
        field, _, value = line.partition(": ")
        match field:
            case "event":
                name = value
            case "id":
                position = int(value)
            case "data":
                data = json.loads(value)
            case "" if data is not None:
                yield name, position, data
                name, position, data = "", None, None


def socket_of(instance: Instance, token: str, **more: Any) -> Any:
    query = more.pop("query", "")
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return connect(f"ws://{instance.address}/api/notifications/ws{query}", additional_headers=headers | more)


async def heard(link: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next message of a kind."""
    while True:
        message: dict[str, Any] = json.loads(await asyncio.wait_for(link.recv(), 10))
        if message["type"] == kind:
            return message


async def test_scenario_44_a_client_that_is_cut_again_and_again_has_everything_once_and_in_order(start: Start) -> None:
    instance = await start()
    user_id, token = await instance.register("ana")
    telling = asyncio.create_task(instance.tell(user_id, 500))
    seen: list[int] = []
    cuts = 0
    while len(seen) < 500:
        headers = {"authorization": f"Bearer {token}", "last-event-id": str(seen[-1] if seen else 0)}
        async with instance.client.stream("GET", STREAM, headers=headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            until = len(seen) + 25 if cuts < 20 else 500
            async for name, position, data in events(answer):
                if name == "notification":
                    assert data["position"] == position
                    seen.append(position)
                if len(seen) >= min(until, 500):
                    break
        cuts += 1
    await telling
    assert (seen, cuts >= 20) == (list(range(1, 501)), True)


@pytest.mark.parametrize("bus", ["redis", "postgres", "local"])
async def test_scenario_43_what_happens_on_one_instance_is_told_on_the_other(
    start: Start, postgres_server: PostgresServer, redis_server: RedisServer, bus: str
) -> None:
    url = postgres_server.create_migrated_database()
    try:
        options = {"DEFARM_STORAGE": "postgres", "DATABASE_URL": url, "DEFARM_BUS": bus, "DEFARM_DB_POOL_MAX": "3"}
        if bus == "redis":
            options |= {"REDIS_URL": redis_server.url, "USE_REDIS_CACHE": "false"}
        first, second = await start(**options), await start(**options)
        # With the bus cut, the connection finds out by itself, and only then.
        first.container.live().every = 0.5 if bus == "local" else 60.0
        user_id, token = await first.register("ana")
        async with socket_of(first, token) as link, asyncio.timeout(15):
            assert (await heard(link, "hello"))["unread"] == 0
            while await carried(first) != ("off" if bus == "local" else "up"):
                await asyncio.sleep(0.01)
            begun = time.monotonic()
            await second.tell(user_id)
            told = await heard(link, "notification")
            assert bus == "local" or time.monotonic() - begun < 1.0
            assert (told["position"], told["data"]["type"]) == (1, "account_updated")
            assert (await heard(link, "unread_count"))["unread"] == 1
    finally:
        for instance in (first, second):
            await instance.container.crew().stop()
            await instance.container.store_life().aclose()
        postgres_server.drop_database(url)


async def carried(instance: Instance) -> str:
    """Return what an instance says of its bus."""
    return str((await instance.client.get("/health/ready")).json()["checks"]["bus"])


async def test_a_websocket_marks_and_answers_and_tells_the_other_devices(start: Start) -> None:
    instance = await start()
    user_id, token = await instance.register("ana")
    await instance.tell(user_id, 3)
    async with socket_of(instance, token, query="?after_position=1") as one, socket_of(instance, token) as other:
        assert await heard(one, "hello") == {"type": "hello", "position": 1, "unread": 3}
        told = [await heard(one, "notification") for _ in range(2)]
        assert [message["position"] for message in told] == [2, 3]
        ids = [told[0]["data"]["notification_id"]]
        await one.send(json.dumps({"action": "mark_read", "ids": ids, "ref": "a"}))
        assert await heard(one, "ack") == {"type": "ack", "ref": "a"}
        assert (await heard(other, "read"))["notification_ids"] == ids
        await one.send(json.dumps({"action": "mark_all_read", "ref": 2}))
        assert await heard(one, "ack") == {"type": "ack", "ref": 2}
        seen: dict[str, Any] = {}
        while (seen.get("read", {}).get("up_to_position"), seen.get("unread_count", {}).get("unread")) != (3, 0):
            message = json.loads(await asyncio.wait_for(other.recv(), 5))
            seen[message["type"]] = message
        await one.send(json.dumps({"action": "dance", "ref": 3}))
        wrong = await heard(one, "error")
        assert (wrong["ref"], wrong["code"]) == (3, "validation_failed")
        await one.send("nonsense")
        assert (await heard(one, "error"))["code"] == "body_unparsable"
        # No more than the client keeps unread, or it would not hear the server close either.
        for _ in range(10):
            await one.send(json.dumps({"action": "ping"}))
        assert (await heard(one, "error"))["code"] == "rate_limited"


async def test_scenario_47_tickets_open_streams_and_nothing_else_and_origins_are_checked(start: Start) -> None:
    instance = await start()
    _, token = await instance.register("ana")
    bearer = {"authorization": f"Bearer {token}"}
    ticket = (await instance.client.post("/api/notifications/tickets", headers=bearer)).json()["ticket"]
    assert (await instance.client.get(f"/api/notifications?ticket={ticket}")).status_code == 401
    async with socket_of(instance, "", query=f"?ticket={ticket}") as link:
        await heard(link, "hello")
    with pytest.raises(websockets.InvalidStatus) as refused:
        await socket_of(instance, "", query="?ticket=nonsense")
    assert refused.value.response.status_code == 401
    foreign = {"origin": "https://evil.example"}
    with pytest.raises(websockets.InvalidStatus) as refused:
        await socket_of(instance, token, **foreign)
    assert (refused.value.response.status_code, json.loads(refused.value.response.body)["code"]) == (
        403, "origin_not_allowed"
    )  # fmt: skip
    assert (await instance.client.get(STREAM, headers=bearer | foreign)).status_code == 403
    async with socket_of(instance, token, origin=f"http://{instance.address}") as link:
        await heard(link, "hello")


async def test_streams_per_user_are_counted_and_given_back(start: Start) -> None:
    instance = await start(DEFARM_STREAMS_PER_USER="2")
    _, token = await instance.register("ana")
    live = instance.container.live()
    for _ in range(3):
        async with socket_of(instance, token) as one, socket_of(instance, token) as two:
            await heard(one, "hello")
            await heard(two, "hello")
            with pytest.raises(websockets.InvalidStatus) as refused:
                await socket_of(instance, token)
            response = refused.value.response
            assert (response.status_code, json.loads(response.body)["code"]) == (429, "too_many_streams")
        while any(live.counts().values()):
            await asyncio.sleep(0.01)


async def test_scenario_11_a_stream_ends_when_its_session_does(start: Start) -> None:
    instance = await start()
    _, token = await instance.register("ana")
    bearer = {"authorization": f"Bearer {token}"}
    async with socket_of(instance, token) as link, instance.client.stream("GET", STREAM, headers=bearer) as answer:
        await heard(link, "hello")
        told = events(answer)
        assert (await anext(told))[0] == "unread_count"
        assert (await instance.client.post("/api/auth/logout", headers=bearer)).status_code == 204
        assert (await heard(link, "bye"))["reason"] == "token_revoked"
        with pytest.raises(websockets.ConnectionClosed):
            await link.recv()
        assert link.close_code == 4401
        name, _, data = await asyncio.wait_for(anext(told), 5)
        assert (name, data["reason"]) == ("bye", "token_revoked")


async def test_a_stream_ends_at_once_when_its_key_is_revoked_or_an_administrator_signs_its_user_out(
    start: Start,
) -> None:
    instance = await start()
    user_id, token = await instance.register("ana")
    bearer = {"authorization": f"Bearer {token}"}
    wanted = {"name": "scales", "scopes": ["notifications:read"]}
    issued = (await instance.client.post("/api/api-keys", json=wanted, headers=bearer)).json()
    async with socket_of(instance, issued["secret"]) as keyed, socket_of(instance, token) as link:
        await heard(keyed, "hello")
        await heard(link, "hello")
        await instance.client.delete(f"/api/api-keys/{issued['key']['key_id']}", headers=bearer)
        assert (await heard(keyed, "bye"))["reason"] == "key_revoked"
        await instance.container.accounts().administration.logout_all(system(), user_id)
        assert (await heard(link, "bye"))["reason"] == "token_revoked"


async def test_a_shutdown_says_goodbye(start: Start) -> None:
    instance = await start()
    _, token = await instance.register("ana")
    async with socket_of(instance, token) as link:
        await heard(link, "hello")
        instance.container.live().shut()
        assert (await heard(link, "bye"))["reason"] == "shutdown"
        with pytest.raises(websockets.ConnectionClosed):
            await link.recv()
        assert link.close_code == 1001


async def test_scenario_46_who_does_not_read_delays_nobody(start: Start) -> None:
    instance = await start()
    user_id, token = await instance.register("ana")
    reader, writer = await asyncio.open_connection("127.0.0.1", instance.port, limit=1024)
    request = f"GET {STREAM}?after_position=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
    writer.write(request.encode())
    await reader.readline()
    async with socket_of(instance, token) as link:
        await heard(link, "hello")
        begun = time.monotonic()
        await instance.tell(user_id, 200)
        for position in range(1, 201):
            assert (await heard(link, "notification"))["position"] == position
        assert time.monotonic() - begun < 10
    writer.close()

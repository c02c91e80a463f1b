"""What administrators read of the cache, and make it forget (platform.md 9.3)."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import psycopg
from redis import Redis

from domain.ports.queries import Select
from domain.ports.schema import AUDIT
from tests.http.cache.conftest import OPTIONS, Instance, promoted, serving
from tests.servers import RedisServer

STATS = "/api/admin/cache/stats"
ITEMS = "/api/admin/cache/invalidate/items"
CIRCUITS = "/api/admin/cache/invalidate/circuits"


async def stats(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get(STATS)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def made_item(client: httpx.AsyncClient, value: str = "A-1") -> str:
    answer = await client.post("/api/items", json={"identifiers": [{"key": "lote", "value": value}]})
    assert answer.status_code == 201, answer.text
    return f"/api/items/{answer.json()['dfid']}"


async def forgotten_behind_the_engine(url: str, path: str) -> None:
    """Change an item's row in a way that no instance can know of."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(
            'update items set body = replace(body::text, \'"status":"active"\', \'"status":"deprecated"\')::json'
            " where key = %s",
            [path.rpartition("/")[2]],
        )


async def status(instance: Instance, path: str) -> str:
    answer = await instance.client.get(path)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["status"])


async def test_what_the_cache_holds_is_counted_by_kind_for_the_whole_deployment(instances: list[Instance]) -> None:
    first, second = instances
    for number in range(3):
        await made_item(first.client, f"A-{number}")
    await first.client.post("/api/circuits", json={"name": "Novilho"})
    await asyncio.sleep(0.1)
    found = await stats(second.client)
    assert (found["mode"], found["cached_items"], found["cached_circuits"]) == ("redis", 3, 1)
    assert (found["cached_events"], found["cached_memberships"], found["cached_accounts"]) == (3, 1, 1)
    assert found["degraded"] is False and found["degraded_since"] is None
    assert found["redis"]["connected"] and found["redis"]["used_memory_bytes"] > 0
    assert found["pending_invalidations"] == found["mismatches"] == found["errors"] == 0
    assert found["hits"] > 0 and 0 < found["hit_rate"] <= 1


async def test_the_key_space_is_not_walked_for_every_question(instances: list[Instance]) -> None:
    first, _ = instances
    before = await stats(first.client)
    await made_item(first.client)
    after = await stats(first.client)
    assert (after["cached_items"], after["as_of"]) == (before["cached_items"], before["as_of"])
    assert after["hits"] > before["hits"]


async def test_scenario_53_invalidated_items_are_read_from_the_database_on_every_instance(
    instances: list[Instance], migrated_url: str
) -> None:
    path = await made_item(instances[0].client)
    other = await made_item(instances[0].client, "A-2")
    assert [await status(each, path) for each in instances] == ["active", "active"]
    await forgotten_behind_the_engine(migrated_url, path)
    assert [await status(each, path) for each in instances] == ["active", "active"]

    answer = await instances[1].client.post(ITEMS, json={"ids": [other.rpartition("/")[2]]})
    assert answer.json() == {"invalidated": 1, "mode": "redis"}
    assert await status(instances[0], path) == "active"

    answer = await instances[1].client.post(ITEMS)
    assert answer.json() == {"invalidated": 1, "mode": "redis"}
    assert [await status(each, path) for each in instances] == ["deprecated", "deprecated"]


async def test_scenario_53_without_redis_nothing_is_done_and_nothing_stale_comes_back(
    instances: list[Instance], redis: RedisServer
) -> None:
    first, second = instances
    path = await made_item(first.client)
    redis.kill()
    answer = await first.client.post(ITEMS)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await recorded(first) == []
    changed = await first.client.put(path, json={"data": {"peso_kg": 400}}, headers={"If-Match": '"1"'})
    assert changed.status_code == 200, changed.text
    state = await stats(second.client)
    assert state["degraded"] and state["degraded_since"] and state["redis"] == {"connected": False}
    redis.start()
    for each in instances:
        await each.in_use()
        assert (await each.client.get(path)).json()["data"] == {"peso_kg": 400}


async def test_scenario_52_an_erased_event_is_in_no_cache_and_no_export(
    instances: list[Instance], redis: RedisServer
) -> None:
    """Scenario 52 of items-events.md."""
    first, second = instances
    dfid = (await made_item(first.client)).rpartition("/")[2]
    body = {"dfid": dfid, "category": "note", "payload": {"nota": "c4n4ry"}}
    path = (await first.client.post("/api/events", json=body)).headers["location"]
    for each in instances:
        assert (await each.client.get(path)).json()["payload"] == {"nota": "c4n4ry"}
    assert "c4n4ry" in remembered(redis)
    erased = await second.client.post(f"/api/admin/{path.removeprefix('/api/')}/erase", json={"reason": "asked for"})
    assert erased.status_code == 204, erased.text
    assert "c4n4ry" not in remembered(redis)
    for each in instances:
        assert (await each.client.get(path)).json()["payload"] is None
        assert "c4n4ry" not in (await each.client.get(f"/api/events/item/{dfid}/export")).text
        verified = (await each.client.get(f"/api/events/item/{dfid}/verify")).json()
        assert (verified["valid"], verified["erased"]) == (True, 1)
    assert "c4n4ry" not in remembered(redis)


def remembered(redis: RedisServer) -> str:
    """Return everything that the cache holds."""
    with Redis.from_url(redis.url) as client:
        kinds = {key: client.type(key) for key in client.scan_iter()}
        held = [client.hgetall(key) if kind == b"hash" else client.get(key) for key, kind in kinds.items()
                if kind in (b"hash", b"string")]  # fmt: skip
    return repr(held)


async def recorded(instance: Instance) -> list[Any]:
    async with instance.container.storage().read() as reader:
        page = await reader.page(AUDIT, Select({"action": "cache.invalidated"}, ("at", "entry_id")), limit=10)
    return [(entry.resource["id"], entry.details["invalidated"]) for entry in page.items]


async def test_circuits_are_invalidated_with_their_memberships_and_it_is_audited(instances: list[Instance]) -> None:
    first, second = instances
    circuits = [
        (await first.client.post("/api/circuits", json={"name": name})).json()["circuit_id"]
        for name in ("Sul", "Norte")
    ]
    await asyncio.sleep(0.1)
    one = await second.client.post(CIRCUITS, json={"ids": circuits[:1]})
    assert one.json() == {"invalidated": 2, "mode": "redis"}
    rest = await second.client.post(CIRCUITS)
    assert rest.json() == {"invalidated": 2, "mode": "redis"}
    assert sorted(await recorded(first)) == [("circuits", 2), ("circuits", 2)]
    assert (await second.client.get(f"/api/circuits/{circuits[0]}")).status_code == 200


async def test_the_cache_is_for_administrators_and_ids_are_bounded(instances: list[Instance]) -> None:
    first, _ = instances
    too_many = await first.client.post(ITEMS, json={"ids": [f"id-{number}" for number in range(1001)]})
    assert too_many.status_code == 422
    assert (await first.client.post(ITEMS, json={"ids": []})).status_code == 422
    body = {"username": "bia", "email": "bia@example.com", "password": "seven brown oxen graze"}
    token = (await first.client.post("/api/auth/register", json=body)).json()["access_token"]
    first.client.headers["authorization"] = f"Bearer {token}"
    for method, path in (("GET", STATS), ("POST", ITEMS), ("POST", CIRCUITS)):
        answer = await first.client.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (403, "admin_required")


async def test_a_storage_without_a_cache_says_so(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        one = await serving(stack, OPTIONS | {"DEFARM_STORAGE": "memory", "DEFARM_DATA_DIR": str(tmp_path)})
        await promoted(one)
        found = await stats(one.client)
        assert (found["mode"], found["cached_items"], found["degraded"], found["redis"]) == ("none", 0, False, None)
        assert (await one.client.post(ITEMS)).json() == {"invalidated": 0, "mode": "none"}

"""`/metrics`: the names, kinds and labels of platform.md 10.2, on every stack."""

import asyncio
from datetime import UTC, datetime

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from container import Container
from domain.access.principal import system
from domain.ports.schema import SESSIONS
from entrypoints.http.assembly import health_of
from entrypoints.watching import Watcher
from tests.live.conftest import PASSWORD, Instance, Start
from tests.live.test_streams import heard, socket_of
from tests.servers import RedisServer

# fmt: off
SPECIFIED: dict[str, tuple[str, set[str]]] = {
    "http_requests": ("counter", {"method", "route", "status"}),
    "http_request_seconds": ("histogram", {"method", "route"}),
    "http_in_flight": ("gauge", set()),
    "auth_failures": ("counter", {"reason"}),
    "rate_limited": ("counter", {"policy"}),
    "limiter_degraded": ("gauge", set()),
    "password_queue": ("gauge", set()),
    "password_seconds": ("histogram", set()),
    "units": ("counter", {"outcome"}),
    "store_seconds": ("histogram", {"facet", "verb"}),
    "store_errors": ("counter", {"kind"}),
    "pool_connections": ("gauge", {"state"}),
    "pool_waiting": ("gauge", set()),
    "cache_requests": ("counter", {"kind", "result"}),
    "cache_degraded": ("gauge", set()),
    "write_behind_queue": ("gauge", set()),
    "write_behind_lag_seconds": ("gauge", set()),
    "cache_pending_invalidations": ("gauge", set()),
    "outbox_pending": ("gauge", {"kind"}),
    "outbox_oldest_seconds": ("gauge", {"kind"}),
    "outbox_dead": ("gauge", {"kind"}),
    "webhook_deliveries": ("counter", {"result"}),
    "streams": ("gauge", {"transport"}),
    "notification_delivery_seconds": ("histogram", {"transport"}),
    "audit_unsequenced": ("gauge", set()),
    "audit_tree_size": ("gauge", set()),
    "incidents_open": ("gauge", {"severity"}),
    "event_loop_lag_seconds": ("histogram", set()),
    "ready": ("gauge", set()),
    "build_info": ("gauge", {"version", "storage"}),
}
# fmt: on


async def scraped(watcher: Watcher) -> dict[str, Metric]:
    """Return what one look at the metrics tells, by the names of the engine."""
    text = (await watcher.scrape())[1].decode()
    families = text_string_to_metric_families(text)
    return {each.name.removeprefix("defarm_"): each for each in families if each.name.startswith("defarm_")}


def value(family: Metric, ending: str = "", **labels: str) -> float:
    """Return the sum of the samples that carry these labels."""
    found = [each for each in family.samples if each.name == f"{family.name}{ending}"]
    return sum(each.value for each in found if labels.items() <= each.labels.items())


def watcher_of(container: Container) -> Watcher:
    health = health_of(container, datetime.now(UTC))
    health.phase = "ready"
    watcher = Watcher(container, health, container.meter())
    watcher.listen()
    return watcher


@pytest.fixture(params=["memory", "postgres", "redis_cached", "write_through"])
async def instance(
    request: pytest.FixtureRequest, migrated_url: str, redis_server: RedisServer, start: Start
) -> Instance:
    """One instance on each stack."""
    if request.param == "memory":
        return await start()
    redis_server.flush()
    more = {"REDIS_URL": redis_server.url} if request.param == "redis_cached" else {}
    return await start(DEFARM_STORAGE=request.param, DATABASE_URL=migrated_url, DEFARM_REDIS_TIMEOUT="5s", **more)


async def test_every_number_that_is_specified_is_told_on_every_stack_by_its_kind_and_labels(instance: Instance) -> None:
    watcher = watcher_of(instance.container)
    user_id, token = await instance.register("ana")
    async with socket_of(instance, token) as link:
        await heard(link, "hello")
        await instance.tell(user_id)
        await heard(link, "notification")
    found = await scraped(watcher)
    assert {name: family.type for name, family in found.items()} == {
        name: kind for name, (kind, _) in SPECIFIED.items()
    }
    for name, (_, labels) in SPECIFIED.items():
        for sample in found[name].samples:
            assert set(sample.labels) - {"le"} == labels, sample


async def test_streams_are_counted_by_transport_and_how_late_their_news_come(start: Start) -> None:
    instance = await start()
    watcher = watcher_of(instance.container)
    user_id, token = await instance.register("ana")
    await instance.tell(user_id)
    late = "?after_position=0"
    async with socket_of(instance, token, query=late) as one, socket_of(instance, token) as other:
        for link in (one, other):
            await heard(link, "hello")
        await heard(one, "notification")
        assert value((await scraped(watcher))["streams"], transport="websocket") == 2
        await instance.tell(user_id)
        for link in (one, other):
            await heard(link, "notification")
        async with asyncio.timeout(10):
            while value(times := await delivered(watcher), "_count", transport="websocket") < 2:
                await asyncio.sleep(0.01)
        assert value(times, "_count", transport="websocket") == 2, "what was old when the stream began was not late"
        assert value(times, "_sum", transport="websocket") < 2
    async with asyncio.timeout(5):
        while value((await scraped(watcher))["streams"]):
            await asyncio.sleep(0.01)


async def delivered(watcher: Watcher) -> Metric:
    return (await scraped(watcher))["notification_delivery_seconds"]


async def test_incidents_are_counted_while_nobody_has_taken_them_on(instance: Instance) -> None:
    watcher = watcher_of(instance.container)
    user_id, _ = await instance.register("root")
    await instance.container.accounts().administration.set_admin(system(), user_id, True)
    login = await instance.client.post("/api/auth/login", json={"username": "root", "password": PASSWORD})
    headers = {"authorization": f"Bearer {login.json()['access_token']}"}
    for severity in ("high", "high", "low"):
        body = {"title": "A gate stood open", "severity": severity, "category": "other"}
        made = await instance.client.post("/api/audit/incidents", json=body, headers=headers)
        assert made.status_code == 201
    taken = headers | {"if-match": made.headers["etag"]}
    await instance.client.patch(made.headers["location"], json={"status": "acknowledged"}, headers=taken)
    found = (await scraped(watcher))["incidents_open"]
    counts = {each.labels["severity"]: each.value for each in found.samples}
    assert counts == {"low": 0, "medium": 0, "high": 2, "critical": 0}


async def test_reads_of_the_cache_are_counted_by_what_is_read(
    migrated_url: str, redis_server: RedisServer, start: Start
) -> None:
    redis_server.flush()
    options = {"DATABASE_URL": migrated_url, "REDIS_URL": redis_server.url, "DEFARM_REDIS_TIMEOUT": "5s"}
    instance = await start(DEFARM_STORAGE="redis_cached", **options)
    watcher, cache = watcher_of(instance.container), instance.container.cache_control()
    async with asyncio.timeout(10):
        while cache.degraded_since is not None:
            await asyncio.sleep(0.02)
    _, token = await instance.register("ana")

    async def asked_until(result: str, times: int) -> None:
        async with asyncio.timeout(10):
            while cache.tallies().get("session", {}).get(result, 0) < times:
                await instance.client.get("/api/auth/profile", headers={"authorization": f"Bearer {token}"})

    await asked_until("hit", 3)
    await cache.invalidate((SESSIONS,), None)
    await asked_until("fill", 1)
    await asked_until("hit", 4)
    found = (await scraped(watcher))["cache_requests"]
    for kind in ("session", "account"):
        assert value(found, "_total", kind=kind, result="hit") >= 3
    for result in ("miss", "fill"):
        assert value(found, "_total", kind="session", result=result) == 1
        assert value(found, "_total", kind="account", result=result) == 0
    assert value(found, "_total", kind="item") == 0

"""Limits over several server processes (platform.md 5, 17)."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.process import Answer, Served
from tests.servers import RedisServer, redis_server

QUOTA = 100


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server(private=True) as server:
        yield server


@pytest.fixture
def servers(tmp_path: Path, redis: RedisServer) -> Iterator[list[Served]]:
    """Two processes that share nothing but Redis."""
    variables = {
        "DEFARM_STORAGE": "memory",
        "REDIS_URL": redis.url,
        "USE_REDIS_CACHE": "false",
        "DEFARM_REDIS_TIMEOUT": "2s",
        "DEFARM_LIMIT_ANONYMOUS": f"{QUOTA}/minute",
        "DEFARM_CACHE_PREFIX": tmp_path.name[-20:].lower().replace("_", "-"),
    }
    with ExitStack() as stack:
        started = [stack.enter_context(Served(tmp_path / name, **variables)) for name in ("one", "two")]
        yield [server.ready() for server in started]


def knock(server: Served) -> Answer:
    """A public request that is charged to the address."""
    return server.ask("/api/auth/refresh", "POST", {"refresh_token": "none"})


def test_scenario_6_what_shuts_an_address_out_of_a_name_does_so_on_the_other_instance(servers: list[Served]) -> None:
    """Scenario 6 of platform.md, over two processes; counted by name and address, whether the name exists or not."""
    one, two = servers
    account = {"username": "ana", "email": "ana@example.org", "password": "a long enough secret"}
    assert two.ask("/api/auth/register", "POST", account).status == 201
    wrong = {"username": "ana", "password": "a wrong one"}
    assert [one.ask("/api/auth/login", "POST", wrong).body["code"] for _ in range(10)] == ["login_failed"] * 10
    limited = two.ask("/api/auth/login", "POST", wrong | {"password": account["password"]})
    assert (limited.status, limited.body["code"]) == (429, "login_limited")
    assert int(limited.headers["retry-after"]) >= 1
    other = {"username": "beto", "password": "a wrong one"}
    assert two.ask("/api/auth/login", "POST", other).body["code"] == "login_failed"


def test_scenarios_28_and_29_processes_share_a_limit_and_count_alone_without_redis(
    servers: list[Served], redis: RedisServer
):
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(knock, servers * QUOTA))
    statuses = [answer.status for answer in answers]
    assert (statuses.count(401), statuses.count(429)) == (QUOTA, QUOTA)
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.body["code"] == "rate_limited" and int(refused.headers["retry-after"]) >= 1
    assert f'"anonymous";q={QUOTA};w=60' in refused.headers["ratelimit-policy"]
    redis.kill()
    for server in servers:
        begun = time.monotonic()
        passed = next(number for number in count() if knock(server).status == 429)
        # The window slides: when its minute turns, what was counted before begins to lapse, at once by one.
        assert QUOTA <= passed <= QUOTA + 1 + QUOTA * (time.monotonic() - begun) / 60
    assert servers[0].ask("/health/ready").body["checks"]["limiter"] == "degraded"
    assert servers[0].events().count("limiter.degraded") == 1

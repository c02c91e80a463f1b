"""The services of compose.yaml as processes of this machine: one migrates, two serve, and either may die
(platform.md 17)."""

import http.client
import itertools
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.deployment.compose import composition, engine_environment, env_file
from tests.deployment.smoke import smoke
from tests.e2e.process import Served, defarm
from tests.servers import PostgresServer, RedisServer, redis_server

SILENT = {"DEFARM_LIMIT_USER": "off", "DEFARM_LIMIT_ANONYMOUS": "off"}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server(private=True) as server:
        yield server


@pytest.fixture
def services(
    tmp_path: Path, postgres_server: PostgresServer, redis: RedisServer
) -> Iterator[dict[str, dict[str, str]]]:
    """The variables of every service after `defarm init`, the two servers standing at their addresses of here."""
    assert defarm(tmp_path, "init").returncode == 0
    secrets = env_file(tmp_path / ".env")
    parts = composition(secrets)
    (tmp_path / ".env").unlink()
    database = postgres_server.create_database()
    parts["configs"]["database_url"]["content"] = database
    found = {}
    for name in ("migrate", "api1", "api2"):
        folder = tmp_path / f"{name}-files"
        folder.mkdir()
        found[name] = engine_environment(parts, name, secrets, folder) | SILENT
        found[name] |= {"REDIS_URL": redis.url, "HOST": "127.0.0.1", "DEFARM_DATA_DIR": str(folder / "data")}
    yield found
    assert not list(tmp_path.glob("*-files/data")), "nothing is written outside the database"
    postgres_server.drop_database(database)


def _made(api: Served, token: str, number: int) -> str:
    body = {"identifiers": [{"key": "lote", "value": f"A-{number}"}]}
    answer = api.ask("/api/items", "POST", body, authorization=token)
    assert answer.status == 201, answer
    return str(answer.body["dfid"])


def test_scenario_57_either_instance_may_die_and_no_list_shows_a_stale_or_missing_row(
    services: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    migrated = defarm(tmp_path, "migrate", **services["migrate"])
    assert migrated.returncode == 0, migrated.stderr
    with (
        Served(tmp_path / "api1", **services["api1"]) as one,
        Served(tmp_path / "api2", **services["api2"]) as two,
    ):
        turns = itertools.cycle((one.ready(), two.ready()))
        smoke([f"http://127.0.0.1:{api.port}" for api in (one, two)])
        account = {"username": "ana", "email": "ana@example.org", "password": "a long enough secret"}
        registered = next(turns).ask("/api/auth/register", "POST", account)
        token = f"Bearer {registered.body['access_token']}"
        acknowledged = [_made(next(turns), token, number) for number in range(6)]
        assert all(next(turns).ask(f"/api/items/{dfid}", authorization=token).status == 200 for dfid in acknowledged)

        with ThreadPoolExecutor(2) as clients:
            writing = [clients.submit(_writes, api, token, start) for api, start in ((one, 100), (two, 10_000))]
            time.sleep(0.7)
            one.process.kill()
            acknowledged += [dfid for task in writing for dfid in task.result(60)]
        assert one.process.wait(20) != 0
        assert set(acknowledged) <= _listed(two, token)
        assert len(acknowledged) > 40
        assert two.ask("/health/ready").body["checks"]["cache"] in ("up", "degraded")


def _writes(api: Served, token: str, start: int) -> list[str]:
    """Make items one after the other until the instance dies, 40 at most; return those that were acknowledged."""
    done: list[str] = []
    with suppress(OSError, http.client.HTTPException):
        done.extend(_made(api, token, start + number) for number in range(40))
    return done


def _listed(api: Served, token: str) -> set[str]:
    found: set[str] = set()
    path = "/api/items?limit=200"
    while True:
        page: Any = api.ask(path, authorization=token).body
        found |= {item["dfid"] for item in page["items"]}
        if page["next_cursor"] is None:
            return found
        path = f"/api/items?limit=200&cursor={page['next_cursor']}"

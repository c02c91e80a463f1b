"""The services of compose.yaml as processes of this machine: one migrates, two serve, and either may die
(platform.md 17)."""

import http.client
import itertools
import shlex
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis as client

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
def parts(tmp_path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """compose.yaml after `defarm init`, and the secrets."""
    assert defarm(tmp_path, "init").returncode == 0
    secrets = env_file(tmp_path / ".env")
    (tmp_path / ".env").unlink()
    return composition(secrets), secrets


@pytest.fixture
def services(
    parts: tuple[dict[str, Any], dict[str, str]], tmp_path: Path, postgres_server: PostgresServer, redis: RedisServer
) -> Iterator[dict[str, dict[str, str]]]:
    """The variables of every service; the two servers stand at their addresses of here, set up as the file says."""
    composed, secrets = parts
    database = postgres_server.create_database()
    _is_set_up(database, composed["services"]["postgres"]["environment"]["POSTGRES_INITDB_ARGS"])
    _set_up(redis, composed["services"]["redis"]["command"])
    composed["configs"]["database_url"]["content"] = database
    found = {}
    for name in ("migrate", "api1", "api2"):
        folder = tmp_path / f"{name}-files"
        folder.mkdir()
        found[name] = engine_environment(composed, name, secrets, folder) | SILENT
        found[name] |= {"REDIS_URL": redis.url, "HOST": "127.0.0.1", "DEFARM_DATA_DIR": str(folder / "data")}
    yield found
    assert not list(tmp_path.glob("*-files/data")), "nothing is written outside the database"
    postgres_server.drop_database(database)


def _is_set_up(database: str, options: str) -> None:
    """See that a database is like those of a server that was made with these options."""
    wanted = dict(word.removeprefix("--").split("=") for word in shlex.split(options))
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "select pg_encoding_to_char(encoding), datcollate from pg_database where datname = current_database()"
        ).fetchone()
    assert found == (wanted["encoding"], wanted["locale"])


def _set_up(redis: RedisServer, command: list[str]) -> None:
    """Give a running Redis the options of a command."""
    with client.Redis.from_url(redis.url) as link:
        for option, value in zip(command[1::2], command[2::2], strict=True):
            link.config_set(option.removeprefix("--"), value)


def _made(api: Served, token: str, number: int) -> str:
    body = {"identifiers": [{"key": "lote", "value": f"A-{number}"}]}
    answer = api.ask("/api/items", "POST", body, authorization=token)
    assert answer.status == 201, answer
    return str(answer.body["dfid"])


def test_scenario_57_either_instance_may_die_and_no_list_shows_a_stale_or_missing_row(
    parts: tuple[dict[str, Any], dict[str, str]], services: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    composed = parts[0]["services"]
    migrated = defarm(tmp_path, *composed["migrate"]["command"], **services["migrate"])
    assert migrated.returncode == 0, migrated.stderr
    with (
        Served(tmp_path / "api1", **services["api1"]) as one,
        Served(tmp_path / "api2", **services["api2"]) as two,
    ):
        turns = itertools.cycle((one.ready(), two.ready()))
        _, program, *words = composed["api1"]["healthcheck"]["test"]
        assert program == "defarm"
        assert defarm(tmp_path, *words, **services["api1"] | {"PORT": str(one.port)}).returncode == 0
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

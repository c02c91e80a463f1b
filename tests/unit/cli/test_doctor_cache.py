"""Every symptom of docs/migration.md is reproduced here, and `defarm doctor` answers with the words of the guide."""

import asyncio
import json
import re
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import pytest
import redis as client

from domain.ports.schema import MEMBERSHIPS
from tests.coherence.instances import cached_storage, membership
from tests.machines import free_port
from tests.servers import RedisServer, redis_server
from tests.unit.cli.conftest import Defarm

SECRETS = {"JWT_SECRET": "j" * 20 + "wxyzabcdefgh", "DEFARM_SECRET_KEY": "s" * 20 + "abcdefghijkl"}
GUIDE = (Path(__file__).parents[3] / "docs/migration.md").read_text(encoding="utf-8")
Findings = Callable[..., list[dict[str, str]]]
Test = TypeVar("Test", bound=Callable[..., None])

REPRODUCED: set[str] = set()
"""Symptoms of the guide, by how they begin there."""


def reproduces(*symptoms: str) -> Callable[[Test], Test]:
    """Say which symptoms of the guide a test reproduces."""
    REPRODUCED.update(symptoms)
    return lambda test: test


def test_every_symptom_of_the_guide_is_reproduced_here() -> None:
    [table] = re.findall(r"^\| symptom .+\n\|[-|]+\n((?:\|.+\n)+)", GUIDE, re.MULTILINE)
    rows = [line.removeprefix("| ") for line in table.splitlines()]
    told = {begin: [row for row in rows if row.startswith(begin)] for begin in REPRODUCED}
    assert sorted(row for found in told.values() for row in found) == sorted(rows)
    assert all(len(found) == 1 for found in told.values())


@pytest.fixture(scope="module")
def private_redis() -> Iterator[RedisServer]:
    with redis_server(private=True) as server:
        yield server


@pytest.fixture
def redis(private_redis: RedisServer) -> Iterator[RedisServer]:
    """A Redis as a new one is, whatever a test has set."""
    private_redis.flush()
    before = _setting(private_redis, "*")
    yield private_redis
    with client.Redis.from_url(private_redis.url) as link:
        for name in ("maxmemory", "maxmemory-policy", "appendonly"):
            link.config_set(name, before[name])


def _setting(server: RedisServer, name: str, value: str | None = None) -> Any:
    with client.Redis.from_url(server.url) as link:
        return link.config_get(name) if value is None else link.config_set(name, value)


@pytest.fixture
def doctor(defarm: Defarm, migrated_url: str, redis: RedisServer) -> Findings:
    """Run the check of the cache and return what it finds; the time-out is generous, the machine is shared."""

    def call(**variables: str) -> list[dict[str, str]]:
        given = {"DATABASE_URL": migrated_url, "REDIS_URL": redis.url, "DEFARM_REDIS_TIMEOUT": "2s"} | SECRETS
        ended = defarm("doctor", "--only", "cache", "--json", **given | variables)
        found: list[dict[str, str]] = json.loads(ended.out)
        assert ended.code == int(any(each["level"] == "fail" for each in found)), ended
        return found

    return call


def _worst(found: list[dict[str, str]]) -> dict[str, str]:
    worst = max(found, key=lambda each: ("ok", "warn", "fail").index(each["level"]))
    if worst["level"] != "ok":
        assert _told(worst) in GUIDE, f"docs/migration.md does not know: {_told(worst)}"
        assert worst["hint"]
    return worst


def _told(finding: dict[str, str]) -> str:
    """Return the first words of a finding, as the guide has them."""
    return " ".join(re.split(r"[:\d]", finding["text"].lstrip("0123456789 "))[0].split()[:4]).rstrip(".")


def test_a_cache_in_order_is_told_so(doctor: Findings) -> None:
    found = doctor()
    assert _worst(found)["level"] == "ok", found
    assert "found again" in found[-1]["text"]


def test_a_storage_that_uses_no_redis_has_nothing_to_examine(doctor: Findings) -> None:
    assert doctor(REDIS_URL="")[0]["level"] == "ok"
    assert "DEFARM_STORAGE=postgres" in doctor(USE_REDIS_CACHE="false")[0]["text"]


@reproduces('`"cache": "degraded"`')
def test_connection_refused(doctor: Findings) -> None:
    worst = _worst(doctor(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0"))
    assert worst["level"] == "fail" and "connection refused by 127.0.0.1" in worst["text"]
    assert "host and port in REDIS_URL" in worst["hint"]


@reproduces("the same with *… does not accept")
def test_wrong_password(doctor: Findings, redis: RedisServer) -> None:
    _setting(redis, "requirepass", "right")
    try:
        for user_info in ("", ":wrong-secret@"):
            worst = _worst(doctor(REDIS_URL=redis.url.replace("://", f"://{user_info}")))
            assert worst["level"] == "fail" and "password in REDIS_URL" in worst["hint"], worst
            assert "does not accept the user or password" in worst["text"]
            assert "wrong-secret" not in repr(worst)
    finally:
        with client.Redis.from_url(redis.url, password="right") as link:
            link.config_set("requirepass", "")


@reproduces("the same with *… does not answer within")
def test_too_slow_to_answer(doctor: Findings, redis: RedisServer) -> None:
    with redis.paused():
        worst = _worst(doctor(DEFARM_REDIS_TIMEOUT="0.1s"))
    assert worst["level"] == "fail" and "DEFARM_REDIS_TIMEOUT (0.1 s)" in worst["hint"]
    assert "does not answer within 0.1 s" in worst["text"]


@reproduces("keys do not fill, `fills_refused`")
def test_a_policy_that_evicts_marks_and_one_that_refuses_values(doctor: Findings, redis: RedisServer) -> None:
    _setting(redis, "maxmemory-policy", "allkeys-lru")
    assert _worst(doctor())["level"] == "fail"
    _setting(redis, "maxmemory-policy", "noeviction")
    worst = _worst(doctor())
    assert worst["level"] == "warn" and "volatile-lru" in worst["hint"]
    _setting(redis, "maxmemory", "1")
    worst = _worst(doctor())
    assert worst["level"] == "fail" and "volatile-lru" in worst["hint"], worst
    assert "OOM" in worst["text"]


@reproduces("slower than before, `misses` grow", "slower than before, Redis busy")
def test_slower_than_before_because_redis_is_full_or_writes_to_disk(doctor: Findings, redis: RedisServer) -> None:
    with client.Redis.from_url(redis.url) as link:
        used = link.info("memory")["used_memory"]
    _setting(redis, "maxmemory", str(used + 20_000))
    assert any("keys had to go" in each["text"] for each in doctor())
    _setting(redis, "maxmemory", "0")
    _setting(redis, "appendonly", "yes")
    assert "to disk" in _worst(doctor())["text"]


@reproduces("keys do not fill, `misses` only")
def test_keys_do_not_fill_because_instances_reach_different_servers(doctor: Findings, migrated_url: str) -> None:
    with redis_server(private=True) as elsewhere:
        asyncio.run(_opened_once(migrated_url, elsewhere.url))
        worst = _worst(doctor())
    assert worst["level"] == "fail" and "the same REDIS_URL" in worst["hint"]


async def _opened_once(url: str, redis_url: str) -> None:
    storage = await cached_storage(url, redis_url)
    await storage.aclose()


@pytest.mark.tampers
@reproduces("keys vanish again", "writes take 1.3 s once")
def test_keys_do_not_fill_because_somebody_writes_without_redis(
    doctor: Findings, migrated_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = f"redis://127.0.0.1:{free_port()}/0"
    # However long the doctor takes to look, the last of these writes is not long ago.
    monkeypatch.setattr("adapters.caching.rights.QUIET", 600.0)
    first, *later = asyncio.run(_written_without_redis(migrated_url, missing))
    assert min(later) < 1.2 < first
    worst = _worst(doctor())
    assert worst["level"] == "warn" and "an instance without Redis" in worst["hint"], worst
    assert _worst(doctor(REDIS_URL=missing))["level"] == "fail"


async def _written_without_redis(url: str, redis_url: str) -> list[float]:
    """Return how long some writes took, one after the other, after the cache was open."""
    storage = await cached_storage(url, redis_url)
    await storage.rights.ledger.reopen(0, "another life", _ready)
    took = []
    for name in ("one", "two", "three"):
        begun = time.monotonic()
        async with storage.write() as unit:
            await unit.add(MEMBERSHIPS, membership((name, "u")))
        took.append(time.monotonic() - begun)
    await storage.aclose()
    return took


async def _ready() -> bool:
    return True


@reproduces("memory of Redis doubled")
def test_two_releases_on_one_prefix(doctor: Findings, redis: RedisServer) -> None:
    with client.Redis.from_url(redis.url) as link:
        link.set("defarm:0badcafe:item:{0}:1:x", "V a 1 x", px=60_000)
    worst = _worst(doctor())
    assert worst["level"] == "warn" and "DEFARM_CACHE_PREFIX" in worst["hint"]


@reproduces("slower than before |")
def test_slower_than_before_because_redis_is_further_away_than_the_database(
    doctor: Findings, redis: RedisServer
) -> None:
    with _far_away(redis.url, 0.05) as url:
        worst = _worst(doctor(REDIS_URL=url))
    assert worst["level"] == "warn" and "USE_REDIS_CACHE=false" in worst["hint"], worst


@contextmanager
def _far_away(url: str, seconds: float) -> Iterator[str]:
    """Yield the address of a relay to a server that keeps every answer back for a while."""
    there = urlsplit(url)

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection((there.hostname or "", there.port or 0)) as server:
                back = threading.Thread(target=_carried, args=(server, self.request, seconds))
                back.start()
                _carried(self.request, server, 0.0)
                back.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay) as relay:
        relay.daemon_threads = True
        threading.Thread(target=relay.serve_forever, daemon=True).start()
        yield urlunsplit(there._replace(netloc=f"127.0.0.1:{relay.server_address[1]}"))
        relay.shutdown()


def _carried(origin: socket.socket, to: socket.socket, seconds: float) -> None:
    """Carry what comes over, each piece after a while, until one side has had enough."""
    with suppress(OSError):
        while piece := origin.recv(65536):
            time.sleep(seconds)
            to.sendall(piece)
        to.shutdown(socket.SHUT_WR)

"""Every documented setting is booted: an engine with it set answers, and tells no secret (platform.md 11)."""

import base64
import json
import re
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from application.settings import REGISTRY, Settings, describe, load
from container import close, container_of, opened
from entrypoints.http.assembly import assembled, engine_routes, health_of, kernel_of
from entrypoints.http.routes.metrics import metrics_route
from entrypoints.serve import Process
from entrypoints.watching import Watcher
from tests.access.client import call
from tests.servers import PostgresServer, RedisServer

KEY = "canary-key-of-more-than-thirty-two-bytes"
BASE = {
    "DEFARM_STORAGE": "memory",
    "JWT_SECRET": "j" * 40,
    "DEFARM_SECRET_KEY": "s" * 40,
}
NOWHERE = {"DATABASE_URL": "postgresql://canary-user:canary-password@127.0.0.1:1/none", "DEFARM_STORAGE": "postgres"}
CACHED = NOWHERE | {"REDIS_URL": "redis://:canary-password@127.0.0.1:1/0", "DEFARM_STORAGE": "redis_cached"}
CHOSEN = {
    "HOST": "0.0.0.0",
    "PORT": "0",
    "DEFARM_PUBLIC_URL": "https://trace.example.org",
    "DEFARM_DATA_DIR": "elsewhere",
    "DEFARM_CACHE_PREFIX": "farm",
    "DEFARM_INSTANCE_ID": "one",
    "DEFARM_STORE_LABEL": "store of the south",
    "DEFARM_JWT_ISSUER": "issuer",
    "DEFARM_JWT_AUDIENCE": "audience",
    "DEFARM_TRUSTED_PROXIES": "10.0.0.0/8,fd00::/8",
    "DEFARM_CORS_ORIGINS": "https://app.example.org",
    "DEFARM_WEBHOOK_ALLOWED_NETWORKS": "10.0.0.0/8",
    "DEFARM_LOG_KEY": base64.b64encode(b"c" * 32).decode(),
    "DEFARM_LOG_LEVEL": "debug",
    "DEFARM_LOG_FORMAT": "console",
    "DEFARM_REGISTRATION": "closed",
    "DEFARM_LIMITER": "memory",
    "DEFARM_BUS": "local",
    "JWT_SECRET": KEY,
    "DEFARM_SECRET_KEY": KEY,
    "DEFARM_JWT_SECRET_PREVIOUS": KEY,
    "DEFARM_SECRET_KEY_PREVIOUS": KEY,
    "DEFARM_METRICS_TOKEN": KEY,
    "DEFARM_PASSWORD_WORKERS": "2",
    "DEFARM_DB_POOL_MAX": "3",
    "DEFARM_WRITE_BEHIND": "false",
    "DEFARM_ARGON2_MEMORY_KIB": "8192",
}
"""Values of settings that have one form of their own; the others are taken at the edge of their bounds."""

ELSEWHERE = {
    "DATABASE_URL": NOWHERE,
    "REDIS_URL": CACHED,
    "USE_REDIS_CACHE": CACHED | {"USE_REDIS_CACHE": "true"},
    "DEFARM_STORAGE": CACHED,
    "DEFARM_REDIS_CLUSTER": CACHED | {"DEFARM_REDIS_CLUSTER": "true"},
    "DEFARM_WORKERS": NOWHERE | {"DEFARM_WORKERS": "2"},
}
"""Settings that need servers: with these the engine is built, and not opened."""


def chosen(setting: object) -> str:
    name, kind = setting.name, setting.kind  # type: ignore[attr-defined]
    if name in CHOSEN:
        return CHOSEN[name]
    if name.startswith("DEFARM_LIMIT_"):
        return "1000/minute"
    low = getattr(kind, "low", None)
    if low is not None:
        return f"{low:f}" if isinstance(low, float) else str(low)
    return "true"


@pytest.mark.parametrize("setting", REGISTRY, ids=lambda setting: setting.name)
async def test_an_engine_with_this_setting_answers(setting, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.chdir(tmp_path)
    special = ELSEWHERE.get(setting.name)
    given = special if special is not None else {setting.name: chosen(setting)}
    settings = load({**BASE, "DEFARM_ARGON2_TIME": "1", "DEFARM_ARGON2_MEMORY_KIB": "8192", **given})
    shown = json.dumps([str(each) for each in describe(settings)])
    assert "canary" not in shown and "canary" not in repr(settings)
    container = container_of(settings)
    if special is not None:
        assert container.storage() is not None and container.limiter() is not None
        await close(container)
        return
    async with opened(container):
        health = health_of(container, datetime.now(UTC))
        health.phase = "ready"
        watcher = Watcher(container, health, container.meter())
        watcher.listen()
        metrics = metrics_route(watcher.scrape, settings.metrics_token)
        assert container.engine() is not None
        app = assembled((metrics,), kernel_of(container, health), health, (watcher.meter.request,))
        container.crew().start()
        ready = await call(app, "GET", "/health/ready", credential={})
        assert ready.status == 200, ready.text
        who = {"authorization": f"Bearer {CHOSEN['DEFARM_METRICS_TOKEN']}"}
        admitted = (await call(app, "GET", "/metrics", credential=who)).status
        assert admitted == (200 if setting.name == "DEFARM_METRICS_TOKEN" else 401)


READ: set[str] = set()


class Noted(Settings):
    """Settings that note which of them somebody reads."""

    def __getattribute__(self, name: str) -> Any:
        READ.add(name)
        return super().__getattribute__(name)


STACKS = ("memory", "postgres", "redis_cached", "write_through")
ALONE = {
    "DATABASE_URL",
    "REDIS_URL",
    "DEFARM_STORAGE",
    "USE_REDIS_CACHE",
    "DEFARM_REDIS_CLUSTER",
    "DEFARM_WRITE_BEHIND",
}
"""What makes the stack, and is given by it."""
BY_SERVE = {
    "host",
    "port",
    "workers",
    "log_level",
    "log_format",
    "setup_token",
    "drain_delay",
    "webhook_timeout",
    "database_url",
}
"""Read by `defarm serve` before and after, which tests/e2e starts with them, and when a delivery is posted."""
BY_LOADING = {"use_redis_cache", "sources", "warnings"}
"""What `load` makes of it is read: the storage, and what `defarm config` and the start tell."""


def together(stack: str, url: str, redis: str) -> dict[str, str]:
    """Return every variable that a stack takes, with another value than its default wherever it has two."""
    every = {setting.name: chosen(setting) for setting in REGISTRY if setting.name not in ALONE}
    every |= {"DEFARM_WORKERS": "1", "DEFARM_STORAGE": stack, "DEFARM_DB_POOL_MIN": "1", "HOST": "127.0.0.1"}
    every |= {"DEFARM_SECRET_KEY": KEY[::-1], "DEFARM_REQUEST_TIMEOUT": "20s", "DEFARM_MAX_IN_FLIGHT": "20"}
    # At their lowest they are shorter than a busy machine needs for anything.
    every |= dict.fromkeys(filter(re.compile("DEFARM_DB_.*(WAIT|TIMEOUT)").fullmatch, every), "9s")
    if stack != "memory":
        every["DATABASE_URL"] = url
    if stack == "redis_cached":
        every |= {"REDIS_URL": redis, "DEFARM_REDIS_TIMEOUT": "2s"}
    return every


async def test_every_setting_stands_with_each_stack_and_is_read_by_something(
    postgres_server: PostgresServer, redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    READ.clear()
    for stack in STACKS:
        url = postgres_server.create_migrated_database()
        await _answers(load(given := together(stack, url, redis_server.url)), given)
        postgres_server.drop_database(url)
    assert {field.name for field in attrs.fields(Settings)} - READ <= BY_SERVE | BY_LOADING


async def _answers(settings: Settings, given: dict[str, str]) -> None:
    """Demand that an engine takes every setting from where it was given, opens and answers."""
    assert {settings.sources[name] for name in given} == {"environment"}
    container = container_of(Noted(**{field.name: getattr(settings, field.name) for field in attrs.fields(Settings)}))
    async with opened(container):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            process = Process(container, listener, "here")
        app = process._assembled(*engine_routes(container))
        process.watcher.listen()
        container.crew().start()
        process.health.phase = "ready"
        assert (await call(app, "GET", "/health/ready", credential={})).status == 200
        account = {"username": "ana", "email": "ana@example.org", "password": "a long enough secret"}
        closed = await call(app, "POST", "/api/auth/register", credential={}, body=account)
        assert (closed.status, closed.code) == (403, "registration_closed")
        token = {"authorization": f"Bearer {KEY}"}
        assert (await call(app, "GET", "/metrics", credential=token)).status == 200
        shared = await call(app, "GET", "/api/items", credential={"origin": "https://app.example.org"})
        assert shared.headers["access-control-allow-origin"] == "https://app.example.org"

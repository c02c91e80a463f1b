"""Every check of `defarm doctor` finds the fault that it looks for (platform.md 13.4)."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import psycopg
import pytest

from adapters.memory.storage import MemoryStorage
from application.settings import load
from container import Container, container_of, opened
from domain.access.principal import system
from domain.act import Act
from domain.audit.record import audit_entry
from domain.outbox.values import OutboxRow
from domain.ports.backing import ServerFacts
from domain.ports.schema import AUDIT, INSTANCES, OUTBOX
from domain.statistics import Instance
from entrypoints.cli import doctor, doctor_parts

KEYS = {"JWT_SECRET": "j" * 20 + "wxyzabcdefgh", "DEFARM_SECRET_KEY": "s" * 20 + "abcdefghijkl"}
QUICK = {"DEFARM_ARGON2_TIME": "1", "DEFARM_ARGON2_MEMORY_KIB": "8192", "DEFARM_REDIS_TIMEOUT": "0.5s"}
Levels = list[tuple[str, str]]
Examine = Callable[..., Awaitable[Levels]]


def options(folder: Path, **variables: str) -> dict[str, str]:
    return {"DEFARM_STORAGE": "memory", "DEFARM_DATA_DIR": str(folder)} | KEYS | QUICK | variables


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    """Run one check on a configuration, and return levels and sentences."""

    async def one(check: str, **variables: str) -> Levels:
        settings = load({}, options=options(tmp_path, **variables))
        return [(each.level.value, each.text) for each in await doctor.examine(settings, [check])]

    return one


async def of(check: Any, **parts: Any) -> list[str]:
    """Return the levels that a check finds in a container with these parts."""
    container: Any = SimpleNamespace(**{name: partial(_itself, part) for name, part in parts.items()})
    return [level.value for level, _, _ in [found async for found in check(container)]]


def _itself(part: Any) -> Any:
    return part


async def test_secrets_that_are_weak_equal_or_derived(examine: Examine) -> None:
    assert {level for level, _ in await examine("secrets")} == {"ok"}
    weak = await examine("secrets", JWT_SECRET="ab" * 20)
    assert ("warn", "JWT_SECRET has fewer than 8 distinct bytes.") in weak
    same = KEYS["JWT_SECRET"]
    assert "fail" in {level for level, _ in await examine("secrets", DEFARM_SECRET_KEY=same)}


async def test_files_that_others_can_read_and_a_disk_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    settings = load({}, options=options(folder, DEFARM_STORAGE="postgres"))
    full = SimpleNamespace(free=100 * 1024**2)
    monkeypatch.setattr("shutil.disk_usage", lambda path: full)
    assert await of(doctor.CHECKS["files"], settings=settings) == ["fail", "warn"]
    folder.chmod(0o700)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert "fail" not in await of(doctor.CHECKS["files"], settings=settings)


@attrs.define
class Backing:
    """A store that tells what the test wants of its server."""

    told: ServerFacts
    mode: str = "postgres"

    async def connect(self) -> None: ...

    async def open(self) -> None: ...

    async def schema(self) -> Any:
        return SimpleNamespace(pending=(), applied=1)

    async def facts(self) -> ServerFacts:
        return self.told


@pytest.mark.parametrize(
    ("changed", "level"),
    [
        ({}, "ok"),
        ({"major": 14}, "fail"),
        ({"encoding": "SQL_ASCII"}, "fail"),
        ({"apart": 5}, "warn"),
        ({"apart": -40}, "fail"),
        ({"max_connections": 10}, "fail"),
    ],
)
async def test_a_server_that_is_old_differs_in_time_or_has_too_few_connections(
    tmp_path: Path, changed: dict[str, Any], level: str
) -> None:
    given = {"major": 16, "encoding": "UTF8", "max_connections": 100, "apart": 0} | changed
    now = datetime.now(UTC) + timedelta(seconds=given.pop("apart"))
    backing = Backing(ServerFacts(now=now, **given))
    settings = load({}, options=options(tmp_path))
    levels = await of(doctor.CHECKS["store"], backing=backing, storage=MemoryStorage(), settings=settings)
    assert max(levels, key=["ok", "warn", "fail"].index) == level


async def test_a_store_out_of_reach_and_an_unknown_variable(tmp_path: Path, examine: Examine) -> None:
    away = await examine("store", DEFARM_STORAGE="postgres", DATABASE_URL="postgresql://a@127.0.0.1:1/x")
    assert [level for level, _ in away] == ["fail"]
    settings = load({"DEFARM_STORAG": "memory"}, options=options(tmp_path))
    found = [found async for found in doctor.CHECKS["configuration"](container_of(settings))]
    assert ("warn", True) in [(level.value, "DEFARM_STORAG" in text) for level, text, _ in found]


async def test_accounts_hashing_and_what_stands_at_the_edge(
    tmp_path: Path, examine: Examine, migrated_url: str
) -> None:
    on_store = {"DEFARM_STORAGE": "postgres", "DATABASE_URL": migrated_url}
    assert [level for level, _ in await examine("accounts", **on_store)] == ["warn"]

    class Slow:
        async def hash(self, _: str) -> str:
            await asyncio.sleep(1.1)
            return ""

    assert await of(doctor.CHECKS["hashing"], passwords=Slow()) == ["warn"]
    assert [level for level, _ in await examine("edge")] == ["ok"]
    assert [level for level, _ in await examine("edge", DEFARM_CORS_ORIGINS="*", HOST="0.0.0.0")] == ["warn", "warn"]


async def test_work_and_audit_entries_that_wait_for_too_long(examine: Examine, migrated_url: str) -> None:
    on_store = {"DEFARM_STORAGE": "postgres", "DATABASE_URL": migrated_url}
    settings = load({}, options=options(Path(), **on_store))
    assert {level for check in ("outbox", "audit") for level, _ in await examine(check, **on_store)} == {"ok"}
    long_ago = datetime.now(UTC) - timedelta(minutes=10)
    async with opened(container_of(settings)) as container, container.storage().write() as unit:
        await unit.add(OUTBOX, OutboxRow("r", "notify", long_ago, "0" * 32))
        await unit.add(AUDIT, audit_entry(system(), long_ago, "system.started", ("instance", "one")))
    assert [level for level, _ in await examine("outbox", **on_store)] == ["warn"]
    assert [level for level, _ in await examine("audit", **on_store)] == ["warn", "ok"]


@pytest.mark.tampers
async def test_a_checkpoint_that_is_not_of_the_tree(examine: Examine, migrated_url: str) -> None:
    on_store = {"DEFARM_STORAGE": "postgres", "DATABASE_URL": migrated_url}
    settings = load({}, options=options(Path(), **on_store))

    async def entry(act: Act) -> None:
        await act.audit("system.started", ("instance", "one"))

    async with opened(container_of(settings)) as container:
        await container.units().perform(system(), entry)
        await container.sequencer().drain()
    assert [level for level, _ in await examine("audit", **on_store)] == ["ok", "ok"]
    with psycopg.connect(migrated_url) as connection:
        forged = "jsonb_set(body::jsonb, '{root_hash}', to_jsonb(repeat('0', 64)))::json"
        connection.execute(f"update log_checkpoints set body = {forged}".encode())
    assert [level for level, _ in await examine("audit", **on_store)] == ["ok", "fail"]


async def test_a_bus_that_does_not_carry(monkeypatch: pytest.MonkeyPatch, examine: Examine, migrated_url: str) -> None:
    on_store = {"DEFARM_STORAGE": "postgres", "DATABASE_URL": migrated_url}
    assert [level for level, _ in await examine("bus", **on_store)] == ["ok"]
    monkeypatch.setattr(doctor_parts, "TRIES", 2)
    deaf = {"DEFARM_BUS": "redis", "REDIS_URL": "redis://127.0.0.1:1/0", "USE_REDIS_CACHE": "false"}
    assert [level for level, _ in await examine("bus", **on_store, **deaf)] == ["warn"]


async def test_one_process_of_many_that_will_share_nothing(examine: Examine, migrated_url: str) -> None:
    on_store = {"DEFARM_STORAGE": "postgres", "DATABASE_URL": migrated_url}
    assert await examine("instances", **on_store) == [("ok", "Nothing serves at the moment.")]
    many = await examine("instances", **on_store, DEFARM_WORKERS="4", DEFARM_BUS="local")
    assert [level for level, _ in many] == ["ok", "warn", "fail"]


A, B, C = (("a", "redis", "redis"), ("b", "redis", "redis"), ("c", "redis", "postgres"))
ALONE, CUT, LOCAL = ("d", "memory", "redis"), ("e", "degraded", "redis"), ("f", "redis", "local")


@pytest.mark.parametrize(
    ("serving", "levels", "named"),
    [
        ([A], ["ok"], ""),
        ([A, B], ["ok", "ok"], "2 instances count limits together."),
        ([A, ALONE], ["warn", "ok"], "Of 2 instances these count limits for themselves: d."),
        ([A, CUT], ["warn", "ok"], "Of 2 instances these do not reach Redis and count limits for themselves: e."),
        ([A, LOCAL], ["ok", "fail"], "Of 2 instances these cannot be woken by the others (DEFARM_BUS=local): f."),
        ([A, C], ["ok", "fail"], "The instances cannot wake each other: they use postgres and redis."),
    ],
)
async def test_limits_and_wake_ups_are_judged_by_the_instances_that_serve(
    examine: Examine, migrated_url: str, serving: list[tuple[str, str, str]], levels: list[str], named: str
) -> None:
    """Whatever this process is told itself: here it has no Redis at all."""
    on_store = {"DEFARM_STORAGE": "postgres", "DATABASE_URL": migrated_url}
    now = datetime.now(UTC)
    gone = Instance("gone", "1", now, now - timedelta(seconds=61), "memory", "local")
    seen = [Instance(name, "1", now, now, limiter, bus) for name, limiter, bus in serving]
    settings = load({}, options=options(Path(), **on_store))
    async with opened(container_of(settings)) as container, container.storage().write() as unit:
        await unit.add(INSTANCES, gone, *seen)
    found = await examine("instances", **on_store)
    assert [level for level, _ in found] == levels
    assert not named or named in [text for _, text in found]


async def test_instances_announce_where_they_count_and_what_wakes_them(tmp_path: Path, migrated_url: str) -> None:
    on_store = {"DEFARM_STORAGE": "postgres", "DATABASE_URL": migrated_url}
    dead = {"REDIS_URL": "redis://127.0.0.1:1/0", "USE_REDIS_CACHE": "false"}

    async def announced(**variables: str) -> tuple[str, str]:
        made: Container = container_of(load({}, options=options(tmp_path, **on_store, **variables)))
        async with opened(made) as container:
            for _ in range(3):
                await container.limiter().hit("user", "ana")
            await container.statistics().announce()
            async with container.storage().read() as reader:
                row = await reader.get(INSTANCES, container.settings().instance_id)
        return row.limiter, row.bus

    assert await announced() == ("memory", "postgres")
    assert await announced(**dead) == ("degraded", "redis")

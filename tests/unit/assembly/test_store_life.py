"""A store is opened under the root key it knows, and its schema and data key are in order before anything reads."""

import asyncio

import attrs
import pytest

from adapters.memory.backing import MemoryBacking
from adapters.memory.storage import MemoryStorage
from adapters.postgres.backing import PostgresBacking, RemoteServer
from adapters.postgres.storage import PostgresBounds, PostgresStorage
from application.store_life import STORE_KEY, RootKeys, StoreLife
from domain.identifiers.personal import IdentifierKeys
from domain.ports.backing import Schema, SchemaBehind, StoreRefused
from domain.ports.clock import SystemClock
from domain.ports.errors import Unavailable
from domain.ports.schema import STORE
from domain.store import StoreRecord

OLD, NEW = b"o" * 32, b"n" * 32


def life(storage: MemoryStorage, roots: RootKeys) -> StoreLife:
    return StoreLife(MemoryBacking(storage), storage, SystemClock(), roots)


async def record(storage: MemoryStorage) -> StoreRecord:
    async with storage.read() as reader:
        return await reader.get(STORE, STORE_KEY)


def index(keys: IdentifierKeys) -> str:
    return keys.lookup("cpf", "52998224725")


async def test_an_empty_store_gets_one_data_key_and_keeps_it() -> None:
    storage = MemoryStorage()
    first, second = await asyncio.gather(*(life(storage, RootKeys(OLD)).open() for _ in range(2)))
    assert index(first) == index(second) == index(await life(storage, RootKeys(OLD)).open())
    assert (await record(storage)).setup_value


async def test_another_root_key_stops_the_start_and_says_why() -> None:
    storage = MemoryStorage()
    await life(storage, RootKeys(OLD)).open()
    with pytest.raises(StoreRefused, match="DEFARM_SECRET_KEY"):
        await life(storage, RootKeys(NEW)).open()
    with pytest.raises(StoreRefused, match="DEFARM_SECRET_KEY"):
        await life(storage, RootKeys(NEW, b"x" * 32)).open()


async def test_a_rotated_root_key_wraps_the_same_data_key_anew() -> None:
    storage = MemoryStorage()
    before = index(await life(storage, RootKeys(OLD)).open())
    store_id = (await record(storage)).store_id
    assert index(await life(storage, RootKeys(NEW, OLD)).open()) == before
    assert index(await life(storage, RootKeys(NEW)).open()) == before
    assert (await record(storage)).store_id == store_id


def on_postgres(url: str, *, migrate: bool = True) -> StoreLife:
    storage = PostgresStorage(url, PostgresBounds(pool_wait=0.3, connect_timeout=0.3))
    return StoreLife(PostgresBacking(RemoteServer(url), storage), storage, SystemClock(), RootKeys(OLD), migrate)


async def test_an_empty_database_is_migrated_before_it_is_used(database_url: str) -> None:
    opened = on_postgres(database_url)
    await opened.open()
    schema = await opened.backing.schema()
    assert schema.applied == schema.expected > 0
    assert not schema.pending
    await opened.aclose()


async def test_without_the_right_to_migrate_the_start_waits_for_somebody_who_has_it(database_url: str) -> None:
    waiting = on_postgres(database_url, migrate=False)
    with pytest.raises(SchemaBehind, match="defarm migrate"):
        await waiting.open()
    assert await waiting.backing.migrate()
    await waiting.open()
    await waiting.aclose()


async def test_a_newer_schema_is_refused(database_url: str) -> None:
    opened = on_postgres(database_url)
    await opened.open()
    await opened.storage.backend._query(  # type: ignore[attr-defined]
        "insert into schema_migrations (version, name) values (%s, %s) returning 1", [9999, "tomorrow"]
    )
    with pytest.raises(StoreRefused, match="newer release"):
        await opened.backing.schema()
    again = on_postgres(database_url)
    with pytest.raises(StoreRefused, match="newer release"):
        await again.open()
    await again.aclose()
    await opened.aclose()


async def test_a_server_that_is_not_there_can_be_asked_again() -> None:
    absent = on_postgres("postgresql://nobody@127.0.0.1:1/none")
    for _ in range(2):
        with pytest.raises(Unavailable):
            await absent.open()
    for _ in range(2):
        with pytest.raises(Unavailable):
            await absent.backing.open()
    await absent.aclose()


def test_a_schema_names_what_is_pending() -> None:
    assert attrs.asdict(Schema(1, 2, ("0002_more",)))["pending"] == ("0002_more",)

"""The container declares every stack, and a provider that cannot be built is found here and not in production."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from dependency_injector import providers

import container as assembly
from adapters.caching.storage import CachedStorage
from adapters.memory.storage import MemoryStorage
from adapters.postgres.storage import PostgresStorage
from application.settings import Settings, load
from container import Container, close, open_engine
from domain.access.principal import system
from domain.act import Act
from domain.identifiers.personal import IdentifierKeys, new_data_key
from domain.ports.schema import STORE

SECRETS = {"JWT_SECRET": "j" * 40, "DEFARM_SECRET_KEY": "s" * 40}
STACKS = {
    "memory": {"DEFARM_STORAGE": "memory"},
    "embedded": {},
    "url": {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
    "redis_cached": {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"},
}


@pytest.fixture(params=sorted(STACKS))
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    return load({**SECRETS, **STACKS[request.param], "DEFARM_DATA_DIR": str(tmp_path / "data")})


@pytest.fixture
def keyed(settings: Settings) -> Iterator[Container]:
    container = Container(settings=settings)
    container.identifier_keys.override(providers.Object(IdentifierKeys(new_data_key())))
    yield container


async def test_every_provider_of_every_stack_can_be_built_without_connecting(keyed: Container, tmp_path: Path) -> None:
    stack = keyed.settings().storage
    for name, provider in keyed.providers.items():
        if name.startswith(("memory", "postgres", "redis_cached")) and not name.startswith(stack):
            continue
        assert provider() is not None, name
    assert not (tmp_path / "data").exists()
    await close(keyed)


async def test_the_selector_picks_the_stack_by_name(keyed: Container) -> None:
    wanted = {"memory": MemoryStorage, "postgres": PostgresStorage, "redis_cached": CachedStorage}
    assert type(keyed.storage()) is wanted[keyed.settings().storage]
    await close(keyed)


async def test_an_overridden_storage_reaches_everything_that_is_built_on_it(keyed: Container) -> None:
    mine = MemoryStorage()
    with keyed.storage.override(providers.Object(mine)):
        assert keyed.units().storage is mine
        assert keyed.dfids().storage is mine
        assert keyed.engine().storage is mine
        await close(keyed)


async def test_an_engine_in_memory_works_inside_its_block() -> None:
    async with open_engine(storage="memory") as engine:

        async def remember(act: Act) -> None:
            await act.audit("account.frozen", ("account", "someone"))

        await engine.units.perform(system(), remember)
        async with engine.storage.read() as reader:
            assert await reader.find(STORE, "store") is not None


async def test_an_engine_on_the_embedded_store_finds_what_it_kept(tmp_path: Path) -> None:
    store_ids = set()
    for _ in range(2):
        async with open_engine(data_dir=tmp_path / "data") as engine, engine.storage.read() as reader:
            store_ids.add((await reader.get(STORE, "store")).store_id)
    assert len(store_ids) == 1
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


async def test_an_option_that_does_not_exist_is_named() -> None:
    with pytest.raises(TypeError, match="stroage"):
        async with open_engine(stroage="memory"):
            pass


def test_the_container_knows_nothing_of_entrypoints() -> None:
    tree = ast.parse(Path(assembly.__file__).read_text(encoding="utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported
    assert not {name for name in imported if name.split(".")[0] == "entrypoints"}

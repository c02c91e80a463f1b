"""The container declares every stack, and a provider that cannot be built is found here and not in production."""

import ast
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from dependency_injector import providers

import container as assembly
from adapters.caching.storage import CachedStorage
from adapters.memory.storage import MemoryStorage
from adapters.postgres.storage import PostgresStorage
from adapters.write_through.storage import WriteThroughStorage
from application.accounts.values import Registration
from application.items import ItemOutcome
from application.settings import Settings, load
from container import Container, close, container_of, open_engine
from domain.access.principal import ANONYMOUS, system
from domain.act import Act
from domain.errors import Refusal
from domain.identifiers.personal import IdentifierKeys, new_data_key
from domain.items.submission import IdentifierInput, Submission
from domain.ports.backing import StoreRefused
from domain.ports.schema import STORE

SECRETS = {"JWT_SECRET": "j" * 40, "DEFARM_SECRET_KEY": "s" * 40}
STACKS = {
    "memory": {"DEFARM_STORAGE": "memory"},
    "embedded": {},
    "url": {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"},
    "redis_cached": {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "REDIS_URL": "redis://127.0.0.1:1/0"},
    "write_through": {"DEFARM_STORAGE": "write_through"},
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
        if name.startswith(("memory", "postgres", "redis_cached", "write_through")) and not name.startswith(stack):
            continue
        assert provider() is not None, name
    assert not (tmp_path / "data").exists()
    await close(keyed)


async def test_the_selector_picks_the_stack_by_name(keyed: Container) -> None:
    wanted = {"memory": MemoryStorage, "postgres": PostgresStorage, "redis_cached": CachedStorage}
    wanted["write_through"] = WriteThroughStorage
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


async def test_an_engine_registers_an_account_and_acts_as_it() -> None:
    async with open_engine(storage="memory") as engine:
        newcomer = Registration("ana", "ana@example.org", "a long enough secret")
        pair = await engine.accounts.registrations.register(ANONYMOUS, newcomer)
        ana = await engine.principal("ana")
        assert ana == await engine.principal("Ana@example.org")
        assert ana.user_id == pair.user.user_id
        made = await engine.items.create(ana, Submission((IdentifierInput("sisbov", "BR 076 0000 0000 0001"),)))
        assert isinstance(made, ItemOutcome)
        assert made.item.dfid is not None
        assert (await engine.items.get(ana, made.item.dfid)).dfid == made.item.dfid
        with pytest.raises(Refusal, match="not_found"):
            await engine.principal("nobody")


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


def test_a_storage_that_there_is_not_is_refused_by_name(settings: Settings) -> None:
    with pytest.raises(StoreRefused, match=r"tape .* memory, postgres"):
        container_of(attrs.evolve(settings, storage="tape"))


def test_the_container_knows_nothing_of_entrypoints() -> None:
    tree = ast.parse(Path(assembly.__file__).read_text(encoding="utf-8"))
    imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert imported
    assert not {name for name in imported if name.split(".")[0] == "entrypoints"}


async def test_units_are_acknowledged_before_the_database_has_them_only_when_asked_for(tmp_path: Path) -> None:
    for wanted in ("on", "off"):
        environment = {
            "DEFARM_STORAGE": "write_through",
            "DEFARM_WRITE_BEHIND": wanted,
            "DEFARM_DATA_DIR": str(tmp_path),
        }
        made = container_of(load({**SECRETS, **environment, "DEFARM_WRITE_BEHIND": wanted}))
        assert (made.cache_control().write_behind is not None) == (wanted == "on")
        await close(made)

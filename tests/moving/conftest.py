"""A store with people, circuits, items, events and news in it, in memory and in PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

from adapters.memory.place import MemoryPlace
from adapters.memory.storage import MemoryStorage
from adapters.postgres.backing import RemoteServer
from adapters.postgres.place import PostgresPlace
from application.demo import populate
from application.settings import Settings, load
from container import Container, container_of, opened

SECRETS = {"JWT_SECRET": "j" * 20 + "wxyzabcdefgh", "DEFARM_SECRET_KEY": "s" * 20 + "abcdefghijkl"}
CHEAP = {"DEFARM_ARGON2_TIME": "1", "DEFARM_ARGON2_MEMORY_KIB": "8192"}


def settings_of(**variables: str) -> Settings:
    return load({**SECRETS, **CHEAP, **variables})


@pytest.fixture
async def filled() -> AsyncIterator[Container]:
    """A store in memory that was used."""
    async with opened(container_of(settings_of(DEFARM_STORAGE="memory"))) as container:
        await populate(container.engine(), 60)
        yield container


@pytest.fixture
async def memory(filled: Container) -> MemoryPlace:
    storage = filled.memory_storage()
    assert isinstance(storage, MemoryStorage)
    return MemoryPlace(storage)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[PostgresPlace]:
    """An empty database."""
    place = PostgresPlace("the database", RemoteServer(database_url))
    yield place
    await place.aclose()

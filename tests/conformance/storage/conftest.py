from collections.abc import AsyncIterator

import pytest

from domain.ports.storage import Storage
from tests.conformance.storage.stacks import MemoryStack, PostgresStack, Stack

STACKS = ["memory", "postgres"]
LINKED = [
    pytest.param("memory", marks=pytest.mark.xfail(strict=True, reason="memory has no link that could break")),
    *STACKS[1:],
]


async def _made(name: str, request: pytest.FixtureRequest) -> Stack:
    if name == "memory":
        return MemoryStack()
    return await PostgresStack(request.getfixturevalue("migrated_url")).start()


@pytest.fixture(params=STACKS)
async def stack(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    made = await _made(request.param, request)
    yield made
    await made.aclose()


@pytest.fixture(params=LINKED)
async def linked(request: pytest.FixtureRequest) -> AsyncIterator[Stack]:
    """The stacks again, for what a broken link must do."""
    made = await _made(request.param, request)
    yield made
    await made.aclose()


@pytest.fixture
async def storage(stack: Stack) -> Storage:
    return await stack.fresh()


@pytest.fixture
async def other(stack: Stack, storage: Storage) -> Storage:
    """Another instance over the same backing."""
    return await stack.second()

"""One world for all laws of a module: each leaves it as it was."""

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
import structlog

from tests.access.world import World
from tests.contract.examples import example_world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    async with example_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture
def world(made: World) -> Iterator[World]:
    """The world as it was made."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield made
    structlog.reset_defaults()
    made.backend.fault = None
    made.backend.rewind()

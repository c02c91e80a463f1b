"""Fixtures that any test may ask for: real servers, started once per test process."""

import gc
import os
import signal
from collections.abc import Generator, Iterator
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from adapters.memory.storage import MemoryBackend
from tests import problems
from tests.invariants import HELD, WRITTEN, hold_all, hold_database
from tests.machines import BYTECODE
from tests.servers import PostgresServer, RedisServer
from tests.servers import postgres_server as start_postgres
from tests.servers import redis_server as start_redis

# What a busy machine takes for an example says nothing about the example.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


# Every process that a test starts, and every worker of a parallel run, has this environment.
os.environ.update(BYTECODE)


LONGEST = tuple(
    f"tests/{each}/"
    for each in ("conformance", "e2e", "coherence", "deployment", "embedded", "contract", "agreement", "access")
)
"""What takes the longest comes first, so that no process of a parallel run is alone with it at the end."""


def pytest_configure() -> None:
    # A run ended by `timeout`, which may signal twice, must still end its servers.
    signal.signal(signal.SIGTERM, _interrupt_once)


_told_to_end: list[int] = []


def _interrupt_once(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _told_to_end.append(number)
    signal.default_int_handler(number, frame)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


def pytest_collection_finish() -> None:
    # What is loaded by now stays to the end: looking through it for garbage again and again is a fifth of a run.
    gc.collect()
    gc.freeze()
    problems.watch()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, Any, Any]:
    problems.wrong.clear()
    result = yield
    assert not problems.wrong, "\n".join(problems.wrong)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport() -> None:
    # A command that runs within a test answers an interrupt by its exit code: neither is the test at fault for that,
    # nor may the run go on.
    if _told_to_end:
        raise KeyboardInterrupt


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The PostgreSQL of this test process. Tests that stop or kill one start a private one."""
    server = start_postgres()
    yield server
    server.remove()


@pytest.fixture(scope="session", autouse=True)
def _notice_written_stores() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MemoryBackend, "commit", WRITTEN.watched(MemoryBackend.commit))
        yield


@pytest.fixture(scope="session")
def lays_rows() -> bool:
    """Whether tests write rows that no engine would; a module or directory of such tests gives its own answer."""
    return False


@pytest.fixture(autouse=True)
def stores_hold(request: pytest.FixtureRequest, lays_rows: bool) -> Iterator[bool]:
    """After every test the stores that it wrote break no invariant, unless it lays rows or is marked `tampers`."""
    held = not lays_rows and request.node.get_closest_marker("tampers") is None
    yield held
    written = WRITTEN.taken()
    if held:
        hold_all(written)


@pytest.fixture
def database_url(postgres_server: PostgresServer, stores_hold: bool) -> Iterator[str]:
    """The URL of an empty database of this test's own."""
    url = postgres_server.create_database()
    yield url
    if stores_hold:
        hold_database(url)
    postgres_server.drop_database(url)


@pytest.fixture
def migrated_url(request: pytest.FixtureRequest, postgres_server: PostgresServer, stores_hold: bool) -> Iterator[str]:
    """The URL of a database of this test's own with the engine's schema and no rows."""
    url = postgres_server.create_migrated_database()
    yield url
    if stores_hold and not request.node.stash.get(HELD, False):
        hold_database(url)
    postgres_server.drop_database(url)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """The Redis of this test process. Tests that freeze or kill one start a private one."""
    server = start_redis()
    yield server
    server.remove()

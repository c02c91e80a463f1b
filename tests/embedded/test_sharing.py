"""One owner per data directory, and commands that join it."""

import threading
from pathlib import Path

import psutil
import pytest

from adapters.postgres.embedded import EmbeddedBusy, EmbeddedPostgres
from tests.embedded.site import Site, query


def test_a_second_engine_is_refused_with_the_directory_and_the_process(site: Site) -> None:
    first = site.engine()
    second = site.engine()
    assert second.answer["error"] == "EmbeddedBusy"
    assert str(site.data_dir) in second.answer["message"]
    assert f"pid {first.pid}" in second.answer["message"]
    assert "DEFARM_DATA_DIR" in second.answer["message"]
    assert query(first.url, "select 1") == [(1,)]


def test_two_engines_of_one_process_are_two_engines(folder: Path) -> None:
    with EmbeddedPostgres(folder) as server, pytest.raises(EmbeddedBusy) as caught:
        EmbeddedPostgres(folder).start()
    assert server.pid is None
    assert caught.value.data_dir == folder


def test_a_command_joins_the_server_of_a_running_engine_and_leaves_it_running(site: Site) -> None:
    engine = site.engine()
    command = site.engine("join")
    assert command.server == engine.server
    command.stop()
    assert query(engine.url, "select 1") == [(1,)]


def test_a_command_without_an_engine_runs_the_server_for_its_own_time(folder: Path) -> None:
    with EmbeddedPostgres.join(folder) as server:
        assert query(server.url, "select 1") == [(1,)]
    assert server.pid is None


def test_the_last_of_overlapping_commands_ends_the_server(site: Site) -> None:
    first, second, third = (site.engine("join") for _ in range(3))
    assert first.server == second.server == third.server
    first.stop()
    assert query(second.url, "select 1") == [(1,)]
    second.stop()
    assert query(third.url, "select 1") == [(1,)]
    third.stop()
    assert EmbeddedPostgres(site.data_dir).pid is None


def test_an_engine_that_finds_a_command_waits_for_it(folder: Path) -> None:
    command = EmbeddedPostgres.join(folder)
    threading.Timer(0.3, command.stop).start()
    with EmbeddedPostgres(folder) as server:
        assert query(server.url, "select 1") == [(1,)]


def test_an_engine_goes_on_with_the_server_that_commands_still_use(folder: Path) -> None:
    owner, guest = EmbeddedPostgres.join(folder), EmbeddedPostgres.join(folder)
    owner.stop()
    with EmbeddedPostgres(folder) as engine:
        server = engine.pid
        assert server == guest.pid
        guest.stop()
        assert query(engine.url, "select 1") == [(1,)]
    assert engine.pid is None
    assert not psutil.pid_exists(server or 0), "a child of this process is not left unburied"


def test_a_command_joins_an_engine_whose_server_is_just_coming_up(folder: Path) -> None:
    engine = EmbeddedPostgres(folder)
    starting = threading.Thread(target=engine.start)
    starting.start()
    with EmbeddedPostgres.join(folder) as command:
        assert query(command.url, "select 1") == [(1,)]
    starting.join()
    engine.stop()

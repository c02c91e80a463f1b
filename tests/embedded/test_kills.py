"""After SIGKILL of the server, of the engine, or of both, the next start works and has every acknowledged row."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import psycopg

from tests.embedded.site import ENVIRONMENT, ROOT, Site, query

WRITE = "create table if not exists kept (n int); insert into kept values (1)"
READ = "select count(*) from kept"


def is_gone(pid: int) -> bool:
    """A zombie is gone too: who inherits orphans decides when it is buried."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_the_server_is_killed_and_the_same_engine_starts_it_again(site: Site) -> None:
    engine = site.engine()
    query(engine.url, WRITE)
    killed = engine.server
    os.kill(killed, signal.SIGKILL)
    engine.start_again()
    assert engine.server != killed
    assert query(engine.url, READ) == [(1,)]


def test_the_server_is_killed_and_another_engine_starts_it_again(site: Site) -> None:
    engine = site.engine()
    query(engine.url, WRITE)
    os.kill(engine.server, signal.SIGKILL)
    engine.stop()
    assert query(site.engine().url, READ) == [(1,)]


def test_the_engine_is_killed_and_the_next_one_takes_its_server_over(site: Site) -> None:
    engine = site.engine()
    query(engine.url, WRITE)
    engine.kill()
    heir = site.engine()
    assert heir.server == engine.server
    assert query(heir.url, READ) == [(1,)]
    heir.stop()
    assert is_gone(heir.server)


def test_both_are_killed_and_the_next_engine_starts_anew(site: Site) -> None:
    engine = site.engine()
    query(engine.url, WRITE)
    os.kill(engine.server, signal.SIGKILL)
    engine.kill()
    heir = site.engine()
    assert heir.server != engine.server
    assert query(heir.url, READ) == [(1,)]


def test_every_start_of_a_series_of_kills_has_all_rows(site: Site) -> None:
    for rows in range(1, 5):
        engine = site.engine()
        query(engine.url, WRITE)
        assert query(engine.url, READ) == [(rows,)]
        os.kill(engine.server, signal.SIGKILL)
        engine.kill()


def test_a_process_id_that_now_belongs_to_a_stranger_is_not_believed(site: Site) -> None:
    engine = site.engine()
    query(engine.url, WRITE)
    os.kill(engine.server, signal.SIGKILL)
    engine.kill()
    cluster = site.data_dir / "postgres"
    with subprocess.Popen(["/bin/sleep", "60"], user=cluster.stat().st_uid) as stranger:
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            lines = (cluster / name).read_text(encoding="utf-8").splitlines()
            (cluster / name).write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n", encoding="utf-8")
        try:
            assert query(site.engine().url, READ) == [(1,)]
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_an_empty_claim_left_by_a_crash_is_ignored(site: Site) -> None:
    engine = site.engine()
    query(engine.url, WRITE)
    os.kill(engine.server, signal.SIGKILL)
    engine.kill()
    (site.data_dir / "postgres" / "postmaster.pid").write_text("", encoding="utf-8")
    assert query(site.engine().url, READ) == [(1,)]


def test_a_live_server_whose_claim_was_deleted_is_ended_first(site: Site) -> None:
    engine = site.engine()
    query(engine.url, WRITE)
    engine.kill()
    (site.data_dir / "postgres" / "postmaster.pid").unlink()
    heir = site.engine()
    assert heir.server != engine.server
    assert query(heir.url, READ) == [(1,)]
    assert is_gone(engine.server)


def test_a_frozen_server_is_ended_and_replaced(site: Site) -> None:
    engine = site.engine()
    query(engine.url, WRITE)
    os.kill(engine.server, signal.SIGSTOP)
    engine.kill()
    heir = site.engine()
    assert heir.server != engine.server
    assert query(heir.url, READ) == [(1,)]


def test_a_backend_that_outlives_its_server_does_not_hinder_the_next_one(site: Site) -> None:
    engine = site.engine()
    query(engine.url, WRITE)
    with psycopg.connect(engine.url) as connection:
        backend = connection.info.backend_pid
        os.kill(backend, signal.SIGSTOP)
        os.kill(engine.server, signal.SIGKILL)
        engine.kill()
        assert Path(f"/proc/{backend}").exists()
        assert query(site.engine().url, READ) == [(1,)]


def test_an_engine_killed_while_it_makes_the_cluster_leaves_no_half_made_one(site: Site) -> None:
    site.data_dir.mkdir(mode=0o700)
    if site.uid:
        os.chown(site.data_dir, site.uid, site.uid)
    command = subprocess.Popen(site.command("start"), cwd=ROOT, env=ENVIRONMENT)
    deadline = time.monotonic() + 30
    while not list(site.data_dir.glob("postgres.new-*/base")) and time.monotonic() < deadline:
        time.sleep(0.001)
    command.kill()
    command.wait()
    assert not (site.data_dir / "postgres").exists()
    engine = site.engine()
    query(engine.url, WRITE)
    engine.stop()
    assert not list(site.data_dir.glob("postgres.new-*"))

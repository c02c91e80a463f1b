"""A process that owns or joins an embedded server, to be killed by a test.

    python engine_process.py start|join DATA_DIR [--uid N] [--largest-file BYTES]

Prints one JSON line ({"url", "server"} or {"error", "message"}), then obeys lines on its input: `stop` gives the
server up and ends, `start` calls `start` again and prints another line.
"""

import argparse
import contextlib
import encodings.idna  # noqa: F401 - what is loaded late could not be read after the change of user
import itertools
import json
import os
import resource
import signal
import sys
from pathlib import Path

import psycopg

from adapters.postgres.embedded import EmbeddedError, EmbeddedPostgres


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["start", "join"])
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--largest-file", type=int)
    options = parser.parse_args()
    if options.largest_file:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (options.largest_file, options.largest_file))
    if options.uid:
        _become(options.uid)
    server: EmbeddedPostgres | None = None
    for line in itertools.chain(["start"], iter(sys.stdin.readline, "")):
        if line.strip() == "stop":
            break
        try:
            if server is None and options.mode == "join":
                server = EmbeddedPostgres.join(options.data_dir)
            else:
                server = server or EmbeddedPostgres(options.data_dir)
                server.start()
            answer: dict[str, object] = {"url": server.url, "server": server.pid}
        except EmbeddedError as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)
    if server is not None:
        server.stop()


def _become(uid: int) -> None:
    # Whatever a first connection loads is loaded by it.
    with contextlib.suppress(psycopg.OperationalError):
        psycopg.connect("host=/nonexistent", connect_timeout=2)
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)


if __name__ == "__main__":
    main()

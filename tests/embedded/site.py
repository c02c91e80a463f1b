"""Engines in processes of their own, as root and as an ordinary user."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psycopg

from adapters.postgres.cluster import Cluster
from tests.machines import volatile_place

ROOT = Path(__file__).parents[2]
PROGRAM = Path(__file__).with_name("engine_process.py")
NOBODY = 65534
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


class Engine:
    """A running `engine_process.py`."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=ENVIRONMENT,
        )
        self.pid = self._process.pid
        try:
            self.answer = self._read()
        except BaseException:
            self.end()
            raise

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answers, _, _ = select.select([self._process.stdout], [], [], 60)
        line = self._process.stdout.readline() if answers else ""
        assert line, "the engine process ended or hung without an answer"
        return dict(json.loads(line))

    @property
    def url(self) -> str:
        assert "url" in self.answer, self.answer
        return str(self.answer["url"])

    @property
    def server(self) -> int:
        assert "server" in self.answer, self.answer
        return int(self.answer["server"])

    def start_again(self) -> dict[str, Any]:
        self._say("start")
        self.answer = self._read()
        return self.answer

    def stop(self) -> None:
        self._say("stop")
        assert self._process.wait(60) == 0
        self._close()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)
        self._close()

    def end(self) -> None:
        self.kill()

    def _say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        self._process.stdin.flush()

    def _close(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()


@attrs.frozen
class Site:
    """A data directory of one user, and the means to run engines on it."""

    data_dir: Path
    uid: int | None
    engines: list[Engine] = attrs.Factory(list)

    def command(self, mode: str, *options: str) -> list[str]:
        user = ["--uid", str(self.uid)] if self.uid else []
        return [sys.executable, str(PROGRAM), mode, str(self.data_dir), *user, *options]

    def engine(self, mode: str = "start", *options: str) -> Engine:
        engine = Engine(self.command(mode, *options))
        self.engines.append(engine)
        return engine

    def clear(self) -> None:
        for engine in self.engines:
            engine.end()
        cluster = Cluster(self.data_dir)
        if cluster.exists():
            cluster.shut_down(patience=5)


@contextlib.contextmanager
def closed_folder(uid: int | None) -> Iterator[Path]:
    # pytest's own tmp_path is too long for a socket and closed to the ordinary user.
    folder = Path(tempfile.mkdtemp(prefix="defarm-embedded-", dir=volatile_place()))
    if uid:
        os.chown(folder, uid, uid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def query(url: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []

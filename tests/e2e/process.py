"""`defarm serve` as a process of its own."""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import attrs
import psutil
import psycopg

from application.settings import REGISTRY
from tests.invariants import hold_database, hold_embedded
from tests.machines import wait_until

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "entrypoints.cli"]
PATIENCE = 60.0


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of this process without any variable of the engine, and with `variables`."""
    ours = {setting.name for setting in REGISTRY}
    clean = {name: text for name, text in os.environ.items() if name not in ours}
    return {**clean, "PYTHONPATH": str(ROOT), "DEFARM_DRAIN_DELAY": "0", **variables}


def defarm(folder: Path, *words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end."""
    return subprocess.run(
        [*COMMAND, *words], cwd=folder, env=environment(**variables), capture_output=True, text=True,
        timeout=PATIENCE, check=False,
    )  # fmt: skip


def until(holds: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Return once `holds()` does; TimeoutError after `seconds`."""
    wait_until(holds, seconds, "what is waited for does not come")


@attrs.frozen
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


def _whole_lines(file: Path) -> str:
    """Return what a process has written, without a line that it has only begun."""
    written, end, _ = file.read_bytes().rpartition(b"\n")
    return (written + end).decode()


class Served:
    """A server on a free port, with its data in `folder`; killed when its block ends while it still runs."""

    def __init__(self, folder: Path, *words: str, **variables: str) -> None:
        self.folder = folder
        self._database = variables.get("DATABASE_URL")
        self._data_dir = Path(variables.get("DEFARM_DATA_DIR") or folder / ".defarm")
        folder.mkdir(exist_ok=True)
        self._out, self._err = folder / "out.log", folder / "err.log"
        self._err.write_bytes(b"")
        self.begun = time.perf_counter()
        with self._out.open("ab") as out, self._err.open("ab") as err:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--port", "0", *words], cwd=folder, env=environment(**variables),
                stdin=subprocess.DEVNULL, stdout=out, stderr=err,
            )  # fmt: skip
        self._port = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                self._hold()
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait(PATIENCE)
            self.kill_database()

    def _hold(self) -> None:
        """Demand that the store, while its server is there, breaks no invariant."""
        if self._database is not None:
            with suppress(psycopg.OperationalError):
                hold_database(self._database)
        elif self.database_processes():
            hold_embedded(self._data_dir)

    @property
    def err(self) -> str:
        """The whole lines that people were told."""
        return _whole_lines(self._err)

    @property
    def records(self) -> list[dict[str, Any]]:
        """What was logged."""
        return [json.loads(line) for line in _whole_lines(self._out).splitlines()]

    def events(self) -> list[str]:
        return [record["event"] for record in self.records if record["event"] != "http.request"]

    @property
    def port(self) -> int:
        """The port that the process printed."""
        deadline = time.monotonic() + PATIENCE
        while not self._port:
            for line in self.err.splitlines():
                if line.startswith("Listening on "):
                    self._port = int(line.rpartition(":")[2])
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise AssertionError(f"the server does not listen: {self.err}")
            time.sleep(0.005)
        return self._port

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            text = None if body is None else json.dumps(body)
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            if text is not None:
                sent["content-type"] = "application/json"
            connection.request(method, path, text, sent)
            answer = connection.getresponse()
            raw = answer.read()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, json.loads(raw or b"null"))
        finally:
            connection.close()

    def ready(self) -> Self:
        """Wait until requests are served."""
        deadline = time.monotonic() + PATIENCE
        while self.ask("/health/ready").status != 200:
            if time.monotonic() > deadline:
                raise AssertionError(f"the server does not get ready: {self.err}\n{self.events()}")
            time.sleep(0.01)
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def ended(self) -> int:
        """Wait for the process to end by itself and return its exit code."""
        return self.process.wait(PATIENCE)

    def database_processes(self) -> list[psutil.Process]:
        """Return the PostgreSQL servers that run on the data of this folder."""
        found = []
        for process in psutil.process_iter(["name"]):
            try:
                if process.info["name"] == "postgres" and Path(process.cwd()).is_relative_to(self.folder.resolve()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill_database(self) -> None:
        """Kill them; its backends end by themselves once their server is gone, some before their turn."""
        for server in self.database_processes():
            with suppress(psutil.NoSuchProcess):
                server.kill()

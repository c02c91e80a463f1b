"""The processes that are measured: the engine, and a bare Litestar server on the same stack for the baselines."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import psutil

from tests.machines import BYTECODE

ROOT = Path(__file__).parents[2]


@attrs.frozen
class Served:
    """A running server: its address, its process, and the seconds from its start to the first 200."""

    address: str
    process: psutil.Process
    ready_after: float

    def resident(self) -> float:
        """Return the resident memory in MB."""
        return float(self.process.memory_info().rss) / 1e6

    def tag(self, path: str, token: str) -> str:
        """Return the ETag of a representation."""
        question = urllib.request.Request(self.address + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(question, timeout=60) as answer:
            return str(answer.headers["ETag"])

    def upload(self, path: str, content: bytes, token: str) -> None:
        """Send a CSV file."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "text/csv"}
        with urllib.request.urlopen(urllib.request.Request(self.address + path, content, headers), timeout=600) as _:
            pass

    def call(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        """Call a route and return its JSON."""
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        content = json.dumps(body).encode() if body is not None else None
        question = urllib.request.Request(self.address + path, content, headers, method=method)
        try:
            with urllib.request.urlopen(question, timeout=300) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode()}") from error


@contextlib.contextmanager
def engine(**environment: str) -> Iterator[Served]:
    """Run `defarm serve` with these settings, limits off and logs at warnings."""
    with tempfile.TemporaryDirectory(prefix="defarm-bench-") as home:
        settings = {
            "JWT_SECRET": "benchmark-jwt-secret-0123456789abcdef",
            "DEFARM_SECRET_KEY": "benchmark-root-key-fedcba9876543210",
            "DEFARM_LOG_LEVEL": "warning",
            "DEFARM_DATA_DIR": f"{home}/data",
            "DEFARM_LIMIT_USER": "off",
            "DEFARM_LIMIT_ANONYMOUS": "off",
            "DEFARM_LIMIT_REGISTER": "off",
            "DEFARM_LIMIT_LOGIN_IP": "off",
            "DEFARM_DRAIN_DELAY": "0s",
        }
        command = [str(Path(sys.executable).parent / "defarm"), "serve", "--port"]
        yield from _running(command, "/health/ready", settings | environment)


@contextlib.contextmanager
def bare() -> Iterator[Served]:
    """Run the baseline server: a constant answer (R0) and a decoded and encoded item (P0)."""
    yield from _running([sys.executable, "-m", "tests.benchmarks.baseline"], "/r0", {})


def _running(command: list[str], ready: str, environment: dict[str, str]) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = os.environ | BYTECODE | environment
    begun = time.perf_counter()
    process = subprocess.Popen([*command, str(port)], cwd=ROOT, env=settings, stdout=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        while not _answers(address + ready):
            if process.poll() is not None or time.perf_counter() - begun > 120:
                raise RuntimeError(f"{' '.join(command)} does not come up")
            time.sleep(0.005)
        yield Served(address, psutil.Process(process.pid), time.perf_counter() - begun)
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False

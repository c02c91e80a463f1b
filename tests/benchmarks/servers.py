"""The processes that are measured: the engine, and a bare Litestar server on the same stack for the baselines."""

import contextlib
import json
import os
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

from tests.machines import BYTECODE, free_port

ROOT = Path(__file__).parents[2]
_OURS = ("DEFARM_", "DATABASE_URL", "REDIS_URL", "JWT_SECRET", "SKIP_ITEMS_PRELOAD")
"""Variables of an engine of somebody else, which a measured one must not take."""


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

    def size(self, path: str, token: str) -> int:
        """Return the bytes of a representation."""
        question = urllib.request.Request(self.address + path, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(question, timeout=60) as answer:
            return len(answer.read())

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


SETTINGS = {
    "JWT_SECRET": "benchmark-jwt-secret-0123456789abcdef",
    "DEFARM_SECRET_KEY": "benchmark-root-key-fedcba9876543210",
    "DEFARM_ACCESS_TOKEN_TTL": "1d",
    "DEFARM_LOG_LEVEL": "warning",
    "DEFARM_SETUP_TOKEN": "false",
    "DEFARM_DRAIN_DELAY": "0s",
    # Users are counted as everywhere, only never refused.
    "DEFARM_LIMIT_USER": "1000000/second",
    **{f"DEFARM_LIMIT_{policy}": "off" for policy in ("ANONYMOUS", "REGISTER", "LOGIN_PAIR", "LOGIN_USER", "LOGIN_IP")},
}
"""What every measured engine runs with."""


@contextlib.contextmanager
def engine(**environment: str) -> Iterator[Served]:
    """Run `defarm serve` with these settings; what it says is told when it does not come up."""
    with tempfile.TemporaryDirectory(prefix="defarm-bench-") as home:
        command = [str(Path(sys.executable).parent / "defarm"), "serve", "--port"]
        own = {"DEFARM_DATA_DIR": f"{home}/data"}
        yield from _running([*command, str(free_port())], "/health/ready", SETTINGS | own | environment)


@contextlib.contextmanager
def engines(count: int, **environment: str) -> Iterator[tuple[Served, ...]]:
    """Run so many instances with the same settings."""
    with contextlib.ExitStack() as held:
        yield tuple(
            held.enter_context(engine(**environment, DEFARM_INSTANCE_ID=f"bench-{number}")) for number in range(count)
        )


@contextlib.contextmanager
def bare(page: int = 0) -> Iterator[Served]:
    """Run the baseline server; its page has so many bytes."""
    command = [sys.executable, "-m", "tests.benchmarks.baseline"]
    yield from _running([*command, str(free_port()), str(page)], "/r0", SETTINGS)


def _running(command: list[str], ready: str, environment: dict[str, str]) -> Iterator[Served]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=ROOT, env=inherited | BYTECODE | environment, stdout=subprocess.DEVNULL, stderr=said
        )
        port = next(word for word in command if word.isdigit())
        address = f"http://127.0.0.1:{port}"
        try:
            while not _answers(address + ready):
                if process.poll() is not None or time.perf_counter() - begun > 120:
                    said.seek(0)
                    raise RuntimeError(f"{' '.join(command)} does not come up: {said.read().decode()[-2000:]}")
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

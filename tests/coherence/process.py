"""Serving processes over one PostgreSQL and one Redis, and a client that costs little."""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs

from tests.coherence.serving import CONTROL, TRAP
from tests.e2e.process import environment
from tests.machines import free_port

PATIENCE = 60.0
SETTINGS = {
    "JWT_SECRET": "a secret of the soak, long enough for it",
    "DEFARM_SECRET_KEY": "a root key of the soak, long enough, too",
    "DEFARM_LIMIT_USER": "off",
    "DEFARM_LIMIT_ANONYMOUS": "off",
    "DEFARM_LOG_LEVEL": "error",
    "DEFARM_SETUP_TOKEN": "false",
    "DEFARM_REDIS_TIMEOUT": "0.1s",
}


@attrs.frozen
class Answer:
    status: int
    body: Any


class Client:
    """One connection, opened anew after a fault. Raises OSError, EOFError and TimeoutError."""

    def __init__(self, port: int, token: str = "", timeout: float = 15.0) -> None:
        self.token = token
        self._port = port
        self._timeout = timeout
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._exchange(method, path, body, headers)
        except BaseException:
            self.close()
            raise

    async def _exchange(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", "Host: soak", f"Content-Length: {len(content)}"]
        lines += [f"Authorization: Bearer {self.token}"] if self.token else []
        lines += ["Content-Type: application/json"] if content else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write("\r\n".join([*lines, "", ""]).encode() + content)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        start = head.find(b"content-length: ") + 16
        text = await reader.readexactly(int(head[start : head.index(b"\r", start)]))
        return Answer(int(head[9:12]), json.loads(text or b"null"))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Instance:
    """One `defarm serve` on a port that it keeps over its deaths."""

    def __init__(self, folder: Path, number: int, variables: dict[str, str]) -> None:
        self.port = free_port()
        self._log = folder / f"instance-{number}.log"
        self._folder = folder
        self._environment = environment(**SETTINGS, **variables)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start without waiting."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.coherence.serving", "--port", str(self.port)],
                cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)

    async def ready(self) -> None:
        """Wait until it serves."""
        client, deadline = Client(self.port), time.monotonic() + PATIENCE
        while True:
            with suppress(OSError, EOFError, TimeoutError):
                if (await client.call("GET", "/health/ready")).status == 200:
                    client.close()
                    return
            if not self.alive or time.monotonic() > deadline:
                raise AssertionError(f"an instance does not come up: {self.log()}")
            await asyncio.sleep(0.05)

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")[-3000:]


@contextmanager
def fleet(count: int, *, control: bool = False, **variables: str) -> Iterator[tuple[list[Instance], Path]]:
    """Return instances that are not started yet, and the file that lets one of them die."""
    with tempfile.TemporaryDirectory(prefix="defarm-soak-") as name:
        folder = Path(name)
        trap = folder / "trap"
        chosen = {CONTROL: "1"} if control else {TRAP: str(trap)}
        instances = [Instance(folder, number, variables | chosen) for number in range(count)]
        try:
            yield instances, trap
        finally:
            for instance in instances:
                instance.kill()

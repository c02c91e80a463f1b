"""A `defarm serve` of its own, in a process that can be killed."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

import attrs

from tests.invariants import hold_embedded
from tests.machines import free_port

DEFARM = str(Path(sys.executable).parent / "defarm")
PATIENCE = 60.0


@attrs.frozen
class Reply:
    status: int
    headers: dict[str, str]
    body: Any


class EngineProcess:
    """The engine on the embedded store of one directory; no setting is given but the port."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self._environment = _clean(os.environ) | environment
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.log = home / "serve.log"

    def start(self) -> float:
        """Start and wait until it is ready; return the seconds that took."""
        begun = time.perf_counter()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [DEFARM, "serve", "--port", str(self.port)],
                cwd=self.home,
                env=self._environment,
                stdout=log,
                stderr=log,
            )
        while not self._ready():
            if self._process.poll() is not None or time.perf_counter() - begun > PATIENCE:
                raise RuntimeError(f"the engine does not come up: {self.log.read_text()[-2000:]}")
            time.sleep(0.02)
        return time.perf_counter() - begun

    def _ready(self) -> bool:
        try:
            return self.call("GET", "/health/ready").status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """End the engine with SIGKILL; its PostgreSQL is left behind as it is."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """End the engine with SIGTERM and return its exit code."""
        if self._process is None or self._process.poll() is not None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(PATIENCE)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of `defarm` in the same directory."""
        return subprocess.run(
            [DEFARM, *arguments],
            cwd=self.home,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE * 2,
            check=False,
        )

    def call(
        self, method: str, path: str, body: Any = None, token: str = "", content: bytes | None = None, kind: str = ""
    ) -> Reply:
        """Call a route; `content` of media type `kind` is sent as it is."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if body is not None:
            content, kind = json.dumps(body).encode(), "application/json"
        if kind:
            headers["Content-Type"] = kind
        question = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", content, headers, method=method)
        try:
            with urllib.request.urlopen(question, timeout=PATIENCE) as answer:
                return _reply(answer.status, answer)
        except urllib.error.HTTPError as error:
            with error:
                return _reply(error.code, error)

    def register(self, username: str) -> str:
        """Register a user and return an access token."""
        account = {"username": username, "email": f"{username}@example.org", "password": "a long enough secret"}
        reply = self.call("POST", "/api/auth/register", account)
        assert reply.status == 201, reply
        return str(reply.body["access_token"])

    def every(self, path: str, token: str) -> list[Any]:
        """Return all entries of a list, page by page."""
        found: list[Any] = []
        cursor = ""
        while True:
            joint = "&" if "?" in path else "?"
            reply = self.call("GET", f"{path}{joint}limit=200{cursor}", token=token)
            assert reply.status == 200, reply
            found += reply.body["items"]
            if reply.body["next_cursor"] is None:
                return found
            cursor = f"&cursor={reply.body['next_cursor']}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None and self._process is not None and self._process.poll() is None:
                hold_embedded(self.home / ".defarm")
        finally:
            self.stop()


def _reply(status: int, answer: Any) -> Reply:
    content = answer.read()
    plain = "json" not in answer.headers.get("Content-Type", "")
    return Reply(status, dict(answer.headers), content if plain else json.loads(content or b"null"))


def _clean(environment: os._Environ[str]) -> dict[str, str]:
    ours = ("DEFARM_", "DATABASE_URL", "REDIS_URL", "JWT_SECRET", "HOST", "PORT", "USE_REDIS_CACHE")
    return {name: value for name, value in environment.items() if not name.startswith(ours)}

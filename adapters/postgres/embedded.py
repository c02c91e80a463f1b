"""The PostgreSQL that the package carries: one server per data directory, owned by one engine.

    with EmbeddedPostgres(Path(".defarm")) as server:
        ...  # server.url

Two locks under the data directory say who may do what; the kernel drops them with the process that held them,
so a SIGKILL leaves nothing to clean up. `lock` is held alone by the owner, which starts and stops the server.
`users` is shared by commands that joined; a command that owns the server does not stop it under another one.
A server that outlived its killed engine is taken over, if it answers, or ended and started anew.
"""

import contextlib
import fcntl
import hashlib
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self
from urllib.parse import quote

import psycopg

from adapters.local_secrets import belong_to_directory
from adapters.postgres.carried import EmbeddedError
from adapters.postgres.cluster import ROLE, Cluster

__all__ = ["EmbeddedBusy", "EmbeddedError", "EmbeddedPostgres"]

# sockaddr_un holds 104 bytes on the smallest system; the name in it is `/.s.PGSQL.5432` and a NUL.
LONGEST_SOCKET_FOLDER = 104 - len("/.s.PGSQL.5432") - 1
COMMAND_PATIENCE = 10.0
UNANSWERED = 15.0
LAUNCHES = 25
STILL_IN_USE = "is still in use"

# Servers that commands of this process have left to others, by process id: whoever of this process takes one over
# ends it as its child, and a forgotten child is warned about.
_left_running: "dict[int, subprocess.Popen[bytes]]" = {}


class EmbeddedBusy(EmbeddedError):
    """Another running engine holds the data directory. Fields: `data_dir`, `pid` (None when not known)."""

    def __init__(self, data_dir: Path, pid: int | None) -> None:
        self.data_dir = data_dir
        self.pid = pid
        super().__init__(
            f"another running engine (pid {pid or 'unknown'}) holds {data_dir}; "
            "stop it first, or name another directory with DEFARM_DATA_DIR"
        )


class EmbeddedPostgres:
    """The embedded server of `data_dir` (created with mode 0700), as root or as an ordinary user.

    `settings` overrides single PostgreSQL settings. Calls block; an event loop runs them in a thread.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        settings: Mapping[str, str] = MappingProxyType({}),
        ready_within: float = 300.0,
    ) -> None:
        self.data_dir = data_dir.absolute()
        self._cluster = Cluster(self.data_dir, settings)
        self._ready_within = ready_within
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None
        self._users: int | None = None
        self._role = "engine"
        self._silence = ""

    def __repr__(self) -> str:
        return f"<EmbeddedPostgres {self.data_dir}>"

    @property
    def url(self) -> str:
        """The libpq URL over the unix socket; it holds the password and is as secret as that."""
        folder = quote(str(_socket_folder(self._cluster.folder)), safe="")
        return f"postgresql://{ROLE}:{self._cluster.password()}@/postgres?host={folder}&port=5432"

    @property
    def pid(self) -> int | None:
        """The process id of the live server, None when there is none."""
        return self._cluster.postmaster() if self._cluster.exists() else None

    @property
    def owned(self) -> bool:
        """Whether this object, rather than another process, holds the directory."""
        return self._lock is not None

    def start(self) -> str:
        """Own the directory, bring the server up and return its URL; on a running one of ours, only check it.

        Raises EmbeddedBusy when another running engine owns the directory, and EmbeddedError with the reason
        when the server cannot be had. A command that holds the directory is waited for, up to 10 s.
        """
        if self._lock is None:
            self._prepare_directory()
            self._own()
        try:
            self._bring_up()
            return self.url
        except BaseException:
            self._end_server()
            self._release()
            raise

    @classmethod
    def join(cls, data_dir: Path, *, ready_within: float = 300.0) -> Self:
        """Return a started handle for a command: on the running server, or on one started for its own time.

        Leave it with `stop()` or as a context manager. Raises EmbeddedError as `start` does.
        """
        self = cls(data_dir, ready_within=ready_within)
        self._role = "command"
        self._prepare_directory()
        deadline = time.monotonic() + ready_within
        self._users = _open_lock(self.data_dir / "users")
        fcntl.flock(self._users, fcntl.LOCK_SH)
        while not self._try_own():
            if self.pid is not None and self._answers():
                return self
            if time.monotonic() > deadline:
                raise EmbeddedError(f"the engine that holds {self.data_dir} does not bring its server up")
            time.sleep(0.05)
        self._leave_users()
        self.start()
        return self

    def stop(self) -> None:
        """Give the server up: its owner stops it, a command leaves it to whoever still uses it. Idempotent."""
        if self._users is not None:
            self._leave_users()
            if not self._try_own():
                return
        if self._lock is None:
            return
        try:
            if self._role == "engine" or not self._is_used():
                self._end_server()
            elif self._process is not None:
                _left_running[self._process.pid] = self._process
                self._process = None
        finally:
            self._release()

    def __enter__(self) -> Self:
        if self._lock is None and self._users is None:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _prepare_directory(self) -> None:
        try:
            if not self.data_dir.exists():
                self.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
                belong_to_directory(self.data_dir)
        except OSError as error:
            raise EmbeddedError(f"{self.data_dir} cannot be made: {error.strerror}") from error
        if not self.data_dir.is_dir():
            raise EmbeddedError(f"{self.data_dir} is not a directory; set DEFARM_DATA_DIR to one")
        if not os.access(self.data_dir, os.R_OK | os.W_OK | os.X_OK):
            raise EmbeddedError(
                f"{self.data_dir} is not writable by uid {os.geteuid()}; "
                "change its owner, or set DEFARM_DATA_DIR to another directory"
            )

    def _own(self) -> None:
        deadline = time.monotonic() + COMMAND_PATIENCE
        while not self._try_own():
            pid, role = self._holder()
            if role != "command" or time.monotonic() > deadline:
                raise EmbeddedBusy(self.data_dir, pid)
            time.sleep(0.05)

    def _try_own(self) -> bool:
        descriptor = _open_lock(self.data_dir / "lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {self._role}\n".encode(), 0)
        except OSError:
            # A full disk: the note for others is a courtesy, the lock itself stands.
            return True
        return True

    def _holder(self) -> tuple[int | None, str]:
        words = (self.data_dir / "lock").read_text(encoding="utf-8").split()
        return (int(words[0]), words[1]) if len(words) == 2 else (None, "engine")

    def _is_used(self) -> bool:
        descriptor = _open_lock(self.data_dir / "users")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _leave_users(self) -> None:
        if self._users is not None:
            os.close(self._users)
            self._users = None

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _bring_up(self) -> None:
        if not self._cluster.exists():
            self._cluster.create()
        if self._take_over():
            return
        for attempt in range(LAUNCHES):
            self._reap()
            written = self._cluster.log_size()
            self._process = self._launch()
            if self._await_ready(self._process, written):
                return
            # The dying children of a killed server let go of its memory in their own time.
            if attempt == LAUNCHES - 1 or STILL_IN_USE not in self._cluster.complaints(written):
                raise EmbeddedError(
                    f"the embedded server of {self.data_dir} ended while starting: {self._cluster.complaints(written)}"
                )
            time.sleep(0.2)

    def _launch(self) -> "subprocess.Popen[bytes]":
        try:
            return self._cluster.launch()
        except OSError as error:
            raise EmbeddedError(
                f"the embedded server of {self.data_dir} cannot be started: {error.strerror} ({error.filename})"
            ) from error

    def _take_over(self) -> bool:
        """Go on with a live server if it answers; end one that does not."""
        deadline = time.monotonic() + self._ready_within
        silent = 0
        while self.pid is not None and time.monotonic() < deadline:
            if self._answers():
                self._process = self._process or _left_running.pop(self.pid or 0, None)
                return True
            silent += self._cluster.reports_ready()
            if silent >= 3:
                break
            time.sleep(0.05)
        self._cluster.shut_down(patience=2.0)
        return False

    def _await_ready(self, process: "subprocess.Popen[bytes]", written: int) -> bool:
        """Return whether the server came up, False if it ended. EmbeddedError if it stays and does not answer."""
        deadline = time.monotonic() + self._ready_within
        ready = False
        while time.monotonic() < deadline:
            if process.poll() is not None:
                return False
            if self._cluster.postmaster() == process.pid and self._cluster.reports_ready():
                if self._answers():
                    return True
                # A ready server that does not answer is a fault of the address, not of time.
                deadline = deadline if ready else min(deadline, time.monotonic() + UNANSWERED)
                ready = True
            time.sleep(0.005)
        raise EmbeddedError(
            f"the embedded server of {self.data_dir} did not answer in time: "
            f"{self._silence} {self._cluster.complaints(written)}"
        )

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError as error:
            if "authentication failed" in str(error):
                raise EmbeddedError(f"the password kept in {self.data_dir} does not open its database") from error
            self._silence = str(error).strip()
            return False
        return True

    def _end_server(self) -> None:
        if self._cluster.exists():
            self._cluster.shut_down()
            _forget_socket_folder(self._cluster.folder)
        self._reap()

    def _reap(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
            self._process = None


def _open_lock(path: Path) -> int:
    try:
        new = not path.exists()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if new:
            belong_to_directory(path)
    except OSError as error:
        raise EmbeddedError(f"{path} cannot be opened: {error.strerror}") from error
    return descriptor


def _socket_folder(folder: Path) -> Path:
    """Return a path to `folder` that is short enough for a socket address and holds no comma, which libpq takes
    for the end of a host; by a link in a private directory if need be.
    """
    if len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER and "," not in str(folder):
        return folder
    private = _private_folder(folder)
    private.mkdir(mode=0o700, exist_ok=True)
    status = private.lstat()
    if private.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise EmbeddedError(f"{private} belongs to somebody else; remove it, or choose a shorter DEFARM_DATA_DIR")
    link = private / "pg"
    if not (link.is_symlink() and link.readlink() == folder):
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
    return link


def _forget_socket_folder(folder: Path) -> None:
    private = _private_folder(folder)
    with contextlib.suppress(OSError):
        (private / "pg").unlink()
        private.rmdir()


def _private_folder(folder: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"defarm-{os.geteuid()}-{digest}"

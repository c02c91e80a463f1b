"""The files and processes of one embedded PostgreSQL cluster, driven by the wheel's own binaries."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import attrs

from adapters.local_secrets import belong_to_directory, load_or_create_secret, sync_directory
from adapters.postgres.carried import LINUX, Account, EmbeddedError, binary, known_account, private_account, run_as

ROLE = "defarm"
PASSWORD_FILE = "postgres-password"  # noqa: S105 - the name of a file
LOG_LIMIT = 8 * 1024 * 1024
# The link names the working directory without walking to it: parents may be closed to the server's account.
HERE = "/proc/self/cwd" if LINUX else "."

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "listen_addresses": "",
        "unix_socket_directories": ".",
        "unix_socket_permissions": "0700",
        "port": "5432",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "shared_buffers": "128MB",
        "wal_buffers": "16MB",
        "max_wal_size": "2GB",
        "checkpoint_timeout": "10min",
        "maintenance_work_mem": "128MB",
        "work_mem": "8MB",
        "random_page_cost": "1.1",
        "max_connections": "200",
        "max_parallel_workers_per_gather": "0",
        "jit": "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "lc_messages": "C",
        # Errors of statements quote their values, which may be personal: only the server's own words are kept.
        "log_min_messages": "log",
        "log_checkpoints": "off",
        "log_autovacuum_min_duration": "-1",
    }
)


@attrs.frozen
class Cluster:
    """The cluster under `data_dir/postgres`; nothing here locks, the caller owns the directory."""

    data_dir: Path
    settings: Mapping[str, str] = MappingProxyType({})

    @property
    def folder(self) -> Path:
        return self.data_dir / "postgres"

    @property
    def log(self) -> Path:
        return self.data_dir / "postgres.log"

    def exists(self) -> bool:
        return self.folder.exists()

    def password(self) -> str:
        """Return the role's password. EmbeddedError when its file is gone or not readable."""
        path = self.data_dir / PASSWORD_FILE
        try:
            return path.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise EmbeddedError(
                f"{path} opens the database beside it and cannot be read ({error.strerror}); restore it from a backup"
            ) from error

    def create(self) -> None:
        """Make an empty cluster (UTF-8, C collation, data checksums, password required), whole or not at all."""
        self._drop_drafts()
        try:
            password = load_or_create_secret(self.data_dir, PASSWORD_FILE)
            draft = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.data_dir))
        except OSError as error:
            raise EmbeddedError(f"nothing can be written to {self.data_dir}: {error.strerror}") from error
        try:
            self._initialise(draft, password)
            draft.rename(self.folder)
            sync_directory(self.data_dir)
            # The initdb of an engine that was killed goes on for a moment, and fills again what was dropped.
            self._drop_drafts()
        except OSError as error:
            shutil.rmtree(draft, ignore_errors=True)
            raise EmbeddedError(f"the embedded database cannot be created in {self.data_dir}: {error}") from error
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise

    def _drop_drafts(self) -> None:
        for draft in self.data_dir.glob("postgres.new-*"):
            shutil.rmtree(draft, ignore_errors=True)

    def _initialise(self, draft: Path, password: str) -> None:
        owner = self._account()
        maker = owner and known_account(owner)
        if maker:
            os.chown(draft, maker.uid, maker.gid)
        done = self._run_initdb(draft, maker, password)
        if done.returncode:
            raise EmbeddedError(self._initdb_failure(done.stderr))
        if owner and owner != maker:
            for path in (draft, *draft.rglob("*")):
                os.chown(path, owner.uid, owner.gid, follow_symlinks=False)

    def _run_initdb(self, draft: Path, maker: Account | None, password: str) -> subprocess.CompletedProcess[str]:
        arguments = ["-U", ROLE, "-E", "UTF8", "--locale=C", "--data-checksums", "-A", "scram-sha-256"]
        arguments += ["--pwfile=/dev/stdin", "--no-instructions"]
        reader, writer = os.pipe()
        try:
            if maker:
                os.fchown(reader, maker.uid, maker.gid)
            os.write(writer, password.encode() + b"\n")
            os.close(writer)
            command, options = run_as(maker, [str(binary("initdb")), "-D", HERE, *arguments])
            return subprocess.run(  # noqa: S603 - our own binary
                command, cwd=draft, stdin=reader, capture_output=True, text=True, check=False, **options
            )
        finally:
            os.close(reader)

    def _initdb_failure(self, output: str) -> str:
        lines = [line for line in output.splitlines() if "error" in line.lower() or "fatal" in line.lower()]
        reason = "; ".join(lines) or output.strip() or "initdb was killed"
        free = shutil.disk_usage(self.data_dir).free // (1024 * 1024)
        text = f"the embedded database could not be created in {self.data_dir}: {reason}"
        if "No space left" in output or "quota" in output.lower():
            return f"the disk is full: {text} ({free} MiB are free, about 64 MiB are needed)"
        if "look up effective user" in output:
            return f"{text}. Give uid {os.geteuid()} a line in /etc/passwd, or set DATABASE_URL"
        return text

    def launch(self) -> "subprocess.Popen[bytes]":
        """Start the server on the existing cluster; it is not ready yet."""
        self._clear_remains()
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        chosen = {**SETTINGS, **self.settings, "cluster_name": self._mark()}
        options = [word for name, value in chosen.items() for word in ("-c", f"{name}={value}")]
        version = (self.folder / "PG_VERSION").read_text(encoding="utf-8").strip()
        command, how = run_as(self._account(), [str(binary("postgres", version)), "-D", HERE, *options])
        with self.log.open("ab") as log:
            self.log.chmod(0o600)
            belong_to_directory(self.log)
            # Its own session: Ctrl-C at the terminal reaches the engine alone, which then stops the server in order.
            return subprocess.Popen(  # noqa: S603 - our own binary
                command,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=0o077,
                **how,
            )

    def _clear_remains(self) -> None:
        """Remove what a killed server left: its orphaned backends, its socket, the claim of its process id."""
        deadline = time.monotonic() + 5
        while (left := list(_processes_marked(self._mark()))) and time.monotonic() < deadline:
            for pid in left:
                _signal(pid, signal.SIGKILL)
            time.sleep(0.01)
        for name in (".s.PGSQL.5432", ".s.PGSQL.5432.lock"):
            (self.folder / name).unlink(missing_ok=True)
        path = self.folder / "postmaster.pid"
        lines = self._pid_file()
        if not lines:
            path.unlink(missing_ok=True)
            return
        # The id may by now belong to a stranger, on which the server would refuse to start. It ignores the id of
        # its parent, and the rest of the file must stay: it names the shared memory that proves nobody is left.
        owner = path.stat()
        draft = self.folder / "postmaster.pid.new"
        draft.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n", encoding="utf-8")
        draft.chmod(0o600)
        os.chown(draft, owner.st_uid, owner.st_gid)
        draft.replace(path)

    def _pid_file(self) -> list[str]:
        try:
            return (self.folder / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def postmaster(self) -> int | None:
        """Return the process id of the live server on this cluster; a file that only claims so is not believed."""
        lines = self._pid_file()
        if not lines or not lines[0].strip().isdigit():
            return None
        pid = int(lines[0])
        return pid if _is_marked(pid, self._mark()) else None

    def reports_ready(self) -> bool:
        """Tell whether the server has written that it takes connections."""
        lines = self._pid_file()
        return len(lines) > 7 and lines[7].startswith("ready")

    def log_size(self) -> int:
        """Return where in its log the server will write next."""
        return self.log.stat().st_size if self.log.exists() and self.log.stat().st_size <= LOG_LIMIT else 0

    def complaints(self, since: int) -> str:
        """Return why the server gave up, from its log after the position `since`; its last lines if unsaid."""
        lines = self.log.read_bytes()[since:].decode("utf-8", "replace").splitlines()
        grave = [line for line in lines if any(word in line for word in ("FATAL:", "PANIC:", "HINT:", "ERROR:"))]
        text = "; ".join((grave or lines)[-4:])
        return f"the disk is full: {text}" if "No space left" in text else text

    def shut_down(self, patience: float = 10.0) -> None:
        """End the live server, if any: in order, then at once, then by force. `patience` in seconds."""
        for number, seconds in ((signal.SIGINT, patience), (signal.SIGQUIT, min(patience, 5.0)), (signal.SIGKILL, 5.0)):
            pid = self.postmaster()
            if pid is None:
                return
            _signal(pid, number)
            deadline = time.monotonic() + seconds
            while self.postmaster() is not None and time.monotonic() < deadline:
                time.sleep(0.01)
        if self.postmaster() is not None:
            raise EmbeddedError(f"the server of {self.data_dir} (pid {self.postmaster()}) does not end")

    def _mark(self) -> str:
        # In the command line of the server and in the title of each of its children, readable without privileges
        # where /proc/*/cwd is not; bound to the directory itself, so it survives a rename of the path.
        status = self.folder.stat()
        return f"defarm-{status.st_dev:x}-{status.st_ino:x}"

    def _account(self) -> Account | None:
        if os.geteuid() != 0:
            return None
        if not LINUX:
            raise EmbeddedError(
                "the embedded PostgreSQL cannot run as root on this system; use an ordinary user, or DATABASE_URL"
            )
        owner = (self.folder if self.exists() else self.data_dir).stat()
        if owner.st_uid:
            return Account(owner.st_uid, owner.st_gid)
        return private_account()


def _processes_marked(mark: str) -> Iterator[int]:
    if LINUX:
        numbers = (entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit())
        yield from (pid for pid in map(int, numbers) if _is_marked(pid, mark))


def _is_marked(pid: int, mark: str) -> bool:
    if not LINUX:
        shown = subprocess.run(  # noqa: S603
            ["/bin/ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False
        )
        return mark in shown.stdout
    try:
        process = Path(f"/proc/{pid}")
        name = (process / "comm").read_text(encoding="utf-8", errors="replace").strip()
        return name == "postgres" and mark.encode() in (process / "cmdline").read_bytes()
    except OSError:
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return

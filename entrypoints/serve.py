"""The life of a serving process, from its socket to its exit code (platform.md 12.1, 12.2)."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import structlog
import uvloop
from dependency_injector import providers
from uvicorn.config import Config
from uvicorn.server import Server

from application.notifications.live import EVERY
from application.settings import Settings
from container import Container, close, container_of
from domain.access.principal import system
from domain.act import Act
from domain.errors import DomainError, Refusal
from domain.outbox.values import OutboxRow
from domain.ports.backing import SchemaBehind, StoreBroken, StoreRefused
from domain.ports.errors import ReadOnly, StorageError, WriterRefused
from entrypoints.accepting import Acceptor
from entrypoints.forking import fork
from entrypoints.http.app import App
from entrypoints.http.assembly import assembled, engine_routes, health_of, kernel_of
from entrypoints.http.conversing import MAX_SOCKET_MESSAGE
from entrypoints.http.crowd import Connection, Crowd, Refuse
from entrypoints.http.exchange import Receive, Scope, Send
from entrypoints.http.heads import Unread
from entrypoints.http.routes.metrics import metrics_route
from entrypoints.http.routing import Route
from entrypoints.http.sending import Raw
from entrypoints.http.server import KEEP_ALIVE_SECONDS
from entrypoints.lean import let_go_of_files
from entrypoints.logging import clean, configure
from entrypoints.tracing import spans_of
from entrypoints.watching import Watcher

BACKLOG: Final = 2048
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
DONE, FAILED, UNREACHABLE, REFUSED = 0, 1, 3, 4

R = TypeVar("R")
Prepare = Callable[[Container, str], Awaitable[Callable[[], None]]]


def serve(settings: Settings, prepare: Prepare | None = None) -> int:
    """Serve until a signal and return the exit code: 0 after a signal, 3 or 4 when the store cannot be used.

    `prepare` is awaited with the open store and the address before the first request is let in; what it returns is
    called right after that.

    Raises StoreRefused before anything is bound for a storage that this release does not have.
    """
    container_of(settings)
    try:
        listener = bound(settings.host, settings.port)
    except OSError as error:
        _tell(_why_not_bound(settings, error))
        return REFUSED
    with listener:
        address = _address(settings, listener)
        if settings.port == 0:
            _tell(f"Listening on {address}")
        if settings.workers == 1:
            return serve_on(settings, listener, address, prepare=prepare)
        with _added_up() as forget:
            return fork(settings.workers, lambda number: _one_of_many(settings, number, listener, address), forget)


@contextlib.contextmanager
def _added_up() -> Iterator[Callable[[int], None]]:
    """Let the processes born in this block add up what they count, in files of their own; yields what forgets the
    present state of one that died."""
    with tempfile.TemporaryDirectory(prefix="defarm-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder

        def forget(pid: int) -> None:
            for file in Path(folder).glob(f"gauge_live*_{pid}.db"):
                file.unlink(missing_ok=True)

        try:
            yield forget
        finally:
            del os.environ["PROMETHEUS_MULTIPROC_DIR"]


def serve_on(
    settings: Settings,
    listener: socket.socket,
    address: str,
    *,
    joins: bool = False,
    prepare: Prepare | None = None,
) -> int:
    """Serve on a bound socket in this process; with `joins` the embedded server belongs to several processes."""
    release = version("defarm-engine")
    configure(settings.log_level, settings.log_format, instance_id=settings.instance_id, version=release)
    structlog.get_logger("engine").info("system.listening", address=address)
    return uvloop.run(Process(container_of(settings, joins=joins), listener, address, prepare).run())


def _one_of_many(settings: Settings, number: int, listener: socket.socket, address: str) -> int:
    """Serve as process `number` of several; only the first one prints the setup token."""
    own = attrs.evolve(
        settings,
        instance_id=f"{settings.instance_id[:60]}-{number}",
        setup_token=settings.setup_token and number == 1,
    )
    return serve_on(own, listener, address, joins=True)


def bound(host: str, port: int) -> socket.socket:
    """Return a listening socket; `::` takes both families. Raises OSError."""
    (family, kind, protocol, _, place), *_ = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        listener.bind(place)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _why_not_bound(settings: Settings, error: OSError) -> str:
    place = f"{settings.host} port {settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{place} is taken; stop the other process, or choose another with PORT or --port (0 takes a free one)"
    return f"{place} cannot be bound: {error.strerror or error}"


def _address(settings: Settings, listener: socket.socket) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{listener.getsockname()[1]}"


def _tell(message: str) -> None:
    """Speak to people, outside the log."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


class _Server(Server):
    """uvicorn without its signal handling and without the loop's way of taking connections in."""

    def __init__(self, config: Config, refuse: Refuse, unread: Unread) -> None:
        super().__init__(config)
        self._crowd = Crowd(refuse, unread)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        self.servers = [Acceptor(listener, self._protocol) for listener in sockets or ()]  # type: ignore[misc]

    def _protocol(self) -> asyncio.Protocol:
        return Connection(
            self._crowd, config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Door:
    """What the server calls: the application of the present phase."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)

    def refuse(self, scope: Scope) -> tuple[list[Raw], bytes] | None:
        return self.app.turned_away(scope)

    def unread(self, refused: Refusal, peer: str | None) -> tuple[int, list[Raw], bytes]:
        return self.app.unread(refused, peer)


class Process:
    """One serving process."""

    def __init__(
        self, container: Container, listener: socket.socket, address: str, prepare: Prepare | None = None
    ) -> None:
        self.prepare = prepare
        self.container = container
        self.settings: Settings = container.settings()
        self.listener = listener
        self.address = address
        self.log = structlog.get_logger("engine")
        self.health = health_of(container, container.clock().now())
        self.kernel = kernel_of(container, self.health)
        self.spans = spans_of(os.environ, self.settings.instance_id, self.health.version)
        self.watcher = Watcher(container, self.health, container.meter(), self.spans)
        self.metrics = metrics_route(self.watcher.scrape, self.settings.metrics_token)
        self.door = _Door(self._assembled())
        self.server = _Server(self._uvicorn(), self.door.refuse, self.door.unread)
        self.signalled = asyncio.Event()

    def _uvicorn(self) -> Config:
        return Config(
            self.door,
            loop="none",
            http=Connection,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="websockets-sansio",
            ws_max_size=MAX_SOCKET_MESSAGE,
            ws_ping_interval=EVERY,
            ws_ping_timeout=2 * EVERY,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=max(1, int(self.settings.shutdown_grace.total_seconds())),
        )

    def _assembled(self, *routes: Route) -> App:
        return assembled((*routes, self.metrics), self.kernel, self.health, self.watcher.observers())

    async def run(self) -> int:
        """Serve until a signal, or until the store turns out not to be usable."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        serving = asyncio.create_task(self.server.serve([self.listener]))
        opening = asyncio.create_task(self._open())
        signalled = asyncio.create_task(self.signalled.wait())
        watching = [asyncio.create_task(work) for work in (self.watcher.run(), self.watcher.follow())]
        code = DONE
        try:
            await asyncio.wait({signalled, opening, serving}, return_when=asyncio.FIRST_COMPLETED)
            code = await self._until_the_end(opening, serving, signalled)
        finally:
            signalled.cancel()
            await self._end(opening, serving)
            for task in watching:
                task.cancel()
        lost = self.container.cache_control().lost
        if lost:
            _tell(f"{lost} acknowledged units are lost: PostgreSQL does not have them; the log says why")
        return FAILED if lost else code

    async def _until_the_end(
        self, opening: "asyncio.Task[None]", serving: "asyncio.Task[None]", signalled: "asyncio.Task[Any]"
    ) -> int:
        if opening.done() and (fault := opening.exception()) is not None:
            return self._cannot_start(fault)
        await asyncio.wait({signalled, serving}, return_when=asyncio.FIRST_COMPLETED)
        return DONE if signalled.done() else FAILED

    def _on_signal(self) -> None:
        if self.signalled.is_set():
            os._exit(FAILED)
        self.signalled.set()

    def _cannot_start(self, fault: BaseException) -> int:
        self.log.error("system.cannot_start", reason=type(fault).__name__, detail=str(fault))
        _tell(clean(str(fault)) or type(fault).__name__)
        match fault:
            case StoreRefused() | WriterRefused():
                return REFUSED
            case StoreBroken():
                return UNREACHABLE
            case _:
                return FAILED

    async def _open(self) -> None:
        """Open the store, however long it takes, and let requests in. Raises StoreRefused and StoreBroken."""
        keys = await retried(self.container.store_life().open, self._tell_of_retry)
        self.container.identifier_keys.override(providers.Object(keys))
        app = self._assembled(*engine_routes(self.container))
        tell = await self.prepare(self.container, self.address) if self.prepare is not None else lambda: None
        await self._print_setup_token()
        with contextlib.suppress(ReadOnly):
            await self._audit("system.started")
        self.watcher.listen()
        self.container.relay().tell = self._tell_of_job
        self.container.crew().start(self._tell_of_crash)
        self.door.app = app
        self.health.phase = "ready"
        tell()
        let_go_of_files()
        self.log.info("system.started", address=self.address, storage=self.settings.storage)

    def _tell_of_retry(self, error: Exception, pause: float) -> None:
        reason = "schema" if isinstance(error, SchemaBehind) else type(error).__name__
        self.log.warning("store.waiting", reason=reason, detail=str(error), retry_seconds=pause)

    def _tell_of_crash(self, name: str, error: Exception, pause: float) -> None:
        if isinstance(error, ReadOnly):
            self.log.warning("worker.waiting", worker=name, reason="read_only", retry_seconds=pause)
            return
        self.log.error("worker.crashed", worker=name, exc_info=error, retry_seconds=pause)

    def _tell_of_job(self, row: OutboxRow, error: Exception) -> None:
        told = {"kind": row.kind, "row_id": row.row_id, "attempts": row.attempts, "trace_id": row.trace_id}
        if row.status == "dead":
            self.log.error("outbox.dead", exc_info=error, **told)
        else:
            self.log.warning("outbox.failed", reason=f"{row.kind} {row.last_error}", detail=str(error), **told)

    async def _print_setup_token(self) -> None:
        if not self.settings.setup_token:
            return
        token = await self.container.accounts().registrations.setup_token()
        if token is not None:
            _tell(_SETUP.format(token=token, address=self.settings.public_url or self.address))

    async def _audit(self, action: str) -> None:
        async def entry(act: Act) -> None:
            await act.audit(action, ("instance", self.settings.instance_id))

        await self.container.units().perform(system(), entry)

    async def _end(self, opening: "asyncio.Task[None]", serving: "asyncio.Task[None]") -> None:
        was_ready = self.health.phase == "ready"
        self.health.closing = not was_ready
        self.health.phase = "draining"
        self.log.info("system.draining")
        opening.cancel()
        await asyncio.wait({opening})
        if was_ready:
            await asyncio.sleep(self.settings.drain_delay.total_seconds())
        self.health.closing = True
        self.container.live().shut()
        self.server.should_exit = True
        await asyncio.wait({serving})
        await self.container.crew().stop()
        if was_ready:
            with contextlib.suppress(StorageError, DomainError):
                await self._audit("system.stopped")
        await close(self.container)
        if self.spans is not None:
            await asyncio.to_thread(self.spans.close)
        self.log.info("system.stopped")


async def retried(
    attempt: Callable[[], Awaitable[R]], tell: Callable[[Exception, float], None], first: float = FIRST_PAUSE
) -> R:
    """Await `attempt` until the store is there: pauses double up to 10 s, for ever."""
    pause = first
    while True:
        try:
            return await attempt()
        except WriterRefused:
            raise
        except (StorageError, SchemaBehind) as error:
            tell(error, pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


_SETUP: Final = """
No administrator exists yet. Make the first one with this token, which is good until then:

  {token}

  curl -X POST {address}/api/auth/setup -H 'Content-Type: application/json' \\
    -d '{{"setup_token": "{token}", "username": "admin", "email": "admin@example.org", "password": "…"}}'

or with: defarm admin create --username NAME --email ADDRESS
"""

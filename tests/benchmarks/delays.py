"""A slower disk and a longer network than a loopback has, which flatters whatever makes round trips.

The network is a relay between the engine and its servers that holds every piece back for half of a round trip. The
disk is PostgreSQL's own `commit_delay` with `commit_siblings = 0`: every flush of the log for a commit waits that much
longer, under the lock that a slow fsync holds, so what commits meanwhile is flushed together, as on such a disk. Reads
and the writing of pages are not slowed down.
"""

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from multiprocessing import get_context
from urllib.parse import parse_qs, urlsplit, urlunsplit

import attrs
import psycopg

POSTGRES_PORT, REDIS_PORT = 5432, 6379


@attrs.define
class Delays:
    """Milliseconds that a flush and a round trip take longer; none by default."""

    disk: float = 0.0
    network: float = 0.0
    _relays: dict[str, int] = attrs.field(factory=dict)
    _held: contextlib.ExitStack = attrs.field(factory=contextlib.ExitStack)

    def through(self, url: str) -> str:
        """Return the URL under which a server is reached over the longer network."""
        if not self.network:
            return url
        upstream = _upstream(url)
        if upstream not in self._relays:
            self._relays[upstream] = self._held.enter_context(_relay(upstream, self.network / 2000))
        parts = urlsplit(url)
        secret = parts.netloc.rpartition("@")[0]
        place = f"127.0.0.1:{self._relays[upstream]}"
        return urlunsplit(parts._replace(netloc=f"{secret}@{place}" if secret else place, query=""))

    def slow_disk(self, url: str) -> None:
        """Let every commit of a PostgreSQL server wait for the slower disk."""
        if self.disk:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"alter system set commit_delay = {int(self.disk * 1000)}")
                connection.execute("alter system set commit_siblings = 0")
                connection.execute("select pg_reload_conf()")

    def close(self) -> None:
        """End the relays."""
        self._held.close()


def _upstream(url: str) -> str:
    """Return where a server listens: `host:port`, or the path of a unix socket."""
    parts = urlsplit(url)
    named = parse_qs(parts.query)
    port = parts.port or int(named.get("port", [str(POSTGRES_PORT if "postgres" in parts.scheme else REDIS_PORT)])[0])
    host = parts.hostname or named["host"][0]
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else f"{host}:{port}"


@contextlib.contextmanager
def _relay(upstream: str, seconds: float) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    process = get_context("fork").Process(target=_serve, args=(listener, upstream, seconds), daemon=True)
    process.start()
    port = int(listener.getsockname()[1])
    listener.close()
    try:
        yield port
    finally:
        process.terminate()
        process.join()


def _serve(listener: socket.socket, upstream: str, seconds: float) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while True:
        near, _ = listener.accept()
        try:
            far = _connected(upstream)
        except OSError:
            near.close()
            continue
        for source, sink in ((near, far), (far, near)):
            threading.Thread(target=_carry, args=(source, sink, seconds), daemon=True).start()


def _connected(upstream: str) -> socket.socket:
    if upstream.startswith("/"):
        far = socket.socket(socket.AF_UNIX)
        far.connect(upstream)
        return far
    host, _, port = upstream.rpartition(":")
    far = socket.create_connection((host, int(port)))
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return far


def _carry(source: socket.socket, sink: socket.socket, seconds: float) -> None:
    """Hand on what comes, each piece after `seconds`."""
    if sink.family == socket.AF_INET:
        sink.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with contextlib.suppress(OSError):
        while piece := source.recv(1 << 20):
            time.sleep(seconds)
            sink.sendall(piece)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)

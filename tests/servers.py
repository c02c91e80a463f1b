"""Real PostgreSQL and Redis servers for tests.

In this order: an explicit URL (`DEFARM_TEST_DATABASE_URL`, `DEFARM_TEST_REDIS_URL`); a container, when a container
engine answers; the server programs that come with packages of the index. When none can be had the test fails and says
how to give one. Each process of a parallel run starts its own; with a URL they share the server, not the databases.
"""

import asyncio
import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import urlsplit, urlunsplit

import docker  # type: ignore[import-untyped]
import psycopg
import redis
from psycopg import sql

from adapters.postgres.migrations import migrate
from tests.machines import (
    Container,
    Given,
    Machine,
    PackagedPostgres,
    PackagedRedis,
    ServerMissing,
    kept_port,
    wait_until,
)

DATABASE_VARIABLE = "DEFARM_TEST_DATABASE_URL"
REDIS_VARIABLE = "DEFARM_TEST_REDIS_URL"
POSTGRES_IMAGE = "postgres:18-alpine"
REDIS_IMAGE = "redis:7-alpine"


class _Server:
    """A real server and its handles; `url` is valid from `start` on and does not change over restarts."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.url = ""

    def start(self) -> Self:
        """Bring the server up and wait until it answers."""
        self.url = self._machine.start()
        wait_until(self.answers, 60, f"the server of {type(self).__name__} does not answer")
        return self

    def answers(self) -> bool:
        """Tell whether the server answers a question now."""
        raise NotImplementedError

    def stop(self) -> None:
        """End the server in order; `start` brings it back."""
        self._machine.stop()

    def kill(self) -> None:
        """End the server with SIGKILL; `start` brings it back."""
        self._machine.kill()

    def pause(self) -> None:
        """Freeze the server (SIGSTOP): nothing is refused and nothing answers."""
        self._machine.pause()

    def resume(self) -> None:
        """Let a frozen server go on."""
        self._machine.resume()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Freeze the server for the time of the block."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def restart(self) -> None:
        """End the server in order and bring it up again."""
        self.stop()
        self.start()

    def remove(self) -> None:
        """End the server and drop its data."""
        self._machine.remove()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.remove()


class PostgresServer(_Server):
    """A PostgreSQL server with a fresh database for whoever asks."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._templates: dict[Callable[[str], None], str] = {}

    def answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def create_database(self, prepare: Callable[[str], None] | None = None) -> str:
        """Return the URL of a new database: empty, or a copy of one that `prepare(url)` has filled once."""
        return self._create(self._template(prepare) if prepare else "template0")

    def create_migrated_database(self) -> str:
        """Return the URL of a new database with the engine's schema and no rows."""
        return self.create_database(_migrate)

    def drop_database(self, url: str) -> None:
        """Drop a database of `create_database`, ending the connections that are left."""
        name = urlsplit(url).path.lstrip("/")
        self._execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def remove(self) -> None:
        if isinstance(self._machine, Given):
            for name in self._templates.values():
                self.drop_database(self._url_of(name))
        super().remove()

    def _template(self, prepare: Callable[[str], None]) -> str:
        if prepare not in self._templates:
            url = self._create("template0")
            prepare(url)
            self._templates[prepare] = urlsplit(url).path.lstrip("/")
        return self._templates[prepare]

    def _create(self, template: str) -> str:
        name = f"test_{os.getpid()}_{secrets.token_hex(6)}"
        statement = "create database {} template {} encoding 'UTF8' lc_collate 'C' lc_ctype 'C'"
        self._execute(sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(template)))
        return self._url_of(name)

    def _url_of(self, name: str) -> str:
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)


class RedisServer(_Server):
    """A Redis server without persistence."""

    def answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1, socket_connect_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def flush(self) -> None:
        """Empty the database of this test process."""
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            client.flushdb()


class RedisCluster:
    """Redis servers of a package that share the slots of one cluster, without replicas."""

    def __init__(self, size: int = 3) -> None:
        ports = [_cluster_port() for _ in range(size)]
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
        self.nodes = [RedisServer(PackagedRedis(port, *options)).start() for port in ports]
        share = -(-16384 // size)
        for number, (node, port) in enumerate(zip(self.nodes, ports, strict=True)):
            with redis.Redis.from_url(node.url) as client:
                client.execute_command("CLUSTER", "ADDSLOTS", *range(16384)[number * share : (number + 1) * share])  # type: ignore[no-untyped-call]
                client.execute_command("CLUSTER", "MEET", "127.0.0.1", ports[0] if port != ports[0] else ports[1])  # type: ignore[no-untyped-call]
        self.settle()

    @property
    def url(self) -> str:
        """The address of one node, from which a client finds the others."""
        return self.nodes[0].url

    def settle(self) -> None:
        """Wait until every node takes part and knows who holds every slot."""
        wait_until(lambda: all(map(self._is_well, self.nodes)), 30, "the nodes do not become a cluster")

    def _is_well(self, node: RedisServer) -> bool:
        try:
            with redis.Redis.from_url(node.url, socket_timeout=1) as client:
                state = str(client.execute_command("CLUSTER", "INFO"))  # type: ignore[no-untyped-call]
        except redis.RedisError:
            return False
        return "cluster_state:ok" in state.replace("'", "").replace(" ", "")

    def remove(self) -> None:
        for node in self.nodes:
            node.remove()


def _cluster_port() -> int:
    """Return a port kept for this process with its number plus 10,000, on which the nodes talk to each other."""
    while True:
        with contextlib.suppress(OSError):
            port = kept_port(secrets.randbelow(30_000) + 20_000)
            kept_port(port + 10_000)
            return port


def postgres_server(*, private: bool = False) -> PostgresServer:
    """Return a started PostgreSQL; `private` ones may be stopped and killed, and are never a given URL's."""
    url = os.environ.get(DATABASE_VARIABLE)
    if url and not private:
        return PostgresServer(Given(url, DATABASE_VARIABLE)).start()
    password = secrets.token_hex(16)
    return _first_that_starts(
        PostgresServer,
        DATABASE_VARIABLE,
        lambda: Container(
            POSTGRES_IMAGE,
            5432,
            f"postgresql://postgres:{password}@127.0.0.1:{{port}}/postgres",
            "postgres -c max_connections=200",
            {"POSTGRES_PASSWORD": password},
        ),
        PackagedPostgres,
    )


def redis_server(*, private: bool = False) -> RedisServer:
    """Return a started Redis; `private` ones may be stopped and killed, and are never a given URL's."""
    url = os.environ.get(REDIS_VARIABLE)
    if url and not private:
        return RedisServer(Given(_own_redis_database(url), REDIS_VARIABLE)).start()
    command = "redis-server --save '' --appendonly no --maxmemory-policy volatile-lru"
    return _first_that_starts(
        RedisServer,
        REDIS_VARIABLE,
        lambda: Container(REDIS_IMAGE, 6379, "redis://127.0.0.1:{port}/0", command, {}),
        PackagedRedis,
    )


_Kind = TypeVar("_Kind", bound=_Server)


def _first_that_starts(
    kind: Callable[[Machine], _Kind],
    variable: str,
    container: Callable[[], Machine],
    packaged: Callable[[], Machine],
) -> _Kind:
    complaints = []
    for make in (container, packaged) if _containers_answer() else (packaged,):
        machine: Machine | None = None
        try:
            machine = make()
            return kind(machine).start()
        except BaseException as error:
            if machine is not None:
                with contextlib.suppress(Exception):
                    machine.remove()
            if not isinstance(error, Exception):
                raise
            complaints.append(f"{type(error).__name__}: {error}")
    raise ServerMissing(
        f"no server for the tests: {'; '.join(complaints)}. Give one with {variable}=URL, start a container engine, "
        "or install the development packages (uv sync)"
    )


def _containers_answer() -> bool:

    address = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    if address.scheme == "unix" and not Path(address.path).is_socket():
        return False
    # A named version, so that nothing is asked before there is a client to close.
    client = docker.from_env(timeout=2, version="1.41")
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, OSError):
        return False
    finally:
        client.close()


def _own_redis_database(url: str) -> str:
    """Return the URL with a database of its own for each process of a parallel run."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return url if number == "0" else urlunsplit(urlsplit(url)._replace(path=f"/{number}"))


def _migrate(url: str) -> None:
    # A thread of its own: the caller may already be inside an event loop.
    failures: list[BaseException] = []

    def work() -> None:
        try:
            asyncio.run(migrate(url))
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]

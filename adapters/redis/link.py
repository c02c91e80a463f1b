"""Connections to one Redis server, each bound to the life of the server it reached (architecture.md 5).

redis-py's client retries and waits for seconds; here a call is one exchange over a pooled connection that ends
within the time-out, and a connection that did not behave is thrown away.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha1
from importlib.resources import files
from typing import Any, Protocol, cast

from hiredis import pack_command
from redis.asyncio.connection import AbstractConnection, ConnectionPool
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from adapters.redis.breaker import PROBE_INTERVAL, Breaker
from domain.ports.cache import CacheUnavailable

TIMEOUT = 0.05
CONNECTIONS = 8
_STALE_AFTER = 1.0

Command = tuple[str | bytes | int, ...]
Commands = Callable[[bytes], Sequence[Command]]
_packed = cast("Callable[[Command], bytes]", pack_command)


class Scripts:
    """The Lua scripts of this package by name, each with the prelude in front."""

    def __init__(self, names: Sequence[str]) -> None:
        folder = files(__package__)
        prelude = folder.joinpath("prelude.lua").read_text("utf-8")
        texts = (prelude + folder.joinpath(f"{name}.lua").read_text("utf-8") for name in names)
        self.sources: Mapping[str, str] = dict(zip(names, texts, strict=True))
        self.hashes: Mapping[str, str] = {
            name: sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in self.sources.items()
        }

    def loads(self) -> list[Command]:
        """Return the commands that load every script."""
        return [("SCRIPT", "LOAD", source) for source in self.sources.values()]

    def call(self, name: str, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Command:
        """Return the command that runs a script by its hash."""
        return ("EVALSHA", self.hashes[name], len(keys), *keys, *args)


class Link(Protocol):
    """What a cache in Redis speaks through: one server, or a cluster of them."""

    @property
    def failures(self) -> int: ...

    @property
    def open_since(self) -> datetime | None: ...

    def bind(self, run: bytes) -> None: ...

    async def exchange(self, commands: Commands, *, any_run: bool = False) -> tuple[bytes, list[Any]]: ...

    async def links(self) -> "list[RedisLink]": ...

    async def aclose(self) -> None: ...


class RedisLink:
    """Exchanges commands and answers with one server.

    The run id of the server is asked once per connection: a connection cannot outlive its server, so commands
    sent on it are known to reach that very life of the server.
    """

    def __init__(
        self, url: str, scripts: Scripts, timeout: float = TIMEOUT, probe_interval: float = PROBE_INTERVAL
    ) -> None:
        self._pool: Any = ConnectionPool.from_url(
            url, socket_timeout=None, socket_connect_timeout=timeout, redis_connect_func=self._greet, protocol=2
        )
        where = self._pool.connection_kwargs
        self._address = where.get("path") or f"{where.get('host', 'localhost')}:{where.get('port', 6379)}"
        self._why = ""
        self._scripts = scripts
        self._timeout = timeout
        self._runs: dict[AbstractConnection, bytes] = {}
        self._idle: list[tuple[AbstractConnection, float]] = []
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._closed = False
        self._bound: bytes | None = None
        self.failures = 0
        self.breaker = Breaker(self._answered, probe_interval)

    @property
    def open_since(self) -> datetime | None:
        """Since when the server is given up."""
        return self.breaker.open_since

    async def links(self) -> "list[RedisLink]":
        """Return this link: one server holds everything."""
        return [self]

    def bind(self, run: bytes) -> None:
        """Reach no other run of the server from now on."""
        self._bound = run

    async def exchange(self, commands: Commands, *, any_run: bool = False) -> tuple[bytes, list[Any]]:
        """Send what `commands(run)` returns in one go; return the run id and the answers in order.

        Raises `CacheUnavailable` when the breaker is open, the time is over, any command was refused, or another
        run of the server than the bound one answers and not any run will do.
        """
        if self._closed or self.breaker.is_open:
            raise CacheUnavailable("closed" if self._closed else f"{self._why}; given up for now")
        try:
            answer = await self._bounded(commands, any_run=any_run)
        except (TimeoutError, OSError, RedisError) as cause:
            self.failures += 1
            self._why = self._reason(cause)
            self.breaker.failed()
            raise CacheUnavailable(self._why) from cause
        self.breaker.succeeded()
        return answer

    async def aclose(self) -> None:
        """Close every connection; later exchanges are refused."""
        self._closed = True
        await self.breaker.aclose()
        await self._forget_idle()

    def _reason(self, cause: BaseException) -> str:
        """Say in words of operators what went wrong. Neither user nor password stands in it."""
        text = str(cause)
        if isinstance(cause, AuthenticationError) or text.startswith(("NOAUTH", "WRONGPASS", "NOPERM")):
            return f"{self._address} does not accept the user or password of REDIS_URL"
        if isinstance(cause, RedisTimeoutError | TimeoutError):
            return f"{self._address} does not answer within {self._timeout:g} s"
        if any(isinstance(each, ConnectionRefusedError) for each in (cause, cause.__cause__, cause.__context__)):
            return f"connection refused by {self._address}"
        return f"{self._address}: {type(cause).__name__}: {text}"

    async def _answered(self) -> None:
        await self._bounded(lambda _: [("PING",)], any_run=True)

    async def _bounded(self, commands: Commands, *, any_run: bool) -> tuple[bytes, list[Any]]:
        async with asyncio.timeout(self._timeout), self._slots:
            connection = await self._connection()
            well = False
            try:
                run = self._runs[connection]
                if not any_run and self._bound not in (None, run):
                    raise CacheUnavailable("another run of the server")
                answers = await self._ask(connection, commands(run))
                well = True
            finally:
                if well and not self._closed:
                    self._idle.append((connection, time.monotonic()))
                else:
                    await self._discard(connection)
                    await self._forget_idle()
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
        return run, answers

    async def _connection(self) -> AbstractConnection:
        while self._idle:
            connection, since = self._idle.pop()
            if time.monotonic() - since < _STALE_AFTER or await _is_alive(connection):
                return connection
            await self._discard(connection)
        fresh = self._pool.make_connection()
        try:
            await fresh.connect()
        except BaseException:
            await self._discard(fresh)
            raise
        return cast("AbstractConnection", fresh)

    async def _ask(self, connection: AbstractConnection, commands: Sequence[Command]) -> list[Any]:
        answers = await _round_trip(connection, commands)
        missing = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if missing:
            again = [*self._scripts.loads(), *(commands[at] for at in missing)]
            repeated = (await _round_trip(connection, again))[-len(missing) :]
            for at, answer in zip(missing, repeated, strict=True):
                answers[at] = answer
        return answers

    async def _greet(self, connection: AbstractConnection) -> None:
        await connection.on_connect()
        answers = await _round_trip(connection, [("INFO", "server"), *self._scripts.loads()])
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
        self._runs[connection] = info(answers[0])["run_id"].encode()

    async def _discard(self, connection: AbstractConnection) -> None:
        self._runs.pop(connection, None)
        await connection.disconnect(nowait=True)

    async def _forget_idle(self) -> None:
        while self._idle:
            await self._discard(self._idle.pop()[0])


def info(raw: bytes) -> Mapping[str, str]:
    """Return the fields of an INFO answer."""
    lines = (line.partition(":") for line in raw.decode().splitlines())
    return {name: value for name, colon, value in lines if colon}


async def _round_trip(connection: AbstractConnection, commands: Sequence[Command]) -> list[Any]:
    await connection.send_packed_command([_packed(command) for command in commands], check_health=False)
    return [await _answer(connection) for _ in commands]


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(timeout=math.inf)
    except ResponseError as refusal:
        return refusal


async def _is_alive(connection: AbstractConnection) -> bool:
    try:
        return not await connection.can_read()
    except (OSError, RedisError):
        return False

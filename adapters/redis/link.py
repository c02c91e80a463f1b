"""Connections to one Redis server, each bound to the life of the server it reached (architecture.md 5).

redis-py's client retries and waits for seconds; here a call is one exchange over a pooled connection that ends
within the time-out, and a connection that did not behave is thrown away.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha1
from importlib.resources import files
from typing import Any, Protocol

from redis.asyncio.connection import ConnectionPool
from redis.exceptions import AuthenticationError, NoScriptError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from adapters.redis.breaker import PROBE_INTERVAL, Breaker
from adapters.redis.wire import Command, Wire
from domain.ports.cache import CacheUnavailable

TIMEOUT = 0.05
CONNECTIONS = 8

Commands = Callable[[bytes], Sequence[Command]]


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
            url, socket_timeout=timeout, socket_connect_timeout=timeout, protocol=2
        )
        where = self._pool.connection_kwargs
        self._address = where.get("path") or f"{where.get('host', 'localhost')}:{where.get('port', 6379)}"
        self._why = ""
        self._scripts = scripts
        self._timeout = timeout
        self._idle: list[Wire] = []
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
        self._forget_idle()

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
        if not self._slots.locked():
            async with self._slots:
                wire = self._living()
                if wire is not None:
                    return await self._exchanged(wire, commands, any_run=any_run)
        # Who has to wait, or to connect, is bounded as a whole.
        async with asyncio.timeout(self._timeout), self._slots:
            return await self._exchanged(self._living() or await self._connected(), commands, any_run=any_run)

    async def _exchanged(self, wire: Wire, commands: Commands, *, any_run: bool) -> tuple[bytes, list[Any]]:
        well = False
        try:
            if not any_run and self._bound not in (None, wire.run):
                raise CacheUnavailable("another run of the server")
            answers = await self._asked(wire, commands(wire.run))
            well = True
        finally:
            if well and not self._closed:
                self._idle.append(wire)
            else:
                wire.close()
                self._forget_idle()
        return wire.run, _accepted(answers)

    def _living(self) -> Wire | None:
        """Take an idle connection that the server has not ended, if there is one."""
        while self._idle:
            wire = self._idle.pop()
            if wire.lives:
                return wire
            wire.close()
        return None

    async def _connected(self) -> Wire:
        connection = self._pool.make_connection()
        try:
            await connection.connect()
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        wire = Wire(connection, self._timeout)
        try:
            answers = _accepted(await wire.ask([("INFO", "server"), *self._scripts.loads()]))
        except BaseException:
            wire.close()
            raise
        wire.run = info(answers[0])["run_id"].encode()
        return wire

    async def _asked(self, wire: Wire, commands: Sequence[Command]) -> list[Any]:
        answers = await wire.ask(commands)
        missing = [at for at, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if missing:
            again = [*self._scripts.loads(), *(commands[at] for at in missing)]
            repeated = (await wire.ask(again))[-len(missing) :]
            for at, answer in zip(missing, repeated, strict=True):
                answers[at] = answer
        return answers

    def _forget_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()


def info(raw: bytes) -> Mapping[str, str]:
    """Return the fields of an INFO answer."""
    lines = (line.partition(":") for line in raw.decode().splitlines())
    return {name: value for name, colon, value in lines if colon}


def _accepted(answers: list[Any]) -> list[Any]:
    for answer in answers:
        if isinstance(answer, ResponseError):
            raise answer
    return answers

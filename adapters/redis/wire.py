"""Questions and answers on one connection, past the streams of the driver, which cost as much as what is asked."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from hiredis import Reader, pack_command
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError

Command = tuple[str | bytes | int, ...]

_packed: Any = pack_command


class Wire(asyncio.Protocol):
    """A connection that the driver opened, for one exchange at a time, which takes at most `timeout` seconds.

    Who gives up an exchange closes the connection: its answer may still come.
    """

    run = b""
    """The run id of the server that it reached."""

    def __init__(self, connection: AbstractConnection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._reader = Reader(protocolError=ConnectionError, replyError=_refusal)
        self._expected = 0
        self._answers: list[Any] = []
        self._asked: asyncio.Future[list[Any]] | None = None
        self._patience: asyncio.TimerHandle | None = None
        # The driver hands out neither its transport nor a way to let go of it.
        self._transport = cast("asyncio.Transport", connection._writer.transport)  # type: ignore[union-attr]
        self._transport.set_protocol(self)

    @property
    def lives(self) -> bool:
        """Tell whether the server has not ended the connection, as far as is known."""
        return not self._transport.is_closing()

    def ask(self, commands: Sequence[Command]) -> "asyncio.Future[list[Any]]":
        """Send commands in one go and return their answers, refused ones as ResponseError, to be awaited.

        It raises TimeoutError and OSError.
        """
        loop = asyncio.get_running_loop()
        self._answers, self._expected = [], len(commands)
        asked = self._asked = loop.create_future()
        if commands:
            # Sockets are looked at before timers: what has come by then is not late, however busy the process was.
            self._patience = loop.call_later(self._timeout, self._settle, TimeoutError())
            self._transport.write(b"".join(map(_packed, commands)))
        else:
            self._settle(None)
        return asked

    def close(self) -> None:
        """Close the connection."""
        self._transport.abort()
        self._connection._close()  # type: ignore[no-untyped-call]

    def data_received(self, data: bytes) -> None:
        """Take answers. A server that says what nobody can read, or was not asked for, is left."""
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not False:
                self._answers.append(answer)
        except ConnectionError as error:
            self._settle(error)
        if self._asked is None or len(self._answers) > self._expected:
            self._transport.abort()
        elif len(self._answers) == self._expected:
            self._settle(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Give up the exchange under way."""
        self._settle(error or ConnectionResetError("the server ended the connection"))

    def _settle(self, error: Exception | None) -> None:
        asked, self._asked = self._asked, None
        if self._patience is not None:
            self._patience.cancel()
        if asked is None or asked.done():
            return
        if error is None:
            asked.set_result(self._answers)
        else:
            asked.set_exception(error)


def _refusal(text: str) -> ResponseError:
    return (NoScriptError if text.startswith("NOSCRIPT") else ResponseError)(text)

"""Taking connections in (http.md 13: overload is a 503, never a closed connection).

uvloop takes one connection in at each turn of its loop. Under load a turn is long, the queue of the kernel runs full,
and clients that believe to be connected are never heard.
"""

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 64
"""Connections taken in at one turn: processes that share a socket leave some to each other."""
PAUSE: Final = 0.1
"""Seconds until another attempt when there was no room for a connection."""
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Acceptor:
    """Gives every connection of a listening socket a protocol, until it is closed."""

    def __init__(self, listener: socket.socket, protocol: Callable[[], asyncio.Protocol]) -> None:
        self._listener, self._protocol = listener, protocol
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[None]] = set()
        self._open = True
        self._listen()

    def close(self) -> None:
        """Take nobody in any more. What is connected stays so."""
        self._open = False
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Wait for those who were just let in."""
        if self._arriving:
            await asyncio.wait(self._arriving)

    def _listen(self) -> None:
        if self._open:
            self._loop.add_reader(self._listener, self._take_in)

    def _take_in(self) -> None:
        for _ in range(AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                self._loop.remove_reader(self._listener)
                self._loop.call_later(PAUSE, self._listen)
                return
            connection.setblocking(False)
            task = self._loop.create_task(self._connect(connection))
            self._arriving.add(task)
            task.add_done_callback(self._arriving.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()

"""How long a server is waited for."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg


@contextmanager
def patience(connection: "psycopg.AsyncConnection[Any]", seconds: float) -> Iterator[None]:
    """Break the link when the block takes longer: a frozen server ends nothing by itself, nor a lost route."""
    timer = asyncio.get_running_loop().call_later(seconds, _break_link, connection)
    try:
        yield
    finally:
        timer.cancel()


def _break_link(connection: "psycopg.AsyncConnection[Any]") -> None:
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as link:
        link.shutdown(socket.SHUT_RDWR)

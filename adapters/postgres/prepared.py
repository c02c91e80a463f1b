"""Prepared statements, sent straight to libpq: those of one transaction leave together and are answered together.

The driver connects, waits and reads rows. What it does besides for every statement, to learn of what types the
parameters are and what is prepared already, is done here once for each text.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import count
from struct import Struct
from typing import Any, Final

import attrs
import psycopg
from psycopg.abc import PQGen
from psycopg.adapt import Loader, Transformer
from psycopg.errors import error_from_result
from psycopg.generators import fetch_many, send
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.types.string import ByteaBinaryLoader

Parameters = Sequence[Any] | Mapping[str, Any]
Rows = list[tuple[Any, ...]]

MOST_PREPARED: Final = 500
"""Statements that a connection keeps; beyond them it begins anew."""

_HOLE = re.compile(r"%(?:%|(?:\((\w+)\))?[sb](?:::(\w+)\[\])?)")
_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED)
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_HEAD, _SIZE, _NUMBER, _FLAG = Struct("!iiIii"), Struct("!i"), Struct("!iq"), Struct("!i?")
_NULL: Final = _SIZE.pack(-1)


@attrs.frozen
class Call:
    """A statement with the placeholders of psycopg, and its parameters."""

    text: str
    parameters: Parameters


class _Bytes(Loader):
    """Hand JSON bodies over as they are; the codec reads them."""

    def load(self, data: Any) -> bytes:
        return bytes(data)


Written = tuple[str, list[bytes | None], list[int]]
"""The text of a statement, its parameters as they travel, and their formats."""


class PreparingConnection(psycopg.AsyncConnection[tuple[Any, ...]]):
    """A connection that prepares what it is asked. It serves one task at a time."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._names: dict[str, bytes] = {}
        self._numbers = count()
        for loader in (_Bytes, ByteaBinaryLoader):
            self.adapters.register_loader("json", loader)
        self._loading = Transformer(self)

    async def ask(self, *calls: Call) -> list[Rows]:
        """Carry statements out in one round trip, and return the rows of each.

        They are one transaction, or part of the one that was begun before. Raises the driver's errors. When the caller
        is cancelled, so are the statements, and the connection goes on.
        """
        if len(self._names) > MOST_PREPARED:
            self._names.clear()
            await self.execute("deallocate all")
        written = [(call.text, *_read(call.text).written(call.parameters)) for call in calls]
        return list(map(self._rows, await self.wait(self._exchange(written))))

    def _exchange(self, written: Sequence[Written]) -> PQGen[list[PGresult]]:
        link = self.pgconn
        try:
            link.enter_pipeline_mode()
            new = self._sent(written)
            yield from send(link)
            results, failed = yield from self._answers(new)
            link.exit_pipeline_mode()
        except BaseException:
            # Nobody knows what would be answered next.
            link.finish()
            raise
        if failed is not None:
            raise error_from_result(failed)
        return results

    def _sent(self, written: Sequence[Written]) -> list[tuple[str, bytes] | None]:
        """Hand statements to libpq. Return for each answer that is to come what is prepared with it, if so."""
        new: dict[str, bytes] = {}
        coming: list[tuple[str, bytes] | None] = []
        for text, parameters, formats in written:
            name = self._names.get(text) or new.get(text)
            if name is None:
                name = new[text] = b"defarm_%d" % next(self._numbers)
                self.pgconn.send_prepare(name, _read(text).query)
                coming.append((text, name))
            self.pgconn.send_query_prepared(name, parameters, formats, Format.BINARY)
            coming.append(None)
        self.pgconn.pipeline_sync()
        return coming

    def _answers(self, coming: Sequence[tuple[str, bytes] | None]) -> PQGen[tuple[list[PGresult], PGresult | None]]:
        """Return the answers of the statements up to the end of the exchange, and the first that is an error."""
        answers: list[PGresult] = []
        failed: PGresult | None = None
        prepared = iter(coming)
        while True:
            for answer in (yield from fetch_many(self.pgconn)) or _lost(failed):
                if answer.status == ExecStatus.PIPELINE_SYNC:
                    return answers, failed
                if answer.status in _FAILED:
                    failed = failed or answer
                elif (new := next(prepared)) is not None:
                    self._names.__setitem__(*new)
                else:
                    answers.append(answer)

    def _rows(self, result: PGresult) -> Rows:
        self._loading.set_pgresult(result)
        rows = self._loading.load_rows(0, result.ntuples, tuple)
        self._loading.set_pgresult(None)  # or it stays in memory until the next answer
        return rows


def _lost(failed: PGresult | None) -> list[PGresult]:
    """Raise what a link says that ends without an answer: its last words, if there were any."""
    raise error_from_result(failed) if failed else psycopg.OperationalError("the server closed the connection")


@attrs.frozen
class _Statement:
    """A statement as the server reads it, and of each parameter its place and its type if it is an array."""

    query: bytes
    holes: tuple[tuple[Any, str], ...]

    def written(self, parameters: Any) -> tuple[list[bytes | None], list[int]]:
        """Return parameters as they travel: arrays in binary, of what takes the server long to read most is in them."""
        values = [(parameters[place], kind) for place, kind in self.holes]
        formats = [int(isinstance(value, list)) for value, _ in values]
        return [_array(value, kind) if isinstance(value, list) else _single(value) for value, kind in values], formats


@lru_cache(4096)
def _read(text: str) -> _Statement:
    """Read a statement as psycopg does. An array is of the type that is written behind its hole, else of text."""
    numbers: dict[Any, int] = {}
    kinds: list[str] = []
    places = count()

    def hole(found: re.Match[str]) -> str:
        name, kind = found.groups()
        if found[0] == "%%":
            return "%"
        place = name or next(places)
        if place not in numbers:
            numbers[place] = len(numbers) + 1
            kinds.append(kind or "text")
        return f"${numbers[place]}" + (f"::{kind}[]" if kind else "")

    query = _HOLE.sub(hole, text).encode()
    return _Statement(query, tuple(zip(numbers, kinds, strict=True)))


def _single(value: Any) -> bytes | None:
    match value:
        case None:
            return None
        case str():
            if "\0" in value:
                raise psycopg.DataError("PostgreSQL text cannot contain NUL (0x00) characters")
            return value.encode()
        case bool():
            return b"t" if value else b"f"
        case datetime():
            return value.isoformat().encode()
        case int() | float():
            return str(value).encode()
        case _:
            raise TypeError(f"no parameter of a statement can be a {type(value).__name__}")


def _texts(values: list[str | None]) -> list[bytes]:
    return [_NULL if value is None else _SIZE.pack(len(text := value.encode())) + text for value in values]


def _numbers(values: list[int | None]) -> list[bytes]:
    return [_NULL if value is None else _NUMBER.pack(8, value) for value in values]


def _instants(values: list[datetime | None]) -> list[bytes]:
    since = [None if value is None else value - _EPOCH for value in values]
    return _numbers([None if d is None else (d.days * 86_400 + d.seconds) * 1_000_000 + d.microseconds for d in since])


def _flags(values: list[bool | None]) -> list[bytes]:
    return [_NULL if value is None else _FLAG.pack(1, value) for value in values]


_ARRAYS: Final[dict[str, tuple[int, Callable[[list[Any]], list[bytes]]]]] = {
    "text": (25, _texts),
    "json": (114, _texts),
    "bigint": (20, _numbers),
    "timestamptz": (1184, _instants),
    "boolean": (16, _flags),
}
"""What an array may be of: its number in PostgreSQL, and how elements travel in binary."""


def _array(values: list[Any], kind: str) -> bytes:
    number, elements = _ARRAYS[kind]
    return _HEAD.pack(1, 0, number, len(values), 1) + b"".join(elements(values))

"""A whole store in one file: lines of JSON, compressed, with a tally of every part (docs/operations.md).

    #defarm-snapshot {"version": 1, …}      the header
    #part items                             the rows of a part follow, in the order of their keys
    {…}                                     a row
    #end items 2 <digest>                   how many there were, and the hash chained over them
    #whole 4711 <digest>                    the last line: rows in all, and the hash chained over the tallies

Each portion is a gzip member of its own, so that `zcat` reads the file and damage is found where it is.
"""

import contextlib
import os
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from gzip import compress
from pathlib import Path
from typing import Any, BinaryIO, Self

import attrs
import msgspec

from adapters.local_secrets import belong_to_directory, sync_directory
from adapters.postgres.codec import decode
from adapters.postgres.migrations import migrations
from domain.audit.values import AuditEntry
from domain.items.storage_records import StoreName
from domain.ports.errors import Corrupt
from domain.ports.moving import NUMBERS, PARTS, CannotMove, Counter, Sealed, SnapshotDamaged
from domain.ports.schema import STORE, Facet, Key
from domain.store import StoreRecord, Tally

FORMAT = 1
_LEVEL = 6
_READ = 256 * 1024
_MAGIC = b"#defarm-snapshot "
_IN_FILE = {facet.name: facet for facet in (STORE, *PARTS)}


@attrs.frozen
class Header:
    """What a snapshot is of. `schema` is that of the release which wrote it, and what its rows are made up by."""

    version: int
    schema: int
    release: str
    snapshot_id: str
    taken_at: datetime
    store: StoreName


class SnapshotWriter:
    """Writes a snapshot that appears under its name whole, or not at all.

    with SnapshotWriter(path, header) as snapshot:
        snapshot.begin("items"); snapshot.write([...]); snapshot.end(tally)
    """

    def __init__(self, path: Path, header: Header) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.part")
        self._tally = Tally("whole")
        self._rows = 0
        self._header = header
        self._file: BinaryIO | None = None
        self._unnamed = False

    def __enter__(self) -> Self:
        if self._path.exists():
            raise CannotMove(f"{self._path} exists already; name another file, or remove it.")
        self._file = self._opened()
        self._write(_MAGIC + msgspec.json.encode(self._header) + b"\n")
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        assert self._file is not None
        with self._file:
            if failure is None:
                self._write(f"#whole {self._rows} {self._tally.digest}\n".encode())
                self._file.flush()
                os.fsync(self._file.fileno())
                self._name()
                return
        if not self._unnamed:
            self._draft.unlink()

    def begin(self, part: str) -> None:
        self._write(f"#part {part}\n".encode())

    def write(self, bodies: Sequence[bytes]) -> None:
        """Write a portion of rows of the part that was begun."""
        self._write(b"\n".join([*bodies, b""]))

    def end(self, tally: Tally) -> None:
        line = f"#end {tally.part} {tally.rows} {tally.digest}\n".encode()
        self._rows += tally.rows
        self._tally = self._tally.then([line])
        self._write(line)

    def _opened(self) -> BinaryIO:
        """Open a file without a name, of which nothing is left whatever happens; where there is no such, a draft."""
        with contextlib.suppress(AttributeError, OSError):
            descriptor = os.open(self._path.parent, os.O_TMPFILE | os.O_WRONLY, 0o600)
            self._unnamed = True
            return os.fdopen(descriptor, "wb")
        self._draft.unlink(missing_ok=True)
        return os.fdopen(os.open(self._draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb")

    def _name(self) -> None:
        assert self._file is not None
        origin = Path(f"/proc/self/fd/{self._file.fileno()}") if self._unnamed else self._draft
        try:
            # A link never replaces what somebody put there meanwhile. Only with a descriptor, of which an absolute path
            # makes no use, is the one under /proc followed to the file.
            os.link(origin.absolute(), self._path, src_dir_fd=self._file.fileno(), follow_symlinks=True)
        except FileExistsError:
            raise CannotMove(f"{self._path} exists already; name another file, or remove it.") from None
        finally:
            if not self._unnamed:
                self._draft.unlink()
        belong_to_directory(self._path)
        sync_directory(self._path.parent)

    def _write(self, text: bytes) -> None:
        assert self._file is not None
        self._file.write(compress(text, _LEVEL, mtime=0))


@attrs.frozen
class SnapshotHolding:
    """What a checked file holds."""

    path: Path
    record: StoreRecord
    counts: dict[str, int]
    places: dict[str, int]

    async def count(self, part: Facet[Any]) -> int:
        return self.counts[part.name]

    async def rows(self, part: Facet[Any], after: Key | None = None) -> AsyncIterator[Sequence[Any]]:
        with self.path.open("rb") as file:
            file.seek(self.places[part.name])
            for _, portion in _portions(file):
                if portion.startswith(b"#end"):
                    return
                if not portion.startswith(b"#"):
                    values = [_value(part, line) for line in portion.splitlines()]
                    yield [one for one in values if after is None or part.key_of(one) > after]  # type: ignore[operator]


class SnapshotPlace:
    """A snapshot file as the source of a copy; it is checked from end to end before anything is taken from it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)
        self._checked: tuple[Header, SnapshotHolding] | None = None

    def checked(self) -> tuple[Header, SnapshotHolding]:
        """Return what the file says of itself, and what it holds. Raises CannotMove, SnapshotDamaged."""
        if self._checked is None:
            self._checked = _Check(self.path).run()
        return self._checked

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[SnapshotHolding]:
        yield self.checked()[1]

    async def sealed(self) -> Sealed | None:
        header, held = self.checked()
        return Sealed(held.record, header.snapshot_id)

    async def seal(self, entry: AuditEntry) -> Sealed:
        """A file does not change by itself."""
        header, held = self.checked()
        return Sealed(held.record, header.snapshot_id)

    async def aclose(self) -> None:
        return None


class _Check:
    """One reading of a whole file, keeping account of where it is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0
        self.part = ""
        self.tally = Tally("")
        self.whole = Tally("whole")
        self.counts: dict[str, int] = {}
        self.places: dict[str, int] = {}
        self.records: list[StoreRecord] = []
        self.header: Header | None = None
        self.ended = False

    def run(self) -> tuple[Header, SnapshotHolding]:
        try:
            with self.path.open("rb") as file:
                for place, portion in _portions(file):
                    self._take(place, portion)
        except _Unreadable as error:
            raise self._damaged(str(error)) from error
        except OSError as error:
            raise CannotMove(f"{self.path} cannot be read: {error.strerror}.") from error
        if self.header is None or not self.ended:
            raise self._damaged("the file ends too early")
        if self.counts.keys() != _IN_FILE.keys() or len(self.records) != 1:
            raise self._damaged("parts are missing")
        return self.header, SnapshotHolding(self.path, self.records[0], self.counts, self.places)

    def _take(self, place: int, portion: bytes) -> None:
        if self.header is None:
            self.line += 1
            self.header = self._header(portion)
        elif self.ended:
            raise self._damaged("something follows the end")
        elif not portion.startswith(b"#"):
            self._rows(portion.splitlines())
        else:
            self.line += 1
            self._mark(place, portion)

    def _header(self, line: bytes) -> Header:
        if not line.startswith(_MAGIC):
            raise CannotMove(f"{self.path} is no snapshot of a store.")
        try:
            version = msgspec.json.decode(line[len(_MAGIC) :], type=dict[str, Any])["version"]
            if version != FORMAT:
                raise CannotMove(f"{self.path} has format {version}, this release reads format {FORMAT}.")
            header = msgspec.json.decode(line[len(_MAGIC) :], type=Header)
        except (msgspec.MsgspecError, KeyError) as error:
            raise self._damaged("the header cannot be read") from error
        ours = migrations()[-1].version
        if header.schema != ours:
            raise CannotMove(
                f"{self.path} was written by release {header.release} with schema {header.schema}, this release has"
                f" schema {ours}: restore it with release {header.release}, then run `defarm migrate` with this one."
            )
        return header

    def _mark(self, place: int, line: bytes) -> None:
        word, *rest = line.decode("utf-8", "replace").split()
        if word == "#part" and not self.part and len(rest) == 1 and rest[0] in _IN_FILE and rest[0] not in self.places:
            self.part = rest[0]
            self.places[self.part] = place
            self.tally = Tally(self.part)
        elif word == "#end" and rest == [self.part, str(self.tally.rows), *filter(None, [self.tally.digest])]:
            self.counts[self.part] = self.tally.rows
            self.whole = self.whole.then([line])
            self.part = ""
        elif word == "#whole" and rest == [str(sum(self.counts.values())), self.whole.digest]:
            self.ended = True
        else:
            raise self._damaged("the tally is not that of the rows" if word in ("#end", "#whole") else "a line is lost")

    def _rows(self, bodies: list[bytes]) -> None:
        facet = _IN_FILE.get(self.part)
        if facet is None:
            raise self._damaged("rows belong to no part")
        for body in bodies:
            self.line += 1
            try:
                value = _value(facet, body)
            except Corrupt as error:
                raise self._damaged("a row cannot be read") from error
            if facet is STORE:
                self.records.append(value)
            self.tally = self.tally.then([body])

    def _damaged(self, why: str) -> SnapshotDamaged:
        where = f"in {self.part} after {self.tally.rows:,} rows, " if self.part else ""
        return SnapshotDamaged(f"{self.path} is damaged: {where}after line {self.line:,}: {why}. Nothing was written.")


class _Unreadable(Exception):
    """The compressed bytes are not what was written."""


def _portions(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield every gzip member with the place at which it begins."""
    place, rest = file.tell(), b""
    while rest := rest or file.read(_READ):
        begun, engine, parts = place, zlib.decompressobj(wbits=31), list[bytes]()
        while not engine.eof:
            if not rest:
                raise _Unreadable("the file ends too early")
            try:
                parts.append(engine.decompress(rest))
            except zlib.error as error:
                raise _Unreadable(f"the compressed data is not what was written (from byte {begun:,} on)") from error
            place += len(rest) - len(engine.unused_data)
            rest = engine.unused_data or (b"" if engine.eof else file.read(_READ))
        yield begun, b"".join(parts)


def _value(facet: Facet[Any], body: bytes) -> Any:
    if facet is not NUMBERS:
        return decode(facet.value, body)
    try:
        return msgspec.json.decode(body, type=Counter)
    except msgspec.MsgspecError as error:
        raise Corrupt(NUMBERS.name) from error

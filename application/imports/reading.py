"""Reading a file as it comes: bytes to text, text to records, records to rows, with bounded memory."""

import codecs
import csv
import re
from collections.abc import AsyncIterator, Iterator

import attrs

from application.imports import structure
from application.imports.columns import Column, DataColumn, Row, column_of, row_of
from application.imports.options import Encoding, FileFault, Format, ImportOptions
from domain.errors import Fault, Invalid

SNIFFED = 64 * 1024
MAX_RECORD = 1024 * 1024
"""Longest record, in characters: the bound of a single-object body."""
_UNTIL_CLOSED = r'[^"]*(?:""[^"]*)*("|\Z)'
_REST = re.compile(_UNTIL_CLOSED)
_DELIMITERS = (";", ",", "\t", "|")


async def rows(chunks: AsyncIterator[bytes], options: ImportOptions) -> AsyncIterator[Row]:
    """Yield the rows of a file in order. Raises FileFault when it cannot be read on."""
    if options.format is Format.NDJSON:
        async for record in _records(chunks, options.encoding, Splitter()):
            if record.text.strip():
                yield _json_row(record)
        return
    table: Table | None = None
    splitter = Splitter("".join(_DELIMITERS))
    async for record in _records(chunks, options.encoding, splitter):
        if table is None:
            table = _table(record, options)
            splitter.cells_follow(table.delimiter)
        elif record.text.strip(f'{table.delimiter}" \t\r\n'):
            yield table.row(record)
    if table is None:
        raise FileFault("csv_header_invalid", "The file has no header line.", 1)


@attrs.frozen
class Record:
    """One logical line; `line` is the physical line on which it begins."""

    text: str
    line: int


@attrs.frozen
class Table:
    """A CSV file whose header has been read."""

    headers: list[str]
    columns: list[Column]
    delimiter: str
    decimal: str

    def row(self, record: Record) -> Row:
        try:
            cells = _cells(record, self.delimiter)
        except FileFault as fault:
            return Row(record.line, None, (Fault("format", fault.detail, pointer=""),))
        return row_of(self.headers, self.columns, cells, record.line, self.decimal)


def _table(record: Record, options: ImportOptions) -> Table:
    delimiter = options.delimiter or max(_DELIMITERS, key=record.text.count)
    try:
        headers = [header.strip() for header in _cells(record, delimiter)]
    except FileFault as fault:
        raise FileFault("csv_header_invalid", "The header line is no CSV.", fault.line, fault.column) from fault
    for position, header in enumerate(headers, 1):
        if not header or header in headers[: position - 1]:
            what = f"Header {header!r} stands twice." if header else "A header is empty."
            raise FileFault("csv_header_invalid", what, record.line, position)
    mapping = options.mapping or {}
    for header in mapping:
        if header not in headers:
            raise FileFault("column_unknown", f"The file has no column {header!r}.", record.line)
    columns = [mapping[header] if header in mapping else column_of(header) for header in headers]
    _check_data_names(headers, columns, record)
    return Table(headers, columns, delimiter, options.decimal)


def _check_data_names(headers: list[str], columns: list[Column], record: Record) -> None:
    filled: dict[str, str] = {}
    for position, (header, column) in enumerate(zip(headers, columns, strict=True), 1):
        if isinstance(column, DataColumn) and filled.setdefault(column.name, header) != header:
            what = f"Headers {filled[column.name]!r} and {header!r} both fill the data key {column.name!r}."
            raise FileFault("csv_header_invalid", what, record.line, position)


def _cells(record: Record, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([record.text], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        column = record.text.rfind('"') + 1
        raise FileFault("body_unparsable", f"Broken quoting: {error}.", record.line, column or None) from error


def _json_row(record: Record) -> Row:
    try:
        return Row(record.line, structure.submission_of(record.text))
    except Invalid as invalid:
        return Row(record.line, None, invalid.faults)


async def _records(chunks: AsyncIterator[bytes], encoding: Encoding, splitter: "Splitter") -> AsyncIterator[Record]:
    async for text in _texts(chunks, encoding, splitter):
        for record in splitter.feed(text):
            yield record
    for record in splitter.end():
        yield record


async def _texts(chunks: AsyncIterator[bytes], encoding: Encoding, splitter: "Splitter") -> AsyncIterator[str]:
    head = b""
    decoder: codecs.IncrementalDecoder | None = None
    async for chunk in chunks:
        head += chunk
        if decoder is None and len(head) < SNIFFED:
            continue
        decoder = decoder or _decoder(head, encoding)
        yield _decoded(decoder, head, splitter, final=False)
        head = b""
    if decoder is None:
        decoder = _decoder(head, encoding)
    yield _decoded(decoder, head, splitter, final=True)


def _decoder(head: bytes, encoding: Encoding) -> codecs.IncrementalDecoder:
    name = encoding.value
    if encoding is Encoding.AUTO:
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head[:SNIFFED])
            name = "utf-8"
        except UnicodeDecodeError:
            name = "windows-1252"
    return codecs.getincrementaldecoder("utf-8-sig" if name == "utf-8" else name)()


def _decoded(decoder: codecs.IncrementalDecoder, chunk: bytes, splitter: "Splitter", *, final: bool) -> str:
    try:
        return decoder.decode(chunk, final)
    except UnicodeDecodeError as error:
        before = bytes(error.object)[: error.start]
        line = splitter.line + before.count(b"\n")
        column = error.start - before.rfind(b"\n")
        detail = f"Byte 0x{error.object[error.start]:02X} is not {error.encoding}."
        raise FileFault("encoding_invalid", detail, line, column) from error


class Splitter:
    """Cuts text into records at line ends, not at those inside double quotes that open a cell.

    Cells begin a line or follow one of `delimiters`; without any there are no cells. A double quote within a cell
    that begins with something else means itself.
    """

    def __init__(self, delimiters: str = "") -> None:
        self._quoted: re.Pattern[str] | None = None
        if delimiters:
            self.cells_follow(delimiters)
        self._parts: list[str] = []
        self._begun = 0
        self._held = 0
        self._open = False
        self.line = 1

    def cells_follow(self, delimiters: str) -> None:
        """Let cells of the lines to come begin after one of these."""
        self._quoted = re.compile(rf'(?:^|[{re.escape(delimiters)}])"' + _UNTIL_CLOSED)

    def feed(self, text: str) -> Iterator[Record]:
        """Yield the records that this text completes. Raises FileFault for one that is too long."""
        *ended, rest = text.split("\n")
        for part in ended:
            self._keep(part)
            self._end_line()
            if self._open:
                self._keep("\n")
                self._begun = len(self._parts)
            else:
                yield self._record()
        self._keep(rest)

    def end(self) -> Iterator[Record]:
        """Yield the last record when the file does not end in a line end."""
        if not self._held:
            return
        self._end_line()
        if self._open:
            raise FileFault("body_unparsable", "A quoted cell is never closed.", self.line)
        yield self._record()

    def _keep(self, part: str) -> None:
        self._parts.append(part)
        self._held += len(part)
        if self._held > MAX_RECORD:
            raise FileFault("body_unparsable", f"A line has more than {MAX_RECORD} characters.", self.line, MAX_RECORD)

    def _end_line(self) -> None:
        """Find out whether a cell stays open at the end of the line that is held."""
        if self._quoted is None:
            return
        line = "".join(self._parts[self._begun :])
        at = 0
        if self._open and (rest := _REST.match(line)) is not None:
            self._open, at = not rest[1], rest.end()
        for cell in self._quoted.finditer(line, at):
            self._open = not cell[1]

    def _record(self) -> Record:
        text = "".join(self._parts)
        record = Record(text.rstrip("\r"), self.line)
        self.line += text.count("\n") + 1
        self._parts, self._held, self._begun = [], 0, 0
        return record

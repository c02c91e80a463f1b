"""Routes of imports (items-events.md 6.3)."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated

import attrs
import msgspec
from multipart import MultipartError, MultipartSegment, PushMultipartParser

from application.imports import ColumnMapping, ImportOptions, Imports, ImportView, Target, mapping_from_document
from application.imports.options import Decimal, Encoding, Format
from application.items import OnProblem
from domain.errors import Refusal
from domain.items.values import ImportRow, Outcome
from domain.ports.queries import Page
from domain.shape import Pattern
from entrypoints.http.routes.items import READ, WRITE
from entrypoints.http.routes.lists import PageQuery
from entrypoints.http.routing import Call, Route, Upload

TAG = "imports"
MAX_MAPPING = 256 * 1024


@attrs.frozen
class ImportQuery:
    """How the file is to be read."""

    dry_run: bool = False
    target: Target = Target.ITEMS
    on_problem: OnProblem = OnProblem.REFUSE
    delimiter: Annotated[str, Pattern("[;,|\\t]", "One of ; , | and tab.")] | None = None
    encoding: Encoding = Encoding.AUTO
    decimal: Decimal = Decimal.POINT


@attrs.frozen
class RowsQuery(PageQuery):
    """Rows of these outcomes, or of all."""

    outcome: frozenset[Outcome] = frozenset()


class ImportHandlers:
    """Each calls one use case."""

    def __init__(self, imports: Imports) -> None:
        self.imports = imports

    async def run(self, call: Call) -> ImportView:
        assert call.upload is not None
        form, mapping, chunks = await _file_of(call.upload)
        query: ImportQuery = call.query
        options = ImportOptions(
            format=form,
            target=query.target,
            dry_run=query.dry_run,
            on_problem=query.on_problem,
            delimiter=query.delimiter,
            encoding=query.encoding,
            decimal=query.decimal,
            mapping=mapping,
        )
        return await self.imports.run(call.principal, options, chunks)

    async def page(self, call: Call) -> Page[ImportView]:
        return await self.imports.page(call.principal, call.after, call.limit)

    async def get(self, call: Call) -> ImportView:
        return await self.imports.get(call.principal, call.path["import_id"])

    async def rows(self, call: Call) -> Page[ImportRow]:
        return await self.imports.rows(
            call.principal, call.path["import_id"], call.query.outcome, call.after, call.limit
        )


_FORMATS = {"text/csv": Format.CSV, "application/x-ndjson": Format.NDJSON}


async def _file_of(upload: Upload) -> tuple[Format, ColumnMapping | None, AsyncIterator[bytes]]:
    """Return the format, the mapping and the content of an upload; a form has its mapping before its file."""
    if upload.media_type in _FORMATS:
        return _FORMATS[upload.media_type], None, upload.chunks
    parts = _parts(upload)
    mapping: ColumnMapping | None = None
    async for part, content in parts:
        if part.name == "mapping":
            mapping = _mapping(content)
        elif part.name == "file":
            return _format_of(part), mapping, _rest(part, content, parts)
    raise Refusal("body_unparsable", "The form has no part named file.")


def _format_of(part: MultipartSegment) -> Format:
    """Return the format that the type of a part tells, else the name of its file."""
    named = Format.NDJSON if (part.filename or "").lower().endswith((".ndjson", ".jsonl")) else Format.CSV
    return _FORMATS.get(part.content_type or "", named)


async def _rest(
    file: MultipartSegment, first: bytes, parts: AsyncIterator[tuple[MultipartSegment, bytes]]
) -> AsyncIterator[bytes]:
    yield first
    async for part, content in parts:
        if part is file:
            yield content
        elif part.name == "mapping":
            raise Refusal("body_unparsable", "The part named mapping comes before the file.")
        elif part.name == "file":
            raise Refusal("body_unparsable", "The form has two parts named file.")


def _mapping(content: bytes) -> ColumnMapping:
    try:
        document = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise Refusal("body_unparsable", "The part named mapping is no JSON.") from error
    if not isinstance(document, dict):
        raise Refusal("body_unparsable", "The part named mapping is no JSON object.")
    return mapping_from_document(document)


async def _parts(upload: Upload) -> AsyncIterator[tuple[MultipartSegment, bytes]]:
    """Yield the parts with their content: the mapping whole, the file piece by piece."""
    segment: MultipartSegment | None = None
    held = b""
    try:
        with PushMultipartParser(upload.parameters.get("boundary", "")) as parser:
            async for chunk in upload.chunks:
                for event in parser.parse(chunk):
                    if isinstance(event, MultipartSegment):
                        segment, held = event, b""
                    elif segment is None:
                        continue
                    elif event is None:
                        if segment.name == "mapping":
                            yield segment, held
                        segment = None
                    elif segment.name == "mapping":
                        held += bytes(event)
                        if len(held) > MAX_MAPPING:
                            raise Refusal("body_too_large", f"A mapping has at most {MAX_MAPPING} bytes.")
                    else:
                        yield segment, bytes(event)
    except (MultipartError, ValueError) as error:
        raise Refusal("body_unparsable", "The form cannot be read.") from error


def import_routes(imports: Imports) -> Sequence[Route]:
    """Return the routes of imports."""
    do = ImportHandlers(imports)
    return (
        Route(
            method="POST",
            path="/api/items/import",
            handler=do.run,
            operation_id="import_run",
            tag=TAG,
            summary="Import a CSV or NDJSON file",
            scope=WRITE,
            query=ImportQuery,
            uploads=True,
            answer=ImportView,
        ),
        Route(
            method="GET",
            path="/api/items/imports",
            handler=do.page,
            operation_id="import_list",
            tag=TAG,
            summary="List imports",
            scope=READ,
            query=PageQuery,
            page=True,
            answer=ImportView,
        ),
        Route(
            method="GET",
            path="/api/items/imports/{import_id}",
            handler=do.get,
            operation_id="import_get",
            tag=TAG,
            summary="Read an import",
            scope=READ,
            unfinished=lambda one: one.status == "running",
            answer=ImportView,
        ),
        Route(
            method="GET",
            path="/api/items/imports/{import_id}/rows",
            handler=do.rows,
            operation_id="import_rows",
            tag=TAG,
            summary="Read what became of each row",
            scope=READ,
            query=RowsQuery,
            page=True,
            answer=ImportRow,
        ),
    )

"""`defarm import`: a file taken in row by row, with a report (items-events.md 6.3, platform.md 13)."""

import csv
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import attrs
import typer

from application.engine import Engine
from application.imports import ImportOptions, ImportView, Target, mapping_from_options
from application.imports.options import Decimal, Encoding, Format
from application.items import OnProblem
from application.settings import Settings
from domain.access.principal import Principal
from domain.accounts.rules import is_active
from domain.document import Document
from domain.errors import Refusal
from domain.items.values import ImportRow, Outcome
from domain.ports.schema import ACCOUNTS
from entrypoints.cli.context import (
    DIFFERENT,
    FAILED,
    REFUSED,
    USAGE,
    Halt,
    output_of,
    run_async,
    settings_of,
    store_of,
)
from entrypoints.cli.output import Output, console

CHUNK = 64 * 1024
SHOWN = 50
"""Refused rows printed on the terminal; a report lists all."""
_COLUMNS = ("row", "line", "outcome", "dfid", "local_id", "pending_id", "errors", "warnings")


@attrs.frozen
class Done:
    """A finished import with the rows that were refused."""

    view: ImportView
    refused: tuple[ImportRow, ...]


def import_file(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, allow_dash=True)],
    as_user: Annotated[str | None, typer.Option("--as", help="Whose items they are; default: the only admin.")] = None,
    format_name: Annotated[str, typer.Option("--format", help="csv, ndjson or auto.")] = "auto",
    mapping: Annotated[
        list[str] | None, typer.Option("--map", help="COLUMN=id:KEY, id:NAMESPACE/KEY, data:NAME[:TYPE] or ignore.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Default: found out.")] = None,
    encoding: Annotated[str, typer.Option(help="auto, utf-8 or windows-1252.")] = "auto",
    decimal: Annotated[str, typer.Option(help="The decimal sign of numbers: . or ,")] = ".",
    target: Annotated[str, typer.Option(help="items, or local for drafts.")] = "items",
    on_problem: Annotated[str, typer.Option(help="refuse, or queue for review.")] = "refuse",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; store no item.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write every row's result here (.csv, else NDJSON).")] = None,
) -> None:
    """Import items from a CSV or NDJSON file; exit code 5 when rows were refused."""
    output = output_of(context)
    options = ImportOptions(
        format=_format(format_name, file),
        target=_one_of(Target, target, "--target"),
        dry_run=dry_run,
        on_problem=_one_of(OnProblem, on_problem, "--on-problem"),
        delimiter="\t" if delimiter in ("\\t", "tab") else delimiter,
        encoding=_one_of(Encoding, encoding, "--encoding"),
        decimal=_one_of(Decimal, decimal, "--decimal"),
        mapping=_mapping(mapping or []),
    )
    done = run_async(_imported(settings_of(context), file, as_user, options, report, output))
    output.result(_document(done), lambda: _show(output, done, report))
    if done.view.status != "completed":
        raise typer.Exit(FAILED)
    if done.refused:
        raise typer.Exit(DIFFERENT)


def _one_of(kind: Any, text: str, option: str) -> Any:
    try:
        return kind(text.lower())
    except ValueError:
        names = ", ".join(kind)
        raise typer.BadParameter(f"{text} is not one of {names}", param_hint=option) from None


def _format(name: str, file: Path) -> Format:
    if name.lower() != "auto":
        return Format(_one_of(Format, name, "--format"))
    if str(file) == "-":
        raise typer.BadParameter("say which format comes from stdin", param_hint="--format")
    if file.suffix.lower() in (".ndjson", ".jsonl"):
        return Format.NDJSON
    if file.suffix.lower() == ".csv":
        return Format.CSV
    with file.open("rb") as opened:
        return Format.NDJSON if opened.read(CHUNK).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") else Format.CSV


def _mapping(options: list[str]) -> Any:
    try:
        return mapping_from_options(options) if options else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--map") from None


async def _imported(
    settings: Settings, file: Path, user: str | None, options: ImportOptions, report: Path | None, output: Output
) -> Done:
    async with store_of(settings, "POST /api/items/import") as container:
        engine = container.engine()
        principal = await _owner(engine, user)
        with _source(file) as (stream, size), _progress(output, size) as (moved, counted):
            view = await engine.imports.run(principal, options, _chunks(stream, moved), counted)
        return Done(view, await _results(engine, principal, view, report))


async def _owner(engine: Engine, user: str | None) -> Principal:
    """Return who imports. Raises Halt when that is not clear, Refusal for a frozen account."""
    if user is None:
        found = await engine.accounts.administration.administrators()
        if len(found) != 1:
            raise Halt("Say with --as USER whose items these are.", USAGE)
        user = found[0].username
    try:
        principal = await engine.principal(user)
    except Refusal:
        raise Halt(f"There is no account {user}.", USAGE) from None
    async with engine.storage.read() as reader:
        if not is_active(await reader.get(ACCOUNTS, principal.user_id or "")):
            raise Halt(f"The account {user} is frozen.", REFUSED)
    return principal


@contextmanager
def _source(file: Path) -> Iterator[tuple[BinaryIO, int | None]]:
    if str(file) == "-":
        yield sys.stdin.buffer, None
        return
    with file.open("rb") as stream:
        yield stream, file.stat().st_size


async def _chunks(stream: BinaryIO, moved: Callable[[int], None]) -> AsyncIterator[bytes]:
    while chunk := stream.read(CHUNK):
        moved(len(chunk))
        yield chunk


@contextmanager
def _progress(output: Output, size: int | None) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """Show a bar of bytes and a count of rows on a terminal; yields what takes note of both."""
    if output.quiet or not sys.stderr.isatty():
        yield (lambda moved: None), (lambda rows: None)
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (BarColumn(), DownloadColumn(), TextColumn("{task.fields[rows]:,} rows"), TimeRemainingColumn())
    with Progress(*columns, console=console(sys.stderr), transient=True) as bar:
        task = bar.add_task("import", total=size, rows=0)
        yield (lambda moved: bar.advance(task, moved)), (lambda rows: bar.update(task, rows=rows))


async def _results(
    engine: Engine, principal: Principal, view: ImportView, report: Path | None
) -> tuple[ImportRow, ...]:
    """Write the report, if one is wanted, and return the refused rows."""
    if report is None:
        return tuple([row async for row in _rows(engine, principal, view, Outcome.REFUSED)])
    refused: list[ImportRow] = []
    with report.open("w", encoding="utf-8", newline="") as file:
        write = _csv_writer(file) if report.suffix.lower() == ".csv" else _ndjson_writer(file)
        async for row in _rows(engine, principal, view):
            write(row)
            if row.outcome is Outcome.REFUSED:
                refused.append(row)
    return tuple(refused)


async def _rows(engine: Engine, principal: Principal, view: ImportView, *outcomes: Outcome) -> AsyncIterator[ImportRow]:
    after = None
    while True:
        page = await engine.imports.rows(principal, view.import_id, outcomes, after, limit=1000)
        for row in page.items:
            yield row
        after = page.after
        if after is None:
            return


def _ndjson_writer(file: Any) -> Callable[[ImportRow], None]:
    return lambda row: file.write(json.dumps(_row_document(row), ensure_ascii=False) + "\n")


def _csv_writer(file: Any) -> Callable[[ImportRow], None]:
    writer = csv.writer(file)
    writer.writerow(_COLUMNS)

    def write(row: ImportRow) -> None:
        cells = (row.row, row.line, row.outcome, row.dfid, row.local_id, row.pending_id)
        writer.writerow([*cells, _faults(row), " ".join(row.warnings)])

    return write


def _row_document(row: ImportRow) -> dict[str, Any]:
    return {
        "row": row.row,
        "line": row.line,
        "outcome": str(row.outcome),
        "dfid": row.dfid,
        "local_id": row.local_id,
        "pending_id": row.pending_id,
        "errors": [dict(error) for error in row.errors],
        "warnings": list(row.warnings),
    }


def _faults(row: ImportRow) -> str:
    return "; ".join(_fault(error) for error in row.errors)


def _fault(error: Document) -> str:
    place = error.get("column") or error.get("pointer")
    return f"{place}: {error['detail']}" if place else str(error["detail"])


def _document(done: Done) -> dict[str, Any]:
    view = {key: value for key, value in attrs.asdict(done.view, recurse=False).items() if value is not None}
    view["counts"] = dict(done.view.counts)
    if done.view.failure is not None:
        view["failure"] = dict(done.view.failure)
    return {"import": view, "refused": [_row_document(row) for row in done.refused]}


def _show(output: Output, done: Done, report: Path | None) -> None:
    view = done.view
    if done.refused:
        rows = ((str(row.line), _faults(row)) for row in done.refused[:SHOWN])
        output.table(("line", "refused because"), rows, styles=("bold",))
        if len(done.refused) > SHOWN:
            output.line(f"… and {len(done.refused) - SHOWN:,} more refused rows; --report FILE lists them all.")
    counts = ", ".join(f"{number:,} {name}" for name, number in view.counts.items() if number)
    dry = " (dry run: nothing was stored)" if view.dry_run else ""
    output.line(f"{view.rows_read:,} rows: {counts or 'nothing'}{dry}")
    if view.failure is not None:
        output.line(f"Stopped: {view.failure['detail']}")
    if report is not None:
        output.line(f"Report: {report}")

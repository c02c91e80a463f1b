"""`defarm verify`: an exported chain checked without a store, a server or a configuration (items-events.md 10.6)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import attrs
import typer

from domain.events.export import LONGEST_LINE, ExportReport, check_export
from entrypoints.cli.context import DIFFERENT, output_of
from entrypoints.cli.output import Output


def verify(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(help="What GET /api/events/item/{dfid}/export answered.", exists=True, dir_okay=False),
    ],
    head: Annotated[
        str | None, typer.Option(help="The head_hash that the server tells: the file must end with that event.")
    ] = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="The file must hold every event up to its last one.")
    ] = False,
) -> None:
    """Check an exported chain of events; exit code 5 when it is not what was recorded."""
    report = check_export(_lines(file), head.lower() if head is not None else None, complete=complete)
    output = output_of(context)
    output.result({"file": str(file), "valid": report.valid, **attrs.asdict(report)}, lambda: _show(output, report))
    if not report.valid:
        raise typer.Exit(DIFFERENT)


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as stream:
        while line := stream.readline(LONGEST_LINE):
            yield line


def _show(output: Output, report: ExportReport) -> None:
    if report.dfid is not None:
        output.line(f"{report.dfid}: {report.events} events up to position {report.last_position}")
        output.line(f"last hash {report.head_hash}")
    for first, last in report.missing:
        positions = f"position {first} is" if first == last else f"positions {first} to {last} are"
        output.line(f"{positions} not in the file: hidden from whoever exported it, or taken out")
    if report.erased:
        output.line(f"erased by an administrator: {', '.join(map(str, report.erased))}")
    for fault in report.faults:
        where = f"line {fault.line}" if fault.line else "the file"
        at = f", position {fault.position}" if fault.position is not None else ""
        output.line(f"{where}{at}: {fault.fault}: {fault.detail}")
    output.line("Nothing was changed." if report.valid else "This is not what was recorded.")

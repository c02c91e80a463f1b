"""`defarm identifiers`: identifiers checked without a store."""

from typing import Annotated, Any

import typer

from domain.identifiers import REGISTRY, Check, Evidence, check, type_of
from entrypoints.cli.context import FAILED, USAGE, Halt, output_of

app = typer.Typer(help="Check identifiers.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _identifiers() -> None:
    """Keep `check` a command of its own name."""


@app.command("check")
def check_values(
    context: typer.Context,
    type_name: Annotated[str, typer.Argument(metavar="TYPE", help="A type such as sisbov, rfid or cpf, or an alias.")],
    values: Annotated[list[str], typer.Argument(metavar="VALUE...", help="Numbers as people write them.")],
) -> None:
    """Say what numbers prove; exit code 1 when one of them is not right."""
    if type_of(type_name) is None:
        raise Halt(f"{type_name} is no type; there are {', '.join(REGISTRY)}.", USAGE)
    output = output_of(context)
    found = [(value, check(type_name, value)) for value in values]
    rows = [
        (value, str(each.evidence), each.display or "", " ".join(reason.detail for reason in each.reasons))
        for value, each in found
    ]
    output.result(
        [_document(value, each) for value, each in found],
        lambda: output.table(("value", "evidence", "canonical", "reasons"), rows, styles=("bold",)),
    )
    if any(each.evidence < Evidence.FORMAT_OK for _, each in found):
        raise typer.Exit(FAILED)


def _document(value: str, found: Check) -> dict[str, Any]:
    return {
        "value": value,
        "type": found.type,
        "evidence": str(found.evidence),
        "normalised": found.normalised,
        "display": found.display,
        "reasons": [{"code": reason.code, "detail": reason.detail} for reason in found.reasons],
        "attributes": dict(found.attributes),
    }

"""`defarm openapi`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from application.settings import load
from entrypoints.cli.context import DIFFERENT, USAGE, Halt, output_of, seen_secret
from entrypoints.http.assembly import openapi_document


def openapi(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
    check: Annotated[Path | None, typer.Option(help="Compare with this file; exit code 5 if different.")] = None,
) -> None:
    """Print the OpenAPI document of this release; it depends on no configuration."""
    output = output_of(context)
    settings = load({}, options={"DEFARM_STORAGE": "memory"}, local_secret=seen_secret)
    document = openapi_document(settings)
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if check is not None:
        _compare(check, document)
        output.say(f"{check} is the document of this release.")
    elif out is not None:
        out.write_text(text, encoding="utf-8")
        output.say(f"{out} written.")
    else:
        sys.stdout.write(text)


def _compare(path: Path, document: dict[str, object]) -> None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Halt(f"{path} cannot be read: {error}", USAGE) from error
    if found != json.loads(json.dumps(document)):
        raise Halt(f"{path} differs from the document of this release; write it anew with --out.", DIFFERENT)

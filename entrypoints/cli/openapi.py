"""`defarm openapi`."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from application.settings import load
from entrypoints.cli.context import DIFFERENT, USAGE, Halt, output_of, seen_secret
from entrypoints.http.assembly import openapi_document
from entrypoints.http.compatibility import breaks

TOLD = 20
"""Breaks that are told one by one."""


def openapi(
    context: typer.Context,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
    check: Annotated[Path | None, typer.Option(help="Exit code 5 if clients of this older document break.")] = None,
) -> None:
    """Print the OpenAPI document of this release; it depends on no configuration."""
    output = output_of(context)
    settings = load({}, options={"DEFARM_STORAGE": "memory"}, local_secret=seen_secret)
    document = openapi_document(settings)
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if check is not None:
        _compare(check, document)
        output.say(f"What clients know from {check} holds in this release.")
    elif out is not None:
        out.write_text(text, encoding="utf-8")
        output.say(f"{out} written.")
    else:
        sys.stdout.write(text)


def _compare(path: Path, document: dict[str, object]) -> None:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Halt(f"{path} cannot be read: {error}", USAGE) from error
    if not isinstance(known, dict) or not known.keys() >= document.keys():
        raise Halt(f"{path} is no OpenAPI document.", USAGE)
    broken = breaks(known, json.loads(json.dumps(document)))
    if broken:
        told = "\n".join(f"  {each}" for each in broken[:TOLD])
        more = f"\n  and {len(broken) - TOLD} more" if len(broken) > TOLD else ""
        raise Halt(
            f"This release breaks what clients know from {path}:\n{told}{more}\n"
            "Leave the old route as it is beside a new one (http.md 1), or record a decision and write the file anew "
            "with --out.",
            DIFFERENT,
        )

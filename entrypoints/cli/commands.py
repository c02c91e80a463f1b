"""The commands of `defarm`, read by typer (platform.md 13)."""

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Final

import typer

from application.settings import ConfigurationError
from domain.errors import Invalid, Refusal
from domain.ports.backing import SchemaBehind, StoreBroken, StoreRefused
from domain.ports.errors import OutcomeUnknown, ReadOnly, Unavailable, WriterRefused
from domain.ports.moving import CannotMove
from entrypoints.cli.context import FAILED, INTERRUPTED, REFUSED, UNREACHABLE, USAGE, Globals, Halt
from entrypoints.cli.output import Output

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "init": ("configuration", "init"),
    "serve": ("server", "serve"),
    "health": ("server", "health"),
    "migrate": ("store", "migrate"),
    "doctor": ("store", "doctor"),
    "config": ("configuration", "config"),
    "admin": ("admin", "app"),
    "import": ("importing", "import_file"),
    "audit": ("audit", "app"),
    "items": ("items", "app"),
    "storage": ("storage", "app"),
    "demo": ("demo", "demo"),
    "identifiers": ("identifiers", "app"),
    "verify": ("verifying", "verify"),
    "openapi": ("openapi", "openapi"),
}
"""Each command with the module and the name that hold it; only what a call needs is loaded."""


def command_line(words: Sequence[str] = ()) -> typer.Typer:
    """Return the command line: with the one command that `words` call, or with all of them."""
    app = typer.Typer(
        name="defarm",
        help="Traceability for farm goods: items, events and circuits that can be trusted.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_globals)
    called = [word for word in words if word in COMMANDS][:1]
    for name in called or COMMANDS:
        module, member = COMMANDS[name]
        command = getattr(import_module(f"entrypoints.cli.{module}"), member)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"defarm {version('defarm-engine')}\n")
        raise typer.Exit


def _globals(
    context: typer.Context,
    env_file: Annotated[Path | None, typer.Option(help="Read variables from this file instead of .env.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print results and errors only.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the stack of a failure.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    context.obj = Globals(Output(as_json, quiet), env_file, debug)


def told(error: BaseException) -> tuple[int, str]:
    """Return the exit code and the message of what ended a command."""
    match error:
        case KeyboardInterrupt() | typer.Abort():
            return INTERRUPTED, "Interrupted."
        case Halt():
            return error.code, str(error)
        case typer.TyperException():
            return error.exit_code, f"Error: {error.format_message()}\nTry --help."
        case ConfigurationError():
            return USAGE, str(error)
        case Invalid():
            faults = "\n".join(f"  {fault.pointer or fault.parameter}: {fault.detail}" for fault in error.faults)
            return USAGE, f"This cannot be right:\n{faults}"
        case WriterRefused():
            return REFUSED, str(error)
        case ReadOnly():
            return REFUSED, f"Refused: {error}"
        case Unavailable() | OutcomeUnknown():
            return UNREACHABLE, f"The store does not answer: {error}"
        case StoreBroken():
            return UNREACHABLE, str(error)
        case StoreRefused() | SchemaBehind() | CannotMove():
            return REFUSED, str(error)
        case Refusal():
            return REFUSED, error.detail or error.code
        case _:
            return FAILED, f"Failed: {type(error).__name__}: {error}"

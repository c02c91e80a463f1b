"""`defarm`: the command line (platform.md 13). A server is started without loading what the other commands need."""

import os
import sys
import traceback
from collections.abc import Sequence

from entrypoints.cli.context import FAILED, USAGE, Globals
from entrypoints.cli.output import Output
from entrypoints.cli.serving import plain_options, serve_with

_ANYWHERE = ("--json", "--quiet", "--debug")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a failure is one message, with its stack under `--debug`."""
    given = _globals_first(list(sys.argv[1:] if arguments is None else arguments))
    try:
        return _run(given)
    except BrokenPipeError:
        # Whoever read the output has seen enough; the interpreter must not flush into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except (Exception, KeyboardInterrupt) as error:
        from entrypoints.cli.commands import told  # noqa: PLC0415 -- a server that runs needs no commands
        from entrypoints.logging import clean  # noqa: PLC0415 -- most calls do not fail

        code, message = told(error)
        if "--debug" in given and code != USAGE:
            traceback.print_exc()
        sys.stderr.write(f"{clean(message)}\n")
        return code


def _run(given: list[str]) -> int:
    options = plain_options(given)
    if options is not None:
        return serve_with(Globals(Output()), options)
    from entrypoints.cli.commands import command_line  # noqa: PLC0415 -- a server that runs needs no commands

    code = command_line(given)(given, prog_name="defarm", standalone_mode=False)
    return code if isinstance(code, int) else 0


def _globals_first(arguments: list[str]) -> list[str]:
    """Let the plain global options stand behind the command too."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    front = [word for word in arguments[:end] if word in _ANYWHERE]
    return front + [word for word in arguments[:end] if word not in _ANYWHERE] + arguments[end:]

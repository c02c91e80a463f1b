"""What every command works with: the global options, the configuration, an open store."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from application.settings import LocalSecret, Settings, default_env_file, load
from entrypoints.cli.output import Output

if TYPE_CHECKING:
    import typer

    from container import Container

R = TypeVar("R")

DONE, FAILED, USAGE, UNREACHABLE, REFUSED, DIFFERENT, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
"""The exit codes of platform.md 13."""


class Halt(Exception):
    """Ends a command with a message and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@attrs.frozen
class Globals:
    """The options that stand before the command."""

    output: Output
    env_file: Path | None = None
    debug: bool = False


def globals_of(context: "typer.Context") -> Globals:
    """Return the global options of this call."""
    found = context.find_object(Globals)
    return found if found is not None else Globals(Output())


def output_of(context: "typer.Context") -> Output:
    """Return where this call prints."""
    return globals_of(context).output


def settings_of(
    context: "typer.Context",
    options: Mapping[str, str | None] = MappingProxyType({}),
    *,
    local_secret: LocalSecret | None = None,
) -> Settings:
    """Read the configuration and tell its warnings. Raises ConfigurationError."""
    return configured(globals_of(context), options, local_secret=local_secret)


def configured(
    chosen: Globals, options: Mapping[str, str | None], *, local_secret: LocalSecret | None = None
) -> Settings:
    """Read the configuration under these global options and tell its warnings. Raises ConfigurationError."""
    settings = load(
        os.environ,
        options={name: text for name, text in options.items() if text is not None},
        env_file=chosen.env_file or default_env_file(),
        local_secret=local_secret or kept_secret_of,
        terminal=sys.stdout.isatty(),
    )
    for warning in settings.warnings:
        chosen.output.say(f"warning: {warning}")
    return settings


def kept_secret_of(data_dir: Path, name: str) -> str:
    """Return the secret that the data directory keeps, made on first use."""
    from container import kept_secret  # noqa: PLC0415 -- many commands need no engine

    return kept_secret(data_dir, name)


def seen_secret(data_dir: Path, name: str) -> str:
    """Return the secret that is kept, or one that is not kept at all: for commands that only look."""
    return kept_secret_of(data_dir, name) if (data_dir / name).exists() else secrets.token_urlsafe(48)


@asynccontextmanager
async def store_of(settings: Settings, instead: str) -> AsyncIterator["Container"]:
    """Open the configured store as the server would, an embedded one together with a running server.

    `instead` names the route to use where the store lives inside the serving process. Raises Halt for that.
    """
    if settings.storage == "memory":
        raise Halt(f"With DEFARM_STORAGE=memory the store lives inside the server; use {instead} instead.", REFUSED)
    from container import container_of, opened  # noqa: PLC0415 -- many commands need no engine

    async with opened(container_of(settings, joins=True)) as container:
        yield container


def run_async(work: Coroutine[Any, Any, R]) -> R:
    """Run a command's coroutine to its end."""
    return asyncio.run(work)

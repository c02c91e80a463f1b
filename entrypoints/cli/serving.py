"""What `defarm serve` does, with as little loaded as it takes: the command line stays out of a serving process."""

from collections.abc import Mapping, Sequence
from typing import Final

from entrypoints.cli.context import Globals, configured
from entrypoints.lean import lean

VARIABLES: Final[Mapping[str, str]] = {
    "host": "HOST",
    "port": "PORT",
    "workers": "DEFARM_WORKERS",
    "storage": "DEFARM_STORAGE",
    "log_level": "DEFARM_LOG_LEVEL",
    "log_format": "DEFARM_LOG_FORMAT",
}
"""Each option of `serve` that takes a text, with the variable that it stands for."""

SWITCHES: Final[Mapping[str, str]] = {
    "skip_migrations": "DEFARM_MIGRATE_ON_START",
    "no_setup_token": "DEFARM_SETUP_TOKEN",
}
"""Each option of `serve` that switches a variable off."""


def plain_options(words: Sequence[str]) -> dict[str, str] | None:
    """Return the variables that a plain `serve …` chooses; None for words that the whole command line has to read."""
    if not words or words[0] != "serve":
        return None
    chosen: dict[str, str] = {}
    rest = iter(words[1:])
    for word in rest:
        option, given, text = word.partition("=")
        name = option.removeprefix("--").replace("-", "_") if option.startswith("--") and "_" not in option else ""
        if name in SWITCHES and not given:
            chosen[SWITCHES[name]] = "false"
        elif name in VARIABLES:
            value = text if given else next(rest, "--")
            if value.startswith("--"):
                return None
            chosen[VARIABLES[name]] = value
        else:
            return None
    return chosen


def serve_with(chosen: Globals, options: Mapping[str, str | None]) -> int:
    """Serve until a signal and return the exit code. Raises what `entrypoints.serve.serve` does."""
    with lean() as settle:
        from entrypoints.serve import serve  # noqa: PLC0415 -- only inside the block

        settle()
        return serve(configured(chosen, options))

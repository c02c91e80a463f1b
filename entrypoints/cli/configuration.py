"""`defarm init` and `defarm config`."""

import os
import secrets
from pathlib import Path
from typing import Annotated

import attrs
import typer

from application.settings import describe
from entrypoints.cli.context import REFUSED, Halt, output_of, seen_secret, settings_of

_ENV = """\
# Configuration of the DeFarm Engine; `defarm config --all` shows every variable. Keep this file secret.

# Signs access tokens. Changing it signs everybody out (set DEFARM_JWT_SECRET_PREVIOUS to the old one meanwhile).
JWT_SECRET={jwt}
# Root of all other keys. Without it sealed data cannot be read: keep a copy in a safe place.
DEFARM_SECRET_KEY={root}

# Without a database of yours the engine runs its own PostgreSQL under ./.defarm.
#DATABASE_URL=postgresql://user:password@host:5432/defarm
#REDIS_URL=redis://host:6379/0

# The password of the PostgreSQL of compose.yaml. Nothing else reads it.
POSTGRES_PASSWORD={database}

#HOST=127.0.0.1
#PORT=3000
#DEFARM_PUBLIC_URL=https://trace.example.org
"""


def init(
    context: typer.Context,
    force: Annotated[bool, typer.Option(help="Replace an existing file.")] = False,
    directory: Annotated[Path, typer.Option("--dir", help="Where to write it.")] = Path(),
) -> None:
    """Write a .env with fresh secrets, readable by you alone."""
    output = output_of(context)
    path = directory / ".env"
    text = _ENV.format(jwt=_secret(), root=_secret(), database=_secret())
    directory.mkdir(parents=True, exist_ok=True)
    draft = directory / f".env.{secrets.token_hex(4)}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        if force:
            draft.replace(path)
        else:
            path.hardlink_to(draft)
    except FileExistsError:
        raise Halt(f"{path} exists already; --force replaces it, and with it the keys of its store.", REFUSED) from None
    finally:
        draft.unlink(missing_ok=True)
    output.result({"written": str(path)}, lambda: output.line(f"{path} written. Start with: defarm serve"))


def _secret() -> str:
    return secrets.token_urlsafe(48)


def config(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Show defaults too.")] = False,
) -> None:
    """Show the configuration in force, and where each value came from."""
    output = output_of(context)
    rows = describe(settings_of(context, local_secret=seen_secret))
    shown = [row for row in rows if everything or row.source != "default"]
    output.result(
        [attrs.asdict(row) for row in shown],
        lambda: output.table(
            ("name", "value", "source", "default"),
            ((row.name, row.value, row.source, row.default) for row in shown),
            styles=("bold",),
        ),
    )

"""`defarm demo`: a server with something in it, gone when it ends (platform.md 13.3)."""

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from application.settings import Settings, load
from entrypoints.cli.context import REFUSED, Halt, kept_secret_of, output_of
from entrypoints.cli.output import Output

if TYPE_CHECKING:
    from application.demo import Demo
    from container import Container


class DemoStorage(StrEnum):
    MEMORY = "memory"
    POSTGRES = "postgres"


def demo(
    context: typer.Context,
    storage: Annotated[DemoStorage, typer.Option(help="Where it is kept while it runs.")] = DemoStorage.MEMORY,
    items: Annotated[int, typer.Option(min=0, max=90_000, help="How many animals.")] = 50,
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 3000,
    keep: Annotated[Path | None, typer.Option(help="Keep the store in this directory.", file_okay=False)] = None,
) -> None:
    """Serve an engine with people, circuits and animals in it; DATABASE_URL is never touched."""
    output = output_of(context)
    if keep is not None and storage is DemoStorage.MEMORY:
        storage = DemoStorage.POSTGRES
    from entrypoints.serve import serve  # noqa: PLC0415 -- other commands need no server

    with _place(keep) as folder:
        settings = _settings(folder, storage, port)

        async def prepare(container: "Container", address: str) -> Callable[[], None]:
            from application.demo import populate  # noqa: PLC0415 -- only here

            made = await populate(container.engine(), items)

            def tell() -> None:
                output.result({"address": address, **attrs.asdict(made)}, lambda: _show(output, made, address))
                sys.stdout.flush()

            return tell

        code = serve(settings, prepare)
    raise typer.Exit(code)


@contextmanager
def _place(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with TemporaryDirectory(prefix="defarm-demo-") as folder:
            yield Path(folder)
        return
    if keep.exists() and any(keep.iterdir()):
        raise Halt(f"{keep} is not empty. Serve what is in it with: DEFARM_DATA_DIR={keep} defarm serve", REFUSED)
    yield keep


def _settings(folder: Path, storage: DemoStorage, port: int) -> Settings:
    """Return the configuration of a demo. The environment is not read."""
    options = {
        "DEFARM_STORAGE": storage.value,
        "DEFARM_DATA_DIR": str(folder / "data") if storage is DemoStorage.MEMORY else str(folder),
        "PORT": str(port),
        "DEFARM_SETUP_TOKEN": "false",
        "DEFARM_LOG_LEVEL": "error",
    }
    fresh = storage is DemoStorage.MEMORY
    return load({}, options=options, local_secret=_fresh_secret if fresh else kept_secret_of)


def _fresh_secret(data_dir: Path, name: str) -> str:
    return secrets.token_urlsafe(48)


def _show(output: Output, made: "Demo", address: str) -> None:
    people = "\n".join(f"  {name:<6} {text}  {made.homes[name]}" for name, text in made.passwords.items())
    output.line(
        _SHOWN.format(
            address=address,
            people=people,
            ana=made.passwords["ana"],
            dfid=next(iter(made.dfids), "DFID"),
            approved=made.approved_circuit,
            public=made.public_circuit,
        )
    )


_SHOWN = """\
The demo runs at {address}, its reference at {address}/docs. Ctrl-C ends it.

{people}

  # sign in as ana
  TOKEN=$(curl -s {address}/api/auth/login -H 'Content-Type: application/json' \\
    -d '{{"username": "ana", "password": "{ana}"}}' | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')

  # her animals, and one of them
  curl -s {address}/api/items -H "Authorization: Bearer $TOKEN"
  curl -s {address}/api/items/{dfid} -H "Authorization: Bearer $TOKEN"

  # its history, and the proof that nothing was changed
  curl -s {address}/api/events/item/{dfid} -H "Authorization: Bearer $TOKEN"
  curl -s {address}/api/events/item/{dfid}/verify -H "Authorization: Bearer $TOKEN"

  # a push of clara's waits in this circuit for approval
  curl -s {address}/api/circuits/{approved}/operations/pending -H "Authorization: Bearer $TOKEN"

  # what everybody sees
  curl -s {address}/api/circuits/{public}/public/items"""

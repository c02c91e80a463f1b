"""What the ends of a copy are called on the command line (platform.md 13.2)."""

from pathlib import Path
from urllib.parse import urlsplit

from adapters.postgres.backing import JoinedServer, RemoteServer
from adapters.postgres.place import PORTION_ROWS, PostgresPlace
from adapters.snapshot import SnapshotPlace
from domain.ports.moving import CannotMove


def place_of(spec: str, batch: int = PORTION_ROWS) -> PostgresPlace | SnapshotPlace:
    """Return what `postgresql://…`, `embedded:DIR` or `file:PATH` names. Raises CannotMove for anything else."""
    kind, _, rest = spec.partition(":")
    if kind in ("postgresql", "postgres") and rest.startswith("//"):
        return PostgresPlace(_address(spec), RemoteServer(spec), batch=batch)
    if kind == "embedded" and rest:
        return embedded(Path(rest), batch)
    if kind == "file" and rest:
        return SnapshotPlace(Path(rest))
    raise CannotMove(
        f"{kind if '//' in spec else spec} names no store; say a PostgreSQL URL, embedded:DIR, file:PATH or env."
    )


def embedded(folder: Path, batch: int = PORTION_ROWS) -> PostgresPlace:
    """Return the store that an embedded server keeps in a directory."""
    return PostgresPlace(f"embedded:{folder}", JoinedServer(folder), folder, batch)


def served(url: str | None, folder: Path, batch: int = PORTION_ROWS) -> PostgresPlace:
    """Return the configured store."""
    return embedded(folder, batch) if url is None else PostgresPlace(_address(url), RemoteServer(url), batch=batch)


def _address(url: str) -> str:
    """Return where a URL leads, without who goes there."""
    parts = urlsplit(url)
    host = parts.hostname or "local"
    port = f":{parts.port}" if parts.port else ""
    return f"postgresql://{host}{port}{parts.path}"

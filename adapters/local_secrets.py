"""Secrets that an engine makes for itself and keeps beside its embedded server."""

import os
import secrets
import tempfile
from pathlib import Path

MINIMUM_LENGTH = 32


def load_or_create_secret(data_dir: Path, name: str) -> str:
    """Return the secret kept as `data_dir/name`, made on the first call from 48 random bytes.

    The file has mode 0600 and appears whole or not at all, so processes that ask at the same time get one
    answer. Raises OSError when the directory cannot be used, ValueError when the file is cut short.
    """
    path = data_dir / name
    if not path.exists():
        _create(path, secrets.token_urlsafe(48))
    value = path.read_text(encoding="utf-8").strip()
    if len(value) < MINIMUM_LENGTH:
        raise ValueError(f"{path} holds fewer than {MINIMUM_LENGTH} characters; restore it from a backup")
    return value


def _create(path: Path, value: str) -> None:
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(value + "\n")
            file.flush()
            os.fsync(file.fileno())
        belong_to_directory(Path(draft))
        try:
            # A link, unlike a rename, never replaces what another process put there first.
            Path(path).hardlink_to(draft)
        except FileExistsError:
            return
        sync_directory(path.parent)
    finally:
        Path(draft).unlink()


def belong_to_directory(path: Path) -> None:
    """Give `path` to the owner of its directory when root made it, so that the owner can go on without root."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

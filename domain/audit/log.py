"""Rows of the audit log: tiles of its tree, checkpoints, counts by day (platform.md 6.4, 6.8)."""

from base64 import b64encode
from datetime import datetime

import attrs

from domain.document import EMPTY, Document

EVERYBODY = "*"
"""Stands for the actor in the row that counts a day as a whole."""


@attrs.frozen
class LogTile:
    """Up to 256 neighbouring hashes of one level of the tree."""

    level: int
    number: int
    hashes: tuple[str, ...]
    version: int = 1


@attrs.frozen
class Checkpoint:
    """The log at a size. `signature` is the last line of a signed note, None without a key."""

    origin: str
    tree_size: int
    root_hash: str
    at: datetime
    signature: str | None = None


@attrs.frozen
class AuditDay:
    """How many entries one actor, or everybody, has on a UTC day, by `action outcome severity`."""

    day: str
    actor: str
    counts: Document = EMPTY
    version: int = 1


@attrs.frozen
class ActorTotal:
    """How many entries an actor has in a period."""

    user_id: str
    count: int


def tile_id(level: int, number: int) -> str:
    """Return the key of a tile; keys order as tiles do."""
    return f"{level:02d}/{number:012d}"


def checkpoint_id(size: int) -> str:
    """Return the key of a checkpoint; keys order as sizes do."""
    return f"{size:016d}"


def note(origin: str, size: int, root_hash: str) -> str:
    """Return the text of a checkpoint that is signed (signed-note form)."""
    return f"{origin}\n{size}\n{b64encode(bytes.fromhex(root_hash)).decode()}\n"

"""What stands behind a storage: a server, the schema in it, connections to it.

A storage answers for rows; its backing answers for whether there can be rows at all. Whoever runs the engine opens
the backing before the first read and closes it after the last.
"""

from datetime import datetime
from typing import Protocol

import attrs


class StoreRefused(Exception):
    """This process must not use the store, and waiting does not help; the message says what to do."""


class StoreBroken(Exception):
    """The store that this process itself should run cannot be brought up; the message says what to do."""


class SchemaBehind(Exception):
    """The schema is older than this release and this process does not migrate; somebody else may."""


@attrs.frozen
class Schema:
    """Version numbers of the schema in the store and of this release, and the names of what lies between."""

    applied: int
    expected: int
    pending: tuple[str, ...] = ()


@attrs.frozen
class ServerFacts:
    """What an operator should know of a server: its major version, the encoding of the database, its clock."""

    major: int
    encoding: str
    now: datetime
    max_connections: int


class Backing(Protocol):
    """Opened in the order of its methods; each may be called again after it failed."""

    @property
    def mode(self) -> str:
        """What it is, in one word: `memory`, `embedded` or `postgres`."""
        ...

    async def connect(self) -> None:
        """Bring the server up if it is ours. Raises Unavailable, StoreBroken, StoreRefused."""
        ...

    async def schema(self) -> Schema:
        """Compare the schemas. Raises Unavailable, and StoreRefused when the store's is newer."""
        ...

    async def migrate(self) -> tuple[str, ...]:
        """Apply what is pending and return its names. Raises as `schema` does."""
        ...

    async def open(self) -> None:
        """Make the storage usable. Raises Unavailable, and StoreRefused when others write who must not."""
        ...

    async def facts(self) -> ServerFacts | None:
        """Describe the server, None where there is none. Raises Unavailable."""
        ...

    async def aclose(self) -> None:
        """Let go of everything, whatever of it was opened."""
        ...

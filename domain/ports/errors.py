"""What a storage raises.

StorageError
├── NotFound         no row under this key
├── AlreadyExists    the key, or a unique key, is taken
├── Stale            the row is not at the version that was read
├── Contention       the database ended the unit to resolve a deadlock or lock wait; nothing committed
├── Unavailable      the store does not answer; nothing committed
│   └── WriterRefused   another kind of engine writes to the store; nothing committed
├── ReadOnly         the store takes no changes since it was copied; nothing committed
├── OutcomeUnknown   the link broke during commit: it may or may not have happened
├── Corrupt          a stored row cannot be read
└── Misuse
    ├── NestedUnit   a unit was opened inside a unit of the same task
    ├── UnitDoomed   the unit met a write error before
    └── Closed       used after its block, or after the storage was closed
"""

from typing import Any


class StorageError(Exception):
    """Root of everything a storage raises."""


class KeyedError(StorageError):
    """A storage error about one row."""

    def __init__(self, facet: str, key: Any = None) -> None:
        super().__init__(f"{facet} {key!r}" if key is not None else facet)
        self.facet = facet
        self.key = key


class NotFound(KeyedError):
    """No row under this key."""


class AlreadyExists(KeyedError):
    """The key, or a unique key, is taken. `key` is None when the store cannot tell which."""


class Stale(KeyedError):
    """The row is not at the version that was read."""


class Contention(StorageError):
    """The database ended the unit to let others go on. Nothing was committed; run it again."""


class Unavailable(StorageError):
    """The store does not answer within its bounds. Nothing was committed."""


class WriterRefused(Unavailable):
    """This process must not write beside those that do; the message says which, and what to do."""


class ReadOnly(StorageError):
    """The store takes no changes: it is being copied, or was and nobody released it. Nothing was committed."""


class OutcomeUnknown(StorageError):
    """The link broke during commit: the unit may or may not have happened."""


class Corrupt(KeyedError):
    """A stored row cannot be read."""


class Misuse(StorageError):
    """The caller broke a rule of the port."""


class NestedUnit(Misuse):
    """A unit was opened inside a unit of the same task."""


class UnitDoomed(Misuse):
    """The unit met a write error before and cannot commit."""


class Closed(Misuse):
    """Used after its block, or after the storage was closed."""

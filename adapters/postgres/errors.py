"""Driver errors, translated in one place; the cause is kept."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors as pg
from psycopg_pool import PoolClosed, PoolTimeout

from adapters.caching.guard import GuardRefused
from domain.ports.errors import (
    AlreadyExists,
    Closed,
    Contention,
    OutcomeUnknown,
    ReadOnly,
    Stale,
    StorageError,
    Unavailable,
)

STALE = "DF001"
GUARD = "DF002"
SEALED = "DF004"
_RERUN = (pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable)
_BROKEN = (psycopg.OperationalError, psycopg.InterfaceError, OSError)
_AWAY = frozenset({"08", "53", "57", "58"})


def translated(error: BaseException, *, committing: bool) -> StorageError | None:
    """Return the port's error for a driver error, or None for what is a fault of ours.

    A server that answers a statement with an error has rolled back. A link that broke while a unit was being
    committed leaves its outcome unknown, also when the server said goodbye: it may have committed before.
    """
    match error:
        case psycopg.Error(sqlstate=state) if state == STALE:
            return Stale(error.diag.table_name or "")
        case psycopg.Error(sqlstate=state) if state == GUARD:
            return GuardRefused(str(error))
        case psycopg.Error(sqlstate=state) if state == SEALED:
            return ReadOnly("the store takes no changes: it is being copied, or was; see defarm storage release")
        case pg.UniqueViolation():
            return AlreadyExists(error.diag.table_name or "")
        case _ if isinstance(error, _RERUN):
            return Contention(str(error))
        case PoolClosed():
            return Closed("this storage was closed")
        case PoolTimeout():
            return Unavailable("no connection to PostgreSQL within the wait")
        case psycopg.Error() if error.diag.severity_nonlocalized == "ERROR":
            away = (error.sqlstate or "")[:2] in _AWAY or isinstance(error, pg.ReadOnlySqlTransaction)
            return Unavailable(type(error).__name__) if away else None
        case _ if isinstance(error, _BROKEN) or (isinstance(error, psycopg.Error) and error.sqlstate is not None):
            return OutcomeUnknown("the link broke during commit") if committing else Unavailable("the link broke")
        case _:
            return None


@contextmanager
def translating(*, committing: bool = False) -> Iterator[None]:
    """Raise the port's errors for the driver's inside this block."""
    try:
        yield
    except (psycopg.Error, PoolTimeout, PoolClosed, OSError) as error:
        known = translated(error, committing=committing)
        if known is None:
            raise
        raise known from error

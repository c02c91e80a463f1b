"""The record a store keeps of itself."""

import hashlib
from collections.abc import Iterable
from datetime import datetime

import attrs


@attrs.frozen
class Tally:
    """How many rows of a part were met in the order of their keys, and a hash chained over them.

    A row at a time: a copy that was interrupted goes on with the tally that it had come to.
    """

    part: str
    rows: int = 0
    digest: str = ""

    def then(self, bodies: Iterable[bytes]) -> "Tally":
        """Return the tally after further rows, each as its canonical bytes."""
        rows, chained = self.rows, bytes.fromhex(self.digest)
        for body in bodies:
            chained = hashlib.sha256(chained + body).digest()
            rows += 1
        return Tally(self.part, rows, chained.hex())


@attrs.frozen
class CopyMark:
    """How far a copy into this store has come (platform.md 13.2); a store that bears it is not whole.

    `source` is what it is copied from, in a state that would be another one after any change. `tallies` are those
    of the parts that are here, the last of which is under way while `after` is the key of its last row. `told` is the
    last item whose storage history has been told of the copy.
    """

    run_id: str
    source: str
    begun_at: datetime
    keeps_identity: bool = False
    tallies: tuple[Tally, ...] = ()
    after: tuple[str, ...] | None = None
    verified: bool = False
    told: str | None = None


@attrs.frozen
class StoreRecord:
    """Who this store is (items-events.md 11) and the wrapped data key (identifiers.md 6).

    `setup_value` is the random part of the setup token and is None once an administrator exists. A `read_only` store
    takes no changes since it was copied; a `retired` one never again. `log_id` names the audit log where that was
    begun in another store.
    """

    store_key: str
    store_id: str
    wrapped_data_key: str
    created_at: datetime
    setup_value: str | None = None
    read_only: bool = False
    version: int = 1
    retired: bool = False
    log_id: str | None = None
    copying: CopyMark | None = None

    @property
    def log_name(self) -> str:
        """The store in which the audit log was begun."""
        return self.log_id or self.store_id

"""Comparing two stores, or one with what was noted of it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from application.moving.reading import Progress, portions
from domain.items.storage_records import StorageAction
from domain.ports.moving import PARTS, Holding
from domain.ports.schema import AUDIT, STORAGE_RECORDS
from domain.store import Tally

OWN_ACTIONS = frozenset({"storage.copied", "storage.restored"})
"""What the audit of a store says of its own beginning as a copy."""


@attrs.frozen
class Difference:
    """A part in which two stores are not alike: rows and digest of each."""

    part: str
    here: Tally
    there: Tally

    def __str__(self) -> str:
        if self.here.rows != self.there.rows:
            return f"{self.part}: {self.here.rows:,} rows against {self.there.rows:,}"
        return f"{self.part}: {self.here.rows:,} rows on both sides, with other contents"


async def tallies(held: Holding, tell: Progress, *, without_copy_into: str | None = None) -> tuple[Tally, ...]:
    """Return the tally of every part; `without_copy_into` leaves out what a copy added to the store of this id."""
    found = []
    for part in PARTS:
        tally = Tally(part.name)
        async for rows, whole in portions(held, part, tell):
            if without_copy_into is not None and part.name in _ADDED:
                tally = tally.then(body for value, body in rows if not _ADDED[part.name](value, without_copy_into))
            else:
                tally = whole
        found.append(tally)
    return tuple(found)


_ADDED: Mapping[str, Callable[[Any, str], bool]] = {
    AUDIT.name: lambda entry, store: entry.action in OWN_ACTIONS and entry.resource["id"] == store,
    STORAGE_RECORDS.name: lambda record, store: record.action is StorageAction.COPIED and record.store_id == store,
}


def compared(here: Iterable[Tally], there: Iterable[Tally]) -> list[Difference]:
    """Return in which parts two stores differ."""
    others = {tally.part: tally for tally in there}
    pairs = ((one, others.get(one.part, Tally(one.part))) for one in here)
    return [Difference(one.part, one, other) for one, other in pairs if one != other]

"""Keeping a whole store in one place that takes it in order."""

from collections.abc import Sequence
from typing import Protocol

from application.moving.reading import Progress, canonical_row, portions
from domain.ports.moving import PARTS, Holding
from domain.ports.schema import STORE
from domain.store import Tally


class SnapshotOut(Protocol):
    """What takes the rows of a snapshot."""

    def begin(self, part: str) -> None: ...

    def write(self, bodies: Sequence[bytes]) -> None: ...

    def end(self, tally: Tally) -> None: ...


async def snapshot(held: Holding, out: SnapshotOut, tell: Progress) -> tuple[Tally, ...]:
    """Write the record of a store and all its parts, and return the tallies of the parts."""
    own = [canonical_row(held.record)]
    out.begin(STORE.name)
    out.write(own)
    out.end(Tally(STORE.name).then(own))
    found = []
    for part in PARTS:
        tally = Tally(part.name)
        out.begin(part.name)
        async for rows, whole in portions(held, part, tell):
            out.write([body for _, body in rows])
            tally = whole
        out.end(tally)
        found.append(tally)
    return tuple(found)

"""Reading everything a store holds, in the order of keys, with its tallies."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from domain.ports.moving import Holding, Row
from domain.ports.schema import Facet, Key
from domain.store import Tally

Progress = Callable[[str, int, int], None]
"""Is told of a part, how many of its rows are done, and how many there are."""

_canonical = msgspec.json.Encoder(order="sorted").encode


def canonical_row(value: Any) -> bytes:
    """Return the one form in which a row is hashed and kept: JSON with sorted members and sets, in UTF-8."""
    return _canonical(value)


async def portions(
    held: Holding, part: Facet[Any], tell: Progress, begun: Tally | None = None, after: Key | None = None
) -> AsyncIterator[tuple[Sequence[Row], Tally]]:
    """Yield the rows of a part, a portion at a time, each with the tally up to there; from `after` on with `begun`."""
    tally = begun or Tally(part.name)
    total = await held.count(part)
    tell(part.name, tally.rows, total)
    async for values in held.rows(part, after):
        rows = [(value, canonical_row(value)) for value in values]
        tally = tally.then(body for _, body in rows)
        yield rows, tally
        tell(part.name, tally.rows, total)

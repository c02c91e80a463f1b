"""Numbers of circuits, counted from indexes (circuits.md 4.20)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import attrs

from domain.access.vocabulary import JoinRequestStatus, MembershipStatus, OperationStatus
from domain.ports.clock import Clock
from domain.ports.queries import AnyOf, Condition
from domain.ports.schema import JOIN_REQUESTS, MEMBERSHIPS, OPERATIONS, PLACEMENTS, Facet
from domain.ports.storage import Reader

FRESH: Final = timedelta(seconds=60)
LARGE: Final = 1000
"""From this many rows on counting is work, and what was counted is told for a minute."""

_COUNTED: Final[Mapping[str, tuple[Facet[Any], Mapping[str, Condition]]]] = MappingProxyType(
    {
        "members": (MEMBERSHIPS, {"status": MembershipStatus.ACTIVE}),
        "items": (PLACEMENTS, {}),
        "published_items": (PLACEMENTS, {"published": True}),
        "pending_operations": (OPERATIONS, {"status": OperationStatus.PENDING}),
        "pending_requests": (JOIN_REQUESTS, {"status": JoinRequestStatus.PENDING}),
    }
)
EVERYTHING: Final = tuple(_COUNTED)
ON_PAGE: Final = ("members", "published_items")


@attrs.frozen
class Tally:
    """Numbers of one circuit by name, as of an instant."""

    numbers: Mapping[str, int]
    as_of: datetime

    @property
    def large(self) -> bool:
        return sum(self.numbers.values()) >= LARGE


@attrs.define
class Tallies:
    """Counts what circuits have: small numbers anew each time, large ones once a minute."""

    clock: Clock
    _kept: dict[tuple[str, tuple[str, ...]], Tally] = attrs.field(factory=dict)

    async def of(self, reader: Reader, circuit_ids: Sequence[str], names: tuple[str, ...]) -> dict[str, Tally]:
        """Return the numbers of these names for each circuit, at most 60 seconds old; one statement per name."""
        now = self.clock.now()
        self._kept = {place: tally for place, tally in self._kept.items() if now - tally.as_of < FRESH}
        missing = [one for one in circuit_ids if (one, names) not in self._kept]
        fresh = await _counted(reader, missing, names, now)
        self._kept |= {(one, names): tally for one, tally in fresh.items() if tally.large}
        return {one: fresh[one] if one in fresh else self._kept[one, names] for one in circuit_ids}


async def _counted(reader: Reader, circuit_ids: Sequence[str], names: Iterable[str], now: datetime) -> dict[str, Tally]:
    found: dict[str, dict[str, int]] = {one: {} for one in circuit_ids}
    for name in names if circuit_ids else ():
        facet, where = _COUNTED[name]
        counts = await reader.count(facet, {"circuit_id": AnyOf(tuple(circuit_ids)), **where}, "circuit_id")
        for one in circuit_ids:
            found[one][name] = counts.get(one, 0)
    return {one: Tally(numbers, now) for one, numbers in found.items()}

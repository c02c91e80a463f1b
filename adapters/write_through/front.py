"""What this process holds in memory, and when it may answer from it.

A key is answered from memory unless a unit is changing it at this moment or its value is in doubt: then PostgreSQL is
asked, so that nobody sees an older value by key than a list has told before.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from adapters.changes import Changes
from adapters.write_through.rows import Kept, Rows
from domain.ports.cache import CacheStats
from domain.ports.queries import Cursor, Select
from domain.ports.schema import Facet, Key

V = TypeVar("V")
Place = tuple[str, Key]


class Front:
    """The rows of the working set, by facet."""

    def __init__(self, working_set: Sequence[Kept]) -> None:
        self.rows: dict[str, Rows[Any]] = {kept.facet.name: Rows(kept) for kept in working_set}
        self._changing: Counter[Place] = Counter()
        self._doubtful: set[Place] = set()
        self._unsettled: Counter[str] = Counter()
        self._leases: dict[Place, object] = {}
        self.tallies: dict[str, Counter[str]] = {kept.facet.name: Counter() for kept in working_set}
        """Rows that were found in memory (`hit`), and for which the store was asked (`miss`), by facet."""

    def look(self, facet: Facet[V], keys: Iterable[Key]) -> tuple[dict[Key, V], list[Key]]:
        """Return the rows that are known, and the keys for which the store has to be asked."""
        rows = self.rows[facet.name]
        found: dict[Key, V] = {}
        missed: list[Key] = []
        settled = not self._unsettled[facet.name]
        for key in keys:
            known = settled or self._is_settled((facet.name, key))
            value = rows.find(key) if known else None
            if value is not None:
                found[key] = value
            elif not (known and rows.complete):
                missed.append(key)
        tally = self.tallies[facet.name]
        tally["hit"] += len(found)
        tally["miss"] += len(missed)
        return found, missed

    def stats(self) -> CacheStats:
        """Return how many rows were found in memory, and for how many the store was asked."""
        totals = sum(self.tallies.values(), Counter())
        return CacheStats(hits=totals["hit"], misses=totals["miss"])

    def _is_settled(self, place: Place) -> bool:
        return place not in self._changing and place not in self._doubtful

    def select(self, facet: Facet[V], query: Select, after: Cursor | None, limit: int) -> list[V] | None:
        """Return a list, None when the store has to be asked."""
        if facet.name not in self.rows or self._unsettled[facet.name]:
            return None
        return self.rows[facet.name].select(query, after, limit)

    def lease(self, facet: Facet[Any], keys: Iterable[Key]) -> object:
        """Announce that these rows are asked of the store; who changes one meanwhile voids the lease of it."""
        token = object()
        self._leases.update({(facet.name, key): token for key in keys if (facet.name, key) not in self._changing})
        return token

    def settle(self, facet: Facet[V], keys: Iterable[Key], token: object, rows: Mapping[Key, V] | None) -> None:
        """Keep what the store answered under a lease, where that still stands; None gives the lease up."""
        for key in keys:
            place = (facet.name, key)
            if self._leases.get(place) is not token:
                continue
            del self._leases[place]
            if rows is None:
                continue
            self._keep(facet, key, rows.get(key))
            if place in self._doubtful:
                self._doubtful.discard(place)
                self._unsettle(facet.name, -1)

    def _keep(self, facet: Facet[V], key: Key, value: V | None) -> None:
        if value is None:
            self.rows[facet.name].drop(key)
        else:
            self.rows[facet.name].put(value)

    def begin(self, changes: Changes) -> None:
        """Take note that a unit is about to commit."""
        for place, _ in self._places(changes):
            self._leases.pop(place, None)
            self._changing[place] += 1
            self._unsettle(place[0], 1)

    def end(self, changes: Changes, *, committed: bool = False, doubt: bool = False) -> None:
        """Make what a unit committed visible, all at once; what two units changed at once is in doubt."""
        for place, value in self._places(changes):
            name, key = place
            alone = self._changing[place] == 1
            if alone:
                del self._changing[place]
            else:
                self._changing[place] -= 1
            self._unsettle(name, -1)
            if doubt or (committed and not alone):
                self.doubt(place)
            elif committed and place not in self._doubtful:
                self._keep(self.rows[name].facet, key, value)

    def doubt(self, place: Place) -> None:
        """Ask the store for this row from now on, until it has answered."""
        if place not in self._doubtful:
            self._doubtful.add(place)
            self._unsettle(place[0], 1)

    def _unsettle(self, name: str, by: int) -> None:
        self._unsettled[name] += by

    def _places(self, changes: Changes) -> list[tuple[Place, Any]]:
        """Return what a unit changes of the working set, with the values it leaves there."""
        return [
            ((change.facet.name, key), value)
            for change in changes
            if change.facet.name in self.rows
            for key, value in (
                *((key, None) for key in change.removes),
                *((key, saved) for key, (saved, _) in change.saves.items()),
                *change.adds.items(),
            )
        ]

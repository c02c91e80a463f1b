"""What this process holds in memory, and when it may answer from it.

A key is answered from memory unless a unit is changing it at this moment or its value is in doubt: then PostgreSQL is
asked, so that nobody sees an older value by key than a list has told before.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from adapters.changes import Changes
from adapters.staging import Found, Wanted
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
        self._unsettled = dict.fromkeys(self.rows, 0)
        self._leases: dict[Place, object] = {}
        self.tallies: dict[str, Counter[str]] = {kept.facet.name: Counter() for kept in working_set}
        """Rows that were found in memory (`hit`), and for which the store was asked (`miss`), by facet."""

    def look(self, wanted: Wanted) -> tuple[dict[str, dict[Key, Any]], dict[str, list[Key]]]:
        """Return the rows that are known, and the keys for which the store has to be asked, by facet."""
        found: dict[str, dict[Key, Any]] = {}
        missed: dict[str, list[Key]] = {}
        for name, keys in wanted.items():
            rows = self.rows.get(name)
            known = found[name] = {} if rows is None else self._known(rows, keys)
            left = keys if rows is None else self._missed(rows, keys, known)
            if left:
                missed[name] = left
        return found, missed

    def _known(self, rows: Rows[Any], keys: list[Key]) -> dict[Key, Any]:
        name = rows.facet.name
        settled = not self._unsettled[name]
        known = {}
        for key in keys:
            value = rows.find(key) if settled or self._is_settled((name, key)) else None
            if value is not None:
                known[key] = value
        self.tallies[name]["hit"] += len(known)
        return known

    def _missed(self, rows: Rows[Any], keys: list[Key], known: dict[Key, Any]) -> list[Key]:
        """Return the keys that are not known, but for those that are known to be absent."""
        if len(known) == len(keys):
            return []
        name = rows.facet.name
        left = [key for key in keys if key not in known]
        if rows.complete:
            left = [key for key in left if not self._is_settled((name, key))]
        self.tallies[name]["miss"] += len(left)
        return left

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

    def lease(self, missed: Wanted) -> object:
        """Announce that these rows are asked of the store; who changes one meanwhile voids the lease of it."""
        token = object()
        self._leases.update({place: token for place in self._held(missed) if place not in self._changing})
        return token

    def settle(self, missed: Wanted, token: object, found: Found | None) -> None:
        """Keep what the store answered under a lease, where that still stands; None gives the lease up."""
        for place in self._held(missed):
            if self._leases.get(place) is not token:
                continue
            del self._leases[place]
            if found is None:
                continue
            name, key = place
            self._keep(self.rows[name].facet, key, found[name].get(key))
            if place in self._doubtful:
                self._doubtful.discard(place)
                self._unsettle(name, -1)

    def _held(self, wanted: Wanted) -> Iterator[Place]:
        return ((name, key) for name, keys in wanted.items() if name in self.rows for key in keys)

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

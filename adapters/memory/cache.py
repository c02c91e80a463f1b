"""The cache in this process: what tests and a single instance use, and the reference for the Redis one."""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime

import attrs

from adapters.caching.keys import KeySpace
from domain.ports.cache import (
    NO_VERSION_IS_HIGHER,
    Absent,
    CacheServer,
    CacheStats,
    CacheUnavailable,
    Cell,
    Changed,
    Epoch,
    EpochState,
    Lease,
    Mark,
    Outcome,
    Value,
    Writer,
)


@attrs.frozen
class _Stored:
    """A cell with the epoch it was written in and the moment it ends; marks have neither."""

    cell: Value | Lease | Mark
    epoch: bytes | None = None
    ends: float | None = None


class MemoryCells:
    """What several `MemoryCache`s share, as several instances share a server.

    `capacity` bounds values and leases together; the one used least recently goes first, marks never go.
    """

    def __init__(self, capacity: int = 100_000, clock: Callable[[], float] = time.monotonic) -> None:
        self.capacity = capacity
        self.clock = clock
        self.reachable = True
        self.run = 1
        self.epoch: bytes | None = None
        self._volatile: OrderedDict[str, _Stored] = OrderedDict()
        self._marks: dict[str, _Stored] = {}

    def get(self, key: str) -> _Stored | None:
        """Return what is stored and not over."""
        mark = self._marks.get(key)
        if mark is not None:
            return mark
        stored = self._volatile.get(key)
        if stored is None:
            return None
        if stored.ends is not None and stored.ends <= self.clock():
            del self._volatile[key]
            return None
        self._volatile.move_to_end(key)
        return stored

    def put(self, key: str, stored: _Stored) -> None:
        """Store a cell, and let the oldest value or lease go if there are too many."""
        self.delete(key)
        if isinstance(stored.cell, Mark):
            self._marks[key] = stored
            return
        self._volatile[key] = stored
        while len(self._volatile) > self.capacity:
            self._volatile.popitem(last=False)

    def delete(self, key: str) -> bool:
        """Delete whatever is stored; tell whether there was anything."""
        mark = self._marks.pop(key, None)
        return self._volatile.pop(key, mark) is not None

    def evict(self, key: str) -> None:
        """Let go of a value or lease, as a server short of memory does."""
        self._volatile.pop(key, None)

    def wipe(self) -> None:
        """Lose everything, as a flushed server does."""
        self._volatile.clear()
        self._marks.clear()
        self.epoch = None

    def restart(self) -> None:
        """Begin another life with what was there, as a server restored from a snapshot does."""
        self.run += 1

    def names(self) -> tuple[str, ...]:
        """Return every key."""
        return (*self._volatile, *self._marks)

    def open_epoch(self) -> bytes | None:
        """Return the open epoch's name, if one is open in this life."""
        kind, name, run = _split(self.epoch)
        return name if kind == b"E" and run == self._run_text() else None

    def epoch_state(self) -> EpochState:
        """Return the state of the epoch in this life."""
        kind, _, run = _split(self.epoch)
        if run != self._run_text():
            return EpochState.MISSING
        return EpochState.OPEN if kind == b"E" else EpochState.QUARANTINED

    def write_epoch(self, kind: str, name: str) -> None:
        """Write the epoch of this life."""
        self.epoch = f"{kind} {name} {self.run}".encode()

    def _run_text(self) -> bytes:
        return str(self.run).encode()


class MemoryCache:
    """Keeps cells in `MemoryCells`. No step awaits inside, so each is atomic on its event loop."""

    def __init__(
        self,
        keyspace: KeySpace,
        cells: MemoryCells | None = None,
        *,
        value_life: float = 3600.0,
        lease_life: float = 2.0,
    ) -> None:
        """Both lives are in seconds."""
        self._space = keyspace
        self._shared = cells or MemoryCells()
        self._value_life = value_life
        self._lease_life = lease_life
        self._counts = CacheStats()
        self._closed = False
        self._bound: int | None = None

    def __repr__(self) -> str:
        return f"MemoryCache({self._space.prefix!r})"

    async def look(self, keys: Collection[str]) -> Mapping[str, Cell]:
        """Return the cell of every key."""
        cells = self._cells()
        found = {key: self._visible(cells.get(key)) for key in keys}
        self._count_looks(found.values())
        return found

    async def acquire(self, keys: Collection[str], token: str) -> frozenset[str]:
        """Put a lease into each absent cell."""
        cells = self._cells()
        epoch = cells.open_epoch()
        if epoch is None:
            return frozenset()
        free = [key for key in keys if isinstance(self._visible(cells.get(key)), Absent)]
        for key in free:
            cells.put(key, _Stored(Lease(token), epoch, cells.clock() + self._lease_life))
        return frozenset(free)

    async def fill(self, token: str, values: Mapping[str, Value]) -> frozenset[str]:
        """Keep each value whose cell is exactly the lease of `token`."""
        cells = self._cells()
        kept = [key for key in values if self._visible(cells.get(key)) == Lease(token)]
        for key in kept:
            self._keep(key, values[key])
        self._add(fills=len(kept), fills_refused=len(values) - len(kept))
        return frozenset(kept)

    async def mark(self, keys: Collection[str], token: str, deadline: datetime) -> None:
        """Make each cell a mark that names this writer."""
        cells = self._cells()
        epoch = cells.open_epoch()
        writer = Writer(token, deadline)
        for key in keys:
            mark = self._mark(key)
            if mark is None:
                mark = Mark(epoch.decode() if epoch else None, 0, ())
            cells.put(key, _Stored(attrs.evolve(mark, writers=(*mark.writers, writer))))

    async def unmark(self, token: str, outcomes: Mapping[str, Outcome]) -> None:
        """Take this writer off each mark, with its outcome."""
        self._cells()
        for key, outcome in outcomes.items():
            self._settle(key, token, outcome)

    async def reap(self, seen: Mapping[str, Mark]) -> frozenset[str]:
        """Delete each cell that is still the mark that was seen."""
        cells = self._cells()
        reaped = frozenset(key for key, mark in seen.items() if self._mark(key) == mark)
        for key in reaped:
            cells.delete(key)
        return reaped

    async def drop(self, keys: Collection[str]) -> int:
        """Delete values and leases, never marks."""
        cells = self._cells()
        return sum(cells.delete(key) for key in keys if self._mark(key) is None)

    async def layouts(self) -> frozenset[str]:
        """Return the schemas of all cells."""
        return frozenset(filter(None, map(self._space.schema_of, self._cells().names())))

    async def keys(self, kind: str | None = None) -> AsyncIterator[Sequence[str]]:
        """Return the keys of one kind, or of all, in one batch."""
        start = self._space.start(kind)
        found = [key for key in self._cells().names() if key.startswith(start)]
        if found:
            yield found

    async def run(self) -> str:
        """Return the number of the life in which the cells are."""
        return str(self._reached().run)

    def bind(self, run: str) -> None:
        """Reach the cells in no other life from now on."""
        self._bound = int(run)

    async def epoch(self) -> Epoch:
        """Read the epoch."""
        cells = self._cells()
        return Epoch(cells.epoch_state(), (cells.epoch,))

    async def quarantine(self, seen: Epoch, note: str) -> Epoch:
        """Note the quarantine if the epoch is missing as seen."""
        cells = self._cells()
        if cells.epoch_state() is EpochState.MISSING and seen.seen == (cells.epoch,):
            cells.write_epoch("Q", note)
        return await self.epoch()

    async def begin_epoch(self, seen: Epoch, name: str) -> bool:
        """Open a new epoch if the quarantine stands exactly as seen."""
        cells = self._cells()
        if cells.epoch_state() is not EpochState.QUARANTINED or seen.seen != (cells.epoch,):
            return False
        cells.write_epoch("E", name)
        return True

    async def server(self) -> CacheServer | None:
        """There is no server."""
        return None

    def stats(self) -> CacheStats:
        """Return this instance's counters."""
        return self._counts

    async def aclose(self) -> None:
        """Refuse every later call."""
        self._closed = True

    def _cells(self) -> MemoryCells:
        cells = self._reached()
        if self._bound not in (None, cells.run):
            raise CacheUnavailable("another life")
        return cells

    def _reached(self) -> MemoryCells:
        if self._closed or not self._shared.reachable:
            raise CacheUnavailable("closed" if self._closed else "out of reach")
        return self._shared

    def _visible(self, stored: _Stored | None) -> Cell:
        if stored is None:
            return Absent()
        if isinstance(stored.cell, Mark):
            return stored.cell
        current = self._shared.open_epoch()
        return stored.cell if current is not None and stored.epoch == current else Absent()

    def _mark(self, key: str) -> Mark | None:
        stored = self._shared.get(key)
        return stored.cell if stored is not None and isinstance(stored.cell, Mark) else None

    def _settle(self, key: str, token: str, outcome: Outcome) -> None:
        cells = self._shared
        mark = self._mark(key)
        if mark is None:
            cells.delete(key)
            return
        left = tuple(writer for writer in mark.writers if writer.token != token)
        highest = max(mark.version, _told(outcome))
        current = cells.open_epoch()
        if left:
            cells.put(key, _Stored(attrs.evolve(mark, version=highest, writers=left)))
        elif isinstance(outcome, Value) and outcome.version == highest and current and mark.epoch == current.decode():
            self._keep(key, outcome)
        else:
            cells.delete(key)

    def _keep(self, key: str, value: Value) -> None:
        cells = self._shared
        cells.put(key, _Stored(value, cells.open_epoch(), cells.clock() + self._value_life))

    def _count_looks(self, cells: Iterable[Cell]) -> None:
        kinds = [type(cell) for cell in cells]
        hits, misses = kinds.count(Value), kinds.count(Absent)
        self._add(hits=hits, misses=misses, busy=len(kinds) - hits - misses)

    def _add(self, **counts: int) -> None:
        totals = {name: getattr(self._counts, name) + count for name, count in counts.items()}
        self._counts = attrs.evolve(self._counts, **totals)


def _told(outcome: Outcome) -> int:
    match outcome:
        case Value(version, _):
            return version
        case Changed():
            return NO_VERSION_IS_HIGHER
        case None:
            return 0


def _split(raw: bytes | None) -> tuple[bytes, bytes, bytes]:
    parts = (raw or b"").split(b" ")
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else (b"", b"", b"")

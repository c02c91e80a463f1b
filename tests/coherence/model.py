"""The protocol of architecture.md 5 as a model, with a switch for every rule so that each can be left out.

Time is an order of steps, and any step may be slow: whatever another process can do in between is tried. A
deadline may pass at any moment; who waits for a clock goes on as soon as what it waits for has passed, never
earlier. A read that hits is one step, and a write is acknowledged in the step that commits it: no schedule of
real processes asks more of the cache. Loads that share a round trip, and units that share a transaction, are the same
steps with nothing in between, as long as each load is sent after it was asked for and the earliest deadline binds.

Cells: () absent, ("V", epoch, version), ("L", epoch, reader), ("M", epoch, version, writers).
Epoch: 0 missing, -n quarantined under note n, n open.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import attrs

LOST = "an acknowledged write is not visible"
BACK = "a reader goes back in time"

Cell = tuple[Any, ...]
ABSENT: Cell = ()
_CHANGED = 99


@attrs.frozen
class Rules:
    """The protocol, complete by default."""

    deadline: bool = True  # no commit past the deadline
    durable_mark: bool = True  # no eviction removes a mark
    own_lease: bool = True  # fill only into exactly my lease
    epoch: bool = True  # acquire and fill only in an open epoch; what an older one left is void
    run: bool = True  # another run of the server has no epoch, whatever its snapshot says
    quarantine: bool = True  # an epoch begins only when every write from before is past its deadline
    note: bool = True  # a wipe during the quarantine makes it begin again
    barrier: bool = True  # and when the transactions that passed the check before have ended
    reap_clock: bool = True  # reap only a mark past its deadlines
    reap_lock: bool = True  # and only when a writer that passed the check before has ended
    reap_same: bool = True  # and only the very mark that was seen
    highest: bool = True  # the last writer leaves its value only if no other told a higher version
    mark_epoch: bool = True  # and only if the mark is of the open epoch
    changed: bool = True  # a writer that leaves no value says that it changed something
    joint_mark: bool = True  # a second writer joins a mark instead of replacing it
    sent_after: bool = True  # a load joins no round trip that left before it was asked for
    earliest: bool = True  # the earliest deadline binds all units of a transaction


@attrs.frozen
class Size:
    """What there is: the keys each unit changes, which units leave no value, how many readers and misfortunes."""

    units: tuple[tuple[int, ...], ...] = ((0,), (0,))
    silent: frozenset[int] = frozenset()
    readers: int = 2
    keys: int = 1
    crashes: int = 1
    wipes: int = 1
    restores: int = 0


class Unit(NamedTuple):
    """A writer: `at` counts keys marked or unmarked; `old` says it was there when the quarantine began."""

    phase: str = "idle"
    at: int = 0
    versions: tuple[int, ...] = ()
    expired: bool = False
    old: bool = False


class Reader(NamedTuple):
    """A reader of one key: idle, missed, leading (it holds a lease), or loaded (it has read the database)."""

    phase: str = "idle"
    key: int = 0
    version: int = 0


class State(NamedTuple):
    """`seen` and `acked`: per key the highest version any reader got, and any writer was promised."""

    db: tuple[int, ...]
    seen: tuple[int, ...]
    acked: tuple[int, ...]
    cells: tuple[Cell, ...]
    epoch: int
    epochs: int
    units: tuple[Unit, ...]
    readers: tuple[Reader, ...]
    reaper: tuple[int, Cell] | None
    snapshot: tuple[tuple[Cell, ...], int] | None
    crashes: int
    wipes: int
    restores: int


Step = tuple[str, State, str | None]


def put(values: tuple[Any, ...], at: int, value: Any) -> tuple[Any, ...]:
    """Return the tuple with one place changed."""
    return (*values[:at], value, *values[at + 1 :])


def start(size: Size) -> State:
    """Return the first state: nothing written, nothing cached, an epoch open."""
    nothing = (0,) * size.keys
    return State(
        db=nothing,
        seen=nothing,
        acked=nothing,
        cells=(ABSENT,) * size.keys,
        epoch=1,
        epochs=1,
        units=tuple(Unit() for _ in size.units),
        readers=tuple(Reader() for _ in range(size.readers)),
        reaper=None,
        snapshot=None,
        crashes=size.crashes,
        wipes=size.wipes,
        restores=size.restores,
    )


def answered(state: State, key: int, version: int) -> tuple[State, str | None]:
    """Return the state after a reader was answered, and the promise that broke."""
    if version < state.acked[key]:
        return state, LOST
    if version < state.seen[key]:
        return state, BACK
    return state._replace(seen=put(state.seen, key, version)), None


def mirrored(state: State, kind: str) -> State:
    """Return the same state with the first two readers ("L") or writers ("M") named the other way round."""
    swap = {0: 1, 1: 0}

    def renamed(cell: Cell) -> Cell:
        if cell[:1] != (kind,):
            return cell
        if kind == "L":
            return (*cell[:2], swap.get(cell[2], cell[2]))
        return (*cell[:3], tuple(sorted(swap.get(writer, writer) for writer in cell[3])))

    after = state._replace(
        cells=tuple(map(renamed, state.cells)),
        snapshot=state.snapshot and (tuple(map(renamed, state.snapshot[0])), state.snapshot[1]),
        reaper=state.reaper and (state.reaper[0], renamed(state.reaper[1])),
    )
    if kind == "L":
        return after._replace(readers=(state.readers[1], state.readers[0], *state.readers[2:]))
    return after._replace(units=(state.units[1], state.units[0], *state.units[2:]))


class Protocol:
    """All steps that can follow a state."""

    def __init__(self, size: Size | None = None, rules: Rules | None = None) -> None:
        self.size = size or Size()
        self.rules = rules or Rules()
        self.alike = len(set(self.size.units[:2])) == 1 and not self.size.silent

    def start(self) -> State:
        return start(self.size)

    def canonical(self, state: State) -> State:
        """Return one of the states that differ only in who is called first and who second."""
        readers, units = state.readers, state.units
        if len(readers) > 1 and readers[1] < readers[0]:
            state = mirrored(state, "L")
        if len(units) > 1 and self.alike and units[1] < units[0]:
            state = mirrored(state, "M")
        return state

    def steps(self, state: State) -> Iterator[Step]:
        for index, unit in enumerate(state.units):
            yield from self.writing(state, index, unit)
        for index, reader in enumerate(state.readers):
            yield from self.reading(state, index, reader)
        yield from self.reaping(state)
        yield from self.misfortunes(state)
        yield from self.recovery(state)

    def writing(self, state: State, index: int, unit: Unit) -> Iterator[Step]:
        name = f"writer {index}"
        if unit.phase in ("idle", "marking"):
            yield f"{name} marks", self.marked(state, index, unit), None
        elif unit.phase == "marked":
            if not (self.is_late(state, index) and self.rules.deadline) and self.row_is_free(state, index):
                yield f"{name} passes the check", self.moved(state, index, phase="checked"), None
            yield f"{name} gives up", self.moved(state, index, phase="unmarking", at=0), None
        elif unit.phase == "checked":
            yield f"{name} commits", self.committed(state, index), None
        elif unit.phase == "unmarking":
            yield f"{name} unmarks", self.unmarked(state, index, unit), None
        if unit.phase not in ("idle", "done", "dead"):
            yield from self.unit_trouble(state, index, unit)

    def is_late(self, state: State, index: int) -> bool:
        """Tell whether the deadline that binds a unit has passed."""
        mine = set(self.size.units[index])
        return state.units[index].expired and not (
            not self.rules.earliest
            and any(
                unit.phase == "marked" and not unit.expired and not mine & set(self.size.units[other])
                for other, unit in enumerate(state.units)
            )
        )

    def unit_trouble(self, state: State, index: int, unit: Unit) -> Iterator[Step]:
        name = f"writer {index}"
        if not unit.expired:
            yield f"the deadline of {name} passes", self.moved(state, index, expired=True), None
        if state.crashes:
            poorer = state._replace(crashes=state.crashes - 1)
            yield f"{name} dies", self.moved(poorer, index, phase="dead", expired=True), None

    def moved(self, state: State, index: int, **changes: Any) -> State:
        unit = state.units[index]._replace(**changes)
        return state._replace(units=put(state.units, index, unit))

    def row_is_free(self, state: State, index: int) -> bool:
        mine = set(self.size.units[index])
        return not any(
            unit.phase == "checked" and mine & set(self.size.units[other]) for other, unit in enumerate(state.units)
        )

    def marked(self, state: State, index: int, unit: Unit) -> State:
        keys = self.size.units[index]
        key = keys[unit.at]
        cell = state.cells[key]
        if cell[:1] == ("M",) and self.rules.joint_mark:
            mark = (*cell[:3], tuple(sorted({*cell[3], index})))
        else:
            mark = ("M", max(state.epoch, 0), 0, (index,))
        at = unit.at + 1
        phase, at = ("marked", 0) if at == len(keys) else ("marking", at)
        return self.moved(state, index, phase=phase, at=at)._replace(cells=put(state.cells, key, mark))

    def committed(self, state: State, index: int) -> State:
        db = state.db
        for key in self.size.units[index]:
            db = put(db, key, db[key] + 1)
        versions = tuple(db[key] for key in self.size.units[index])
        moved = self.moved(state, index, phase="unmarking", at=0, versions=versions)
        return moved._replace(db=db, acked=db)

    def unmarked(self, state: State, index: int, unit: Unit) -> State:
        keys = self.size.units[index]
        key = keys[unit.at]
        version = unit.versions[unit.at] if unit.versions else None
        cell = self.after_unmark(state, state.cells[key], index, version)
        at = unit.at + 1
        changes: dict[str, Any] = {"at": at} if at < len(keys) else {"phase": "done", "at": 0, "versions": ()}
        return self.moved(state, index, **changes)._replace(cells=put(state.cells, key, cell))

    def after_unmark(self, state: State, cell: Cell, index: int, version: int | None) -> Cell:
        if cell[:1] != ("M",):
            return ABSENT
        _, epoch, highest, writers = cell
        if version is not None and index in self.size.silent:
            version = _CHANGED if self.rules.changed else None
        highest = max(highest, version or 0)
        left = tuple(writer for writer in writers if writer != index)
        if left:
            return ("M", epoch, highest, left)
        newest = version not in (None, _CHANGED) and (version == highest or not self.rules.highest)
        current = state.epoch > 0 and (epoch == state.epoch or not self.rules.mark_epoch)
        return ("V", state.epoch, version) if newest and current else ABSENT

    def reading(self, state: State, index: int, reader: Reader) -> Iterator[Step]:
        name = f"reader {index}"
        if reader.phase == "idle":
            for key, cell in enumerate(state.cells):
                if cell and cell[0] == "V" and self.is_current(state, cell):
                    after, fault = answered(state, key, cell[2])
                    yield f"{name} hits {cell[2]}", after, fault
                else:
                    yield f"{name} misses", self.turned(state, index, Reader("missed", key)), None
            return
        cell = state.cells[reader.key]
        if reader.phase == "missed" and self.may_lease(state, cell):
            leading = self.turned(state, index, reader._replace(phase="leading"))
            lease = ("L", max(state.epoch, 0), index)
            yield f"{name} leads", leading._replace(cells=put(state.cells, reader.key, lease)), None
        if reader.phase in ("missed", "leading"):
            for version in self.loadable(state, reader.key):
                loaded = reader._replace(phase="loaded", version=version)
                following = loaded if reader.phase == "leading" else Reader()
                after, fault = answered(state, reader.key, version)
                yield f"{name} loads {version}", self.turned(after, index, following), fault
        if reader.phase == "loaded":
            yield f"{name} fills {reader.version}", self.filled(state, index, reader), None
        if reader.phase in ("leading", "loaded"):
            yield f"{name} goes away", self.turned(state, index, Reader()), None

    def loadable(self, state: State, key: int) -> set[int]:
        """Return the versions that a load may tell: that of now, unless it joins one that left before."""
        before = {other.version for other in state.readers if (other.phase, other.key) == ("loaded", key)}
        return {state.db[key]} | (set() if self.rules.sent_after else before)

    def turned(self, state: State, index: int, reader: Reader) -> State:
        return state._replace(readers=put(state.readers, index, reader))

    def is_current(self, state: State, cell: Cell) -> bool:
        return not self.rules.epoch or (state.epoch > 0 and cell[1] == state.epoch)

    def may_lease(self, state: State, cell: Cell) -> bool:
        if self.rules.epoch and state.epoch <= 0:
            return False
        return not cell or (cell[0] in "VL" and not self.is_current(state, cell))

    def filled(self, state: State, index: int, reader: Reader) -> State:
        cell = state.cells[reader.key]
        mine = cell == ("L", max(state.epoch, 0), index) or (cell == ABSENT and not self.rules.own_lease)
        turned = self.turned(state, index, Reader())
        if not mine or (self.rules.epoch and state.epoch <= 0):
            return turned
        value = ("V", max(state.epoch, 0), reader.version)
        return turned._replace(cells=put(state.cells, reader.key, value))

    def reaping(self, state: State) -> Iterator[Step]:
        if state.reaper is None:
            for key, cell in enumerate(state.cells):
                if cell[:1] == ("M",) and (not self.rules.reap_clock or self.all_past(state, cell)):
                    yield "a reader sees a mark past its deadline", state._replace(reaper=(key, cell)), None
            return
        key, seen = state.reaper
        cell = state.cells[key]
        if self.rules.reap_lock and any(state.units[writer].phase == "checked" for writer in seen[3]):
            return
        same = cell == seen if self.rules.reap_same else cell[:1] == ("M",)
        cells = put(state.cells, key, ABSENT) if same else state.cells
        yield "the mark is reaped", state._replace(reaper=None, cells=cells), None

    def all_past(self, state: State, mark: Cell) -> bool:
        return all(state.units[writer].expired or state.units[writer].phase == "done" for writer in mark[3])

    def misfortunes(self, state: State) -> Iterator[Step]:
        for key, cell in enumerate(state.cells):
            if cell and (cell[0] != "M" or not self.rules.durable_mark):
                yield "an eviction", state._replace(cells=put(state.cells, key, ABSENT)), None
        if state.wipes:
            stands = not self.rules.note and state.epoch < 0
            yield (
                "a wipe",
                state._replace(
                    wipes=state.wipes - 1,
                    cells=(ABSENT,) * len(state.cells),
                    epoch=state.epoch if stands else 0,
                    units=state.units if stands else tuple(unit._replace(old=False) for unit in state.units),
                ),
                None,
            )
        if state.restores and state.snapshot is None:
            yield "a snapshot", state._replace(snapshot=(state.cells, state.epoch)), None
        if state.restores and state.snapshot is not None:
            cells, epoch = state.snapshot
            following = state._replace(
                restores=state.restores - 1,
                snapshot=None,
                cells=cells,
                epoch=0 if self.rules.run else epoch,
                units=tuple(unit._replace(old=False) for unit in state.units),
            )
            yield "a restart with the snapshot", following, None

    def recovery(self, state: State) -> Iterator[Step]:
        if state.epoch == 0:
            units = tuple(unit._replace(old=unit.phase not in ("idle", "done", "dead")) for unit in state.units)
            noted = state._replace(epoch=-state.epochs, epochs=state.epochs + 1, units=units)
            yield "a quarantine begins", noted, None
        elif state.epoch < 0 and not any(self.holds_back(unit) for unit in state.units):
            units = tuple(unit._replace(old=False) for unit in state.units)
            yield "an epoch begins", state._replace(epoch=state.epochs, units=units), None

    def holds_back(self, unit: Unit) -> bool:
        if not unit.old or unit.phase in ("done", "dead"):
            return False
        if self.rules.barrier and unit.phase == "checked":
            return True
        return self.rules.quarantine and not unit.expired

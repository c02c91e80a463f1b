"""Writers that cannot reach Redis, and a promoted replica, as a model (architecture.md 5).

One row in the database carries (generation, open, server). An instance holds a right to the cache while it lately
saw the row open, at its generation, for the server it is connected to. The rules below are what the exploration
showed to be needed; `AsWritten` is the shorter wording, which does not keep the promise.

Deadlines and reaping are left to `model`; here marks simply stay until a wipe takes them. Cells: () absent,
("V", version), ("L", reader), ("M", highest version, writers), in one place per server and generation.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import attrs

from tests.coherence.model import ABSENT, BACK, LOST, Cell, put


@attrs.frozen
class Rules:
    """What keeps the promise without the cache, complete by default."""

    close_first: bool = True  # the row is closed, and committed, before a write without marks
    wait: bool = True  # and every right from before has lapsed by then
    still_closed: bool = True  # such a write commits only while the row is closed as its writer saw it
    confirm: bool = True  # a write with marks commits only while the row is open as its writer saw it
    gate: bool = True  # opening waits for transactions that have passed either check
    open_wait: bool = True  # and for every right from before the closing to lapse
    fresh: bool = True  # and raises the generation
    bound: bool = True  # the row names the server it is open for
    close_wiped: bool = True  # a cache that lost its marks begins an epoch only as the row is opened again
    epoch: bool = True  # and nobody fills it before that
    mark_epoch: bool = True  # and a mark made before that never leaves a value


class Row(NamedTuple):
    generation: int = 1
    open: bool = True
    server: int = 0


class Writer(NamedTuple):
    """`row` is what a degraded writer saw, or where a marking writer put its mark."""

    phase: str = "idle"
    row: Row = Row()
    version: int = 0


class Reader(NamedTuple):
    """`home` is its server; `place` and `floor` belong to the read under way."""

    phase: str = "idle"
    home: int = 0
    right: int = 0
    place: tuple[int, int] = (0, 0)
    floor: tuple[int, int] = (0, 0)
    version: int = 0


class State(NamedTuple):
    db: int
    seen: int
    acked: int
    row: Row
    cells: tuple[Cell, ...]
    writers: tuple[Writer, ...]
    readers: tuple[Reader, ...]
    promoted: bool
    wipes: int = 0
    wiped: bool = False


Step = tuple[str, State, str | None]
_VOID = 99
_HOLDING = ("checked", "checked without marks")


class Degraded:
    """All steps that can follow a state. Each writer may write `writes` times in all."""

    def __init__(
        self,
        rules: Rules | None = None,
        *,
        writers: int = 2,
        readers: int = 2,
        writes: int = 2,
        generations: int = 3,
        replica: bool = False,
        wipes: int = 0,
    ) -> None:
        self.rules = rules or Rules()
        self.generations = generations
        self.writers, self.readers = writers, readers
        self.writes, self.replica, self.wipes = writes, replica, wipes

    def start(self) -> State:
        cells = (ABSENT,) * (2 * self.generations)
        readers = (Reader(right=1),) * self.readers
        return State(0, 0, 0, Row(), cells, (Writer(),) * self.writers, readers, promoted=False, wipes=self.wipes)

    def canonical(self, state: State) -> State:
        """Return one of the states that differ only in names, or in cells that nobody can read any more."""
        state = self.without_dead_cells(state)
        if len(state.readers) == 2 and state.readers[1] < state.readers[0]:
            cells = tuple(("L", 1 - cell[1]) if cell[:1] == ("L",) else cell for cell in state.cells)
            state = state._replace(readers=state.readers[::-1], cells=cells)
        if len(state.writers) == 2 and state.writers[1] < state.writers[0]:
            cells = tuple(_renamed(cell) for cell in state.cells)
            state = state._replace(writers=state.writers[::-1], cells=cells)
        return state

    def without_dead_cells(self, state: State) -> State:
        used = {self.place(*reader.place) for reader in state.readers if reader.phase != "idle"}
        used |= {self.place(reader.home, reader.right) for reader in state.readers if reader.right}
        cells = tuple(
            cell if place in used or place % self.generations + 1 >= state.row.generation else ABSENT
            for place, cell in enumerate(state.cells)
        )
        return state if cells == state.cells else state._replace(cells=cells)

    def place(self, server: int, generation: int) -> int:
        return server * self.generations + generation - 1

    def steps(self, state: State) -> Iterator[Step]:
        for index, writer in enumerate(state.writers):
            yield from self.marking(state, index, writer)
            yield from self.without_marks(state, index, writer)
        for index, reader in enumerate(state.readers):
            yield from self.reading(state, index, reader)
            yield from self.rights(state, index, reader)
        yield from self.world(state)

    def marking(self, state: State, index: int, writer: Writer) -> Iterator[Step]:
        name = f"writer {index}"
        if writer.phase == "idle" and state.db < self.writes:
            for server in range(1 + state.promoted):
                generation = state.row.generation
                yield f"{name} marks at {server}/{generation}", self.marked(state, index, server, generation), None
        elif writer.phase == "marked":
            if self.row_is_free(state) and (not self.rules.confirm or self.confirmed(state, writer)):
                yield f"{name} passes the check", self.moved(state, index, phase="checked"), None
            yield f"{name} gives up", self.unmarked(state, index, writer), None
        elif writer.phase == "checked":
            yield f"{name} commits", self.committed(state, index, "unmarking"), None
        elif writer.phase == "unmarking":
            yield f"{name} unmarks", self.unmarked(state, index, writer), None

    def confirmed(self, state: State, writer: Writer) -> bool:
        if not self.rules.bound:
            return state.row._replace(server=0) == writer.row._replace(server=0)
        return state.row == writer.row

    def row_is_free(self, state: State) -> bool:
        return not any(writer.phase in _HOLDING for writer in state.writers)

    def marked(self, state: State, index: int, server: int, generation: int) -> State:
        place = self.place(server, generation)
        cell = state.cells[place]
        mark = (
            (*cell[:2], tuple(sorted({*cell[2], index}))) if cell[:1] == ("M",) else ("M", self.lowest(state), (index,))
        )
        moved = self.moved(state, index, phase="marked", row=Row(generation, True, server))
        return moved._replace(cells=put(state.cells, place, mark))

    def lowest(self, state: State) -> int:
        return _VOID if state.wiped and self.rules.mark_epoch else 0

    def unmarked(self, state: State, index: int, writer: Writer) -> State:
        place = self.place(writer.row.server, writer.row.generation)
        cell = state.cells[place]
        after = ABSENT
        if cell[:1] == ("M",):
            highest = max(cell[1], writer.version)
            left = tuple(other for other in cell[2] if other != index)
            if left:
                after = ("M", highest, left)
            elif writer.version and writer.version == highest and not state.wiped:
                after = ("V", writer.version)
        cells = put(state.cells, place, after)
        return state._replace(writers=put(state.writers, index, Writer()), cells=cells)

    def committed(self, state: State, index: int, phase: str) -> State:
        version = state.db + 1
        moved = self.moved(state, index, phase=phase, version=version)
        return moved._replace(db=version, acked=version, seen=version)

    def moved(self, state: State, index: int, **changes: Any) -> State:
        return state._replace(writers=put(state.writers, index, state.writers[index]._replace(**changes)))

    def without_marks(self, state: State, index: int, writer: Writer) -> Iterator[Step]:
        name = f"writer {index}"
        if writer.phase == "idle" and state.db < self.writes:
            closed = state._replace(row=state.row._replace(open=False)) if self.rules.close_first else state
            yield f"{name} closes", self.moved(closed, index, phase="waiting", row=closed.row), None
        elif writer.phase == "waiting" and (not self.rules.wait or self.no_rights(state)):
            yield f"{name} has waited", self.moved(state, index, phase="alone", version=0), None
        elif writer.phase == "alone":
            allowed = not self.rules.still_closed or state.row == writer.row
            if state.db < self.writes and allowed and self.row_is_free(state):
                moved = self.moved(state, index, phase="checked without marks")
                yield f"{name} passes the check without marks", moved, None
            yield f"{name} is degraded no more", state._replace(writers=put(state.writers, index, Writer())), None
        elif writer.phase == "checked without marks":
            yield f"{name} commits without marks", self.committed(state, index, "alone"), None

    def no_rights(self, state: State) -> bool:
        return not any(reader.right for reader in state.readers)

    def reading(self, state: State, index: int, reader: Reader) -> Iterator[Step]:
        name = f"reader {index}"
        if reader.phase == "idle":
            if reader.right:
                # The right is checked here; the look itself may reach the server much later.
                place = (reader.home, reader.right)
                looking = reader._replace(phase="looking", place=place, floor=(state.acked, state.seen))
                yield f"{name} looks at {place[0]}/{place[1]}", _turned(state, index, looking), None
            yield f"{name} asks the database", state._replace(seen=state.db), None
            return
        at = self.place(*reader.place)
        cell = state.cells[at]
        if reader.phase == "looking":
            if cell[:1] == ("V",):
                yield self.hit(state, index, reader, cell[1])
            else:
                yield f"{name} misses", _turned(state, index, _rested(reader)), None
            if cell == ABSENT and self.may_fill(state):
                leading = _turned(state, index, reader._replace(phase="leading", floor=(0, 0)))
                yield f"{name} leads", leading._replace(cells=put(state.cells, at, ("L", index))), None
        elif reader.phase == "leading":
            loaded = _turned(state, index, reader._replace(phase="loaded", version=state.db))
            yield f"{name} loads {state.db}", loaded._replace(seen=state.db), None
        else:
            value = ("V", reader.version) if cell == ("L", index) and self.may_fill(state) else cell
            filled = _turned(state, index, _rested(reader))._replace(cells=put(state.cells, at, value))
            yield f"{name} fills {reader.version}", filled, None

    def hit(self, state: State, index: int, reader: Reader, version: int) -> Step:
        acked, seen = reader.floor
        fault = LOST if version < acked else BACK if version < seen else None
        after = _turned(state, index, _rested(reader))._replace(seen=max(state.seen, version))
        return f"reader {index} hits {version}", after, fault

    def rights(self, state: State, index: int, reader: Reader) -> Iterator[Step]:
        row = state.row
        own = row.server == reader.home or not self.rules.bound
        if row.open and own and reader.right != row.generation:
            yield f"reader {index} renews", _turned(state, index, reader._replace(right=row.generation)), None
        if reader.right:
            yield f"the right of reader {index} lapses", _turned(state, index, reader._replace(right=0)), None
        if state.promoted and reader.home == 0:
            moved = reader._replace(home=1, right=0)
            yield f"reader {index} is led to the promoted replica", _turned(state, index, moved), None

    def world(self, state: State) -> Iterator[Step]:
        if not state.row.open:
            yield from self.opening(state)
        for place, cell in enumerate(state.cells):
            if cell and cell[0] != "M":
                yield "an eviction", state._replace(cells=put(state.cells, place, ABSENT)), None
        if self.replica and not state.promoted:
            copied = state.cells[: self.generations] * 2
            yield "a replica is promoted", state._replace(cells=copied, promoted=True), None

        if state.wipes:
            lost = (ABSENT,) * len(state.cells)
            yield "a wipe", state._replace(cells=lost, wipes=state.wipes - 1, wiped=True), None
        if state.wiped and state.row.open:
            yield "the wiped cache is closed", state._replace(row=state.row._replace(open=False)), None
        if state.wiped and not self.rules.close_wiped:
            yield "an epoch begins", state._replace(wiped=False), None

    def may_fill(self, state: State) -> bool:
        return not state.wiped or not self.rules.epoch

    def opening(self, state: State) -> Iterator[Step]:
        generation = state.row.generation + self.rules.fresh
        if generation > self.generations:
            return
        if self.rules.gate and any(writer.phase in _HOLDING for writer in state.writers):
            return
        if self.rules.open_wait and not self.no_rights(state):
            return
        for server in range(1 + state.promoted):
            opened = state._replace(row=Row(generation, True, server), wiped=False)
            yield f"the row is opened at {server}/{generation}", opened, None


class AsWritten(Degraded):
    """The generation is raised in the transaction of the first write without marks, and waited for after it."""

    def without_marks(self, state: State, index: int, writer: Writer) -> Iterator[Step]:
        name = f"writer {index}"
        row = state.row
        if writer.phase == "idle" and state.db < self.writes and row.generation < self.generations:
            raised = row._replace(generation=row.generation + 1)
            version = state.db + 1
            moved = self.moved(state, index, phase="waiting", row=raised, version=version)
            yield f"{name} commits and raises the generation", moved._replace(db=version, row=raised), None
        elif writer.phase == "waiting":
            older = (0 < reader.right < writer.row.generation for reader in state.readers)
            if not any(older):
                moved = self.moved(state, index, phase="alone")
                acked = max(state.acked, writer.version)
                yield f"{name} has waited and acknowledges", moved._replace(acked=acked), None
        elif writer.phase == "alone" and state.db < self.writes:
            yield f"{name} commits without marks", self.committed(state, index, "alone"), None


def _renamed(cell: Cell) -> Cell:
    if cell[:1] != ("M",):
        return cell
    return (*cell[:2], tuple(sorted(1 - writer for writer in cell[2])))


def _turned(state: State, index: int, reader: Reader) -> State:
    return state._replace(readers=put(state.readers, index, reader))


def _rested(reader: Reader) -> Reader:
    return Reader(home=reader.home, right=reader.right)

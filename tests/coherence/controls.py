"""Well-known ways to keep a cache that do not keep the promise: the model must say so of each."""

from collections.abc import Iterator

from tests.coherence.model import ABSENT, Cell, Protocol, Reader, Size, State, Step, Unit, answered, put

PROGRAMS = {
    "cache-aside": ("commits", "deletes", "acknowledges"),
    "delete before": ("deletes", "commits", "acknowledges"),
    "delete twice": ("deletes", "commits", "deletes", "acknowledges"),
    "write-through": ("commits", "stores", "acknowledges"),
    "versions only": ("commits", "stores if newer", "acknowledges"),
    "plain leases": ("commits", "deletes", "acknowledges"),
}


class Wrong(Protocol):
    """Writers run a program of PROGRAMS; readers that missed store what they loaded. No crash, no wipe."""

    def __init__(self, name: str) -> None:
        super().__init__(Size(crashes=0, wipes=0))
        self.name = name
        self.program = PROGRAMS[name]

    def writing(self, state: State, index: int, unit: Unit) -> Iterator[Step]:
        if unit.phase == "done":
            return
        step = self.program[unit.at]
        at = unit.at + 1
        moved = self.moved(state, index, phase="done" if at == len(self.program) else "busy", at=at)
        yield f"writer {index} {step}", self.done(moved, index, step), None

    def done(self, state: State, index: int, step: str) -> State:
        key = self.size.units[index][0]
        unit = state.units[index]
        if step == "commits":
            version = state.db[key] + 1
            committed = self.moved(state, index, versions=(version,))
            return committed._replace(db=put(state.db, key, version))
        if step == "acknowledges":
            return state._replace(acked=put(state.acked, key, max(state.acked[key], *unit.versions)))
        if step == "deletes":
            return state._replace(cells=put(state.cells, key, ABSENT))
        return state._replace(cells=self.stored(state, key, unit.versions[0]))

    def reading(self, state: State, index: int, reader: Reader) -> Iterator[Step]:
        if self.name == "plain leases":
            yield from super().reading(state, index, reader)
        elif reader.phase == "missed":
            version = state.db[reader.key]
            after, fault = answered(state, reader.key, version)
            loaded = reader._replace(phase="loaded", version=version)
            yield f"reader {index} loads {version}", self.turned(after, index, loaded), fault
        elif reader.phase == "loaded":
            cells = self.stored(state, reader.key, reader.version)
            filled = self.turned(state, index, Reader())._replace(cells=cells)
            yield f"reader {index} stores {reader.version}", filled, None
        else:
            yield from super().reading(state, index, reader)

    def stored(self, state: State, key: int, version: int) -> tuple[Cell, ...]:
        cell = state.cells[key]
        if self.name == "versions only" and cell and cell[2] >= version:
            return state.cells
        return put(state.cells, key, ("V", state.epoch, version))

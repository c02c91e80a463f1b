"""Measuring in turn: warm-up, then rounds in which baselines and operations follow each other, and their medians."""

from collections.abc import Iterator, Sequence

import attrs

from tests.benchmarks.client import Load
from tests.benchmarks.operations import BLOCKS, Baseline, Block, Operation, Stage
from tests.benchmarks.rows import Row, compared

ROUNDS = 5
Measured = Baseline | Operation


def block_rows(block: Block, stage: Stage, rounds: int, only: str) -> Iterator[Row]:
    """Measure the operations of a block whose names contain `only`, and what they are held against."""
    chosen = [one for one in block.operations if asked(one, stage, only)]
    if not chosen:
        return
    baselines: Sequence[Baseline] = block.baselines
    clients = sorted({count for one in chosen for count in clients_of(one, stage)})
    plan: list[tuple[Measured, int]] = [(one, count) for count in clients for one in baselines]
    plan += [(one, count) for one in chosen for count in clients_of(one, stage)]
    for one, count in plan:
        if isinstance(one, Baseline) or one.times is None:
            one.measure(attrs.evolve(stage, clients=count, seconds=stage.seconds / 2))
    loads: dict[tuple[str, int], list[Load]] = {(one.name, count): [] for one, count in plan}
    memory: dict[str, float] = {}
    for number in range(rounds):
        for one, count in plan:
            if number and isinstance(one, Operation) and one.once:
                continue
            loads[one.name, count].append(one.measure(attrs.evolve(stage, clients=count)))
            memory[one.name] = max(served.resident() for served in stage.engines)
    first = baselines[0]
    for one, count in plan:
        against = loads[first.name, count] if one is not first else ()
        row = compared(one.name, loads[one.name, count], against, first.name if against else "")
        held = memory[one.name] if isinstance(one, Operation) else None
        yield attrs.evolve(row, clients=count, memory=held, instances=len(stage.engines))


def asked(operation: Operation, stage: Stage, only: str) -> bool:
    """Tell whether an operation is wanted and makes sense on this stage."""
    return only in operation.name and not (operation.lone and len(stage.engines) > 1)


def clients_of(operation: Operation, stage: Stage) -> tuple[int, ...]:
    """Return the numbers of clients; several instances are measured with the most of them only."""
    return operation.clients if len(stage.engines) == 1 else operation.clients[-1:]


def seconds_of(instances: int, rounds: int, seconds: float, only: str) -> float:
    """Return about how long the blocks take."""
    total = 0.0
    for block in BLOCKS:
        chosen = [one for one in block.operations if only in one.name and not (one.lone and instances > 1)]
        counts = [one.clients if instances == 1 else one.clients[-1:] for one in chosen]
        timed = sum(len(count) for one, count in zip(chosen, counts, strict=True) if one.times is None)
        timed += len({each for count in counts for each in count}) * len(block.baselines)
        total += timed * (rounds + 0.5) * (seconds + 0.05)
        total += sum((1 if one.once else rounds) * one.takes for one in chosen)
        total += rounds * 0.7 * sum(one.name.startswith("push") for one in chosen)
    return total

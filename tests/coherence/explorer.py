"""A small explicit-state model checker: every order of the steps, breadth first, so the trace is a shortest one."""

import gc
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import attrs

State = TypeVar("State", bound=Hashable)
Step = tuple[str, State, str | None]


class TooLarge(Exception):
    """The model has more states than the test allows; nothing is proven."""


@attrs.frozen
class Outcome:
    """How many states there are, and the first fault found with the steps that lead to it."""

    states: int
    fault: str | None = None
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([f"{self.states} states, {self.fault or 'no fault'}", *self.trace])


def same(state: State) -> State:
    """Take every state for itself."""
    return state


def explore(
    start: State,
    steps: Callable[[State], Iterable[Step[State]]],
    limit: int,
    canonical: Callable[[State], State] = same,
) -> Outcome:
    """Visit every reachable state. `steps` yields label, next state, and what promise the step broke, if any.

    `canonical` may name one state for all that behave alike; the names in a trace are then not to be trusted.
    """
    with _without_collections():
        return _explored(start, steps, limit, canonical)


def _explored(
    start: State,
    steps: Callable[[State], Iterable[Step[State]]],
    limit: int,
    canonical: Callable[[State], State],
) -> Outcome:
    came_from: dict[State, tuple[State, str] | None] = {start: None}
    frontier = [start]
    while frontier:
        reached = []
        for state in frontier:
            for label, reached_state, fault in steps(state):
                if fault is not None:
                    trace = (*reversed(list(_back(came_from, state))), label)
                    return Outcome(len(came_from), fault, trace)
                following = canonical(reached_state)
                if following not in came_from:
                    came_from[following] = (state, label)
                    reached.append(following)
        if len(came_from) > limit:
            raise TooLarge(f"more than {limit} states")
        frontier = reached
    return Outcome(len(came_from))


@contextmanager
def _without_collections() -> Iterator[None]:
    """Collect no garbage meanwhile: states hold no cycles, and to look for some is a fifth of an exploration."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _back(came_from: dict[State, tuple[State, str] | None], state: State) -> Iterator[str]:
    origin = came_from[state]
    while origin is not None:
        state, label = origin
        yield label
        origin = came_from[state]

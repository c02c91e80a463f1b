"""The checker of histories finds each way to break the promise, and nothing in a history that keeps it."""

import random

import pytest

from tests.coherence.history import Fate, Operation, Read, Write, violations


def read(start: float, end: float, version: int, value: str | None = None) -> Read:
    return Read("k", start, end, version, value or f"v{version}")


def write(start: float, end: float, version: int, value: str | None = None, fate: Fate = Fate.DONE) -> Write:
    return Write("k", start, end, value or f"v{version}", fate, version if fate is Fate.DONE else 0)


WRONG = {
    "an acknowledged write was not seen": [write(0, 1, 2), read(2, 3, 1)],
    "time went back": [write(0, 9, 2), read(1, 2, 2), read(3, 4, 1)],
    "a version was seen before it was written": [read(0, 1, 2), write(2, 3, 2)],
    "two writes were acknowledged at one version": [write(0, 3, 2, "a"), write(1, 4, 2, "b")],
    "one version had two values": [write(0, 1, 2), read(2, 3, 2, "other")],
    "a refused write was seen": [write(0, 1, 2, "no", Fate.REFUSED), read(0, 3, 2, "no")],
    "a write was seen before it began": [write(5, 6, 2, "late", Fate.UNKNOWN), read(0, 3, 2, "late")],
}


@pytest.mark.parametrize("promise", WRONG)
def test_a_broken_promise_is_found(promise: str) -> None:
    found = violations(WRONG[promise], {"k": (2, "v2")})
    assert promise in {violation.promise for violation in found}


@pytest.mark.parametrize("last", [None, (1, "v1"), (2, "other")])
def test_a_write_that_is_not_in_the_database_is_lost(last: tuple[int, str] | None) -> None:
    assert "lost" in violations([write(0, 1, 2)], {"k": last} if last else {})[0].promise


def test_more_versions_than_writes_are_found() -> None:
    history = [write(0, 1, 2), write(2, 3, 4)]
    assert violations(history, {"k": (4, "v4")})
    assert not violations([*history, write(1, 9, 0, "?", Fate.UNKNOWN)], {"k": (4, "v4")})


def test_overlapping_operations_may_see_either_side() -> None:
    history = [write(0, 10, 2), read(1, 2, 1), read(3, 4, 2), read(3, 9, 2), write(9, 12, 3), read(11, 13, 2)]
    assert not violations(history, {"k": (3, "v3")})


def test_histories_of_a_true_register_are_never_blamed_and_a_stale_read_always_is() -> None:
    """Operations take effect at a random moment between their ends; then one read is made stale."""
    for seed in range(200):
        chance = random.Random(seed)
        moments = sorted(chance.uniform(0, 100) for _ in range(60))
        version, history = 1, list[Operation]()
        for moment in moments:
            start, end = moment - chance.uniform(0, 3), moment + chance.uniform(0, 3)
            if chance.random() < 0.4:
                version += 1
                history.append(write(start, end, version))
            else:
                history.append(read(start, end, version))
        last = {"k": (version, f"v{version}")}
        assert not violations(history, last)
        assert violations([*history, read(200, 201, version - 1)], last)

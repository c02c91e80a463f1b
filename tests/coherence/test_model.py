"""The cache protocol keeps its promise in every order of steps, and each of its rules is needed for that."""

from collections.abc import Iterator

import attrs
import pytest

from tests.coherence.controls import PROGRAMS, Wrong
from tests.coherence.degraded import AsWritten, Degraded
from tests.coherence.degraded import Rules as DegradedRules
from tests.coherence.explorer import Outcome, explore
from tests.coherence.model import BACK, LOST, Protocol, Rules, Size, Step
from tests.coherence.model import State as ModelState

LIMIT = 1_000_000

SIZES = {
    "two writers, two readers, a crash, a wipe": Size(),
    "a crash and two wipes": Size(readers=1, wipes=2),
    "a restart with an old snapshot": Size(readers=1, crashes=0, wipes=0, restores=1),
    "a writer that leaves no value": Size(readers=1, crashes=0, silent=frozenset({1})),
    "units of two keys": Size(units=((0, 1), (0, 1)), keys=2, readers=1, crashes=0, wipes=0),
}
SMALL = (
    Size(readers=1, crashes=0, wipes=0),
    Size(readers=1, crashes=0, wipes=2, units=((0,),)),
    Size(readers=1, crashes=0, wipes=0, silent=frozenset({1})),
    Size(readers=1, crashes=0, wipes=0, units=((0,), (1,)), keys=2),
    Size(readers=2, crashes=0, wipes=0),
    Size(readers=1, crashes=0, wipes=1),
    Size(readers=1, crashes=0, wipes=0, restores=1),
)
DEGRADED = {
    "two readers": Degraded(generations=2),
    "three writes, two openings": Degraded(readers=1, writes=3),
    "a promoted replica": Degraded(readers=1, generations=2, replica=True),
    "two wipes": Degraded(readers=1, generations=2, wipes=2),
    "two wipes, one writer, two readers": Degraded(writers=1, generations=2, wipes=2),
}


def explored(model: Protocol | Degraded) -> Outcome:
    if isinstance(model, Degraded):
        return explore(model.start(), model.steps, LIMIT, model.canonical)
    return explore(model.start(), model.steps, LIMIT, model.canonical)


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_the_protocol_keeps_its_promise(size: Size) -> None:
    outcome = explored(Protocol(size))
    assert outcome.fault is None, str(outcome)
    assert outcome.states > 40_000


@pytest.mark.parametrize("rule", [field.name for field in attrs.fields(Rules)])
def test_without_any_one_rule_it_breaks(rule: str) -> None:
    rules = Rules(**{rule: False})
    faults = (explore(model.start(), model.steps, LIMIT).fault for model in (Protocol(size, rules) for size in SMALL))
    assert any(faults), f"the protocol keeps its promise without the rule {rule!r}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_wrong_protocol_is_found_out_even_without_failures(name: str) -> None:
    model = Wrong(name)
    assert explore(model.start(), model.steps, LIMIT).fault in (LOST, BACK)


def test_an_evictable_mark_is_found_out() -> None:
    model = Protocol(Size(readers=1, crashes=0, wipes=0), Rules(durable_mark=False))
    assert explore(model.start(), model.steps, LIMIT).fault == LOST


class OnlyLost(Wrong):
    """Does not mind readers that go back in time."""

    def steps(self, state: ModelState) -> Iterator[Step]:
        return ((label, after, fault if fault == LOST else None) for label, after, fault in super().steps(state))


def test_plain_leases_lose_no_acknowledged_write_but_readers_go_back_in_time() -> None:
    model = OnlyLost("plain leases")
    assert explore(model.start(), model.steps, LIMIT).fault is None
    assert explore(model.start(), Wrong("plain leases").steps, LIMIT).fault == BACK


@pytest.mark.parametrize("model", DEGRADED.values(), ids=DEGRADED.keys())
def test_writers_without_redis_keep_the_promise(model: Degraded) -> None:
    outcome = explored(model)
    assert outcome.fault is None, str(outcome)
    assert outcome.states > 40_000


@pytest.mark.parametrize("rule", [field.name for field in attrs.fields(DegradedRules)])
def test_without_any_one_rule_writers_without_redis_break_it(rule: str) -> None:
    wipes = int(rule in ("close_wiped", "epoch", "mark_epoch"))
    model = Degraded(DegradedRules(**{rule: False}), readers=1, generations=2, replica=rule == "bound", wipes=wipes)
    assert explored(model).fault == LOST


def test_raising_the_generation_together_with_the_write_is_not_enough() -> None:
    assert explored(AsWritten(readers=1)).fault == BACK

"""What a run of the benchmarks says of its goals, and its picture."""

from xml.etree import ElementTree

import attrs
import pytest

from tests.benchmarks.client import Load, split_answer
from tests.benchmarks.goals import GOALS, verdicts
from tests.benchmarks.plot import drawn
from tests.benchmarks.rows import Row, compared
from tests.benchmarks.run import NAMES

HOT = Row("GET item, hot", 700.0, p50=2.0, p99=4.0, baseline="R0", theirs=1000.0, their_p50=1.0)
HOT = attrs.evolve(HOT, stack="redis_cached", scale="1k", clients=32)


def verdict(*rows: Row) -> list[tuple[str, str]]:
    return [(goal, said) for goal, *_, said in verdicts(rows)]


@pytest.mark.parametrize(("value", "said"), [(900.0, "stretch"), (700.0, "must"), (500.0, "MISSED")])
def test_a_figure_is_held_against_must_and_stretch(value: float, said: str) -> None:
    assert verdict(attrs.evolve(HOT, value=value)) == [("hot GET, 32 clients", said)]


def test_nothing_follows_from_a_baseline_that_moved_or_from_requests_that_failed() -> None:
    moved = compared("GET item, hot", [Load(700, 1, 2, 0)], [Load(rate, 1, 2, 0) for rate in (1000, 1000, 700)], "R0")
    assert moved.moved == pytest.approx(0.3)
    place = {"stack": "redis_cached", "clients": 32}
    failed = compared("GET item, hot", [Load(700, 1, 2, 3, statuses={200: 9, 503: 3})], [Load(1000, 1, 2, 0)], "R0")
    assert failed.remark == "3 FAILED [503]"
    for row in (moved, failed):
        ((_, said),) = verdict(attrs.evolve(row, **place))
        assert said.startswith("no verdict")


def test_growth_compares_the_largest_store_with_the_smallest() -> None:
    small = attrs.evolve(HOT, stack="postgres", clients=1)
    large = attrs.evolve(small, scale="1m", p50=3.2)
    assert verdict(small, large) == [("GET item, hot, p50 by 1k", "MISSED")]


def test_every_goal_is_about_a_row_that_exists() -> None:
    outages = ("slowest read, Redis frozen", "first write, Redis dead")
    lone = ("resident memory, after load",)
    for goal in GOALS:
        assert any(name.startswith(goal.row) for name in (*NAMES, *outages, *lone)), goal.quantity


def test_an_answer_is_complete_with_its_last_byte() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    assert split_answer(whole) == (200, b"{}")
    assert [split_answer(whole[:end]) for end in range(len(whole))] == [None] * len(whole)
    assert split_answer(b"HTTP/1.1 304 Not Modified\r\n\r\n") == (304, b"")
    with pytest.raises(ValueError, match="without a length"):
        split_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")


def test_the_picture_has_two_panels_for_each_load() -> None:
    sizes = [attrs.evolve(HOT, scale=scale) for scale in ("1k", "100k", "1m")]
    picture = ElementTree.fromstring(drawn(sizes))
    panels = picture.findall("{http://www.w3.org/2000/svg}g")
    assert [panel[0].text for panel in panels] == [
        "GET item, hot, 32 clients, per second",
        "GET item, hot, 32 clients, p50, ms",
    ]
    assert all(len(panel.findall("{http://www.w3.org/2000/svg}circle")) == 3 for panel in panels)

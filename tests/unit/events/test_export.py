"""An exported chain is checked by itself: whatever was changed in the file shows (items-events.md 10.6)."""

import json
from itertools import pairwise
from typing import Any

import attrs
import pytest

from domain.canonical import canonical
from domain.document import Document
from domain.events.chain import head_of, link
from domain.events.export import ExportFault, check_export, export_line
from domain.events.values import Event
from tests.unit.events.test_chain import AUTHOR, CREATED, RECORDED, SECOND_AT, vectors

FOREIGN = attrs.evolve(CREATED, dfid="DFID-20250927-000003-DC57")


def chain() -> list[Event]:
    """The two vectors of the specification and an event with numbers that JSON writes in its own ways."""
    events = vectors()
    odd = Document(large=1e20, whole=1.0, tiny=1e-7, edge=2**53 - 1, below=-(2**53 - 1), none=None)
    draft = attrs.evolve(RECORDED, event_id=None, payload=odd, corrects=events[0].event_id)
    return [*events, link(draft, head_of(events[1]), AUTHOR, SECOND_AT, "00" * 16)]


def lines(events: list[Event] | None = None) -> list[bytes]:
    return [export_line(event) for event in events or chain()]


def faults(found: list[bytes], **known: Any) -> list[tuple[int, str]]:
    return [(fault.line, fault.fault.value) for fault in check_export(found, **known).faults]


def test_an_untouched_file_is_valid_and_tells_where_it_ends() -> None:
    events = chain()
    report = check_export(lines(events), events[-1].hash, complete=True)
    assert report.valid
    assert (report.dfid, report.events, report.last_position) == (events[0].dfid, 3, 3)
    assert (report.head_hash, report.missing, report.erased) == (events[-1].hash, (), ())


def test_every_byte_of_a_file_counts() -> None:
    whole = b"".join(lines())
    for place in range(len(whole)):
        for changed in (whole[place] ^ 1, whole[place] ^ 0x20):
            touched = whole[:place] + bytes([changed]) + whole[place + 1 :]
            assert not check_export(touched.splitlines(keepends=True)).valid, (place, touched[place - 20 : place + 20])
    for place in range(len(whole)):
        shorter = whole[:place] + whole[place + 1 :]
        assert not check_export(shorter.splitlines(keepends=True)).valid, place


MEMBERS = sorted(json.loads(lines()[1]))


@pytest.mark.parametrize("name", MEMBERS)
def test_every_member_that_is_changed_in_canonical_form_shows_at_its_line(name: str) -> None:
    found = lines()
    members = json.loads(found[1])
    for other in (None, "x", 7, {"x": 1}, True):
        if members[name] != other:
            changed = [found[0], canonical({**members, name: other}) + b"\n", found[2]]
            assert 2 in {line for line, _ in faults(changed)}, (name, other)
    without = {key: value for key, value in members.items() if key != name}
    assert (2, "form") in faults([found[0], canonical(without) + b"\n", found[2]])


def test_another_spelling_and_a_second_member_of_one_name_show() -> None:
    found = lines()
    for line in (
        found[1].replace(b'":', b'": ', 1),
        found[1].replace(b"\n", b"\r\n"),
        found[1].rstrip(b"\n"),
        b'{"category":"other",' + found[1][1:],
        b"[]\n",
        b"\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
    ):
        assert (2, "form") in faults([found[0], line, found[2]])


def test_what_was_left_out_is_told_and_is_a_fault_only_where_everything_must_be_there() -> None:
    found = lines()
    report = check_export([found[0], found[2]])
    assert (report.valid, report.missing) == (True, ((2, 2),))
    assert check_export(found[1:]).missing == ((1, 1),)
    assert faults([found[0], found[2]], complete=True) == [(0, "missing")]
    assert faults(found[:2], head_hash=chain()[2].hash) == [(0, "head")]


def test_order_repetition_and_events_of_another_item_show() -> None:
    found = lines()
    assert (2, "order") in faults([found[1], found[0], found[2]])
    assert (2, "order") in faults([found[0], found[0]])
    foreign = link(FOREIGN, head_of(chain()[0]), AUTHOR, SECOND_AT, "00" * 16)
    assert faults([found[0], export_line(foreign)]) == [(2, "item")]
    assert faults([]) == [(0, "empty")]


def test_a_chain_that_was_made_anew_shows_where_it_leaves_the_old_one() -> None:
    """Whoever recomputes the hash of a changed event cannot hide that the next one continues another."""
    events = chain()
    forged = link(attrs.evolve(RECORDED, payload=Document(dose=9)), head_of(events[0]), AUTHOR, SECOND_AT, "11" * 16)
    assert faults(lines([events[0], forged, events[2]])) == [
        (3, ExportFault.LINK.value),
    ]
    assert [fault.position for fault in check_export(lines([events[0], forged, events[2]])).faults] == [3]


def test_an_erased_event_is_counted_and_stays_in_the_chain() -> None:
    events = chain()
    erased = attrs.evolve(events[1], payload=None, salt=None, erased_at=SECOND_AT)
    report = check_export(lines([events[0], erased, events[2]]), complete=True)
    assert (report.valid, report.erased) == (True, (2,))
    half = attrs.evolve(events[1], payload=None)
    assert faults(lines([events[0], half, events[2]])) == [(2, "payload")]


def test_the_lines_of_a_file_are_linked() -> None:
    members = [json.loads(line) for line in lines()]
    assert all(after["prev_hash"] == before["hash"] for before, after in pairwise(members))

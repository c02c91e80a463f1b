"""The chain of an item: hashes, links, and what a checker finds (items-events.md 10.4, 10.6)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.access.principal import Principal, PrincipalKind
from domain.access.vocabulary import EventVisibility
from domain.document import Document
from domain.events.chain import ChainFault, EventDraft, faults, head_of, link
from domain.events.values import ChainHead, Event, EventType

DFID = "DFID-20250108-000042-94E"
AUTHOR = Principal(
    PrincipalKind.USER,
    user_id="018f3a00-0000-7000-8000-0000000000b1",
    workspace_id="018f3a00-0000-7000-8000-0000000000a1",
)
CREATED = EventDraft(
    DFID,
    EventType.CREATED,
    EventVisibility.PUBLIC,
    Document(
        source="create",
        contribution_id="01941f29-7c00-7000-8000-0000000000c1",
        contribution_hash="fbeb0678e7dcc777bfae8ffced2d125437b78298b17d1885a0c67297c4b475d1",
        data_keys=["peso_kg", "raça"],
        identifiers=[{"namespace": "bovino", "kind": "canonical", "key": "sisbov"}],
    ),
    event_id="01941f29-7c00-7000-8000-0000000000e1",
)
RECORDED = EventDraft(
    DFID,
    EventType.RECORDED,
    EventVisibility.CIRCUIT_ONLY,
    Document(
        {"peso_kg": 1e21, "lote": 'A€"1', "doses": [1.0, 0.1, -0.0], "vet": None, "Z": True, "é": "á", "ok": False}
    ),
    circuit_id="018f3a00-0000-7000-8000-0000000000d1",
    category="vaccination",
    occurred_at=datetime(2025, 1, 8, 9, 30, tzinfo=UTC),
    event_id="01941f60-6a80-7000-8000-0000000000e2",
)
FIRST_AT = datetime(2025, 1, 8, 12, 0, 0, 1, tzinfo=UTC)
SECOND_AT = datetime(2025, 1, 8, 13, 0, 0, 250000, tzinfo=UTC)


def vectors() -> list[Event]:
    first = link(CREATED, None, AUTHOR, FIRST_AT, "101112131415161718191a1b1c1d1e1f")
    return [first, link(RECORDED, head_of(first), AUTHOR, SECOND_AT, "202122232425262728292a2b2c2d2e2f")]


def chain(length: int) -> list[Event]:
    events: list[Event] = []
    for number in range(length):
        draft = attrs.evolve(RECORDED, event_id=None, payload=Document(number=number))
        events.append(link(draft, head_of(events[-1]) if events else None, AUTHOR, FIRST_AT, f"{number:032x}"))
    return events


def found(events: list[Event], head: ChainHead | None = None) -> tuple[int, ChainFault] | None:
    return next(faults(events, head or head_of(events[-1])), None)


def test_scenario_44_both_published_vectors_are_reproduced() -> None:
    first, second = vectors()
    assert first.payload_hash == "e2e6420ba06ce449da4d41f8c53376d1239ed8f128d1fecef6e61346d2136cc6"
    assert first.hash == "83a992bb3452acf27c5eb782e3051e0bf8a909413cc5cc67471b2329db8f21a0"
    assert second.payload_hash == "c9df3fdbb5515022563ad5349dc17d72c21b69e8db563d503f31f74143e52293"
    assert second.hash == "0cbd22e1c550519460c58813247de808a0b2d8c19c7354376b0b0ab3939dc6b3"


@given(st.permutations(list(RECORDED.payload.items())))
def test_scenario_44_the_order_of_members_changes_nothing(members: list[tuple[str, Any]]) -> None:
    first, second = vectors()
    draft = attrs.evolve(RECORDED, payload=Document(members))
    assert link(draft, head_of(first), AUTHOR, SECOND_AT, second.salt or "") == second


def test_a_chain_that_nobody_touched_has_no_fault() -> None:
    assert found(vectors()) is None
    assert list(faults([], None)) == []


def test_times_increase_also_when_the_clock_stands_still_or_steps_back() -> None:
    events = chain(3)
    assert [event.recorded_at - FIRST_AT for event in events] == [timedelta(microseconds=n) for n in range(3)]
    assert found(events) is None


CHANGES: list[tuple[dict[str, Any], ChainFault]] = [
    ({"position": 9}, ChainFault.GAP),
    ({"recorded_at": FIRST_AT - timedelta(days=1)}, ChainFault.ORDER),
    ({"payload": Document(number=7)}, ChainFault.PAYLOAD),
    ({"payload": None, "salt": None}, ChainFault.PAYLOAD),
    ({"salt": "0" * 32}, ChainFault.PAYLOAD),
    ({"payload_hash": "0" * 64}, ChainFault.PAYLOAD),
    ({"prev_hash": "1" * 64}, ChainFault.LINK),
    ({"hash": "1" * 64}, ChainFault.HASH),
    ({"event_id": "01941f60-6a80-7000-8000-0000000000ff"}, ChainFault.HASH),
    ({"dfid": "DFID-20250108-000043-94F"}, ChainFault.HASH),
    ({"event_type": EventType.CERTIFIED}, ChainFault.HASH),
    ({"category": "vaccinatioN"}, ChainFault.HASH),
    ({"visibility": EventVisibility.PUBLIC}, ChainFault.HASH),
    ({"circuit_id": None}, ChainFault.HASH),
    ({"recipient_user_id": AUTHOR.user_id}, ChainFault.HASH),
    ({"author_user_id": None}, ChainFault.HASH),
    ({"author_workspace_id": AUTHOR.user_id}, ChainFault.HASH),
    ({"occurred_at": FIRST_AT}, ChainFault.HASH),
    ({"corrects": "01941f60-6a80-7000-8000-0000000000ff"}, ChainFault.HASH),
]


@pytest.mark.parametrize(("change", "fault"), CHANGES)
def test_scenario_45_any_changed_member_shows_at_its_position(change: dict[str, Any], fault: ChainFault) -> None:
    events = chain(4)
    head = head_of(events[-1])
    events[2] = attrs.evolve(events[2], **change)
    assert found(events, head) == (3, fault)


def test_scenario_45_every_member_of_an_event_but_the_mark_of_erasure_is_bound() -> None:
    changed = {name for change, _ in CHANGES for name in change}
    assert changed == {field.name for field in attrs.fields(Event)} - {"erased_at"}


def test_scenario_45_a_deleted_end_or_a_changed_head_shows() -> None:
    events = chain(4)
    head = head_of(events[-1])
    assert found(events[:-1], head) == (4, ChainFault.HEAD)
    assert list(faults([], head)) == [(1, ChainFault.HEAD)]
    assert list(faults(events, None)) == [(1, ChainFault.HEAD)]
    assert found(events, attrs.evolve(head, hash="1" * 64)) == (4, ChainFault.HEAD)
    assert found(events, attrs.evolve(head, version=3)) == (4, ChainFault.HEAD)
    assert found(events[1:], head) == (1, ChainFault.GAP)


def test_scenario_52_an_erased_payload_leaves_the_chain_valid() -> None:
    events = chain(3)
    head = head_of(events[-1])
    events[1] = attrs.evolve(events[1], payload=None, salt=None, erased_at=SECOND_AT)
    assert found(events, head) is None

"""Verification shows every change of what is stored (items-events.md 10.6; scenarios 45, 52)."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from domain.access.vocabulary import EventVisibility
from domain.document import Document
from domain.events.chain import ChainFault
from domain.events.history import contribution_faults, first_fault
from domain.events.values import EventType
from domain.ids import new_id
from domain.items.values import ContributionSource
from domain.ports.schema import AUDIT, CHAINS, CONTRIBUTIONS, EVENTS
from tests.application.events.conftest import NOW, World

pytestmark = pytest.mark.tampers


@pytest.fixture
async def written(world: World) -> World:
    """A chain of four events, of which the first two commit contributions."""
    await world.enrich(peso_kg=412.5)
    world.later(minutes=1)
    await world.events.append(world.owner, world.request())
    fake = Document(contribution_id=new_id(), contribution_hash="0" * 64)
    await world.events.append(world.owner, world.request(payload=fake, visibility=EventVisibility.PUBLIC))
    return world


async def fault(world: World) -> tuple[int, str] | None:
    result = await world.events.verify(world.owner, world.dfid)
    assert result.valid is (result.first_fault is None)
    return None if result.first_fault is None else (result.first_fault.position, result.first_fault.fault.value)


async def test_an_untouched_chain_is_valid_whatever_free_payloads_say_of_contributions(written: World) -> None:
    result = await written.events.verify(written.owner, written.dfid)
    head = (await written.rows(CHAINS))[0]
    assert attrs.asdict(result) == {
        "dfid": written.dfid,
        "valid": True,
        "algorithm": "defarm-event/1",
        "length": 4,
        "head_hash": head.hash,
        "erased": 0,
        "checked_at": written.clock.instant,
        "first_fault": None,
    }
    assert not [entry for entry in await written.rows(AUDIT) if entry.action == "event.chain_broken"]


CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"payload": Document(dose_ml=3)}, "payload"),
    ({"category": "vaccinatio"}, "hash"),
    ({"visibility": EventVisibility.PUBLIC}, "hash"),
    ({"occurred_at": NOW}, "hash"),
    ({"recorded_at": NOW + timedelta(minutes=1, microseconds=1)}, "hash"),
    ({"recorded_at": NOW - timedelta(minutes=1)}, "order"),
    ({"author_user_id": "somebody"}, "hash"),
    ({"prev_hash": "0" * 64}, "link"),
    ({"hash": "0" * 64}, "hash"),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES)
async def test_scenario_45_a_changed_event_shows_at_its_position_and_is_recorded(
    written: World, change: dict[str, Any], expected: str
) -> None:
    await written.change(EVENTS, (await written.chain())[2].event_id, **change)
    assert await fault(written) == (3, expected)
    broken = [entry for entry in await written.rows(AUDIT) if entry.action == "event.chain_broken"]
    assert [(entry.severity, entry.resource["id"]) for entry in broken] == [("critical", written.dfid)]


async def test_scenario_45_deleted_events_show(written: World) -> None:
    events = await written.chain()
    async with written.storage.write() as unit:
        await unit.remove(EVENTS, events[3])
    assert await fault(written) == (4, "head")
    async with written.storage.write() as unit:
        await unit.remove(EVENTS, events[1])
    assert await fault(written) == (2, "gap")


async def test_scenario_45_a_changed_head_shows(written: World) -> None:
    await written.change(CHAINS, written.dfid, hash="0" * 64)
    assert await fault(written) == (4, "head")


@pytest.mark.parametrize(
    "change",
    [
        {"data": Document(peso_kg=412.6)},
        {"user_id": "somebody"},
        {"source": ContributionSource.ADMIN},
        {"recorded_at": NOW},
        {"hash": "0" * 64},
        {"salt": "0" * 32},
        {"item": "DFID-20250108-000042-94E"},
    ],
)
async def test_scenario_45_a_changed_contribution_shows_where_it_was_committed(
    written: World, change: dict[str, Any]
) -> None:
    committed = (await written.chain())[1].payload
    assert committed is not None
    await written.change(CONTRIBUTIONS, committed["contribution_id"], **change)
    assert await fault(written) == (2, "contribution")


async def test_scenario_45_a_contribution_that_nobody_committed_shows_at_the_end(written: World) -> None:
    (first, *_) = [one for one in await written.rows(CONTRIBUTIONS) if one.item == written.dfid]
    await written.put(CONTRIBUTIONS, attrs.evolve(first, contribution_id=new_id()))
    assert await fault(written) == (4, "contribution")


async def test_a_contribution_committed_twice_shows_at_the_second(written: World) -> None:
    events = await written.chain()
    known = [one for one in await written.rows(CONTRIBUTIONS) if one.item == written.dfid]
    again = attrs.evolve(events[2], event_type=EventType.UPDATED, payload=events[1].payload)
    found = list(contribution_faults([*events[:2], again], known))
    assert found == [(3, ChainFault.CONTRIBUTION)]


async def test_scenario_52_erased_events_and_contributions_are_counted_and_leave_the_chain_valid(
    written: World,
) -> None:
    events = await written.chain()
    for event in (events[1], events[2]):
        await written.change(EVENTS, event.event_id, payload=None, salt=None, erased_at=NOW)
    first = events[0].payload
    assert first is not None
    await written.change(CONTRIBUTIONS, first["contribution_id"], salt=None, identifiers=())
    result = await written.events.verify(written.owner, written.dfid)
    assert (result.valid, result.erased) == (True, 3)
    view = await written.events.get(written.owner, events[2].event_id)
    assert (view.payload, view.salt, view.hash) == (None, None, events[2].hash)


async def test_the_fault_told_is_the_one_at_the_lowest_position(written: World) -> None:
    events = await written.chain()
    head = (await written.rows(CHAINS))[0]
    events[2] = attrs.evolve(events[2], hash="0" * 64)
    assert first_fault(events, head, []) == (1, ChainFault.CONTRIBUTION)

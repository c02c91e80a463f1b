"""Who sees which events, in every way of reading them (items-events.md 10.3, 10.7; scenarios 47 to 49, 53)."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from adapters.postgres.storage import PostgresStorage
from application.events.requests import Author, Direction, EventFilter, Time
from application.items.requests import ItemAccess, ItemFilter
from domain.access.permissions import BaseRole, Permission
from domain.access.principal import Principal
from domain.access.vocabulary import (
    CircuitStatus,
    EventVisibility,
    MembershipStatus,
    OperationStatus,
    OperationType,
)
from domain.circuits.values import Operation, OperationOrigin
from domain.document import Document
from domain.errors import Invalid, Refusal
from domain.events.values import EventType
from domain.ids import new_id
from domain.ports.schema import CIRCUITS, EVENTS, FACETS, ITEMS, MEMBERSHIPS, OPERATIONS, PLACEMENTS
from tests.application.events.conftest import LAID_BY_HAND, NOW, World
from tests.invariants import hold_in

PUBLIC, PRIVATE, CIRCUIT, DIRECT = EventVisibility


async def seen_by(world: World, principal: Principal, event_id: str) -> bool:
    """Tell whether a principal sees an event, which every way of reading must agree on."""
    answers = {
        await _found(world.events.get(principal, event_id)),
        event_id in [event.event_id for event in (await world.events.page(principal, EventFilter(), limit=200)).items],
    }
    for ascending in await _of_item(world, principal):
        answers.add(event_id in ascending)
    assert len(answers) == 1
    return answers.pop()


async def _found(call: Any) -> bool:
    try:
        await call
    except Refusal as refusal:
        assert refusal.code == "not_found"
        return False
    return True


async def _of_item(world: World, principal: Principal) -> list[list[str]]:
    """Return what each list of the item shows; none where the item is not viewable."""
    try:
        page = await world.events.of_item(principal, world.dfid, limit=200)
    except Refusal:
        return []
    exported = [event.event_id async for event in await world.events.export(principal, world.dfid)]
    timeline = await world.events.timeline(principal, world.dfid, limit=200)
    told = [one.event.event_id for one in timeline.items if one.event is not None]
    return [[one.event_id for one in page.items], exported, told]


async def readers(world: World, event_id: str) -> set[str]:
    named = {name: getattr(world, name) for name in ("owner", "colleague", "member", "reader", "stranger")}
    return {name for name, principal in named.items() if await seen_by(world, principal, event_id)}


async def record(world: World, visibility: EventVisibility, author: Principal | None = None, **more: Any) -> str:
    circuit_id = world.circuit_id if visibility is CIRCUIT or author is world.member else None
    request = world.request(visibility=visibility, circuit_id=circuit_id, **more)
    return (await world.events.append(author or world.owner, request))[0].event_id


async def test_public_events_are_seen_by_whoever_views_the_item(world: World) -> None:
    event_id = await record(world, PUBLIC)
    assert await readers(world, event_id) == {"owner", "colleague", "member", "reader"}
    await world.share(world.stranger, expires_at=NOW + timedelta(hours=1))
    assert await seen_by(world, world.stranger, event_id)
    world.later(hours=1)
    assert not await seen_by(world, world.stranger, event_id)


async def test_scenario_47_a_private_event_exists_for_the_authors_workspace_only(world: World) -> None:
    canary = await record(world, PRIVATE, world.member, payload=Document(canary="c4n4ry"))
    assert await readers(world, canary) == {"member"}
    verified = await world.events.verify(world.owner, world.dfid)
    assert (verified.valid, verified.length) == (True, 2)
    assert "c4n4ry" not in repr(verified)
    elsewhere = {facet.name: await world.rows(facet) for facet in FACETS if facet is not EVENTS}
    assert [name for name, rows in elsewhere.items() if "c4n4ry" in repr(rows)] == []
    for principal in (world.owner, world.reader):
        wanted = ItemFilter(access=ItemAccess.ALL, q="c4n4ry")
        shown = [await world.items.get(principal, world.dfid), await world.items.contributions(principal, world.dfid)]
        assert (await world.items.page(principal, wanted)).items == () and "c4n4ry" not in repr(shown)


async def test_circuit_only_events_are_seen_through_that_circuit_and_by_the_authors_workspace(world: World) -> None:
    event_id = await record(world, CIRCUIT, world.member)
    assert await readers(world, event_id) == {"owner", "member", "reader"}


async def test_scenario_48_a_circuit_only_event_is_gone_when_the_membership_ends(world: World) -> None:
    event_id = await record(world, CIRCUIT)
    reader = (world.circuit_id, world.reader.user_id or "")
    await world.change(MEMBERSHIPS, reader, status=MembershipStatus.REMOVED)
    assert await readers(world, event_id) == {"owner", "colleague", "member"}


async def test_scenario_48_a_circuit_only_event_is_gone_when_the_circuit_is_deactivated(world: World) -> None:
    event_id = await record(world, CIRCUIT, world.member)
    await world.change(CIRCUITS, world.circuit_id, status=CircuitStatus.INACTIVE)
    assert await readers(world, event_id) == {"member"}


async def test_scenario_48_a_circuit_only_event_is_gone_when_the_item_is_withdrawn(world: World) -> None:
    event_id = await record(world, CIRCUIT)
    async with world.storage.write() as unit:
        await unit.remove(PLACEMENTS, await unit.get(PLACEMENTS, (world.circuit_id, world.dfid)))
    assert await readers(world, event_id) == {"owner", "colleague"}


async def test_where_pulls_are_approved_an_approved_pull_opens_the_events(world: World) -> None:
    event_id = await record(world, CIRCUIT)
    await world.change(CIRCUITS, world.circuit_id, require_approval_for_pull=True)
    assert await readers(world, event_id) == {"owner", "colleague"}
    async with world.storage.read() as reader:
        placement = await reader.get(PLACEMENTS, (world.circuit_id, world.dfid))
    pull = Operation(
        new_id(),
        world.circuit_id,
        world.reader.user_id or "",
        world.reader.workspace_id or "",
        OperationType.PULL,
        OperationOrigin.DFID,
        NOW,
        NOW,
        OperationStatus.COMPLETED,
        dfid=world.dfid,
        placement_id=placement.placement_id,
    )
    await world.put(OPERATIONS, pull)
    assert await readers(world, event_id) == {"owner", "colleague", "reader"}


async def test_scenario_49_a_direct_event_is_seen_by_its_recipient_and_no_other_viewer(world: World) -> None:
    event_id = await record(world, DIRECT, recipient_user_id=world.stranger.user_id)
    assert await readers(world, event_id) == {"owner", "colleague", "stranger"}


async def test_a_correction_is_named_to_those_only_who_see_it(world: World) -> None:
    event_id = await record(world, PUBLIC)
    hidden = await record(world, PRIVATE, corrects=event_id)
    shown = await record(world, PUBLIC, corrects=event_id)
    assert (await world.events.get(world.owner, event_id)).corrected_by == (hidden, shown)
    assert (await world.events.get(world.reader, event_id)).corrected_by == (shown,)
    listed = {event.event_id: event for event in (await world.events.of_item(world.reader, world.dfid)).items}
    assert listed[event_id].corrected_by == (shown,)


async def test_lists_of_an_item_that_is_not_viewable_are_not_found_also_for_a_recipient(world: World) -> None:
    await record(world, DIRECT, recipient_user_id=world.stranger.user_id)
    for call in (world.events.of_item, world.events.verify, world.events.export, world.events.timeline):
        with pytest.raises(Refusal) as refusal:
            await call(world.stranger, world.dfid)
        assert refusal.value.code == "not_found"


async def test_positions_of_an_item_lead_to_visible_events_only(world: World) -> None:
    hidden = await record(world, PRIVATE)
    assert (await world.events.at_position(world.owner, world.dfid, 2)).event_id == hidden
    assert (await world.events.at_position(world.reader, world.dfid, 1)).event_type is EventType.CREATED
    for position in (2, 3):
        assert not await _found(world.events.at_position(world.reader, world.dfid, position))


async def test_an_item_is_listed_by_position_page_after_page(world: World) -> None:
    for number in range(5):
        await record(world, PUBLIC if number % 2 else PRIVATE)
    positions: list[int] = []
    after = None
    while True:
        page = await world.events.of_item(world.reader, world.dfid, after, limit=2)
        positions += [event.position for event in page.items]
        after = page.after
        if after is None:
            break
    assert positions == [1, 3, 5]


async def listed(world: World, principal: Principal | None = None, **wanted: Any) -> list[str]:
    page = await world.events.page(principal or world.owner, EventFilter(**wanted), limit=200)
    return [event.event_id for event in page.items]


async def test_filters_choose_among_what_is_visible(world: World) -> None:
    weighing = await record(world, PRIVATE, category="weighing")
    by_colleague = await record(world, PUBLIC, world.colleague)
    certified = (
        await world.events.append(world.owner, world.through_circuit(event_type=EventType.CERTIFIED, visibility=PUBLIC))
    )[0].event_id
    by_member = await record(world, CIRCUIT, world.member)
    await record(world, PRIVATE, world.member)
    first = (await world.chain())[0].event_id
    assert await listed(world) == [by_member, certified, by_colleague, weighing, first]
    assert await listed(world, order=Direction.ASC) == [first, weighing, by_colleague, certified, by_member]
    assert await listed(world, category="weighing") == [weighing]
    assert await listed(world, event_type=frozenset({EventType.CREATED, EventType.CERTIFIED})) == [certified, first]
    assert await listed(world, visibility=CIRCUIT) == [by_member]
    assert await listed(world, circuit_id=world.circuit_id) == [by_member, certified]
    assert await listed(world, author=Author.ME) == [certified, weighing, first]
    assert await listed(world, author=Author.WORKSPACE) == [certified, by_colleague, weighing, first]
    other = await world.item(name="other")
    assert len(await listed(world, dfid=other.lower())) == 1
    with pytest.raises(Invalid) as invalid:
        await listed(world, dfid="DFID-1")
    assert invalid.value.faults[0].parameter == "dfid"


async def test_periods_include_their_start_and_exclude_their_end_by_either_time(world: World) -> None:
    world.later(days=1)
    day = world.clock.instant
    event_id = await record(world, PRIVATE, occurred_at=NOW - timedelta(days=9))
    assert await listed(world, from_=day, to=day + timedelta(microseconds=1)) == [event_id]
    assert event_id not in await listed(world, from_=NOW - timedelta(days=99), to=day)
    happened: dict[str, Any] = {"time": Time.OCCURRED, "from_": NOW - timedelta(days=9), "to": NOW - timedelta(days=8)}
    assert await listed(world, **happened) == [event_id]
    assert (await listed(world, time=Time.OCCURRED))[-1] == event_id


@pytest.mark.tampers  # The store that the fixture would look at is closed; the reopened one is looked at here.
async def test_scenario_53_events_are_equal_after_a_restart(world: World, request: pytest.FixtureRequest) -> None:
    await world.join(world.member, BaseRole.MEMBER)
    payload = Document({"peso_kg": 1e21, "doses": [1.0, 0.1], "é": "á€", "ok": False, "vet": None, "n": {"a": [1]}})
    await record(world, CIRCUIT, world.member, payload=payload, occurred_at=NOW - timedelta(microseconds=7))
    before = [await world.events.get(world.owner, event.event_id) for event in await world.chain()]
    if isinstance(world.storage, PostgresStorage):
        again = PostgresStorage(request.getfixturevalue("migrated_url"))
        await again.open()
        await world.storage.aclose()
        world = _over(again, world)
    after = [await world.events.get(world.owner, event.event_id) for event in await world.chain()]
    assert after == before
    assert (await world.events.verify(world.owner, world.dfid)).valid
    await hold_in(world.storage, apart_from=LAID_BY_HAND)
    if isinstance(world.storage, PostgresStorage):
        await world.storage.aclose()


def _over(storage: PostgresStorage, before: World) -> World:
    after = World(storage)
    after.owner, after.dfid, after.clock.instant = before.owner, before.dfid, before.clock.instant
    return after


@pytest.mark.tampers
async def test_public_events_by_others_are_listed_to_the_owner_whoever_that_becomes(world: World) -> None:
    await world.join(world.member, BaseRole.MEMBER, Permission.CERTIFY)
    seal = world.request(
        event_type=EventType.CERTIFIED, category="organic", visibility=PUBLIC, circuit_id=world.circuit_id
    )
    certified, _ = await world.events.append(world.member, seal)
    unseen, _ = await world.events.append(world.member, attrs.evolve(seal, visibility=PRIVATE))
    created = (await world.chain())[0].event_id

    async def listed(principal: Principal) -> set[str]:
        found = {one.event_id for one in (await world.events.page(principal, EventFilter())).items}
        assert found == {one.event_id for one in (await world.events.page(principal, OCCURRED)).items}
        sealed = {one.event_id for one in (await world.events.page(principal, SEALED)).items}
        assert sealed == found - {created}
        return found

    assert await listed(world.colleague) == {created, certified.event_id}
    assert await listed(world.stranger) == set()
    await world.change(ITEMS, world.dfid, workspace_id=world.stranger.workspace_id)
    assert await listed(world.stranger) == {created, certified.event_id}
    await world.change(PLACEMENTS, (world.circuit_id, world.dfid), item_workspace_id=world.stranger.workspace_id)
    assert await listed(world.member) == {created, certified.event_id, unseen.event_id}


OCCURRED = EventFilter(time=Time.OCCURRED)
SEALED = EventFilter(event_type=frozenset({EventType.CERTIFIED}), category="organic")

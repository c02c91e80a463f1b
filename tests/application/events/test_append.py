"""Appending events (items-events.md 10.5; acceptance scenarios 43, 46, 50, 51)."""

import asyncio
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from application.events.requests import AppendEvent, AppendEvents
from domain.access.permissions import BaseRole, Permission
from domain.access.vocabulary import CircuitStatus, EventVisibility, ItemStatus
from domain.accounts.values import AccountStatus
from domain.document import Document
from domain.errors import Fault, Invalid, Refusal
from domain.events.chain import faults
from domain.events.values import EventType
from domain.ids import new_id
from domain.items.values import Lineage, Outcome
from domain.ports.schema import (
    ACCOUNTS,
    ACTIVITY,
    AUDIT,
    CHAINS,
    CIRCUITS,
    ITEMS,
    MEMBERSHIPS,
    NOTIFICATIONS,
    OUTBOX,
)
from domain.shape import Faulty
from domain.webhooks.triggers import Trigger
from tests.application.events.conftest import NOW, World

PUBLIC, PRIVATE, CIRCUIT, DIRECT = EventVisibility
CERTIFIED = EventType.CERTIFIED


async def refused(call: Awaitable[Any]) -> str:
    with pytest.raises(Refusal) as refusal:
        await call
    return refusal.value.code


async def faulty(call: Awaitable[Any]) -> list[tuple[str, str | None]]:
    with pytest.raises(Invalid) as invalid:
        await call
    return [(fault.code, fault.pointer) for fault in invalid.value.faults]


async def since(world: World, before: dict[str, int]) -> list[int]:
    """Return how many events, audit and activity entries, notifications and outbox rows were added."""
    after = await world.effects()
    return [after[name] - before[name] for name in ("events", "audit", "activity", "notifications", "outbox")]


async def test_an_owner_records_an_event_at_the_end_of_the_chain(world: World) -> None:
    occurred = datetime(2026, 2, 1, tzinfo=UTC)
    view, created = await world.events.append(world.owner, world.request(occurred_at=occurred))
    assert created
    assert (view.position, view.event_type, view.visibility) == (2, EventType.RECORDED, PRIVATE)
    assert (view.occurred_at, view.payload, view.category) == (occurred, Document(dose_ml=2), "vaccination")
    assert (view.author_user_id, view.author_workspace_id) == (world.owner.user_id, world.owner.workspace_id)
    assert (view.circuit_id, view.recipient_user_id, view.corrects, view.corrected_by) == (None, None, None, ())
    async with world.storage.read() as reader:
        head = await reader.get(CHAINS, world.dfid)
        assert list(faults(await world.chain(), head)) == []
        assert (await reader.get(ITEMS, world.dfid)).version == 1


async def test_the_time_of_what_happened_is_that_of_recording_unless_given(world: World) -> None:
    view, _ = await world.events.append(world.owner, world.request())
    assert view.occurred_at == view.recorded_at == NOW + timedelta(microseconds=1)


@pytest.mark.parametrize("visibility", EventVisibility)
async def test_owner_and_certifiers_may_use_every_visibility(world: World, visibility: EventVisibility) -> None:
    await world.join(world.member, BaseRole.MEMBER, Permission.CERTIFY)
    recipient = world.reader.user_id if visibility is DIRECT else None
    for principal, event_type in ((world.owner, EventType.RECORDED), (world.member, CERTIFIED)):
        request = world.through_circuit(visibility=visibility, event_type=event_type, recipient_user_id=recipient)
        view, _ = await world.events.append(principal, request)
        kept = visibility is CIRCUIT or event_type is CERTIFIED
        assert view.circuit_id == (world.circuit_id if kept else None)


@pytest.mark.parametrize("visibility", [CIRCUIT, PRIVATE, DIRECT])
async def test_a_member_who_pushes_records_what_is_not_public(world: World, visibility: EventVisibility) -> None:
    recipient = world.owner.user_id if visibility is DIRECT else None
    request = world.through_circuit(visibility=visibility, recipient_user_id=recipient)
    view, _ = await world.events.append(world.member, request)
    assert view.circuit_id == (world.circuit_id if visibility is CIRCUIT else None)


async def test_a_member_records_nothing_public(world: World) -> None:
    request = world.through_circuit(visibility=PUBLIC)
    assert await refused(world.events.append(world.member, request)) == "visibility_not_allowed"


async def test_scenario_50_what_is_unknown_or_hidden_is_not_found_and_leaves_nothing(world: World) -> None:
    before = await world.effects()
    unknown = "DFID-20250108-000042-94E"
    assert await refused(world.events.append(world.owner, world.request(dfid=unknown))) == "not_found"
    for request in (world.request(), world.through_circuit(), world.through_circuit(event_type=CERTIFIED)):
        assert await refused(world.events.append(world.stranger, request)) == "not_found"
    assert await world.effects() == before


async def test_scenario_50_system_types_are_refused_and_readers_may_not_write(world: World) -> None:
    await world.share(world.stranger)
    before = await world.effects()
    request = world.request(event_type=EventType.MERGED)
    assert await refused(world.events.append(world.owner, request)) == "event_type_not_allowed"
    for principal in (world.stranger, world.reader):
        for request in (world.request(), world.through_circuit(), world.through_circuit(event_type=CERTIFIED)):
            assert await refused(world.events.append(principal, request)) == "event_write_denied"
    assert await world.effects() == before


async def test_a_member_writes_only_through_the_circuit_they_name(world: World) -> None:
    assert await refused(world.events.append(world.member, world.request())) == "event_write_denied"
    assert await refused(world.events.append(world.member, world.request(circuit_id=new_id()))) == "event_write_denied"


async def test_an_inactive_circuit_lets_nobody_write_and_hides_the_item(world: World) -> None:
    await world.change(CIRCUITS, world.circuit_id, status=CircuitStatus.INACTIVE)
    assert await refused(world.events.append(world.member, world.through_circuit())) == "not_found"


async def test_the_owner_certifies_only_with_the_right_to_certify_in_a_circuit(world: World) -> None:
    await world.join(world.owner, BaseRole.MEMBER)
    request = world.through_circuit(event_type=CERTIFIED, visibility=PUBLIC)
    assert await refused(world.events.append(world.owner, request)) == "event_write_denied"
    without = world.request(event_type=CERTIFIED, visibility=PUBLIC)
    assert await refused(world.events.append(world.owner, without)) == "event_write_denied"


async def test_circuit_only_needs_a_circuit_where_the_item_stands_and_the_owner_is_a_member(world: World) -> None:
    elsewhere = await world.item(name="elsewhere")
    assert (
        await refused(world.events.append(world.owner, world.through_circuit(dfid=elsewhere))) == "circuit_not_usable"
    )
    colleague = world.events.append(world.colleague, world.through_circuit())
    assert await refused(colleague) == "circuit_not_usable"
    missing = world.through_circuit(circuit_id=None)
    assert await faulty(world.events.append(world.owner, missing)) == [("required", "/circuit_id")]


@pytest.mark.tampers
async def test_a_merged_item_takes_no_events_and_says_where_it_went(world: World) -> None:
    lineage = Lineage(merged_into="DFID-20250108-000042-94E")
    await world.change(ITEMS, world.dfid, status=ItemStatus.MERGED, lineage=lineage)
    with pytest.raises(Refusal) as refusal:
        await world.events.append(world.owner, world.request())
    assert refusal.value.code == "item_merged"
    assert refusal.value.members["merged_into"] == lineage.merged_into


@pytest.mark.tampers
async def test_deprecated_and_split_items_take_events(world: World) -> None:
    for status in (ItemStatus.DEPRECATED, ItemStatus.SPLIT):
        await world.change(ITEMS, world.dfid, status=status)
        assert (await world.events.append(world.owner, world.request()))[1]


async def test_a_direct_event_goes_to_an_active_user_other_than_its_author(world: World) -> None:
    await world.change(ACCOUNTS, world.stranger.user_id or "", status=AccountStatus.FROZEN)
    for recipient in (world.owner.user_id, new_id(), world.stranger.user_id):
        request = world.request(visibility=DIRECT, recipient_user_id=recipient)
        assert await refused(world.events.append(world.owner, request)) == "recipient_unknown"
    request = world.request(visibility=DIRECT, recipient_user_id=world.reader.user_id)
    view, _ = await world.events.append(world.owner, request)
    (notice,) = await world.rows(NOTIFICATIONS)
    assert (notice.type, notice.user_id, notice.dfid) == ("event_received", world.reader.user_id, world.dfid)
    assert notice.data["event_id"] == notice.source_id == view.event_id


async def test_a_correction_names_an_event_of_this_item_by_the_own_workspace(world: World) -> None:
    other = await world.item(name="other")
    own, _ = await world.events.append(world.owner, world.request())
    elsewhere, _ = await world.events.append(world.owner, world.request(dfid=other))
    foreign, _ = await world.events.append(world.member, world.through_circuit())
    for corrects in (elsewhere.event_id, foreign.event_id, new_id()):
        call = world.events.append(world.owner, world.request(corrects=corrects))
        assert await refused(call) == "corrects_invalid"
    correction, _ = await world.events.append(world.colleague, world.request(corrects=own.event_id))
    assert (await world.events.get(world.owner, own.event_id)).corrected_by == (correction.event_id,)


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({"category": None}, ("category_required", "/category")),
        ({"visibility": DIRECT}, ("required", "/recipient_user_id")),
        ({"recipient_user_id": "somebody"}, ("not_allowed", "/recipient_user_id")),
        ({"occurred_at": NOW + timedelta(hours=24, microseconds=1)}, ("occurred_at_out_of_range", "/occurred_at")),
        ({"occurred_at": datetime(1899, 12, 31, tzinfo=UTC)}, ("occurred_at_out_of_range", "/occurred_at")),
        ({"payload": Document({" ": 1})}, ("data_empty_key", "/payload/ ")),
        ({"dfid": "DFID-20250108-000042-94F"}, ("format", "/dfid")),
    ],
)
async def test_faults_are_told_with_their_place(world: World, members: dict[str, Any], fault: tuple[str, str]) -> None:
    assert await faulty(world.events.append(world.owner, world.request(**members))) == [fault]


async def test_the_ends_of_the_time_allowed_are_allowed(world: World) -> None:
    for occurred in (NOW + timedelta(hours=24), datetime(1900, 1, 1, tzinfo=UTC)):
        assert (await world.events.append(world.owner, world.request(occurred_at=occurred)))[1]


async def test_scenario_51_repeating_an_append_with_its_event_id_changes_nothing(world: World) -> None:
    request = world.request(event_id=new_id(), payload=Document(a=1.0, b=[True, None]))
    first, created = await world.events.append(world.owner, request)
    before = await world.effects()
    world.later(hours=1)
    again, repeated = await world.events.append(world.owner, request)
    assert (created, repeated) == (True, False)
    assert again == first
    assert await world.effects() == before


async def test_scenario_51_an_event_id_with_anything_different_is_taken(world: World) -> None:
    event_id = new_id()
    request = world.request(event_id=event_id, payload=Document(a=1))
    await world.events.append(world.owner, request)
    other = await world.item(name="other")
    changes: list[dict[str, Any]] = [
        {"payload": Document(a=2)},
        {"payload": Document(a=True)},
        {"category": "weighing"},
        {"visibility": PUBLIC},
        {"occurred_at": NOW - timedelta(days=1)},
        {"dfid": other},
    ]
    for change in changes:
        changed = world.request(**{"event_id": event_id, "payload": Document(a=1), **change})
        assert await refused(world.events.append(world.owner, changed)) == "event_id_taken"
    assert await refused(world.events.append(world.colleague, request)) == "event_id_taken"
    through = world.through_circuit(event_id=event_id, payload=Document(a=1))
    assert await refused(world.events.append(world.member, through)) == "event_id_taken"
    assert len(await world.chain()) == 2


async def test_scenario_43_an_append_leaves_one_entry_of_each_kind_and_tells_the_circuits_concerned(
    world: World,
) -> None:
    expected = {PUBLIC: 1, PRIVATE: 0, CIRCUIT: 1, DIRECT: 0}
    await world.change(CIRCUITS, world.circuit_id, triggers=frozenset({Trigger.EVENT_RECORDED}))
    for visibility, triggers in expected.items():
        before = await world.effects()
        recipient = world.reader.user_id if visibility is DIRECT else None
        circuit_id = world.circuit_id if visibility is CIRCUIT else None
        request = world.request(visibility=visibility, recipient_user_id=recipient, circuit_id=circuit_id)
        view, _ = await world.events.append(world.owner, request)
        told = 1 if visibility is DIRECT else 0
        assert await since(world, before) == [1, 1, 1, told, triggers]
        activity = max(await world.rows(ACTIVITY), key=lambda entry: entry.activity_id)
        assert (activity.kind, activity.circuit_id, activity.dfids) == ("event_recorded", circuit_id, (world.dfid,))
        entry = next(one for one in await world.rows(AUDIT) if one.resource["id"] == view.event_id)
        assert (entry.action, entry.workspace_id) == ("event.recorded", world.owner.workspace_id)
    for row in await world.rows(OUTBOX):
        assert (row.kind, row.circuit_id, row.data["dfid"]) == ("event_recorded", world.circuit_id, world.dfid)


async def test_no_row_is_left_where_no_webhook_listens_or_they_are_off(world: World) -> None:
    listening = frozenset(Trigger)
    silent: list[dict[str, Any]] = [
        {"triggers": listening - {Trigger.EVENT_RECORDED}},
        {"triggers": listening, "post_actions_enabled": False},
    ]
    for members in silent:
        await world.change(CIRCUITS, world.circuit_id, **members)
        await world.events.append(world.owner, world.request(visibility=PUBLIC))
        await world.events.append(world.owner, world.through_circuit())
    assert await world.rows(OUTBOX) == []


async def test_scenario_46_fifty_concurrent_appends_take_fifty_positions(world: World) -> None:
    calls = [world.events.append(world.owner, world.request()) for _ in range(50)]
    views = [view for view, _ in await asyncio.gather(*calls)]
    assert sorted(view.position for view in views) == list(range(2, 52))
    assert (await world.events.verify(world.owner, world.dfid)).valid


async def test_the_right_to_write_must_still_stand_when_the_event_is_committed(world: World) -> None:
    """A membership that ends while an append is on its way wins or loses as a whole."""

    class Slow:
        def __init__(self) -> None:
            self.ended = False

        async def end(self) -> None:
            if not self.ended:
                self.ended = True
                await asyncio.create_task(
                    world.change(MEMBERSHIPS, (world.circuit_id, world.member.user_id or ""), permissions=frozenset())
                )

    slow = Slow()
    take = world.units.storage.write

    class Meanwhile:
        def __getattr__(self, name: str) -> Any:
            return getattr(world.storage, name)

        def write(self) -> Any:
            return _ending(take(), slow.end)

    world.units.storage = Meanwhile()
    assert await refused(world.events.append(world.member, world.through_circuit())) == "not_found"
    assert len(await world.chain()) == 1


class _ending:
    """A unit block in which something else commits after the work and before the commit."""

    def __init__(self, block: Any, meanwhile: Any) -> None:
        self.block, self.meanwhile = block, meanwhile

    async def __aenter__(self) -> Any:
        return await self.block.__aenter__()

    async def __aexit__(self, *error: Any) -> Any:
        if error[0] is None:
            await self.meanwhile()
        return await self.block.__aexit__(*error)


async def test_a_batch_stores_what_is_sound_and_refuses_the_rest_one_by_one(world: World) -> None:
    event_id = new_id()
    malformed = Faulty((Fault("type", "A text is expected.", pointer="/category"),))
    elements: list[AppendEvent | Faulty] = [
        world.request(event_id=event_id, visibility=PUBLIC),
        malformed,
        world.request(category=None),
        world.request(event_type=EventType.SPLIT),
        world.request(dfid="DFID-20250108-000042-94E"),
        world.request(event_id=event_id, visibility=PUBLIC),
        world.request(event_id=event_id),
        world.request(corrects=event_id),
    ]
    batch = await world.events.append_many(world.owner, AppendEvents(tuple(elements)))
    assert batch.counts == {"created": 2, "unchanged": 1, "refused": 5}
    assert [result.index for result in batch.results] == list(range(8))
    assert [(result.outcome, result.position) for result in batch.results if result.position] == [
        (Outcome.CREATED, 2),
        (Outcome.UNCHANGED, 2),
        (Outcome.CREATED, 3),
    ]
    assert [(error.code, error.pointer) for result in batch.results for error in result.errors] == [
        ("type", "/category"),
        ("category_required", "/category"),
        ("event_type_not_allowed", ""),
        ("not_found", ""),
        ("event_id_taken", ""),
    ]
    again = await world.events.append_many(world.owner, AppendEvents((elements[0],)))
    assert again.counts == {"created": 0, "unchanged": 1, "refused": 0}


async def test_a_batch_over_many_items_is_one_unit_with_one_entry_per_kind(world: World) -> None:
    dfids = [await world.item(number=number) for number in range(5)]
    for dfid in dfids:
        await world.place(dfid)
    before = await world.effects()
    requests = [world.through_circuit(dfid=dfid) for dfid in dfids * 20]
    batch = await world.events.append_many(world.member, AppendEvents(tuple(requests)))
    assert batch.counts["created"] == 100
    assert await since(world, before) == [100, 1, 1, 0, 0]
    for dfid in dfids:
        assert (await world.events.verify(world.owner, dfid)).length == 21

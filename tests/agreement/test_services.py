"""What the services list, find, export and count is what the decision allows (circuits.md 2.8, law 4; scenario 49)."""

import asyncio
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from application.circuits import Circuits
from application.circuits.requests import Include, OperationFilter, PlacementFilter
from application.circuits.views import PlacementWithItem
from application.items import ItemSearch
from application.items.requests import ItemAccess, SoughtIdentifier, StatusFilter
from domain.access.decide import Action, decide
from domain.access.principal import Principal
from domain.circuits.facts import operation_fact
from domain.errors import Refusal
from domain.identifiers.personal import IdentifierKeys
from domain.ports.limits import RateLimiter
from tests.agreement.test_explaining import Told, answers, principal
from tests.agreement.test_views import facts
from tests.agreement.worlds import CIRCUIT_IDS, DFIDS, NOW, VIEWERS, World, world

random_worlds = settings(max_examples=15, deadline=None)


@attrs.define
class Asked:
    """Somebody in a world, and what the decision allows them."""

    all_of: World
    who: Principal

    def may(self, action: Action, **target: Any) -> bool:
        known = facts(self.all_of, **target)
        operations = tuple(map(operation_fact, self.all_of.pulls))
        return decide(self.who, action, attrs.evolve(known, operations=operations), NOW).allowed


@random_worlds
@given(seed=st.integers(0, 2**32))
def test_what_is_got_searched_and_exported_is_what_the_decision_allows(seed: int) -> None:
    asyncio.run(_items_and_events(world(seed)))


async def _items_and_events(all_of: World) -> None:
    told = await Told.of(all_of)
    for viewer in VIEWERS:
        asked = Asked(all_of, principal(viewer))
        for dfid in DFIDS:
            viewable = asked.may(Action.ITEM_VIEW, dfid=dfid)
            assert await answers(told.items.get(asked.who, dfid)) == viewable
            assert await answers(told.events.verify(asked.who, dfid)) == viewable
            visible = {
                event.event_id
                for event in all_of.events
                if event.dfid == dfid and asked.may(Action.EVENT_VIEW, event_id=event.event_id)
            }
            if viewable:
                entries = (await told.events.timeline(asked.who, dfid, limit=200)).items
                assert {entry.event.event_id for entry in entries if entry.event is not None} == visible
                listed = (await told.events.of_item(asked.who, dfid, limit=200)).items
                exported = [event async for event in await told.events.export(asked.who, dfid)]
                assert [event.event_id for event in listed] == [event.event_id for event in exported]
                assert {event.event_id for event in exported} == visible
            else:
                assert not await answers(told.events.of_item(asked.who, dfid))
                assert not await answers(told.events.export(asked.who, dfid))
        for key, value in (("sisbov", "x"), ("lote", "y")):
            await _search(told, asked, key, value)


async def _search(told: Told, asked: Asked, key: str, value: str) -> None:
    """Whatever is found may be viewed; what narrows nothing finds everything that may be viewed."""
    everything = {"access": ItemAccess.ALL, "status": (StatusFilter.ALL,)}
    viewable = {dfid for dfid in DFIDS if asked.may(Action.ITEM_VIEW, dfid=dfid)}
    found = await told.items.page(asked.who, ItemSearch(**everything), limit=200)  # type: ignore[arg-type]
    assert {item.dfid for item in found.items} == viewable
    sought = (SoughtIdentifier(key, value),)
    some = await told.items.page(asked.who, ItemSearch(**everything, identifiers=sought), limit=200)  # type: ignore[arg-type]
    assert {item.dfid for item in some.items} <= viewable


@random_worlds
@given(seed=st.integers(0, 2**32))
def test_what_a_circuit_lists_and_counts_is_what_the_decision_allows(seed: int) -> None:
    asyncio.run(_circuits(world(seed)))


async def _circuits(all_of: World) -> None:
    told = await Told.of(all_of)
    unused: Any = None
    limiter: RateLimiter = unused
    circuits = Circuits(told.access.units, IdentifierKeys(bytes(32)), unused, limiter)
    for viewer in VIEWERS:
        asked = Asked(all_of, principal(viewer))
        for circuit_id in CIRCUIT_IDS:
            await _placements(circuits, asked, circuit_id)
            await _operations(circuits, asked, circuit_id)
        for dfid in DFIDS:
            standing = {each for each in CIRCUIT_IDS if asked.may(Action.PLACEMENT_VIEW, circuit_id=each, dfid=dfid)}
            if standing or asked.may(Action.ITEM_VIEW, dfid=dfid):
                found = await circuits.placements_of(asked.who, dfid)
                assert {row.circuit_id for row in found.items} == standing
            else:
                assert not await answers(circuits.placements_of(asked.who, dfid))


async def _placements(circuits: Circuits, asked: Asked, circuit_id: str) -> None:
    allowed = {dfid for dfid in DFIDS if asked.may(Action.PLACEMENT_VIEW, circuit_id=circuit_id, dfid=dfid)}
    for dfid in DFIDS:
        assert await _reached(circuits.placement(asked.who, circuit_id, dfid)) == (dfid in allowed)
    member = asked.may(Action.CIRCUIT_VIEW, circuit_id=circuit_id)
    wanted = PlacementFilter(include=Include.ITEM)
    assert await _reached(circuits.placements(asked.who, circuit_id, wanted)) == member
    assert await _reached(circuits.stats(asked.who, circuit_id)) == member
    if member:
        listed = (await circuits.placements(asked.who, circuit_id, wanted, limit=200)).items
        assert {row.dfid for row in listed} == allowed
        for row in listed:
            assert isinstance(row, PlacementWithItem)
            assert (row.item is not None) == asked.may(Action.ITEM_VIEW, dfid=row.dfid) == (row.reason is None)
        counted = (await circuits.stats(asked.who, circuit_id)).items
        assert counted in (None, len(listed))


async def _operations(circuits: Circuits, asked: Asked, circuit_id: str) -> None:
    here = [pull for pull in asked.all_of.pulls if pull.circuit_id == circuit_id]
    allowed = {pull.operation_id for pull in here if asked.may(Action.OPERATION_VIEW, operation_id=pull.operation_id)}
    for pull in here:
        assert await _reached(circuits.operation(asked.who, pull.operation_id)) == (pull.operation_id in allowed)
    if asked.may(Action.CIRCUIT_VIEW, circuit_id=circuit_id):
        listed = (await circuits.operations(asked.who, circuit_id, OperationFilter(), limit=200)).items
        assert {row.operation_id for row in listed} == allowed


async def _reached(call: Any) -> bool:
    try:
        await call
    except Refusal as refusal:
        assert refusal.code in ("not_found", "not_a_member")
        return False
    return True

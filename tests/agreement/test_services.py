"""What the services list, find, export and count is what the decision allows (circuits.md 2.8, law 4; scenario 49)."""

import asyncio
from collections import Counter
from random import Random
from typing import Any

import attrs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adapters.postgres.storage import PostgresStorage
from application.circuits import Circuits
from application.circuits.requests import Include, MemberFilter, OperationFilter, PlacementFilter
from application.circuits.views import PlacementWithItem
from application.events.requests import EventFilter
from application.items import ItemSearch
from application.items.requests import ItemAccess, SoughtIdentifier, StatusFilter
from domain.access.decide import Action, decide
from domain.access.permissions import Permission
from domain.access.principal import ANONYMOUS, Principal
from domain.access.vocabulary import JoinRequestStatus, OperationStatus
from domain.accounts.values import Account
from domain.circuits.facts import operation_fact, request_fact
from domain.circuits.values import JoinRequest
from domain.errors import Refusal
from domain.identifiers.personal import IdentifierKeys
from domain.ports.limits import RateLimiter
from domain.ports.schema import ACCOUNTS, JOIN_REQUESTS
from domain.ports.storage import Storage
from domain.ports.views import Viewer
from tests.agreement.test_explaining import Told, answers, principal
from tests.agreement.test_views import facts
from tests.agreement.wiping import wipe
from tests.agreement.worlds import CIRCUIT_IDS, DFIDS, INSTANTS, NOW, VIEWERS, World, world

random_worlds = settings(max_examples=15, deadline=None)


@attrs.define
class Asked:
    """Somebody in a world, and what the decision allows them."""

    all_of: World
    who: Principal
    requests: tuple[JoinRequest, ...] = ()

    def may(self, action: Action, **target: Any) -> bool:
        known = facts(self.all_of, **target)
        operations = tuple(map(operation_fact, self.all_of.pulls))
        requests = tuple(map(request_fact, self.requests))
        return decide(self.who, action, attrs.evolve(known, operations=operations, requests=requests), NOW).allowed


@random_worlds
@given(seed=st.integers(0, 2**32))
def test_what_is_got_searched_and_exported_is_what_the_decision_allows(seed: int) -> None:
    asyncio.run(_items_and_events(seed))


async def _items_and_events(seed: int, storage: Storage | None = None) -> None:
    all_of = world(seed)
    told = await Told.of(all_of, storage)
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
                await _positions(told, asked, dfid, visible)
            else:
                assert not await answers(told.items.contributions(asked.who, dfid))
                assert not await answers(told.events.at_position(asked.who, dfid, 1))
                assert not await answers(told.events.of_item(asked.who, dfid))
                assert not await answers(told.events.export(asked.who, dfid))
        for key, value in (("sisbov", "x"), ("lote", "y")):
            await _search(told, asked, key, value)
        for circuit_id in (None, *CIRCUIT_IDS):
            listed = (await told.events.page(asked.who, EventFilter(circuit_id=circuit_id), limit=200)).items
            assert {event.event_id for event in listed} == {
                event.event_id
                for event in all_of.events
                if circuit_id in (None, event.circuit_id) and asked.may(Action.EVENT_VIEW, event_id=event.event_id)
            }


async def _positions(told: Told, asked: Asked, dfid: str, visible: set[str]) -> None:
    chain = [event for event in asked.all_of.events if event.dfid == dfid]
    for position in range(1, len(chain) + 2):
        there = {event.event_id for event in chain if event.position == position}
        assert await answers(told.events.at_position(asked.who, dfid, position)) == bool(there & visible)


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
    asyncio.run(_circuits(seed))


async def _circuits(seed: int, storage: Storage | None = None) -> None:
    all_of = world(seed)
    told = await Told.of(all_of, storage)
    circuits = _circuits_of(told)
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


def _circuits_of(told: Told) -> Circuits:
    unused: Any = None
    limiter: RateLimiter = unused
    return Circuits(told.access.units, IdentifierKeys(bytes(32)), unused, limiter)


@random_worlds
@given(seed=st.integers(0, 2**32))
def test_numbers_are_those_of_the_lists_that_their_reader_may_read(seed: int) -> None:
    """Whoever may not list something gets no number of it; a visitor gets none but those of pages."""
    asyncio.run(_numbers(seed))


async def _numbers(seed: int, storage: Storage | None = None) -> None:
    all_of, requests = _busy(world(seed), Random(seed))
    told = await Told.of(all_of, storage)
    async with told.storage.write() as unit:
        await unit.add(JOIN_REQUESTS, *requests)
        await unit.add(ACCOUNTS, *(_account(viewer) for viewer in VIEWERS))
    circuits = _circuits_of(told)
    for viewer in VIEWERS:
        asked = Asked(all_of, principal(viewer), requests)
        for circuit_id in CIRCUIT_IDS:
            if await _reached(circuits.stats(asked.who, circuit_id)):
                await _counted(circuits, asked, circuit_id)
            assert await _listed_requests(circuits, asked, circuit_id) == {
                one.request_id
                for one in requests
                if one.circuit_id == circuit_id
                and asked.may(Action.JOIN_VIEW, circuit_id=circuit_id, request_id=one.request_id)
            }
        await _own_numbers(told, asked, viewer.workspace_id)
    for call in (
        told.items.stats(ANONYMOUS),
        told.items.page(ANONYMOUS, ItemSearch()),
        told.events.page(ANONYMOUS, EventFilter()),
        *(told.items.get(ANONYMOUS, dfid) for dfid in DFIDS),
        *(told.events.of_item(ANONYMOUS, dfid) for dfid in DFIDS),
        *(told.events.get(ANONYMOUS, event.event_id) for event in all_of.events),
        *(circuits.stats(ANONYMOUS, circuit_id) for circuit_id in CIRCUIT_IDS),
        *(circuits.placements(ANONYMOUS, circuit_id, PlacementFilter()) for circuit_id in CIRCUIT_IDS),
        *(circuits.members(ANONYMOUS, circuit_id, MemberFilter()) for circuit_id in CIRCUIT_IDS),
    ):
        assert not await _reached(call)


@settings(
    max_examples=2,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=set(Phase) - {Phase.shrink},
)
@given(seed=st.integers(0, 2**32))
def test_all_of_it_holds_in_postgresql(migrated_url: str, seed: int) -> None:
    async def on_postgres() -> None:
        storage = PostgresStorage(migrated_url)
        await storage.open()
        try:
            for part in (_items_and_events, _circuits, _numbers):
                await wipe(migrated_url)
                await part(seed, storage)
        finally:
            await storage.aclose()

    asyncio.run(on_postgres())


def _busy(all_of: World, random: Random) -> tuple[World, tuple[JoinRequest, ...]]:
    """Return a world where members decide and audit, where pulls wait and strangers have asked to join."""
    more = (Permission.APPROVE, Permission.AUDIT, Permission.MANAGE_MEMBERS)
    members = tuple(
        attrs.evolve(one, permissions=one.permissions | frozenset(each for each in more if random.random() < 0.3))
        for one in all_of.members
    )
    seen: set[Any] = set()
    pulls = []
    for pull in all_of.pulls:
        place = (pull.placement_id, pull.requester_id, pull.member_since)
        waits = random.random() < 0.4 and place not in seen
        seen |= {place} if waits else set()
        pulls.append(attrs.evolve(pull, status=OperationStatus.PENDING) if waits else pull)
    requests = tuple(
        JoinRequest(f"R{circuit}{viewer.user_id}", circuit, viewer.user_id, random.choice(INSTANTS), status=status)
        for circuit in CIRCUIT_IDS
        for viewer in VIEWERS
        for status in random.sample(list(JoinRequestStatus), 1)
        if random.random() < 0.5
    )
    return attrs.evolve(all_of, members=members, pulls=tuple(pulls)), requests


def _account(viewer: Viewer) -> Account:
    return Account(viewer.user_id, viewer.workspace_id, viewer.user_id, f"{viewer.user_id}@f.test", None, NOW, NOW)


async def _counted(circuits: Circuits, asked: Asked, circuit_id: str) -> None:
    """Each number is as long as the list of it, and there is none where the list is not whole."""
    stats = await circuits.stats(asked.who, circuit_id)
    placed = (await circuits.placements(asked.who, circuit_id, PlacementFilter(), limit=200)).items
    waiting = (await circuits.pending_operations(asked.who, circuit_id, limit=200)).items
    assert stats.members == len((await circuits.members(asked.who, circuit_id, MemberFilter(), limit=200)).items)
    there = [row for row in asked.all_of.placements if row.circuit_id == circuit_id]
    every = bool(there) and all(asked.may(Action.PLACEMENT_VIEW, circuit_id=circuit_id, dfid=row.dfid) for row in there)
    if stats.items is not None or stats.published_items is not None:
        assert (stats.items, len(placed)) == (len(there), len(there))
        assert stats.published_items == sum(row.published for row in placed)
    elif every:
        assert {row.item_workspace_id for row in there} == {asked.who.workspace_id}
    pending = [one for one in asked.all_of.pulls if one.circuit_id == circuit_id and one.status == "pending"]
    if stats.pending_operations is not None:
        assert stats.pending_operations == len(waiting) == len(pending)
    decides = asked.may(Action.JOIN_LIST, circuit_id=circuit_id)
    asking = [one for one in asked.requests if one.circuit_id == circuit_id and one.status == "pending"]
    assert stats.pending_requests == (len(asking) if decides else None)


async def _listed_requests(circuits: Circuits, asked: Asked, circuit_id: str) -> set[str]:
    if not await _reached(circuits.join_requests(asked.who, circuit_id), "permission_missing"):
        return set()
    return {row.request_id for row in (await circuits.join_requests(asked.who, circuit_id, limit=200)).items}


async def _own_numbers(told: Told, asked: Asked, workspace_id: str) -> None:
    """The numbers of a workspace count its own items and no others."""
    stats = await told.items.stats(asked.who)
    own = [item for item in asked.all_of.items if item.workspace_id == workspace_id]
    assert {name: count for name, count in stats.by_status.items() if count} == Counter(item.status for item in own)
    whole = ItemSearch(status=(StatusFilter.ALL,))
    assert {item.dfid or item.local_id for item in (await told.items.page(asked.who, whole, limit=200)).items} == {
        item.key for item in own
    }
    counted = [item for item in own if item.status in ("active", "deprecated", "split")]
    assert stats.total == len(counted) == len((await told.items.page(asked.who, ItemSearch(), limit=200)).items)
    assert stats.identifiers_total == sum(len(item.identifiers) for item in counted) == sum(stats.by_evidence.values())
    named = Counter(name for item in counted for name in {one.namespace for one in item.identifiers})
    assert stats.by_namespace == named


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


async def _reached(call: Any, *codes: str) -> bool:
    try:
        await call
    except Refusal as refusal:
        assert refusal.code in ("not_found", "not_a_member", *codes)
        return False
    return True

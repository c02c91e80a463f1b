"""Agreement: a list shows in memory and in PostgreSQL exactly what `decide` allows (circuits.md 2.8, law 4)."""

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import datetime, timedelta
from itertools import product
from random import Random
from typing import Any, TypeVar

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.changes import order_key
from adapters.memory import listing, table
from adapters.memory.storage import MemoryStorage
from adapters.postgres import pages, views
from adapters.postgres.storage import PostgresStorage
from application.circuits.page_door import PageTokens
from application.circuits.pages import Pages
from application.circuits.tallies import Tallies
from application.events.views import event_fact
from application.tokens import SignedTokens, TokenKeys
from application.units import DfidSource, Units
from domain.access.decide import Action, GroundKind, decide
from domain.access.facts import Facts, Target
from domain.access.permissions import BaseRole
from domain.access.principal import ANONYMOUS, Principal, PrincipalKind
from domain.access.vocabulary import EventVisibility, ItemStatus, MembershipStatus, OperationStatus
from domain.accounts.values import Account
from domain.circuits.directory import page_words
from domain.circuits.facts import (
    circuit_fact,
    item_fact,
    member_fact,
    placement_fact,
    pull_fact,
    share_fact,
    transfer_fact,
)
from domain.circuits.values import Membership
from domain.errors import Refusal
from domain.events.values import EventType
from domain.items.search import words
from domain.ports.queries import Between
from domain.ports.schema import ACCOUNTS, ITEMS, MEMBERSHIPS, Facet
from domain.ports.storage import Storage
from domain.ports.views import DirectoryView, EventsView, ItemsView, MembersView, PlacementsView, View, Viewer
from tests.agreement.wiping import wipe
from tests.agreement.worlds import CIRCUIT_IDS, DFIDS, INSTANTS, NOW, VIEWERS, World, world

GROUNDS = {
    "own": {GroundKind.OWN_WORKSPACE},
    "shared": {GroundKind.SHARE, GroundKind.TRANSFER_OFFER},
    "circuit": {GroundKind.CIRCUIT_MEMBER, GroundKind.APPROVED_PULL},
    "all": set(GroundKind),
}
R = TypeVar("R")
EVERY = tuple(ItemStatus)
seeds = st.integers(0, 2**32)


def principal(viewer: Viewer) -> Principal:
    return Principal(PrincipalKind.USER, viewer.user_id, viewer.workspace_id)


def facts(all_of: World, **target: Any) -> Facts:
    circuits = {circuit.circuit_id: circuit for circuit in all_of.circuits}
    return Facts(
        Target(**target),
        circuits=tuple(map(circuit_fact, all_of.circuits)),
        members=tuple(member_fact(circuits[each.circuit_id], each) for each in all_of.members),
        items=tuple(map(item_fact, all_of.items)),
        shares=tuple(map(share_fact, all_of.shares)),
        transfers=tuple(map(transfer_fact, all_of.transfers)),
        placements=tuple(map(placement_fact, all_of.placements)),
        pulls=tuple(pull_fact(each) for each in all_of.pulls if each.status is OperationStatus.COMPLETED),
        events=tuple(map(event_fact, all_of.events)),
    )


def allowed_items(all_of: World, viewer: Viewer, access: str, circuit_id: str | None = None) -> set[str]:
    """Return the keys of the items whose view the decision allows on a ground of this kind of access."""
    found = set()
    for item in all_of.items:
        decision = decide(principal(viewer), Action.ITEM_VIEW, facts(all_of, dfid=item.key), NOW)
        through = circuit_id is None or any(ground.circuit_id == circuit_id for ground in decision.grounds)
        if {ground.ground for ground in decision.grounds} & GROUNDS[access] and through:
            found.add(item.key)
    return found - {item.key for item in all_of.items if access == "all" and item.dfid is None}


def allowed_events(all_of: World, viewer: Viewer) -> set[str]:
    return {
        event.event_id
        for event in all_of.events
        if decide(principal(viewer), Action.EVENT_VIEW, facts(all_of, event_id=event.event_id), NOW).allowed
    }


async def walk(storage: Storage, view: View[Any], limit: int) -> list[Any]:
    found: list[Any] = []
    after = None
    async with storage.read() as reader:
        while True:
            page = await reader.view(view, after, limit)
            found += page.items
            if (after := page.after) is None:
                return found


class Stores:
    """One world in both stores."""

    def __init__(self, runner: asyncio.Runner, url: str) -> None:
        self._runner = runner
        self._url = url
        self.memory = MemoryStorage()
        self.postgres = PostgresStorage(url)
        runner.run(self.postgres.open())

    def settle(self, all_of: World) -> None:
        self.memory = MemoryStorage()
        self._runner.run(self._settle(all_of))

    async def _settle(self, all_of: World) -> None:
        await wipe(self._url)
        for storage in (self.memory, self.postgres):
            async with storage.write() as unit:
                for facet, values in all_of.rows():
                    await unit.add(facet, *values)

    def add(self, facet: Facet[Any], values: list[Any]) -> None:
        self._runner.run(self._add(facet, values))

    async def _add(self, facet: Facet[Any], values: list[Any]) -> None:
        for storage in (self.memory, self.postgres):
            async with storage.write() as unit:
                await unit.add(facet, *values)

    def save(self, facet: Facet[Any], values: list[Any]) -> None:
        self._runner.run(self._save(facet, values))

    async def _save(self, facet: Facet[Any], values: list[Any]) -> None:
        for storage in (self.memory, self.postgres):
            async with storage.write() as unit:
                await unit.save(facet, *values)

    def agree(self, view: View[Any]) -> list[Any]:
        """Return the list of a view after checking that stores and page sizes agree on it."""
        memory = self._runner.run(walk(self.memory, view, 200))
        for limit in (1, 3, 200):
            assert self._runner.run(walk(self.postgres, view, limit)) == memory, view
        assert self._runner.run(walk(self.memory, view, 1)) == memory
        return memory

    def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Await something in the loop of the stores."""
        return self._runner.run(work)

    def close(self) -> None:
        self._runner.run(self.postgres.aclose())


@pytest.fixture(params=[views.FEW, 0], ids=["few", "many"])
def stores(request: pytest.FixtureRequest, migrated_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stores]:
    """Both stores, where what a viewer reads by circuits counts as few items, and where it counts as many."""
    monkeypatch.setattr(views, "FEW", request.param)
    monkeypatch.setattr(pages, "FEWEST", 1)
    if not request.param:
        monkeypatch.setattr(views, "NEAR", 1)
        monkeypatch.setattr(views, "FEW_NAMED", 0)
        monkeypatch.setattr(listing, "FEW", 0)
        monkeypatch.setattr(table, "PAGE", 0)
    with asyncio.Runner() as runner:
        made = Stores(runner, migrated_url)
        yield made
        made.close()


worlds = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))


@worlds
@given(seed=seeds)
def test_lists_of_items_are_what_the_decision_allows(stores: Stores, seed: int) -> None:
    all_of = world(seed)
    stores.settle(all_of)
    for viewer, access, circuit in product(VIEWERS, GROUNDS, (None, *CIRCUIT_IDS)):
        found = stores.agree(ItemsView(viewer, NOW, access, EVERY, circuit))
        assert {item.key for item in found} == allowed_items(all_of, viewer, access, circuit), (viewer, access, circuit)
        ordered = sorted(found, key=lambda item: order_key((item.created_at, item.key)), reverse=True)
        assert found == ordered


@worlds
@given(seed=seeds)
def test_lists_of_events_are_what_the_decision_allows(stores: Stores, seed: int) -> None:
    all_of = world(seed)
    stores.settle(all_of)
    for viewer in VIEWERS:
        allowed = allowed_events(all_of, viewer)
        found = stores.agree(EventsView(viewer, NOW))
        assert {event.event_id for event in found} == allowed, viewer
        for dfid in DFIDS:
            chain = stores.agree(EventsView(viewer, NOW, dfid=dfid, by_position=True))
            assert {event.event_id for event in chain} == {each for each in allowed if each.startswith(f"V{dfid}-")}
            assert [event.position for event in chain] == sorted(event.position for event in chain)
        for circuit_id in CIRCUIT_IDS:
            there = {event.event_id for event in all_of.events if event.circuit_id == circuit_id}
            found = stores.agree(EventsView(viewer, NOW, circuit_id=circuit_id))
            assert {event.event_id for event in found} == allowed & there


@worlds
@given(seed=seeds)
def test_members_are_found_by_the_beginning_of_their_names(stores: Stores, seed: int) -> None:
    chance = Random(seed)
    stores.settle(World((), (), (), (), (), (), (), (), ()))
    names = sorted({"".join(chance.choices("ab", k=chance.randrange(1, 5))) for _ in range(12)})
    accounts = [Account(name, "w", name, f"{name}@farm.test", None, NOW, NOW) for name in names]
    members = [
        Membership(
            circuit_id,
            name,
            chance.choice([BaseRole.MEMBER, BaseRole.VIEWER]),
            frozenset(),
            chance.choice(INSTANTS),
            "added",
            status=chance.choice([MembershipStatus.ACTIVE, MembershipStatus.ACTIVE, MembershipStatus.LEFT]),
        )
        for circuit_id in ("one", "two")
        for name in chance.sample(names, chance.randrange(len(names) + 1))
    ]
    stores.add(ACCOUNTS, accounts)
    stores.add(MEMBERSHIPS, members)
    for circuit_id, prefix, role in product(("one", "two"), ("a", "ab", "bbb", "c"), (None, "viewer")):
        found = stores.agree(MembersView(circuit_id, prefix, role))
        wanted = [
            member
            for member in members
            if member.circuit_id == circuit_id
            and member.status is MembershipStatus.ACTIVE
            and member.user_id.startswith(prefix)
            and role in (None, member.base_role.value)
        ]
        assert found == sorted(wanted, key=lambda member: (member.joined_at, member.user_id))


@settings(worlds, max_examples=6)
@given(seed=seeds)
def test_what_stands_in_a_circuit_is_found_by_the_status_of_now(stores: Stores, seed: int) -> None:
    all_of, chance = world(seed), Random(seed)
    stores.settle(all_of)
    turned = [attrs.evolve(item, status=chance.choice(EVERY), version=item.version + 1) for item in all_of.items]
    stores.save(ITEMS, turned)
    statuses = {item.key: item.status for item in turned}
    for circuit, wanted in product(all_of.circuits, (tuple(chance.sample(EVERY, 3)), (chance.choice(EVERY),))):
        found = stores.agree(PlacementsView(circuit.circuit_id, wanted))
        expected = [
            row for row in all_of.placements if row.circuit_id == circuit.circuit_id and statuses[row.dfid] in wanted
        ]
        assert found == sorted(expected, key=lambda row: (row.placed_at, row.placement_id), reverse=True)


@worlds
@given(seed=seeds)
def test_the_directory_lists_the_circuits_whose_page_is_open_to_a_visitor(stores: Stores, seed: int) -> None:
    all_of = world(seed)
    stores.settle(all_of)

    def open_to_all(circuit_id: str) -> bool:
        return decide(ANONYMOUS, Action.CIRCUIT_VIEW_PAGE, facts(all_of, circuit_id=circuit_id), NOW).allowed

    for wanted in ((), words("gad"), words("açaí gado")):
        found = stores.agree(DirectoryView(NOW, wanted))
        assert {circuit.circuit_id for circuit in found} == {
            circuit.circuit_id
            for circuit in all_of.circuits
            if open_to_all(circuit.circuit_id)
            and all(any(each.startswith(word) for each in page_words(circuit)) for word in wanted)
        }
        since = [order_key((circuit.public_since, circuit.circuit_id)) for circuit in found]
        assert since == sorted(since, reverse=True)


class Stopped:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW


@worlds
@given(seed=seeds)
def test_pages_show_a_visitor_what_the_decision_allows(stores: Stores, seed: int) -> None:
    """Scenario 49 of circuits.md, for public pages: items, their public events and the numbers."""
    all_of = world(seed)
    stores.settle(all_of)
    for storage, circuit_id in product((stores.memory, stores.postgres), CIRCUIT_IDS):
        units = Units(storage, Stopped(), DfidSource(storage, Stopped()))
        tokens = PageTokens(SignedTokens(TokenKeys(b"k" * 32), "i", "a"), timedelta(hours=1))
        door: Any = None
        pages = Pages(units, door, tokens, Tallies(Stopped()))

        def may(action: Action, circuit_id: str = circuit_id, **target: Any) -> bool:
            asked = facts(all_of, circuit_id=circuit_id, **target)
            return decide(ANONYMOUS, action, asked, NOW).allowed

        if not may(Action.CIRCUIT_VIEW_PAGE):
            with pytest.raises(Refusal):
                stores.run(pages.items(ANONYMOUS, circuit_id))
            continue
        found = stores.run(pages.items(ANONYMOUS, circuit_id)).items
        assert {item.dfid for item in found} == {key for key in DFIDS if may(Action.ITEM_VIEW_PUBLIC, dfid=key)}
        assert stores.run(pages.page(ANONYMOUS, circuit_id)).shown.published_count == len(found)
        for item in found:
            shown = stores.run(pages.events(ANONYMOUS, circuit_id, item.dfid)).items
            allowed = {
                event.event_id
                for event in all_of.events
                if event.dfid == item.dfid and may(Action.EVENT_VIEW_PUBLIC, dfid=item.dfid, event_id=event.event_id)
            }
            assert {event.event_id for event in shown} == allowed


@worlds
@given(seed=seeds)
def test_filters_of_items_agree_and_only_narrow(stores: Stores, seed: int) -> None:
    all_of, random = world(seed), Random(seed)
    stores.settle(all_of)
    for viewer in VIEWERS:
        for _ in range(8):
            view = _filtered_items(viewer, random)
            found = stores.agree(view)
            assert {item.key for item in found} <= allowed_items(all_of, viewer, view.access)
            assert all(item.status in view.statuses for item in found)


def _filtered_items(viewer: Viewer, random: Random) -> ItemsView:
    def maybe(*choices: Any) -> Any:
        return random.choice((None, None, *choices))

    entry = (random.choice(("sisbov", "lote")), random.choice("xy"), maybe("bovino"))
    return ItemsView(
        viewer,
        NOW,
        access=random.choice(tuple(GROUNDS)),
        statuses=tuple(random.sample(EVERY, random.randint(1, 5))),
        circuit_id=maybe("C"),
        entries=random.choice(((), (entry,), (entry, ("lote", "x", None)))),
        namespace=maybe("bovino", "generic"),
        kind=maybe("canonical"),
        evidences=random.choice(((), ("format_ok",))),
        alias=maybe("tag:1"),
        words=random.choice(((), ("gad",), words("açaí"), ("so", "gado"))),
        created=maybe(Between(INSTANTS[1]), Between(None, INSTANTS[2]), Between()),
        updated=maybe(Between(INSTANTS[1], INSTANTS[2])),
        sort=random.choice(("created_at", "updated_at")),
        descending=random.random() < 0.5,
    )


@worlds
@given(seed=seeds)
def test_filters_of_events_agree_and_only_narrow(stores: Stores, seed: int) -> None:
    all_of, random = world(seed), Random(seed)
    stores.settle(all_of)
    for viewer in VIEWERS:
        allowed = allowed_events(all_of, viewer)
        for _ in range(8):
            assert {event.event_id for event in stores.agree(_filtered_events(viewer, random))} <= allowed


def _filtered_events(viewer: Viewer, random: Random) -> EventsView:
    def maybe(*choices: Any) -> Any:
        return random.choice((None, None, *choices))

    return EventsView(
        viewer,
        NOW,
        dfid=maybe(*DFIDS),
        event_types=random.choice(((), (EventType.CREATED,), (EventType.CREATED, EventType.RECORDED))),
        category=maybe("weighing"),
        visibility=maybe(*EventVisibility),
        circuit_id=maybe("C"),
        author_user_id=maybe("ana"),
        author_workspace_id=maybe("farm"),
        period=maybe(Between(INSTANTS[1]), Between(None, INSTANTS[2]), Between()),
        time=random.choice(("recorded_at", "occurred_at")),
        descending=random.random() < 0.5,
    )


def test_the_worlds_meet_every_ground() -> None:
    met = set()
    for seed in range(30):
        all_of = world(seed)
        for viewer, item in product(VIEWERS, all_of.items):
            decision = decide(principal(viewer), Action.ITEM_VIEW, facts(all_of, dfid=item.key), NOW)
            met |= {ground.ground for ground in decision.grounds}
    assert met == GROUNDS["own"] | GROUNDS["shared"] | GROUNDS["circuit"]

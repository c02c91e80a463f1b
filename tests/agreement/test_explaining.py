"""What explain tells is what get, list, search and timeline answer; a preview tells no more (circuits.md 2.8, laws 4
and 11; scenario 49)."""

import asyncio
from collections.abc import Awaitable
from itertools import product
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory.storage import MemoryStorage
from application.access import Access
from application.access.requests import Explain, Preview
from application.events import Events
from application.events.requests import EventFilter
from application.items import Items
from application.items.requests import ItemAccess, ItemFilter, StatusFilter
from application.store_life import STORE_KEY
from application.units import DfidSource, Units
from domain.access.decide import Action
from domain.access.permissions import Permission
from domain.access.principal import Principal, PrincipalKind
from domain.access.vocabulary import MembershipStatus
from domain.circuits.values import Membership
from domain.errors import Refusal
from domain.identifiers.personal import IdentifierKeys
from domain.ports.schema import STORE
from domain.ports.storage import Storage
from domain.ports.views import Viewer
from domain.store import StoreRecord
from tests.agreement.worlds import DFIDS, NOW, VIEWERS, World, world

ALL = ItemFilter(access=ItemAccess.ALL, status=(StatusFilter.ALL,))


class Standing:
    def now(self) -> Any:
        return NOW


@attrs.define
class Told:
    """The services over one world."""

    storage: Storage
    access: Access
    items: Items
    events: Events

    @classmethod
    async def of(cls, all_of: World, storage: Storage | None = None) -> "Told":
        """Return the services over a world laid in an empty store, in memory when none is given."""
        storage = storage or MemoryStorage()
        async with storage.write() as unit:
            await unit.add(STORE, StoreRecord(STORE_KEY, "store", "sealed", NOW))
            for facet, values in all_of.rows():
                await unit.add(facet, *values)
        units = Units(storage, Standing(), DfidSource(storage, Standing()))
        return cls(storage, Access(units), Items(units, IdentifierKeys(bytes(32))), Events(units))

    async def explains(self, who: Principal, action: Action, **ids: str) -> set[str] | None:
        """Return the grounds that are told, None where nothing is."""
        try:
            told = await self.access.explain(who, Explain(action, **ids))
        except Refusal as refusal:
            assert refusal.code == "not_found"
            return None
        assert told.allowed == (told.reason is None) == bool(told.grounds)
        return {str(ground["ground"]) for ground in told.grounds}


async def answers(call: Awaitable[Any]) -> bool:
    try:
        await call
    except Refusal as refusal:
        assert refusal.code == "not_found"
        return False
    return True


def principal(viewer: Viewer) -> Principal:
    return Principal(PrincipalKind.USER, viewer.user_id, viewer.workspace_id)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_explained_is_what_reading_answers(seed: int) -> None:
    asyncio.run(_explained(world(seed)))


async def _explained(all_of: World) -> None:
    told = await Told.of(all_of)
    for who in map(principal, VIEWERS):
        listed = {view.dfid for view in (await told.items.page(who, ALL, limit=200)).items}
        seen = {view.event_id for view in (await told.events.page(who, EventFilter(), limit=200)).items}
        for dfid in DFIDS:
            explained = bool(await told.explains(who, Action.ITEM_VIEW, dfid=dfid))
            assert explained == await answers(told.items.get(who, dfid)) == (dfid in listed)
            assert explained == await answers(told.events.timeline(who, dfid))
        for event in all_of.events:
            explained = bool(await told.explains(who, Action.EVENT_VIEW, event_id=event.event_id))
            assert explained == await answers(told.events.get(who, event.event_id)) == (event.event_id in seen)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_preview_tells_nothing_that_the_subject_does_not_read_or_the_asker_does_not_know(seed: int) -> None:
    asyncio.run(_previewed(world(seed)))


async def _previewed(all_of: World) -> None:
    told = await Told.of(attrs.evolve(all_of, members=tuple(map(_managing, all_of.members))))
    active = [member for member in all_of.members if member.status is MembershipStatus.ACTIVE]
    people = {viewer.user_id: principal(viewer) for viewer in VIEWERS}
    for asker, subject in product(active, active):
        if asker.circuit_id != subject.circuit_id:
            continue
        who = people[asker.user_id]
        found = await told.access.preview(who, asker.circuit_id, Preview(as_=subject.user_id), limit=200)
        for item in found.items:
            ids = {"circuit_id": asker.circuit_id, "dfid": item.dfid}
            assert await told.explains(who, Action.PLACEMENT_VIEW, **ids)
            if item.allowed:
                through = await told.explains(people[subject.user_id], Action.ITEM_VIEW, **ids)
                assert through is not None and {str(ground["ground"]) for ground in item.grounds} <= through


def _managing(member: Membership) -> Membership:
    return attrs.evolve(member, permissions=member.permissions | {Permission.MANAGE_MEMBERS})

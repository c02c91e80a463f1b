"""Erasing events (items-events.md 10.8; scenario 52)."""

import pytest

from application.events.erasing import EraseEvent
from domain.access.principal import Principal, PrincipalKind
from domain.access.vocabulary import EventVisibility
from domain.document import Document
from domain.errors import Refusal
from domain.ids import new_id
from domain.ports.schema import AUDIT, FACETS, NOTIFICATIONS
from tests.application.events.conftest import World

ADMIN = Principal(PrincipalKind.USER, user_id=new_id(), workspace_id=new_id(), is_admin=True)
WHY = EraseEvent("asked for by the person")


async def test_scenario_52_an_erased_event_is_in_no_store_and_its_chain_verifies_with_one_erased(world: World) -> None:
    payload = Document(nota="canary")
    asked = world.request(payload=payload, visibility=EventVisibility.PRIVATE)
    event, _ = await world.events.append(world.colleague, asked)
    await world.events.append(world.owner, world.request())
    await world.events.erase(ADMIN, event.event_id, WHY)
    assert "canary" not in repr([await world.rows(facet) for facet in FACETS])
    result = await world.events.verify(world.owner, world.dfid)
    assert (result.valid, result.erased, result.length) == (True, 1, 3)
    view = await world.events.get(world.owner, event.event_id)
    assert (view.payload, view.salt, view.hash, view.erased_at) == (None, None, event.hash, world.clock.instant)
    assert [one.payload async for one in await world.events.export(world.owner, world.dfid)][1] is None
    [told] = [row for row in await world.rows(NOTIFICATIONS) if row.type == "event_erased"]
    assert told.user_id == world.colleague.user_id
    [entry] = [row for row in await world.rows(AUDIT) if row.action == "event.erased"]
    assert (entry.severity, entry.resource["id"]) == ("warning", event.event_id)


async def test_erasing_again_changes_nothing_and_an_absent_event_is_not_found(world: World) -> None:
    event, _ = await world.events.append(world.owner, world.request())
    await world.events.erase(ADMIN, event.event_id, WHY)
    before = await world.effects()
    await world.events.erase(ADMIN, event.event_id, WHY)
    assert await world.effects() == before
    with pytest.raises(Refusal, match="not_found"):
        await world.events.erase(ADMIN, new_id(), WHY)


async def test_an_erased_created_event_leaves_the_chain_valid(world: World) -> None:
    await world.events.erase(ADMIN, (await world.chain())[0].event_id, WHY)
    result = await world.events.verify(world.owner, world.dfid)
    assert (result.valid, result.erased) == (True, 1)
    with pytest.raises(Refusal, match="event_id_taken"):
        again = world.request(event_id=(await world.chain())[0].event_id)
        await world.events.append(world.owner, again)

"""Recording events in an act: positions without gap, one pass for a whole batch (items-events.md 10.5)."""

import asyncio
from datetime import UTC, datetime

import pytest

from adapters.memory.storage import MemoryStorage
from application.units import FREE
from domain.access.principal import Principal, PrincipalKind
from domain.access.vocabulary import EventVisibility
from domain.act import Act
from domain.document import Document
from domain.events.chain import EventDraft, faults
from domain.events.engine import record
from domain.events.values import Event, EventType
from domain.ports.errors import AlreadyExists, Stale
from domain.ports.queries import Select
from domain.ports.schema import CHAINS, EVENTS

pytestmark = pytest.mark.tampers
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SOMEBODY = Principal(PrincipalKind.USER, user_id="u", workspace_id="w")


def draft(dfid: str, number: int = 0) -> EventDraft:
    return EventDraft(dfid, EventType.RECORDED, EventVisibility.PRIVATE, Document(number=number), category="weight")


async def append(storage: MemoryStorage, *drafts: EventDraft) -> list[Event]:
    async with storage.write() as unit:
        return await record(Act(unit, SOMEBODY, NOW), *drafts)


async def assert_whole(storage: MemoryStorage, dfid: str, length: int) -> None:
    async with storage.read() as reader:
        events = (await reader.page(EVENTS, Select({"dfid": dfid}, ("position",)), limit=1000)).items
        assert list(faults(events, await reader.find(CHAINS, dfid))) == []
        assert [event.position for event in events] == list(range(1, length + 1))


async def test_events_of_one_act_continue_each_chain_in_the_order_given() -> None:
    storage = MemoryStorage()
    await append(storage, draft("A"), draft("B"), draft("A"))
    events = await append(storage, draft("A"), draft("C"), draft("A"), draft("B"))
    assert [(event.dfid, event.position) for event in events] == [("A", 3), ("C", 1), ("A", 4), ("B", 2)]
    assert {(event.author_user_id, event.author_workspace_id) for event in events} == {("u", "w")}
    for dfid, length in {"A": 4, "B": 2, "C": 1}.items():
        await assert_whole(storage, dfid, length)


async def test_later_records_of_an_act_continue_what_it_has_staged() -> None:
    storage = MemoryStorage()
    await append(storage, draft("A"))
    async with storage.write() as unit:
        act = Act(unit, SOMEBODY, NOW)
        await record(act, draft("A"), draft("B"))
        await record(act, draft("B"), draft("A"))
    await assert_whole(storage, "A", 3)
    await assert_whole(storage, "B", 2)


async def test_an_act_that_lost_the_race_for_a_chain_leaves_no_event() -> None:
    storage = MemoryStorage()
    await append(storage, draft("A"))
    with pytest.raises((Stale, AlreadyExists)) as lost:
        async with storage.write() as unit:
            await record(Act(unit, SOMEBODY, NOW), draft("A"), draft("A"))
            await _from_elsewhere(storage)
    assert lost.value.facet in FREE
    await assert_whole(storage, "A", 2)


async def _from_elsewhere(storage: MemoryStorage) -> None:
    await asyncio.create_task(append(storage, draft("A")))


async def test_ten_thousand_events_of_one_unit_make_whole_chains() -> None:
    storage = MemoryStorage()
    async with storage.write() as unit:
        await record(Act(unit, SOMEBODY, NOW), *(draft(f"D{number % 5000}", number) for number in range(10_000)))
    await assert_whole(storage, "D4999", 2)

"""No number of queries grows with the number of rows (items-events.md 6.2, scenarios 58 and 59)."""

from collections import Counter
from typing import Any

import pytest

from adapters.memory.storage import MemoryBackend
from adapters.staging import StagedStorage
from application.items.drafts import OrganizeDrafts
from application.items.requests import CreateBatch, CreateDraft, ItemFilter
from domain.errors import Refusal
from domain.items.submission import IdentifierInput
from domain.ports.schema import ITEMS, NOTIFICATIONS
from tests.application.items.conftest import Farm, submission


class CountedBackend(MemoryBackend):
    """Counts what a store is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self.rows = 0

    async def fetch(self, facet: Any, keys: Any) -> Any:
        self.asked["fetch"] += 1
        found = await super().fetch(facet, keys)
        self.rows += len(found)
        return found

    async def fetch_each(self, wanted: Any) -> Any:
        self.asked["fetch"] += 1
        found = await super().fetch_each(wanted)
        self.rows += sum(map(len, found.values()))
        return found

    async def select(self, facet: Any, query: Any, after: Any, limit: int) -> Any:
        self.asked["select"] += 1
        found = await super().select(facet, query, after, limit)
        self.rows += len(found)
        return found

    async def view(self, view: Any, after: Any, limit: int) -> Any:
        self.asked["view"] += 1
        return await super().view(view, after, limit)

    async def commit(self, changes: Any) -> None:
        self.asked["commit"] += 1
        await super().commit(changes)


@pytest.fixture
async def counted() -> tuple[Farm, CountedBackend]:
    backend = CountedBackend()
    farm = Farm(StagedStorage(backend))
    await farm.settle()
    return farm, backend


async def asked_by_a_batch(counted: tuple[Farm, CountedBackend], first: int, size: int) -> Counter[str]:
    """Return what one batch of new animals with a shared CAR asks of the store."""
    farm, backend = counted
    car = ("car", "DF-5300108-B69B317DD02C43DAA77A0784AEEF7D47")
    elements = tuple(
        submission(("sisbov", f"076{first + n:012d}"), ("brinco", f"B{first + n}"), car, peso=n) for n in range(size)
    )
    backend.asked.clear()
    outcome = await farm.items.create_batch(farm.ana, CreateBatch(elements))
    assert outcome.counts["created"] == size
    return Counter(backend.asked)


async def test_a_batch_asks_the_same_for_ten_and_for_two_thousand(counted: tuple[Farm, CountedBackend]) -> None:
    assert await asked_by_a_batch(counted, 1, 10) == await asked_by_a_batch(counted, 1000, 2_000)


async def test_36_of_ten_thousand_elements_seven_are_refused_by_index(counted: tuple[Farm, CountedBackend]) -> None:
    farm, _ = counted
    faulty = [0, 3, 77, 200, 4_999, 9_998, 9_999]
    elements = [submission(("sisbov", "x" if n in faulty else f"076{n:012d}")) for n in range(10_000)]
    with pytest.raises(Refusal, match="batch_refused"):
        await farm.items.create_batch(farm.ana, CreateBatch(tuple(elements), atomic=True))
    assert await farm.rows(ITEMS) == []
    outcome = await farm.items.create_batch(farm.ana, CreateBatch(tuple(elements)))
    assert (outcome.counts["created"], outcome.counts["refused"]) == (9_993, 7)
    assert [result.index for result in outcome.results if result.outcome == "refused"] == faulty


async def test_58_a_label_shared_by_many_is_asked_about_as_often_as_one_of_nobody(
    counted: tuple[Farm, CountedBackend],
) -> None:
    farm, backend = counted
    asked = []
    for number in range(102):
        backend.asked.clear()
        made = await farm.items.create(farm.ana, submission(("brinco", f"B{number}"), ("safra", "2025")))
        asked.append(Counter(backend.asked))
        assert made.outcome == "created"
    backend.asked.clear()
    await farm.items.create(farm.ana, submission(("safra", "2025")))
    assert backend.asked == asked[0] == asked[-1]


async def test_59_reading_asks_the_same_however_much_is_stored(counted: tuple[Farm, CountedBackend]) -> None:
    farm, backend = counted
    shown = []
    for first, size in ((1, 2), (100, 1000)):
        await asked_by_a_batch(counted, first, size)
        backend.asked.clear()
        await farm.items.create(farm.ana, submission(("sisbov", f"076{900_000 + first:012d}")))
        page = await farm.items.page(farm.ana, ItemFilter(), limit=2)
        await farm.items.get(farm.ana, str(page.items[0].dfid))
        await farm.items.by_identifier(farm.ana, "sisbov", f"076{first:012d}")
        shown.append(Counter(backend.asked))
    assert shown[0] == shown[1]


async def test_claims_of_others_cost_no_question_each(counted: tuple[Farm, CountedBackend]) -> None:
    farm, backend = counted
    spent = []
    for first, size in ((1, 2), (1000, 300)):
        await asked_by_a_batch(counted, first, size)
        backend.asked.clear()
        disputed = tuple(submission(("sisbov", f"076{first + n:012d}")) for n in range(size))
        outcome = await farm.items.create_batch(farm.rui, CreateBatch(disputed))
        assert outcome.counts["pending"] == size
        spent.append(Counter(backend.asked))
    told = [note.user_id for note in await farm.rows(NOTIFICATIONS, type="identifier_claim_disputed")]
    assert (spent[0], told) == (spent[1], [farm.ana.user_id] * 302)


async def test_drafts_that_are_alone_are_not_read_to_find_duplicates(counted: tuple[Farm, CountedBackend]) -> None:
    farm, backend = counted
    pair = [await farm.items.create_draft(farm.ana, draft_of(f"076{1:012d}", f"B{n}")) for n in range(2)]
    spent = []
    for size in (1, 300):
        for n in range(size):
            await farm.items.create_draft(farm.ana, draft_of(f"076{size * 1000 + n:012d}", f"C{size}-{n}"))
        backend.asked.clear()
        backend.rows = 0
        [group] = (await farm.items.draft_duplicates(farm.ana)).items
        dry = await farm.items.organize(farm.ana, OrganizeDrafts("deduplicate", dry_run=True))
        assert {member.id for member in group.members} == {view.local_id for view in pair}
        assert [step.master_lid for step in dry.operations] == [group.suggested_master]
        spent.append((Counter(backend.asked), backend.rows))
    assert spent[0] == spent[1]


def draft_of(sisbov: str, tag: str) -> CreateDraft:
    return CreateDraft(identifiers=(IdentifierInput("sisbov", sisbov), IdentifierInput("brinco", tag)))

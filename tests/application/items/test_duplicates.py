"""Items that may be one are found by the values they share (items-events.md 9.3, decision 8)."""

import pytest

from application.items import UpdateItem
from application.items.drafts import Duplicates
from application.items.lineage import MergeItems
from application.items.requests import CreateBatch
from domain.items.submission import IdentifierInput
from domain.items.values import LABEL_AFTER
from domain.ports.schema import COUNTERS, ENTRIES
from tests.application.items.conftest import Farm, submission
from tests.application.items.test_identity import OTHER, SISBOV
from tests.application.items.test_lineage import item_of

CAR = ("car", "DF-5300108-B69B317DD02C43DAA77A0784AEEF7D47")
CPF = ("cpf", "529.982.247-25")


async def found(farm: Farm, limit: int = 50) -> list[Duplicates]:
    pages, after = [], None
    while True:
        page = await farm.items.item_duplicates(farm.ana, after, limit)
        assert len(page.items) <= limit
        pages += page.items
        after = page.after
        if after is None:
            return pages


async def test_items_of_one_reference_are_a_group_shown_once_with_all_they_share(farm: Farm) -> None:
    first = await item_of(farm, ("sisbov", SISBOV), CAR, CPF, cor="roxa")
    second = await item_of(farm, ("sisbov", OTHER), CAR, CPF, cor="preta")
    await farm.items.create(farm.rui, submission(("rfid", "982123456789012"), CAR))
    [group] = await found(farm)
    assert group.match == ("car", "cpf")
    assert [member.id for member in group.members] == [first, second]
    assert (group.suggested_master, group.differing_keys) == (first, ("cor",))
    assert [member.identifiers_count for member in group.members] == [3, 3]
    assert (await farm.items.item_duplicates(farm.rui)).items == ()
    assert not any("52998224725" in row.place for row in await farm.rows(COUNTERS))


async def test_a_contextual_value_groups_items_that_do_not_disagree(farm: Farm) -> None:
    tagged = ("brinco", "7")
    await item_of(farm, ("sisbov", SISBOV), tagged)
    await item_of(farm, ("sisbov", OTHER), tagged)
    assert await found(farm) == []
    loose = await item_of(farm, ("rfid", "982123456789012"))
    await farm.items.update(farm.ana, loose, UpdateItem(add_identifiers=(IdentifierInput(*tagged),)), frozenset({1}))
    [group] = await found(farm)
    assert (group.match, len(group.members)) == (("brinco",), 3)
    await farm.items.deprecate(farm.ana, loose)
    assert await found(farm) == []


async def test_what_became_one_or_lost_the_value_is_no_duplicate(farm: Farm) -> None:
    first, second = await item_of(farm, ("sisbov", SISBOV), CAR), await item_of(farm, ("rfid", "982123456789012"), CAR)
    third = await item_of(farm, ("lote", "9"), CAR)
    await farm.items.merge(farm.ana, first, MergeItems(second))
    [group] = await found(farm)
    assert [member.id for member in group.members] == [first, third]
    gone = UpdateItem(remove_identifiers=(IdentifierInput(*CAR),))  # type: ignore[arg-type]
    await farm.items.update(farm.ana, third, gone, frozenset({1}))
    assert await found(farm) == []


async def test_pages_of_any_size_show_every_group_once(farm: Farm) -> None:
    pairs = [submission(("sisbov", f"076{10 + 2 * n + i:012d}"), ("cpf", _cpf(n))) for n in range(7) for i in (0, 1)]
    await farm.items.create_batch(farm.ana, CreateBatch(tuple(pairs)))
    whole = await found(farm)
    assert len(whole) == 7
    for limit in (1, 2, 3):
        assert await found(farm, limit) == whole


async def test_a_value_of_many_items_is_a_label_and_says_nothing_of_duplicates(farm: Farm) -> None:
    herd = tuple(submission(("sisbov", f"076{10 + n:012d}"), CAR) for n in range(LABEL_AFTER))
    await farm.items.create_batch(farm.ana, CreateBatch(herd))
    assert [len(group.members) for group in await found(farm)] == [LABEL_AFTER]
    await item_of(farm, ("lote", "1"), CAR)
    assert await found(farm) == []


@pytest.mark.parametrize("key", ["car", "lote"])
async def test_19_a_counter_is_no_less_than_the_entries_of_its_value(farm: Farm, key: str) -> None:
    value = CAR if key == "car" else ("lote", "1")
    for n in range(3):
        await item_of(farm, ("sisbov", f"076{10 + n:012d}"), value)
    entries = [entry for entry in await farm.rows(ENTRIES) if entry.key == key]
    counters = {counter.place: counter.count for counter in await farm.rows(COUNTERS)}
    assert {entry.place for entry in entries} == {place for place in counters if f"/{key} " in place}
    assert set(counters.values()) == {3}


def _cpf(number: int) -> str:
    digits = [int(digit) for digit in f"{100_000_000 + number:09d}"]
    for length in (9, 10):
        rest = sum(digit * weight for digit, weight in zip(digits, range(length + 1, 1, -1), strict=True)) % 11
        digits.append(0 if rest < 2 else 11 - rest)
    return "".join(map(str, digits))

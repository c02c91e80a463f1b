"""Merge, unmerge and split of items (items-events.md 6.8 to 6.10), scenarios by number."""

import asyncio
from typing import Any

import attrs
import pytest

from application.items import EnrichItem, IdentifierReference, ItemView, UpdateItem
from application.items.lineage import MergeItems, SplitItem, SplitPart
from application.items.requests import ItemFilter
from application.items.sharing import ShareItem
from domain.access.vocabulary import ItemStatus
from domain.document import Document
from domain.errors import Invalid, Refusal
from domain.items.families import read_absorbed, read_contributions
from domain.items.fold import Family, refolded
from domain.items.lineage import SplitMode
from domain.items.submission import IdentifierInput
from domain.items.values import Item, MergeStrategy
from domain.ports.schema import CLAIMS, CONTRIBUTIONS, EVENTS, ITEMS
from tests.application.items.conftest import Farm, submission
from tests.application.items.test_identity import OTHER, SISBOV, made

RFID = "982123456789012"


async def item_of(farm: Farm, *identifiers: tuple[str, ...], **data: Any) -> str:
    dfid = (await made(farm, *identifiers, **data)).item.dfid
    assert dfid is not None
    return dfid


async def stored(farm: Farm, dfid: str) -> Item:
    [item] = await farm.rows(ITEMS, key=dfid)
    assert isinstance(item, Item)
    return item


def timeless(view: ItemView) -> ItemView:
    return attrs.evolve(view, version=0, updated_at=view.created_at)


async def check_rows(farm: Farm) -> None:
    """Invariant 8: rows equal the fold over the stored contributions; 11: each is committed by one event."""
    items = await farm.rows(ITEMS)
    async with farm.storage.read() as reader:
        family = Family(
            await read_contributions(reader, [item.key for item in items]),
            {item.key: item.lineage for item in (await read_absorbed(reader, items)).values()},
        )
    for item in items:
        folded = refolded(item, family)
        assert (item.data, item.fingerprint, item.confidence, item.contributed) == (
            folded.data,
            folded.fingerprint,
            folded.confidence,
            folded.contributed,
        )
        assert [i.identity for i in item.identifiers] == [i.identity for i in folded.identifiers]
    committed = [event.payload.get("contribution_id") for event in await farm.rows(EVENTS)]
    assert sorted(filter(None, committed)) == sorted(c.contribution_id for c in await farm.rows(CONTRIBUTIONS))


@pytest.mark.parametrize("strategy", list(MergeStrategy))
async def test_22_unmerging_restores_both_items_after_every_strategy(farm: Farm, strategy: MergeStrategy) -> None:
    target = await item_of(farm, ("sisbov", SISBOV), peso=1, tags=["a"], m={"x": 1})
    source = await item_of(farm, ("rfid", RFID), ("cpf", "529.982.247-25"), peso=2, tags=["a", "b"], m={"y": 2}, z=3)
    before = [timeless(await farm.items.get(farm.ana, dfid)) for dfid in (target, source)]
    merged = await farm.items.merge(farm.ana, target, MergeItems(source, strategy, "same animal"))
    expected: dict[MergeStrategy, dict[str, Any]] = {
        MergeStrategy.KEEP_FIRST: {"peso": 1, "tags": ["a"], "m": {"x": 1}, "z": 3},
        MergeStrategy.APPEND: {"peso": 1, "tags": ["a", "b"], "m": {"x": 1, "y": 2}, "z": 3},
        MergeStrategy.OVERWRITE: {"peso": 2, "tags": ["a", "b"], "m": {"y": 2}, "z": 3},
    }
    assert merged.data == Document(expected[strategy])
    assert {identifier.key for identifier in merged.identifiers} == {"sisbov", "rfid", "cpf"}
    assert next(i.value for i in merged.identifiers if i.key == "cpf") == "529.982.247-25"
    gone = await farm.items.get(farm.ana, source)
    assert (gone.status, gone.lineage.merged_into) == (ItemStatus.MERGED, target)
    await check_rows(farm)
    unmerged = await farm.items.unmerge(farm.ana, source)
    assert unmerged.previous_target == target
    assert [timeless(await farm.items.get(farm.ana, dfid)) for dfid in (target, source)] == before
    await check_rows(farm)
    kinds = [(event.dfid, event.payload["role"]) for event in await farm.rows(EVENTS) if "merged" in event.event_type]
    assert sorted(kinds) == sorted([(target, "target"), (source, "source")] * 2)


async def test_23_a_number_finds_what_absorbed_its_item(farm: Farm) -> None:
    outer = await item_of(farm, ("sisbov", SISBOV), peso=1)
    inner = await item_of(farm, ("rfid", RFID), peso=2, cor="roxa")
    await farm.items.merge(farm.ana, outer, MergeItems(inner))
    assert (await made(farm, ("rfid", RFID), peso=5)).item.dfid == outer
    await farm.items.enrich(farm.ana, outer, EnrichItem(data=Document(peso=None)))
    assert (await farm.items.get(farm.ana, outer)).data == Document(peso=2, cor="roxa")
    await check_rows(farm)
    restored = (await farm.items.unmerge(farm.ana, inner)).item
    assert restored.data == Document(peso=2, cor="roxa")
    assert (await made(farm, ("rfid", RFID), peso=6)).item.dfid == inner
    assert (await farm.items.get(farm.ana, outer)).data == Document()
    await check_rows(farm)


async def test_what_an_item_absorbed_is_found_as_that_item_and_no_more_once_it_is_out(farm: Farm) -> None:
    """The root is found by every number in it, by lists and by identifier alike (9.1, 9.3)."""
    outer, middle = await item_of(farm, ("sisbov", SISBOV)), await item_of(farm, ("lote", "9"))
    inner = await item_of(farm, ("rfid", RFID), ("cpf", "529.982.247-25"), ("lote", "9", "soja"))

    async def finders(key: str, value: str) -> list[str | None]:
        wanted = ItemFilter(identifier_key=key, identifier_value=value)
        listed = [view.dfid for view in (await farm.items.page(farm.ana, wanted)).items]
        assert [view.dfid for view in (await farm.items.by_identifier(farm.ana, key, value)).items] == listed
        return listed

    await farm.items.merge(farm.ana, middle, MergeItems(inner))
    await farm.items.merge(farm.ana, outer, MergeItems(middle))
    for key, value in (("rfid", RFID), ("cpf", "529.982.247-25"), ("lote", "9"), ("sisbov", SISBOV)):
        assert await finders(key, value) == [outer]
    gone = UpdateItem(remove_identifiers=(IdentifierReference("sisbov", SISBOV),))
    await farm.items.update(farm.ana, outer, gone, None)
    await farm.items.unmerge(farm.ana, middle)
    assert (await finders("sisbov", SISBOV), await finders("rfid", RFID)) == ([], [middle])
    await farm.items.unmerge(farm.ana, inner)
    assert (await finders("lote", "9"), await finders("rfid", RFID)) == ([inner, middle], [inner])


async def test_24_the_outer_merge_is_undone_first(farm: Farm) -> None:
    a, b, c = [await item_of(farm, ("lote", name), origem=name) for name in "abc"]
    await farm.items.merge(farm.ana, b, MergeItems(a))
    await farm.items.merge(farm.ana, c, MergeItems(b))
    assert len((await farm.items.get(farm.ana, c)).identifiers) == 3
    with pytest.raises(Refusal, match="item_merged"):
        await farm.items.unmerge(farm.ana, a)
    await farm.items.unmerge(farm.ana, b)
    await farm.items.unmerge(farm.ana, a)
    with pytest.raises(Refusal, match="not_merged"):
        await farm.items.unmerge(farm.ana, a)
    assert [(await farm.items.get(farm.ana, dfid)).data["origem"] for dfid in (a, b, c)] == ["a", "b", "c"]
    await check_rows(farm)


async def test_25_two_items_absorbing_each_other_at_once_make_no_cycle(farm: Farm) -> None:
    a, b = await item_of(farm, ("lote", "a")), await item_of(farm, ("lote", "b"))
    results = await asyncio.gather(
        farm.items.merge(farm.ana, a, MergeItems(b)),
        farm.items.merge(farm.ana, b, MergeItems(a)),
        return_exceptions=True,
    )
    [refused] = [result for result in results if isinstance(result, BaseException)]
    assert isinstance(refused, Refusal) and refused.code == "item_merged"
    assert sorted(item.status for item in await farm.rows(ITEMS)) == ["active", "merged"]


async def test_merges_keep_to_own_items_and_to_one_number_of_a_kind(farm: Farm) -> None:
    a, b = await item_of(farm, ("sisbov", SISBOV)), await item_of(farm, ("sisbov", OTHER))
    theirs = (await farm.items.create(farm.rui, submission(("lote", "1")))).item.dfid  # type: ignore[union-attr]
    for source, code in ((a, "merge_with_itself"), (b, "identifier_contradiction"), (theirs, "not_found")):
        with pytest.raises(Refusal, match=code):
            await farm.items.merge(farm.ana, a, MergeItems(source or ""))
    assert len((await farm.items.merge(farm.ana, a, MergeItems(b, force=True))).identifiers) == 2
    other = UpdateItem(remove_identifiers=(IdentifierReference("sisbov", OTHER),))
    with pytest.raises(Refusal, match="identifier_on_merged_item"):
        await farm.items.update(farm.ana, a, other, None)


def parts(mode: SplitMode, *each: tuple[tuple[str, str], ...]) -> SplitItem:
    made = (SplitPart(tuple(IdentifierInput(*one) for one in identifiers)) for identifiers in each)
    return SplitItem(mode, tuple(made))


async def test_26_a_divided_lot_is_whole_again_with_its_last_part(farm: Farm) -> None:
    lot = await item_of(farm, ("lote", "L-77"), ("sisbov", SISBOV), kg=900)
    wanted = parts(SplitMode.DIVIDE, (("lote", "A"), ("sisbov", SISBOV)), (("lote", "B"),), (("lote", "C"),))
    done = await farm.items.split(farm.ana, lot, wanted)
    assert (done.original.status, done.original.data) == (ItemStatus.SPLIT, Document(kg=900))
    assert [i.key for i in done.original.identifiers] == ["lote"]
    dfids = [part.dfid or "" for part in done.parts]
    assert list(done.original.lineage.split_into) == dfids
    assert {part.lineage.split_from for part in done.parts} == {lot}
    assert [claim.item for claim in await farm.rows(CLAIMS)] == [dfids[0]]
    await check_rows(farm)
    statuses = [(await farm.items.merge(farm.ana, lot, MergeItems(dfid))).status for dfid in dfids]
    assert statuses == ["split", "split", "active"]
    assert (await made(farm, ("sisbov", SISBOV))).item.dfid == lot
    await farm.items.unmerge(farm.ana, dfids[1])
    assert (await stored(farm, lot)).status is ItemStatus.SPLIT
    await check_rows(farm)


async def test_27_a_split_with_a_number_of_somebody_else_creates_nothing(farm: Farm) -> None:
    lot = await item_of(farm, ("lote", "L-77"))
    own = await item_of(farm, ("rfid", RFID))
    await farm.items.create(farm.rui, submission(("sisbov", SISBOV)))
    before = await farm.census()
    for number, code in ((("sisbov", SISBOV), "identifier_claimed"), (("rfid", RFID), "identifier_conflict")):
        with pytest.raises(Refusal, match=code) as refused:
            await farm.items.split(farm.ana, lot, parts(SplitMode.DIVIDE, (("lote", "A"),), (number,)))
    assert refused.value.members["dfids"] == [own]
    with pytest.raises(Invalid, match="/parts/1/identifiers/0: identifier_duplicate"):
        await farm.items.split(farm.ana, lot, parts(SplitMode.DIVIDE, (("sisbov", OTHER),), (("sisbov", OTHER),)))
    with pytest.raises(Invalid, match="identifiers_required"):
        await farm.items.split(farm.ana, lot, parts(SplitMode.EXTRACT, (("lote", "L-77"),)))
    assert await farm.census() == before


async def test_extracting_moves_numbers_and_the_item_lives_on(farm: Farm) -> None:
    item = await item_of(farm, ("sisbov", SISBOV), ("rfid", RFID))
    absorbed = await item_of(farm, ("lote", "9"))
    await farm.items.merge(farm.ana, item, MergeItems(absorbed))
    with pytest.raises(Refusal, match="identifier_on_merged_item"):
        await farm.items.split(farm.ana, item, parts(SplitMode.EXTRACT, (("lote", "9"),)))
    done = await farm.items.split(farm.ana, item, parts(SplitMode.EXTRACT, (("rfid", RFID),)))
    assert (done.original.status, done.parts[0].lineage.split_mode) == (ItemStatus.ACTIVE, "extract")
    assert (await made(farm, ("rfid", RFID))).item.dfid == done.parts[0].dfid
    assert [i.key for i in (await farm.items.get(farm.ana, item)).identifiers] == ["sisbov", "lote"]
    await check_rows(farm)


async def test_a_body_names_an_item_in_any_case(farm: Farm) -> None:
    outer, inner = await item_of(farm, ("lote", "1")), await item_of(farm, ("lote", "2"))
    with pytest.raises(Invalid) as refused:
        await farm.items.merge(farm.ana, outer, MergeItems(inner[:-1] + "Z"))
    assert [(fault.code, fault.pointer) for fault in refused.value.faults] == [("format", "/source_dfid")]
    merged = await farm.items.merge(farm.ana, outer, MergeItems(inner.lower()))
    assert merged.lineage.merged_from == (inner,)


async def test_a_reader_of_one_item_learns_nothing_of_its_kin(farm: Farm) -> None:
    outer, inner = await item_of(farm, ("lote", "1")), await item_of(farm, ("lote", "2"))
    await farm.items.merge(farm.ana, outer, MergeItems(inner))
    assert farm.rui.user_id is not None
    await farm.items.share(farm.ana, outer, ShareItem(farm.rui.user_id))
    assert (await farm.items.get(farm.rui, outer)).lineage.merged_from == ()
    [shared] = (await farm.items.shared_to(farm.rui, "me")).items
    assert shared.item.lineage.merged_from == ()
    assert (await farm.items.get(farm.ana, outer)).lineage.merged_from == (inner,)

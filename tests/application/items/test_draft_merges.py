"""Drafts that become one (items-events.md 6.7, 6.9, 9.3, 9.4), scenarios by number."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from application.items import CreateDraft, UpdateDraft
from application.items.drafts import MergeDrafts, OrganizeDrafts, UnmergeDraft
from application.items.queue import ResolvePending
from application.items.requests import ItemFilter, StatusFilter
from domain.document import Document
from domain.errors import Invalid, Refusal
from domain.items.resolving import PendingAction
from domain.items.submission import IdentifierInput
from domain.items.values import MergeStrategy
from domain.ports.schema import AUDIT, COUNTERS, ENTRIES, ITEMS, MAPPINGS
from tests.application.items.conftest import Farm, submission
from tests.application.items.test_identity import SISBOV

CPF = "529.982.247-25"
RFID = "982123456789012"


async def draft(farm: Farm, *identifiers: tuple[str, ...], who: Any = None, **data: Any) -> str:
    given = submission(*identifiers, **data)
    view = await farm.items.create_draft(who or farm.ana, CreateDraft(None, given.identifiers, given.data))
    assert view.local_id is not None
    return view.local_id


async def test_33_merged_drafts_become_one_item_with_both_contents(farm: Farm) -> None:
    first = await draft(farm, ("lote", "1"), peso=1)
    second = await draft(farm, ("sisbov", SISBOV), ("cpf", CPF), peso=2, cor="roxa")
    merged = await farm.items.merge_drafts(farm.ana, MergeDrafts(first, (second,)))
    assert (merged.merged_count, merged.master.data) == (1, Document(peso=1, cor="roxa"))
    assert {i.key: i.value for i in merged.master.identifiers} == {"lote": "1", "sisbov": SISBOV, "cpf": CPF}
    assert (await farm.items.mapping(farm.ana, second)).merged_into == first
    with pytest.raises(Refusal, match="has_merged_items"):
        await farm.items.delete_draft(farm.ana, first)
    item = (await farm.items.promote(farm.ana, first)).item
    assert (item.data, len(item.identifiers)) == (Document(peso=1, cor="roxa"), 3)
    assert {(m.local_id, m.dfid) for m in await farm.rows(MAPPINGS)} == {(first, item.dfid), (second, item.dfid)}
    assert [row.key for row in await farm.rows(ITEMS)] == [item.dfid]


@pytest.mark.parametrize("strategy", list(MergeStrategy))
async def test_22_unmerging_drafts_restores_both(farm: Farm, strategy: MergeStrategy) -> None:
    first = await draft(farm, ("lote", "1"), peso=1, tags=["a"])
    second = await draft(farm, ("cpf", CPF), peso=2, tags=["b"])
    before = [timeless(await farm.items.draft(farm.ana, lid)) for lid in (first, second)]
    merged = await farm.items.merge_drafts(farm.ana, MergeDrafts(first, (second,), strategy))
    assert merged.master.data["peso"] == (2 if strategy is MergeStrategy.OVERWRITE else 1)
    with pytest.raises(Refusal, match="item_merged"):
        await farm.items.update_draft(farm.ana, second, UpdateDraft(data=Document()), None)
    done = await farm.items.unmerge_draft(farm.ana, UnmergeDraft(second))
    assert done.previous_target == first
    assert [timeless(await farm.items.draft(farm.ana, lid)) for lid in (first, second)] == before
    with pytest.raises(Refusal, match="not_merged"):
        await farm.items.unmerge_draft(farm.ana, UnmergeDraft(second))


def timeless(view: Any) -> Any:
    return attrs.evolve(view, version=0, updated_at=view.created_at)


async def test_what_is_written_to_a_master_stays_its_own(farm: Farm) -> None:
    first, second = await draft(farm, ("lote", "1"), peso=1), await draft(farm, ("lote", "2"), peso=2, cor="roxa")
    await farm.items.merge_drafts(farm.ana, MergeDrafts(first, (second,), MergeStrategy.OVERWRITE))
    updated = await farm.items.update_draft(farm.ana, first, UpdateDraft(data=Document(peso=9)), None)
    assert updated.data == Document(peso=9, cor="roxa")
    await farm.items.unmerge_draft(farm.ana, UnmergeDraft(second))
    assert (await farm.items.draft(farm.ana, first)).data == Document(peso=9)


async def test_a_draft_that_says_the_same_again_stays_as_it_is(farm: Farm) -> None:
    lid = await draft(farm, ("lote", "1"), ("cpf", CPF), peso=1)
    before = await farm.census()
    again = UpdateDraft((IdentifierInput("lote", "1"), IdentifierInput("cpf", CPF)), Document(peso=1), ())
    assert (await farm.items.update_draft(farm.ana, lid, again, None)).version == 1
    assert await farm.census() == before
    other = attrs.evolve(again, identifiers=(IdentifierInput("lote", "1"), IdentifierInput("cpf", "11144477735")))
    assert (await farm.items.update_draft(farm.ana, lid, other, None)).version == 2


async def test_drafts_merge_with_other_own_drafts_only(farm: Farm) -> None:
    mine, theirs = await draft(farm, ("lote", "1")), await draft(farm, ("lote", "1"), who=farm.rui)
    for lids, code in (((mine,), "merge_with_itself"), ((theirs,), "not_found")):
        with pytest.raises(Refusal, match=code):
            await farm.items.merge_drafts(farm.ana, MergeDrafts(mine, lids))


async def test_42_a_dry_run_tells_the_numbers_of_the_run(farm: Farm) -> None:
    oldest = await draft(farm, ("sisbov", SISBOV), peso=1)
    second = await draft(farm, ("sisbov", SISBOV), ("lote", "7"), peso=2)
    third = await draft(farm, ("lote", "7"))
    await draft(farm, ("lote", "8"))
    theirs = await draft(farm, ("lote", "7"), who=farm.rui)
    [group] = (await farm.items.draft_duplicates(farm.ana)).items
    assert [member.id for member in group.members] == [oldest, second, third]
    assert (group.suggested_master, group.differing_keys) == (oldest, ("peso",))
    assert group.match == ("fingerprint", "sisbov")
    dry = await farm.items.organize(farm.ana, OrganizeDrafts("deduplicate", dry_run=True))
    assert len((await farm.items.drafts(farm.ana)).items) == 4
    run = await farm.items.organize(farm.ana, OrganizeDrafts("deduplicate"))
    assert (run.summary, run.more) == (dry.summary, dry.more)
    assert [step.status for step in (*dry.operations, *run.operations)] == ["would_merge", "merged"]
    assert (run.summary.drafts_before, run.summary.drafts_after, run.summary.merged_count) == (4, 2, 2)
    assert len((await farm.items.drafts(farm.ana)).items) == 2
    assert (await farm.items.draft(farm.rui, theirs)).version == 1
    assert (await farm.items.draft_duplicates(farm.ana)).items == ()


async def test_many_drafts_become_one_item_within_the_bounds_of_an_item(farm: Farm) -> None:
    """A submission has at most 50 identifiers, an item 200 (1.1)."""
    lids = [
        await draft(farm, ("sisbov", SISBOV), *((f"k{n}-{one}", "1") for one in range(49)), **{f"v{n}": "x" * 60_000})
        for n in range(5)
    ]
    with pytest.raises(Invalid) as refused:
        await farm.items.merge_drafts(farm.ana, MergeDrafts(lids[0], tuple(lids[1:])))
    assert [(fault.code, fault.pointer) for fault in refused.value.faults] == [("too_many", "/identifiers")]
    for dry_run in (True, False):
        [step] = (await farm.items.organize(farm.ana, OrganizeDrafts("deduplicate", dry_run=dry_run))).operations
        assert (step.status, step.reason) == ("skipped", "too_many")
    await farm.items.merge_drafts(farm.ana, MergeDrafts(lids[0], tuple(lids[1:3])))
    item = (await farm.items.promote(farm.ana, lids[0])).item
    assert (len(item.identifiers), sorted(item.data)) == (148, ["v0", "v1", "v2"])


async def test_what_waits_of_many_drafts_is_decided_within_the_bounds_of_an_item(farm: Farm) -> None:
    held = [(await farm.items.create(farm.ana, submission(one))).item for one in (("sisbov", SISBOV), ("rfid", RFID))]  # type: ignore[union-attr]
    lids = [
        await draft(farm, one, *((f"k{n}-{m}", "1") for m in range(49)))
        for n, one in enumerate((("sisbov", SISBOV), ("rfid", RFID)))
    ]
    await farm.items.merge_drafts(farm.ana, MergeDrafts(lids[0], (lids[1],)))
    with pytest.raises(Refusal, match="identifier_conflict") as refused:
        await farm.items.promote(farm.ana, lids[0])
    link = ResolvePending(PendingAction.LINK, dfid=held[0].dfid)
    done = await farm.items.resolve(farm.ana, refused.value.members["pending_id"], link)
    assert done.item is not None and len(done.item.identifiers) == 99


async def test_a_draft_is_never_older_than_it_was(farm: Farm) -> None:
    """Clocks step back; what comes after says so (1.2)."""
    lid = await draft(farm, ("lote", "1"))
    before = await farm.items.draft(farm.ana, lid)
    farm.clock.instant -= timedelta(hours=1)
    after = await farm.items.update_draft(farm.ana, lid, UpdateDraft(data=Document(peso=1)), None)
    assert after.updated_at > before.updated_at


async def test_what_unites_drafts_is_found_whatever_became_of_them_and_counted_exactly(farm: Farm) -> None:
    """Merged, unmerged, edited, deleted and promoted drafts stand where their values are and nowhere else."""
    first, second, third = [await draft(farm, ("sisbov", SISBOV), ("lote", str(n))) for n in range(3)]
    assert await members(farm) == [[first, second, third]]
    await farm.items.merge_drafts(farm.ana, MergeDrafts(first, (second,)))
    assert await members(farm) == [[first, third]]
    await farm.items.unmerge_draft(farm.ana, UnmergeDraft(second))
    assert await members(farm) == [[first, second, third]]
    await farm.items.update_draft(farm.ana, first, UpdateDraft((IdentifierInput("lote", "9"),)), None)
    assert await members(farm) == [[second, third]]
    await farm.items.update_draft(farm.ana, third, UpdateDraft((IdentifierInput("lote", "9"),)), None)
    assert await members(farm) == [[first, third]]
    assert await found(farm, ("sisbov", SISBOV)) == [second]
    assert await found(farm, ("lote", "9")) == [third, first]
    await farm.items.delete_draft(farm.ana, third, None)
    assert await members(farm) == []
    await farm.items.promote(farm.ana, second)
    await farm.items.delete_draft(farm.ana, first, None)
    assert [row for row in await farm.rows(COUNTERS) if "/drafts " in row.place] == []
    assert {row.item for row in await farm.rows(ENTRIES)} == {row.dfid for row in await farm.rows(MAPPINGS)}


async def members(farm: Farm, limit: int = 50) -> list[list[str]]:
    pages, after = [], None
    while True:
        page = await farm.items.draft_duplicates(farm.ana, after, limit)
        pages += [[member.id for member in group.members] for group in page.items]
        after = page.after
        if after is None:
            return pages


async def found(farm: Farm, identifier: tuple[str, str]) -> list[str | None]:
    key, value = identifier
    wanted = ItemFilter(status=(StatusFilter.LOCAL,), identifier_key=key, identifier_value=value)
    return [view.local_id for view in (await farm.items.page(farm.ana, wanted)).items]


async def test_groups_over_several_values_come_once_on_pages_of_any_size(farm: Farm) -> None:
    chains = []
    for n in range(0, 40, 10):
        numbers = [("sisbov", f"076{n + i:012d}") for i in range(1, 5)]
        chains.append([await draft(farm, *numbers[i : i + 2]) for i in range(3)])
    await draft(farm, ("sisbov", "076000000000099"), ("rfid", "982123456789012"))
    whole = await members(farm)
    assert sorted(whole) == sorted(chains)
    for limit in (1, 2, 3):
        assert await members(farm, limit) == whole
    run = await farm.items.organize(farm.ana, OrganizeDrafts("deduplicate"))
    assert (run.summary.groups, run.summary.drafts_before, run.summary.drafts_after) == (4, 13, 5)
    assert await members(farm) == []
    told = [entry.action for entry in await farm.rows(AUDIT) if not entry.action.endswith("created")]
    assert told == ["draft.organized"]


async def test_a_draft_shows_how_sure_its_identity_is_and_the_fingerprint_of_its_context(farm: Farm) -> None:
    lid = await draft(farm, ("sisbov", SISBOV), ("lote", "1"))
    view = await farm.items.draft(farm.ana, lid)
    item = (await farm.items.promote(farm.ana, lid)).item
    assert (view.confidence, view.fingerprint) == (item.confidence, item.fingerprint) != (0.1, None)


async def test_the_number_of_a_namespace_unites_only_where_it_was_given(farm: Farm) -> None:
    first = await draft(farm, ("sisbov", SISBOV, "bovino"))
    second = await draft(farm, ("sisbov", SISBOV, "bovino"))
    await draft(farm, ("sisbov", SISBOV, "leite"))
    run = await farm.items.organize(farm.ana, OrganizeDrafts("deduplicate", dry_run=True, namespace="bovino"))
    assert [(step.master_lid, step.merged_lids) for step in run.operations] == [(first, (second,))]

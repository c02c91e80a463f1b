"""Identity and resolution: the scenarios of items-events.md 15, by number."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from adapters.postgres.storage import PostgresStorage
from application.items import CreateDraft, EnrichItem, IdentifierReference, ItemOutcome, Items, UpdateItem
from application.items.lineage import SplitItem, SplitPart
from application.items.requests import CreateBatch, ItemFilter
from application.units import DfidSource, Units
from domain.document import Document
from domain.errors import Invalid, Refusal
from domain.instants import wire
from domain.items.dfid import parse_dfid
from domain.items.lineage import SplitMode
from domain.items.submission import AliasInput, IdentifierInput, Submission
from domain.items.values import Outcome, PendingReason
from domain.ports.schema import CLAIMS, EVENTS, ITEMS, PENDING
from domain.ports.storage import Storage
from tests.application.items.conftest import Farm, submission

SISBOV = "076000000000001"
OTHER = "076000000000002"


async def made(farm: Farm, *identifiers: tuple[str, ...], **data: object) -> ItemOutcome:
    """Create as Ana and return the outcome."""
    result = await farm.items.create(farm.ana, submission(*identifiers, **data))
    assert isinstance(result, ItemOutcome)
    return result


async def test_1_every_item_gets_a_dfid_of_its_own_that_parses(farm: Farm) -> None:
    dfids = [(await made(farm, ("lote", f"L-{n}"))).item.dfid for n in range(4)]
    assert len(set(dfids)) == 4
    assert all(parse_dfid(dfid or "") == dfid for dfid in dfids)


def started(farm: Farm, storage: Storage | None = None) -> Items:
    """Return the service of a process that just started."""
    storage = storage or farm.storage
    return Items(Units(storage, farm.clock, DfidSource(storage, farm.clock)), farm.keys)


async def test_2_each_start_of_a_day_takes_numbers_of_its_own(farm: Farm) -> None:
    for number in range(6):
        await started(farm).create(farm.ana, submission(("lote", str(number))))
    items = await farm.rows(ITEMS)
    assert len({item.dfid for item in items}) == 6
    assert {item.identifiers[0].value for item in items} == {str(number) for number in range(6)}


@pytest.mark.parametrize("farm", ["postgres"], indirect=True)
@pytest.mark.tampers  # Looking at each of ten thousand items costs more than making it, and tells nothing new.
async def test_3_two_processes_that_create_5_000_items_each_at_once_never_share_a_number(
    farm: Farm, request: pytest.FixtureRequest
) -> None:
    other = PostgresStorage(request.getfixturevalue("migrated_url"))
    await other.open()
    batches = [CreateBatch(tuple(submission(("rfid", f"{982 + n}{i:012d}")) for i in range(1, 5001))) for n in range(2)]
    both = zip((started(farm), started(farm, other)), batches, strict=True)
    outcomes = await asyncio.gather(*(items.create_batch(farm.ana, batch) for items, batch in both))
    dfids = {str(result.dfid) for outcome in outcomes for result in outcome.results}
    assert [outcome.counts["created"] for outcome in outcomes] == [5000, 5000]
    async with farm.storage.read() as reader:
        stored = await reader.count(ITEMS, {"workspace_id": farm.ana.workspace_id}, "status")
    assert (len(dfids), stored) == (10_000, {"active": 10_000})
    await other.aclose()


async def test_4_a_clock_set_back_a_day_continues_that_days_numbers(farm: Farm) -> None:
    farm.clock.instant -= timedelta(days=1)
    before = (await made(farm, ("lote", "1"))).item.dfid
    farm.clock.instant += timedelta(days=1)
    await made(farm, ("lote", "2"))
    farm.clock.instant -= timedelta(days=1)
    after = (await made(farm, ("lote", "3"))).item.dfid
    assert before is not None and after is not None
    assert before[:13] == after[:13]
    assert before < after


async def test_5_the_millionth_item_of_a_day_has_seven_digits(farm: Farm) -> None:
    await farm.storage.take_numbers("20260301", 999_999)
    item = (await made(farm, ("lote", "1"))).item
    assert item.dfid is not None and item.dfid.split("-")[2] == "1000000"
    assert (await farm.items.get(farm.ana, item.dfid)).dfid == item.dfid


async def test_6_and_8_a_number_names_one_item_in_every_spelling_and_namespace(farm: Farm) -> None:
    first = await made(farm, ("sisbov", "BR 076 0000 0000 0001"))
    again = await made(farm, ("sisbov", SISBOV, "leite"))
    assert (again.outcome, again.item.dfid) == (Outcome.UNCHANGED, first.item.dfid)
    assert again.item.identifiers[0].namespace == "bovino"


async def test_a_namespace_tells_free_values_apart_and_no_numbers(farm: Farm) -> None:
    item = (await made(farm, ("sisbov", SISBOV), ("lote", "7", "soja"))).item
    for key, value, namespace, found in (
        ("sisbov", SISBOV, "leite", [item.dfid]),
        ("lote", "7", "soja", [item.dfid]),
        ("lote", "7", "leite", []),
    ):
        page = await farm.items.by_identifier(farm.ana, key, value, namespace)
        assert [one.dfid for one in page.items] == found


async def test_no_filter_is_passed_over(farm: Farm) -> None:
    for wanted in (ItemFilter(identifier_key="sisbov"), ItemFilter(identifier_value=SISBOV)):
        with pytest.raises(Invalid, match="required"):
            await farm.items.page(farm.ana, wanted)


async def test_7_three_renderings_of_a_tag_are_one_item(farm: Farm) -> None:
    renderings = ("982123456789012", "3D6.1CBE991A14", "8000F59CBE991A14")
    assert len({(await made(farm, ("rfid", value))).item.dfid for value in renderings}) == 1


async def test_9_a_party_and_a_farm_tie_no_animals_together(farm: Farm) -> None:
    shared = (("cpf", "529.982.247-25"), ("car", "DF-5300108-B69B317DD02C43DAA77A0784AEEF7D47"))
    first = await made(farm, ("sisbov", SISBOV), *shared)
    second = await made(farm, ("sisbov", OTHER), *shared)
    assert first.item.dfid != second.item.dfid


async def test_5_three_renderings_of_a_tag_are_claimed_against_another_workspace(farm: Farm) -> None:
    """Scenario 5 of identifiers.md 10."""
    renderings = ("982123456789012", "3D6.1CBE991A14", "8000F59CBE991A14")
    dfids = {(await made(farm, ("rfid", value))).item.dfid for value in renderings}
    for value in renderings:
        with pytest.raises(Refusal, match="identifier_claimed") as refused:
            await farm.items.create(farm.rui, submission(("rfid", value)))
        assert not [dfid for dfid in dfids if str(dfid) in repr(dict(refused.value.members))]
    assert (len(dfids), len(await farm.rows(ITEMS))) == (1, 1)


async def test_10_a_car_alone_is_the_item(farm: Farm) -> None:
    only = ("car", "DF-5300108-B69B317DD02C43DAA77A0784AEEF7D47")
    assert (await made(farm, only)).item.dfid == (await made(farm, only)).item.dfid


async def test_11_lots_that_disagree_are_two_items(farm: Farm) -> None:
    first = await made(farm, ("lote", "L-77"), ("safra", "2025"))
    second = await made(farm, ("lote", "L-78"), ("safra", "2025"))
    assert first.item.dfid != second.item.dfid


async def test_12_an_item_gains_the_number_it_lacked(farm: Farm) -> None:
    first = await made(farm, ("brinco", "123"))
    second = await made(farm, ("brinco", "123"), ("sisbov", SISBOV))
    assert (second.outcome, second.item.dfid) == (Outcome.ENRICHED, first.item.dfid)
    assert {identifier.key for identifier in second.item.identifiers} == {"brinco", "sisbov"}


async def test_13_identifiers_of_two_items_are_a_conflict_that_waits(farm: Farm) -> None:
    first = await made(farm, ("sisbov", SISBOV))
    second = await made(farm, ("rfid", "982123456789012"))
    with pytest.raises(Refusal, match="identifier_conflict") as refused:
        await made(farm, ("sisbov", SISBOV), ("rfid", "982123456789012"))
    assert refused.value.members["dfids"] == sorted([first.item.dfid, second.item.dfid])
    [record] = await farm.rows(PENDING)
    assert (record.pending_id, record.reason) == (
        refused.value.members["pending_id"],
        PendingReason.CONFLICTING_ITEMS,
    )
    assert list(record.details["dfids"]) == refused.value.members["dfids"]
    assert {item.version for item in await farm.rows(ITEMS)} == {1}


async def test_14_a_second_sisbov_contradicts(farm: Farm) -> None:
    await made(farm, ("sisbov", SISBOV), ("rfid", "982123456789012"))
    with pytest.raises(Refusal, match="identifier_contradiction"):
        await made(farm, ("rfid", "982123456789012"), ("sisbov", OTHER))
    [item] = await farm.rows(ITEMS)
    assert [identifier.value for identifier in item.identifiers if identifier.key == "sisbov"] == [SISBOV]


async def test_15_a_foreign_claim_tells_nothing_about_its_holder(farm: Farm) -> None:
    held = await made(farm, ("sisbov", SISBOV), nome="CANARY")
    with pytest.raises(Refusal, match="identifier_claimed") as refused:
        await farm.items.create(farm.rui, submission(("sisbov", SISBOV)))
    told = repr((refused.value.detail, dict(refused.value.members), await farm.rows(PENDING)))
    owner = (farm.ana.user_id, farm.ana.workspace_id, "user0", "farm 0")
    then = (repr(held.item.created_at), wire(held.item.created_at))
    for secret in (held.item.dfid, *owner, *then, "CANARY"):
        assert secret is not None and secret not in told


@pytest.mark.parametrize("identifiers", [(("sisbov", SISBOV),), (("lote", "L-1"), ("safra", "2025"))])
async def test_16_and_17_thirty_two_creates_at_once_make_one_item(
    farm: Farm, identifiers: tuple[tuple[str, str], ...]
) -> None:
    outcomes = await asyncio.gather(*(made(farm, *identifiers) for _ in range(32)))
    assert Counter(outcome.outcome for outcome in outcomes) == {Outcome.CREATED: 1, Outcome.UNCHANGED: 31}
    assert len(await farm.rows(ITEMS)) == 1
    assert [event.event_type for event in await farm.rows(EVENTS)] == ["created"]


async def test_18_a_misread_number_blocks_nobody_and_a_malformed_one_is_a_fault(farm: Farm) -> None:
    mine = await made(farm, ("sisbov", "105500508078036"))
    assert mine.warnings == ("check_failed", "check_failed_claims_locally")
    theirs = await farm.items.create(farm.rui, submission(("sisbov", "105500508078036")))
    assert isinstance(theirs, ItemOutcome) and theirs.outcome is Outcome.CREATED
    with pytest.raises(Invalid) as invalid:
        await made(farm, ("lote", "1"), ("sisbov", "12"))
    assert [(f.code, f.pointer) for f in invalid.value.faults] == [("identifier_malformed", "/identifiers/1/value")]


async def test_30_the_same_body_again_writes_nothing(farm: Farm) -> None:
    await made(farm, ("sisbov", SISBOV), ("lote", "1"), peso=412.5)
    before = await farm.census()
    again = await made(farm, ("sisbov", SISBOV), ("lote", "1"), peso=412.5)
    assert (again.outcome, again.item.version) == (Outcome.UNCHANGED, 1)
    assert await farm.census() == before


async def test_an_identifier_named_twice_is_taken_off_once(farm: Farm) -> None:
    dfid = str((await made(farm, ("sisbov", SISBOV), ("lote", "1"))).item.dfid)
    twice = (IdentifierReference("lote", "1"), IdentifierReference("lote", " 1", "generic"))
    item = await farm.items.update(farm.ana, dfid, UpdateItem(remove_identifiers=twice), None)
    assert [one.key for one in item.identifiers] == ["sisbov"]
    (event,) = await farm.rows(EVENTS, event_type="updated")
    assert len(event.payload["removed"]) == 1


async def test_an_update_names_what_it_takes_off_in_order(farm: Farm) -> None:
    """Lists of system payloads are sorted (10.2)."""
    dfid = str((await made(farm, ("sisbov", SISBOV), ("lote", "1"), ("brinco", "7"))).item.dfid)
    gone = (IdentifierReference("lote", "1"), IdentifierReference("brinco", "7"))
    await farm.items.update(farm.ana, dfid, UpdateItem(remove_identifiers=gone), None)
    (event,) = await farm.rows(EVENTS, event_type="updated")
    assert [one["key"] for one in event.payload["removed"]] == ["brinco", "lote"]


async def test_an_item_is_listed_by_what_a_workspace_calls_it_whatever_the_scheme_looks_like(farm: Farm) -> None:
    named = Submission((IdentifierInput("lote", "1"),), aliases=(AliasInput("urn:erp", "7:b"),))
    dfid = (await farm.items.create(farm.ana, named)).item.dfid  # type: ignore[union-attr]
    for text, found in (("urn:erp:7:b", [dfid]), ("urn:erp", []), ("urn:erp:7", [])):
        assert [one.dfid for one in (await farm.items.page(farm.ana, ItemFilter(alias=text))).items] == found
    assert (await farm.items.page(farm.rui, ItemFilter(alias="urn:erp:7:b"))).items == ()


async def test_a_wrong_number_is_replaced_by_one_update(farm: Farm) -> None:
    """What is taken off contradicts nothing (6.4, rule 3)."""
    dfid = (await made(farm, ("sisbov", SISBOV))).item.dfid or ""
    wrong, right = (IdentifierReference("sisbov", SISBOV),), (IdentifierInput("sisbov", OTHER),)
    view = await farm.items.update(
        farm.ana, dfid, UpdateItem(remove_identifiers=wrong, add_identifiers=right), frozenset({1})
    )
    assert [one.value for one in view.identifiers] == [OTHER]
    assert [(claim.item, claim.lookup) for claim in await farm.rows(CLAIMS)] == [(dfid, OTHER)]


async def test_no_submission_gives_an_item_two_of_what_it_has_one_of(farm: Farm) -> None:
    """identifiers.md 3: at most one value of a single type per item."""
    numbers = (("sisbov", SISBOV), ("sisbov", OTHER))
    given = tuple(IdentifierInput(*one) for one in numbers)
    dfid = (await made(farm, ("lote", "1"))).item.dfid or ""
    draft = await farm.items.create_draft(farm.ana, CreateDraft(identifiers=given))
    for refused in (
        made(farm, *numbers),
        made(farm, ("lote", "1"), *numbers),
        farm.items.enrich(farm.ana, dfid, EnrichItem(given)),
        farm.items.update(farm.ana, dfid, UpdateItem(add_identifiers=given), None),
        farm.items.split(farm.ana, dfid, SplitItem(SplitMode.EXTRACT, (SplitPart(given),))),
        farm.items.promote(farm.ana, draft.local_id or ""),
    ):
        with pytest.raises(Refusal, match="identifier_contradiction"):
            await refused
    assert await farm.rows(CLAIMS) == []
    forced = await farm.items.update(farm.ana, dfid, UpdateItem(add_identifiers=given, force=True), None)
    assert len(forced.identifiers) == 3


async def test_true_is_another_value_than_one_and_one_is_what_one_point_nought_is(farm: Farm) -> None:
    item = (await made(farm, ("lote", "1"), ok=True, doses=[1, 0])).item
    for data, version in ((Document(ok=1), 2), (Document(ok=1.0), 2), (Document(doses=[True, 0]), 3)):
        view = await farm.items.update(farm.ana, item.dfid or "", UpdateItem(data=data), None)
        assert view.version == version
    assert (view.data["ok"] is True, view.data["doses"][0] is True) == (False, True)


async def test_an_update_that_says_nothing_is_refused(farm: Farm) -> None:
    dfid = (await made(farm, ("sisbov", SISBOV))).item.dfid or ""
    with pytest.raises(Invalid, match="required"):
        await farm.items.update(farm.ana, dfid, UpdateItem(reason="why not"), frozenset({1}))


async def test_29_of_two_updates_of_one_version_one_wins(farm: Farm) -> None:
    dfid = (await made(farm, ("sisbov", SISBOV))).item.dfid or ""
    updates = [farm.items.update(farm.ana, dfid, UpdateItem(data=Document(peso=n)), frozenset({1})) for n in range(2)]
    results = await asyncio.gather(*updates, return_exceptions=True)
    assert sorted(getattr(result, "code", "ok") for result in results) == ["ok", "version_mismatch"]


async def test_an_identifier_taken_off_frees_its_number_for_others(farm: Farm) -> None:
    dfid = (await made(farm, ("sisbov", SISBOV), ("lote", "1"))).item.dfid or ""
    gone = UpdateItem(remove_identifiers=(IdentifierReference("sisbov", "BR" + SISBOV),))
    view = await farm.items.update(farm.ana, dfid, gone, frozenset({1}))
    assert [identifier.key for identifier in view.identifiers] == ["lote"]
    theirs = await farm.items.create(farm.rui, submission(("sisbov", SISBOV)))
    assert isinstance(theirs, ItemOutcome) and theirs.outcome is Outcome.CREATED


async def test_40_a_conflict_repeated_ten_times_is_one_record(farm: Farm) -> None:
    await made(farm, ("sisbov", SISBOV))
    for _ in range(10):
        with pytest.raises(Refusal, match="identifier_claimed"):
            await farm.items.create(farm.rui, submission(("sisbov", SISBOV)))
    assert len(await farm.rows(PENDING)) == 1


async def test_58_a_label_selects_nothing_and_costs_nothing(farm: Farm) -> None:
    animals = tuple(submission(("brinco", f"B{n}"), ("safra", "2025")) for n in range(101))
    await farm.items.create_batch(farm.ana, CreateBatch(animals))
    assert (await made(farm, ("safra", "2025"))).outcome is Outcome.CREATED


async def test_36_faulty_elements_are_refused_by_index_and_atomic_stores_none(farm: Farm) -> None:
    elements = [submission(("sisbov", f"076{n:012d}")) for n in range(1, 301)]
    faulty = [3, 77, 200]
    for index in faulty:
        elements[index] = submission(("sisbov", "x"))
    with pytest.raises(Refusal, match="batch_refused"):
        await farm.items.create_batch(farm.ana, CreateBatch(tuple(elements), atomic=True))
    assert await farm.rows(ITEMS) == []
    outcome = await farm.items.create_batch(farm.ana, CreateBatch(tuple(elements)))
    assert outcome.counts["created"] == 297
    assert [result.index for result in outcome.results if result.outcome is Outcome.REFUSED] == faulty


async def test_elements_of_a_batch_see_earlier_ones_that_are_being_written(farm: Farm) -> None:
    """Also when the store has begun to write, as it does with all that nothing else in the batch is about."""
    elements = [submission(("sisbov", f"076{number % 1100:012d}"), peso=number) for number in range(1110)]
    outcome = await farm.items.create_batch(farm.ana, CreateBatch(tuple(elements)))
    assert (outcome.counts["created"], outcome.counts["enriched"]) == (1100, 10)
    results = outcome.results
    assert [one.dfid for one in results[1100:]] == [one.dfid for one in results[:10]]
    found = {one.key: one for one in await farm.rows(ITEMS)}
    assert [found[str(one.dfid)].data["peso"] for one in results[:12]] == [*range(1100, 1110), 10, 11]
    assert {one.version for one in found.values()} == {1}


async def test_elements_of_a_batch_see_earlier_ones(farm: Farm) -> None:
    elements = (
        submission(("sisbov", SISBOV)),
        submission(("sisbov", SISBOV), ("lote", "1")),
        submission(("sisbov", SISBOV), ("lote", "1")),
    )
    outcome = await farm.items.create_batch(farm.ana, CreateBatch(elements))
    assert [result.outcome for result in outcome.results] == ["created", "enriched", "unchanged"]
    assert len({result.dfid for result in outcome.results}) == 1
    [event_types] = [[event.event_type for event in await farm.rows(EVENTS)]]
    assert sorted(event_types) == ["created", "enriched"]

"""Drafts that are pushed, and values by whoever wrote them (items-events.md 15, scenarios by number)."""

import pytest

from application.circuits.requests import PushBatch, PushElement
from application.items.drafts import MergeDrafts
from application.items.requests import EnrichItem, UpdateDraft, UpdateItem
from application.items.sharing import ShareItem
from domain.document import Document
from domain.errors import Refusal
from domain.items.dfid import parse_dfid
from domain.ports.schema import ITEMS, MAPPINGS
from tests.application.circuits.world import World, lot, sisbov


async def test_scenario_1_three_items_and_a_pushed_draft_have_four_dfids_that_parse(world: World) -> None:
    ana = await world.user("ana")
    circuit_id = (await world.circuit(ana)).circuit_id
    dfids = [await world.item(ana) for _ in range(3)]
    dfids.append(str((await world.push_local(ana, circuit_id, await world.draft(ana, sisbov(1)))).dfid))
    assert len(set(dfids)) == 4
    assert [parse_dfid(dfid) for dfid in dfids] == dfids


async def test_scenario_20_the_owners_value_stands_before_a_members_which_its_circuit_alone_reads(world: World) -> None:
    ana, bia, caio, dora = [await world.user(name) for name in ("ana", "bia", "caio", "dora")]
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.join(ana, circuit_id, bia)
    await world.join(ana, circuit_id, caio, role="viewer")
    dfid = await world.item(ana, sisbov(1), peso_kg=400)
    await world.circuits.push(ana, circuit_id, dfid)
    await world.items.share(ana, dfid, ShareItem(str(dora.user_id)))
    await world.items.enrich(bia, dfid, EnrichItem(data=Document(peso_kg=999), circuit_id=circuit_id))
    for reader in (ana, bia, caio, dora):
        assert (await world.items.get(reader, dfid)).data == {"peso_kg": 400}
    await world.items.update(ana, dfid, UpdateItem(data=Document(peso_kg=None)), None)
    for reader in (bia, caio):
        assert (await world.items.get(reader, dfid)).data == {"peso_kg": 999}
    assert (await world.items.get(dora, dfid)).data == {}


async def test_scenario_32_a_pushed_draft_is_one_item_and_pushing_it_again_names_the_same(world: World) -> None:
    ana = await world.user("ana")
    circuit_id = (await world.circuit(ana)).circuit_id
    lid = await world.draft(ana, sisbov(1))
    pushed = await world.push_local(ana, circuit_id, lid)
    assert [row.dfid for row in await world.rows(ITEMS)] == [pushed.dfid]
    assert (await world.items.drafts(ana)).items == ()
    with pytest.raises(Refusal, match="not_found"):
        await world.items.draft(ana, lid)
    mapping = await world.items.mapping(ana, lid)
    assert (mapping.status, mapping.dfid, mapping.current_dfid) == ("tokenized", pushed.dfid, pushed.dfid)
    assert (await world.push_local(ana, circuit_id, lid)).dfid == pushed.dfid
    batch = await world.circuits.push_batch(ana, circuit_id, PushBatch((PushElement(local_id=lid),)))
    assert [one.dfid for one in batch.results] == [pushed.dfid]


async def test_scenario_33_merged_drafts_that_are_pushed_map_both_and_hold_both(world: World) -> None:
    ana = await world.user("ana")
    circuit_id = (await world.circuit(ana)).circuit_id
    first, second = await world.draft(ana, sisbov(1), peso=1), await world.draft(ana, lot("7"), cor="roxa")
    await world.items.merge_drafts(ana, MergeDrafts(first, (second,)))
    pushed = await world.push_local(ana, circuit_id, first)
    assert {(row.local_id, row.dfid) for row in await world.rows(MAPPINGS)} == {
        (first, pushed.dfid),
        (second, pushed.dfid),
    }
    item = await world.items.get(ana, str(pushed.dfid))
    assert (item.data, {each.key for each in item.identifiers}) == ({"peso": 1, "cor": "roxa"}, {"sisbov", "lote"})
    assert (await world.push_local(ana, circuit_id, second)).dfid == pushed.dfid


async def test_scenario_34_a_draft_that_awaits_approval_is_neither_edited_nor_deleted(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana, require_approval_for_push=True)).circuit_id
    await world.join(ana, circuit_id, bia)
    lid, other = await world.draft(bia, sisbov(1)), await world.draft(bia, sisbov(2))
    waiting = (await world.push_local(bia, circuit_id, lid)).operation
    for refused in (
        world.items.update_draft(bia, lid, UpdateDraft(data=Document(peso=2)), None),
        world.items.delete_draft(bia, lid),
        world.items.promote(bia, lid),
        world.items.merge_drafts(bia, MergeDrafts(other, (lid,))),
        world.items.merge_drafts(bia, MergeDrafts(lid, (other,))),
    ):
        with pytest.raises(Refusal, match="local_item_held"):
            await refused
    assert [row.dfid for row in await world.rows(ITEMS)] == [None, None]
    mapping = await world.items.mapping(bia, lid)
    assert (mapping.status, mapping.dfid, mapping.operation_id) == ("held", None, waiting and waiting.operation_id)

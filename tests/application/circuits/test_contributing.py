"""What members add to each other's items, and who sees it (items-events.md 3.4, 4.2, 4.3, 4.5, 5, 6.5)."""

from typing import Any

import pytest

from application.events.requests import AppendEvent
from application.items.drafts import MergeDrafts
from application.items.lineage import MergeItems, SplitItem, SplitPart
from application.items.requests import (
    EnrichItem,
    IdentifierReference,
    ItemAccess,
    ItemFilter,
    ItemSearch,
    UpdateItem,
)
from application.items.sharing import ShareItem
from application.items.transfers import OfferItem
from domain.access.principal import Principal
from domain.document import Document
from domain.errors import Refusal
from domain.identifiers import IdentifierKind
from domain.items.lineage import SplitMode
from domain.items.submission import IdentifierInput, Submission
from domain.items.transferring import TransferDecision
from domain.ports.schema import (
    ACTIVITY,
    AUDIT,
    CLAIMS,
    CONTRIBUTIONS,
    ENTRIES,
    MAPPINGS,
    NOTIFICATIONS,
)
from tests.application.circuits.world import World, lot, sisbov

CHIP = IdentifierInput("rfid", "982000123456789")


async def refused(code: str, call: Any) -> None:
    with pytest.raises(Refusal, match=code):
        await call


async def herd(world: World, circuits: int = 1) -> tuple[Principal, Principal, Principal, list[str], str]:
    """Return an owner, a member and a friend of the owner's, circuits with both in the first, and a placed item."""
    ana, bia, caio = await world.user("ana"), await world.user("bia"), await world.user("caio")
    made = [(await world.circuit(ana)).circuit_id for _ in range(circuits)]
    await world.join(ana, made[0], bia)
    dfid = await world.item(ana, sisbov(1), lot("7"))
    for circuit_id in made:
        await world.circuits.push(ana, circuit_id, dfid)
    return ana, bia, caio, made, dfid


async def keys_seen(world: World, who: Principal, dfid: str) -> set[str]:
    return {one.key for one in (await world.items.get(who, dfid)).identifiers}


async def added(world: World, who: Principal, dfid: str, circuit_id: str, *given: IdentifierInput, **data: Any) -> str:
    request = EnrichItem(given, Document(data), circuit_id=circuit_id)
    return (await world.items.enrich(who, dfid, request)).outcome.value


@pytest.mark.parametrize("update", [False, True])
async def test_a_number_that_the_owner_adds_is_the_owner_s_though_a_member_brought_it_before(
    world: World, update: bool
) -> None:
    ana, bia, caio, (circuit_id,), dfid = await herd(world)
    await world.items.share(ana, dfid, ShareItem(str(caio.user_id)))
    assert await added(world, bia, dfid, circuit_id, CHIP, lot("b", "brinco")) == "enriched"
    assert await keys_seen(world, caio, dfid) == {"sisbov", "lote"}
    if update:
        await world.items.update(ana, dfid, UpdateItem(add_identifiers=(CHIP, lot("b", "brinco"))), None)
    else:
        await world.items.enrich(ana, dfid, EnrichItem((CHIP, lot("b", "brinco"))))
    assert await keys_seen(world, caio, dfid) == {"sisbov", "lote", "rfid", "brinco"}
    assert {claim.key: claim.item for claim in await world.rows(CLAIMS)} == {"sisbov": dfid, "rfid": dfid}
    found = await world.items.create(ana, Submission((CHIP,), Document(peso=1)))
    assert found.item.dfid == dfid  # type: ignore[union-attr]
    by_tag = await world.items.create(ana, Submission((lot("b", "brinco"),), Document(peso=2)))
    assert by_tag.item.dfid == dfid  # type: ignore[union-attr]
    assert [entry.circuit_id for entry in await world.rows(ENTRIES, item=dfid)] == [None] * 4
    again = await world.items.enrich(ana, dfid, EnrichItem((CHIP,)))
    assert again.outcome == "unchanged"


async def test_an_owner_s_number_stands_on_the_item_it_was_added_to_whatever_was_absorbed(world: World) -> None:
    """A member brought it to an item that was absorbed since; when that comes out again it has the member's."""
    ana, bia, caio, (circuit_id,), inner = await herd(world)
    outer = await world.item(ana, lot("9"))
    await world.items.share(ana, outer, ShareItem(str(caio.user_id)))
    assert await added(world, bia, inner, circuit_id, CHIP) == "enriched"
    await world.items.merge(ana, outer, MergeItems(inner))
    assert await keys_seen(world, caio, outer) == {"sisbov", "lote"}
    await world.items.enrich(ana, outer, EnrichItem((CHIP,)))
    assert await keys_seen(world, caio, outer) == {"sisbov", "lote", "rfid"}
    await world.items.unmerge(ana, inner)
    assert await keys_seen(world, caio, outer) == {"lote", "rfid"}
    await refused("identifier_conflict", world.items.enrich(ana, inner, EnrichItem((CHIP,))))
    await world.items.update(
        ana, outer, UpdateItem(remove_identifiers=(IdentifierReference(CHIP.key, CHIP.value),)), None
    )
    await world.items.enrich(ana, inner, EnrichItem((CHIP,)))
    assert [claim.item for claim in await world.rows(CLAIMS) if claim.key == "rfid"] == [inner]


async def test_a_member_adds_no_other_number_of_a_kind_that_an_animal_has_once(world: World) -> None:
    _, bia, _, (circuit_id,), dfid = await herd(world)
    await refused("identifier_contradiction", added(world, bia, dfid, circuit_id, sisbov(2), peso=1))
    assert len(await world.rows(CONTRIBUTIONS)) == 1
    assert await added(world, bia, dfid, circuit_id, sisbov(1), peso=1) == "enriched"


async def test_what_stands_through_one_circuit_is_not_known_in_another(world: World) -> None:
    """Who adds the same through another circuit learns nothing, and the readers there see it."""
    ana, bia, caio, (here, there), dfid = await herd(world, 2)
    dora = await world.user("dora")
    await world.join(ana, there, caio, dora)
    assert await added(world, bia, dfid, here, CHIP, peso=1) == "enriched"
    assert await keys_seen(world, dora, dfid) == {"sisbov", "lote"}
    assert await added(world, caio, dfid, there, CHIP, peso=1) == "enriched"
    assert await added(world, caio, dfid, there, CHIP, peso=1) == "unchanged"
    assert await added(world, dora, dfid, there, CHIP) == "unchanged"
    for who in (ana, bia, caio, dora):
        shown = await world.items.get(who, dfid)
        assert ({one.key for one in shown.identifiers}, shown.data) == ({"sisbov", "lote", "rfid"}, {"peso": 1})
    (chip,) = [one for one in (await world.items.get(dora, dfid)).identifiers if one.key == "rfid"]
    (mine,) = [row for row in await world.rows(CONTRIBUTIONS) if row.circuit_id == there]
    assert chip.added_by == mine.contribution_id
    await world.items.update(ana, dfid, UpdateItem(add_identifiers=(CHIP,)), None)
    assert await keys_seen(world, dora, dfid) == {"sisbov", "lote", "rfid"}


async def found(world: World, who: Principal, given: IdentifierInput, **more: Any) -> list[str | None]:
    """Return what `who` finds by a number, by each way of looking for it, which must agree."""
    wanted = ItemSearch(access=ItemAccess.ALL, identifiers=(IdentifierReference(given.key, given.value),), **more)
    by_search = [one.dfid for one in (await world.items.page(who, wanted)).items]
    if given.key != "cpf" and not more:
        listed = await world.items.by_identifier(who, given.key, given.value)
        assert [one.dfid for one in listed.items] == by_search
    return by_search


async def test_a_number_is_found_by_everybody_who_sees_it_through_whichever_circuit_it_came(world: World) -> None:
    ana, bia, caio, (here, there), dfid = await herd(world, 2)
    dora, cpf = await world.user("dora"), IdentifierInput("cpf", "529.982.247-25")
    await world.join(ana, there, caio, dora)
    assert await added(world, bia, dfid, here, CHIP, cpf) == "enriched"
    assert [await found(world, who, CHIP) for who in (ana, bia, caio, dora)] == [[dfid], [dfid], [], []]
    assert await added(world, caio, dfid, there, CHIP, cpf) == "enriched"
    for who in (ana, bia, caio, dora):
        assert await found(world, who, CHIP) == [dfid]
        assert await found(world, who, CHIP, kind=IdentifierKind.CANONICAL, namespace="bovino") == [dfid]
    seen = {who.user_id: (await world.items.get(who, dfid)).identifiers for who in (ana, bia, caio, dora)}
    clear = {user for user, shown in seen.items() if any(one.key == "cpf" and not one.masked for one in shown)}
    assert clear == {ana.user_id, bia.user_id, caio.user_id}
    assert [await found(world, who, cpf) for who in (ana, bia, caio, dora)] == [[dfid], [dfid], [dfid], []]
    await world.join(ana, here, caio)  # What Bia brought is now the first that he sees, and he brought it too.
    [shown] = [one for one in (await world.items.get(caio, dfid)).identifiers if one.key == "cpf"]
    assert not shown.masked
    await world.circuits.withdraw(ana, there, dfid)
    assert [await found(world, who, CHIP) for who in (ana, bia, caio, dora)] == [[dfid], [dfid], [dfid], []]
    await world.items.update(
        ana, dfid, UpdateItem(remove_identifiers=(IdentifierReference(CHIP.key, CHIP.value),)), None
    )
    assert [await found(world, who, CHIP) for who in (ana, bia, caio)] == [[], [], []]


async def test_a_number_brought_anew_to_what_absorbed_its_item_is_found_on_both(world: World) -> None:
    """It came to the absorbed item through one circuit and to the absorbing one through another."""
    ana, bia, caio, (here, there), inner = await herd(world, 2)
    await world.join(ana, there, caio)
    outer = await world.item(ana, lot("9"))
    await world.circuits.push(ana, there, outer)
    assert await added(world, bia, inner, here, CHIP) == "enriched"
    await world.items.merge(ana, outer, MergeItems(inner))
    assert await found(world, ana, CHIP) == [outer]
    assert await found(world, caio, CHIP) == []
    assert await added(world, caio, outer, there, CHIP) == "enriched"
    assert await found(world, ana, CHIP) == [outer]
    assert await found(world, caio, CHIP) == [outer]
    await world.items.unmerge(ana, inner)
    assert sorted(map(str, await found(world, ana, CHIP))) == sorted((inner, outer))
    assert await found(world, caio, CHIP) == [outer]
    assert await found(world, bia, CHIP) == [inner]


async def test_a_value_said_again_after_another_one_elsewhere_counts(world: World) -> None:
    """The layer of a workspace goes over all circuits (4.2): what was said last is what readers of both see."""
    ana, bia, caio, (here, there), dfid = await herd(world, 2)
    await world.join(ana, there, bia, caio)
    await world.join(ana, here, caio)
    for circuit_id, weight in ((here, 1), (there, 2), (here, 1)):
        assert await added(world, bia, dfid, circuit_id, peso=weight) == "enriched"
        assert (await world.items.get(caio, dfid)).data == {"peso": weight}
    assert await added(world, bia, dfid, here, peso=1) == "unchanged"


async def test_parts_that_change_hands_are_named_to_those_only_who_see_them(world: World) -> None:
    ana, bia, caio, (circuit_id,), dfid = await herd(world)
    await world.items.share(ana, dfid, ShareItem(str(caio.user_id)))
    parts = (SplitPart((lot("7-a"),)), SplitPart((lot("7-b"),)))
    done = await world.items.split(ana, dfid, SplitItem(SplitMode.EXTRACT, parts))
    kept, sold = (str(part.dfid) for part in done.parts)
    offer = await world.transfers.offer(ana, sold, OfferItem(str(bia.workspace_id)))
    assert (await world.items.get(bia, sold)).lineage.split_from is None
    await world.transfers.decide(bia, offer.transfer_id, TransferDecision.ACCEPT)
    assert (await world.items.get(ana, dfid)).lineage.split_into == (kept,)
    assert (await world.items.get(caio, dfid)).lineage.split_into == ()
    assert (await world.items.get(bia, sold)).lineage.split_from == dfid  # It is placed in a circuit of Bia's.
    [listed] = (await world.items.page(bia, ItemFilter())).items
    assert listed.lineage.split_from == dfid
    changed = await world.items.enrich(bia, dfid, EnrichItem(data=Document(a=1), circuit_id=circuit_id))
    assert changed.item.lineage.split_into == (sold,)
    assert (await world.circuits.pull(bia, circuit_id, dfid)).item.lineage.split_into == (sold,)  # type: ignore[union-attr]
    await world.circuits.withdraw(ana, circuit_id, dfid)
    assert (await world.items.get(bia, sold)).lineage.split_from is None
    updated = await world.items.update(bia, sold, UpdateItem(Document(a=1)), None)
    assert updated.lineage.split_from is None


async def test_a_list_of_a_circuit_is_for_its_members(world: World) -> None:
    ana, bia, caio, (circuit_id,), dfid = await herd(world)
    await world.items.share(ana, dfid, ShareItem(str(caio.user_id)))
    for who in (ana, bia):
        found = await world.items.page(who, ItemFilter(circuit_id=circuit_id, access="all"))  # type: ignore[arg-type]
        assert [one.dfid for one in found.items] == [dfid]
    await refused("not_found", world.items.page(caio, ItemFilter(circuit_id=circuit_id)))
    await world.circuits.remove_member(ana, circuit_id, str(bia.user_id))
    await refused("not_found", world.items.page(bia, ItemFilter(circuit_id=circuit_id)))


async def test_whom_an_item_is_offered_to_sees_it_and_writes_nothing_on_it(world: World) -> None:
    ana, _, caio, _, dfid = await herd(world)
    await refused("not_found", world.events.append(caio, AppendEvent(dfid, "note")))
    await world.transfers.offer(ana, dfid, OfferItem(str(caio.workspace_id)))
    await refused("event_write_denied", world.events.append(caio, AppendEvent(dfid, "note")))


async def test_an_approver_sees_what_would_stand_there_and_not_of_which_drafts_it_was_made(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana, require_approval_for_push=True)).circuit_id
    await world.join(ana, circuit_id, bia)
    first, second = await world.draft(bia, sisbov(1), peso=1), await world.draft(bia, CHIP, cor="roxa")
    await world.items.merge_drafts(bia, MergeDrafts(first, (second,)))
    await world.push_local(bia, circuit_id, first)
    [waiting] = (await world.circuits.pending_operations(ana, circuit_id)).items
    assert waiting.preview is not None
    assert {one.key for one in waiting.preview.identifiers} == {"sisbov", "rfid"}
    assert waiting.preview.data == {"peso": 1, "cor": "roxa"}
    await world.circuits.approve_operation(ana, waiting.operation_id, circuit_id)
    await world.push_local(bia, (await world.circuit(bia)).circuit_id, await world.draft(bia, sisbov(2)))
    told = [row for facet in (AUDIT, ACTIVITY, NOTIFICATIONS) for row in await world.rows(facet) if row.circuit_id]
    for lid in (first, second, *(row.local_id for row in await world.rows(MAPPINGS))):
        assert lid not in repr((waiting, told))

"""What administrators do to identifiers (items-events.md 6.14, identifiers.md 6 and 10)."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from application.events import Events
from application.items.administration import (
    ConfirmIdentifier,
    DisputeFilter,
    ItemAdministration,
    TakeIdentifier,
)
from application.items.lineage import MergeItems
from domain.access.principal import Principal
from domain.audit.values import AuditEntry
from domain.errors import Invalid, Refusal
from domain.items.families import read_absorbed, read_contributions
from domain.items.fold import Family, refolded
from domain.ports.schema import AUDIT, CLAIMS, CONTRIBUTIONS, ENTRIES, EVENTS, FACETS, ITEMS, NOTIFICATIONS
from tests.application.items.conftest import Farm, submission
from tests.application.items.test_identity import OTHER, SISBOV, made
from tests.application.items.test_lineage import item_of
from tests.application.items.test_queue import parked

CPF = "529.982.247-25"
CONFIRMED = datetime(2026, 2, 1, tzinfo=UTC)


@pytest.fixture
def desk(farm: Farm) -> ItemAdministration:
    return ItemAdministration(farm.units, farm.keys)


@pytest.fixture
def admin(farm: Farm) -> Principal:
    return attrs.evolve(farm.rui, is_admin=True)


def taken(key: str, value: str) -> TakeIdentifier:
    return TakeIdentifier(key, value, reason="asked for")


async def valid(farm: Farm, dfid: str) -> int:
    """Demand that a chain stands and that rows are the fold; return how much of it was erased."""
    result = await Events(farm.units).verify(farm.ana, dfid)
    assert result.valid, result
    async with farm.storage.read() as reader:
        for item in (await reader.get_many(ITEMS, [row.key for row in await farm.rows(ITEMS)])).values():
            kin = await read_absorbed(reader, [item])
            family = Family(await read_contributions(reader, kin), {key: one.lineage for key, one in kin.items()})
            assert {one.identity for one in refolded(item, family).identifiers} == {
                one.identity for one in item.identifiers
            }
    return result.erased


async def audited(farm: Farm, action: str) -> list[AuditEntry]:
    return [entry for entry in await farm.rows(AUDIT) if entry.action == action]


async def test_11_a_confirmed_identifier_shows_who_confirmed_it_and_when(
    farm: Farm, desk: ItemAdministration, admin: Principal
) -> None:
    dfid = await item_of(farm, ("sisbov", SISBOV), ("lote", "1"))
    asked = ConfirmIdentifier("sisbov", SISBOV, source="SISBOV", confirmed_at=CONFIRMED)
    await desk.confirm(admin, dfid, asked)
    view = await farm.items.get(farm.ana, dfid)
    shown = {one.key: one for one in view.identifiers}["sisbov"]
    assert (shown.evidence, shown.evidence_source, shown.evidence_at) == ("registry_ok", "SISBOV", CONFIRMED)
    assert (view.confidence, view.version) == (1.0, 2)
    last = [event for event in await farm.rows(EVENTS) if event.event_type == "updated"]
    assert [dict(event.payload)["evidence"] for event in last] == ["registry_ok"]
    before = await farm.census()
    await desk.confirm(admin, dfid, asked)
    assert await farm.census() == before
    assert [entry.severity for entry in await audited(farm, "item.identifier_confirmed")] == ["notice"]
    assert await valid(farm, dfid) == 0
    assert (await made(farm, ("sisbov", SISBOV))).item.version == 2


async def test_what_cannot_be_confirmed_is_refused(farm: Farm, desk: ItemAdministration, admin: Principal) -> None:
    dfid = await item_of(farm, ("sisbov", SISBOV), ("lote", "1"))
    with pytest.raises(Refusal, match="identifier_absent"):
        await desk.confirm(admin, dfid, ConfirmIdentifier("sisbov", OTHER, source="s", confirmed_at=CONFIRMED))
    with pytest.raises(Refusal, match="not_found"):
        await desk.release(admin, "DFID-20250108-000042-94E", taken("sisbov", SISBOV))
    later = farm.clock.now() + timedelta(days=1)
    for key, at in (("lote", CONFIRMED), ("sisbov", later)):
        with pytest.raises(Invalid):
            await desk.confirm(admin, dfid, ConfirmIdentifier(key, "1", source="s", confirmed_at=at))
    with pytest.raises(Invalid):
        await desk.erase(admin, dfid, taken("sisbov", SISBOV))


async def test_a_released_identifier_is_free_for_others_and_its_holder_is_told(
    farm: Farm, desk: ItemAdministration, admin: Principal
) -> None:
    dfid = await item_of(farm, ("sisbov", SISBOV), ("lote", "1"))
    await desk.release(admin, dfid, taken("sisbov", SISBOV))
    assert [one.key for one in (await farm.items.get(farm.ana, dfid)).identifiers] == ["lote"]
    assert await farm.rows(CLAIMS) == []
    [told] = await farm.rows(NOTIFICATIONS)
    assert (told.type, told.user_id, told.actor_user_id) == ("identifier_released", farm.ana.user_id, None)
    assert told.data["display"] == "076 000000 000001"
    assert [entry.severity for entry in await audited(farm, "item.identifier_released")] == ["warning"]
    await farm.items.create(farm.rui, submission(("sisbov", SISBOV)))
    assert await valid(farm, dfid) == 0


async def test_an_absorbed_item_is_released_by_its_own_name_and_what_absorbed_it_follows(
    farm: Farm, desk: ItemAdministration, admin: Principal
) -> None:
    kept, gone = await item_of(farm, ("rfid", "982123456789012")), await item_of(farm, ("sisbov", SISBOV))
    await farm.items.merge(farm.ana, kept, MergeItems(gone))
    with pytest.raises(Refusal, match="identifier_on_merged_item"):
        await desk.release(admin, kept, taken("sisbov", SISBOV))
    await desk.release(admin, gone, taken("sisbov", SISBOV))
    assert [one.key for one in (await farm.items.get(farm.ana, kept)).identifiers] == ["rfid"]
    assert await valid(farm, gone) + await valid(farm, kept) == 0


@pytest.mark.parametrize("merged", [False, True], ids=["alone", "absorbed"])
async def test_an_erased_number_of_a_person_is_nowhere_and_the_chain_stands(
    farm: Farm, desk: ItemAdministration, admin: Principal, merged: bool
) -> None:
    dfid = await item_of(farm, ("sisbov", SISBOV), ("cpf", CPF))
    if merged:
        await farm.items.merge(farm.ana, await item_of(farm, ("rfid", "982123456789012")), MergeItems(dfid))
    lookup = farm.keys.lookup("cpf", "52998224725")
    assert lookup in repr([await farm.rows(facet) for facet in (CONTRIBUTIONS, ENTRIES, ITEMS)])
    await desk.erase(admin, dfid, taken("cpf", CPF))
    left = repr([await farm.rows(facet) for facet in FACETS])
    assert not [text for text in (lookup, CPF, "52998224725", "247-**") if text in left]
    seen = (await farm.items.contributions(farm.ana, dfid)).items
    shown = [one for made in seen for one in (*made.identifiers, *made.removed_identifiers) if one.key == "cpf"]
    assert {(one.value, one.normalised, one.display, one.masked) for one in shown} == {(None, None, "", True)}
    assert await valid(farm, dfid) == 1
    assert [entry.severity for entry in await audited(farm, "item.identifier_erased")] == ["warning"]
    with pytest.raises(Refusal, match="identifier_absent"):
        await desk.erase(admin, dfid, taken("cpf", CPF))


async def test_what_was_removed_before_is_erased_from_older_contributions(
    farm: Farm, desk: ItemAdministration, admin: Principal
) -> None:
    dfid = await item_of(farm, ("sisbov", SISBOV), ("cpf", CPF))
    await desk.release(admin, dfid, taken("cpf", CPF))
    version = (await farm.items.get(farm.ana, dfid)).version
    await desk.erase(admin, dfid, taken("cpf", CPF))
    assert (await farm.items.get(farm.ana, dfid)).version == version
    assert await valid(farm, dfid) == 2


async def test_disputes_name_both_sides_and_no_content(farm: Farm, desk: ItemAdministration) -> None:
    theirs = await item_of(farm, ("sisbov", SISBOV), segredo="canary")
    own = await farm.items.create(farm.rui, submission(("rfid", "982123456789012")))
    with pytest.raises(Refusal, match="identifier_claimed"):
        await farm.items.create(farm.rui, submission(("sisbov", SISBOV), ("rfid", "982123456789012"), nota="canary"))
    await parked_conflict_of_one_workspace(farm)
    [dispute] = (await desk.disputes(DisputeFilter())).items
    [named] = dispute.identifiers
    assert (dispute.workspace_id, named.dfid, named.workspace_id) == (
        farm.rui.workspace_id,
        theirs,
        farm.ana.workspace_id,
    )
    assert dispute.own_dfids == (own.item.dfid,)  # type: ignore[union-attr]
    assert "canary" not in repr(dispute)


async def parked_conflict_of_one_workspace(farm: Farm) -> None:
    await item_of(farm, ("sisbov", OTHER))
    await parked(farm, ("sisbov", SISBOV), ("sisbov", OTHER))

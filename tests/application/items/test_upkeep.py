"""Status and shares of items (items-events.md 6.11, 6.12), scenarios by number."""

import asyncio
from datetime import timedelta

import pytest

from application.items.sharing import ShareItem
from domain.access.vocabulary import ItemStatus
from domain.errors import Invalid, Refusal
from domain.ports.schema import EVENTS, ITEMS, NOTIFICATIONS, SHARES
from tests.application.items.conftest import Farm
from tests.application.items.test_identity import SISBOV, made


async def dfid_of(farm: Farm, *identifiers: tuple[str, ...]) -> str:
    dfid = (await made(farm, *(identifiers or (("sisbov", SISBOV),)))).item.dfid
    assert dfid is not None
    return dfid


async def test_31_what_is_out_of_use_takes_nothing_until_it_is_restored(farm: Farm) -> None:
    dfid = await dfid_of(farm)
    gone = await farm.items.deprecate(farm.ana, dfid, "died")
    assert (gone.status, gone.version) == (ItemStatus.DEPRECATED, 2)
    with pytest.raises(Refusal, match="item_not_active"):
        await made(farm, ("sisbov", SISBOV), peso_kg=1)
    back = await farm.items.restore(farm.ana, dfid)
    assert (back.status, back.version) == (ItemStatus.ACTIVE, 3)
    assert (await made(farm, ("sisbov", SISBOV), peso_kg=1)).item.dfid == dfid
    told = [dict(event.payload) for event in await farm.rows(EVENTS) if event.event_type == "status_changed"]
    assert told == [
        {"from": "active", "to": "deprecated", "reason": "died"},
        {"from": "deprecated", "to": "active"},
    ]


async def test_a_status_it_has_already_writes_nothing(farm: Farm) -> None:
    dfid = await dfid_of(farm)
    before = await farm.census()
    assert (await farm.items.restore(farm.ana, dfid)).version == 1
    assert await farm.census() == before


async def test_only_the_owner_changes_a_status_and_sees_the_version_it_names(farm: Farm) -> None:
    dfid = await dfid_of(farm)
    with pytest.raises(Refusal, match="not_found"):
        await farm.items.deprecate(farm.rui, dfid)
    await share_with_rui(farm, dfid)
    with pytest.raises(Refusal, match="not_owner"):
        await farm.items.deprecate(farm.rui, dfid)
    with pytest.raises(Refusal, match="version_mismatch"):
        await farm.items.deprecate(farm.ana, dfid, accepted=frozenset({2}))
    assert [item.status for item in await farm.rows(ITEMS)] == ["active"]


async def share_with_rui(farm: Farm, dfid: str, seconds: int | None = None) -> str:
    assert farm.rui.user_id is not None
    until = None if seconds is None else farm.clock.now() + timedelta(seconds=seconds)
    return (await farm.items.share(farm.ana, dfid, ShareItem(farm.rui.user_id, until))).share.share_id


async def test_55_a_share_opens_the_item_until_it_is_revoked_or_over(farm: Farm) -> None:
    dfid = await dfid_of(farm)
    share_id = await share_with_rui(farm, dfid)
    assert (await farm.items.get(farm.rui, dfid)).dfid == dfid
    assert [shared.item.dfid for shared in (await farm.items.shared_to(farm.rui, "me")).items] == [dfid]
    await farm.items.revoke(farm.ana, dfid, share_id)
    await farm.items.revoke(farm.ana, dfid, share_id)
    with pytest.raises(Refusal, match="not_found"):
        await farm.items.get(farm.rui, dfid)
    second = await share_with_rui(farm, dfid, seconds=60)
    assert second != share_id
    farm.clock.instant += timedelta(seconds=60)
    with pytest.raises(Refusal, match="not_found"):
        await farm.items.get(farm.rui, dfid)
    assert (await farm.items.shared_to(farm.rui, "me")).items == ()
    assert await share_with_rui(farm, dfid) not in {share_id, second}
    kinds = [note.type for note in await farm.rows(NOTIFICATIONS)]
    assert (kinds.count("item_shared"), kinds.count("share_revoked")) == (3, 1)


async def test_one_share_stands_per_recipient_and_takes_a_new_expiry(farm: Farm) -> None:
    dfid = await dfid_of(farm)
    first = await asyncio.gather(*(share_with_rui(farm, dfid) for _ in range(4)))
    assert len(set(first)) == 1
    assert await share_with_rui(farm, dfid, seconds=60) == first[0]
    [share] = await farm.rows(SHARES)
    assert (share.version, share.expires_at is not None) == (2, True)
    assert farm.rui.user_id is not None
    assert (await farm.items.shared_with(farm.ana, dfid, farm.rui.user_id)).share_id == first[0]
    assert [view.share_id for view in (await farm.items.shares(farm.ana, dfid)).items] == [first[0]]


async def test_shares_go_to_users_of_other_workspaces_and_into_the_future(farm: Farm) -> None:
    dfid = await dfid_of(farm)
    assert farm.ana.user_id is not None and farm.ana.workspace_id is not None
    with pytest.raises(Refusal, match="recipient_has_access"):
        await farm.items.share(farm.ana, dfid, ShareItem(farm.ana.user_id))
    with pytest.raises(Refusal, match="recipient_unknown"):
        await farm.items.share(farm.ana, dfid, ShareItem(farm.ana.workspace_id))
    with pytest.raises(Invalid, match="/expires_at"):
        await share_with_rui(farm, dfid, seconds=-1)
    assert await farm.rows(SHARES) == []


async def test_54_shares_of_others_are_absent(farm: Farm) -> None:
    dfid = await dfid_of(farm)
    share_id = await share_with_rui(farm, dfid)
    assert farm.ana.user_id is not None and farm.rui.user_id is not None
    with pytest.raises(Refusal, match="not_found"):
        await farm.items.shared_to(farm.rui, farm.ana.user_id)
    with pytest.raises(Refusal, match="not_found"):
        await farm.items.shared_with(farm.rui, dfid, farm.rui.user_id)
    for refused in (farm.items.shares(farm.rui, dfid), farm.items.revoke(farm.rui, dfid, share_id)):
        with pytest.raises(Refusal, match="not_owner"):
            await refused

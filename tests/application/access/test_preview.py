"""Preview as a member: this circuit's grounds only, and nothing that the asker does not see (circuits.md 2.7)."""

import pytest

from application.access import Access
from application.access.requests import Preview
from application.access.service import PREVIEWED
from application.access.views import Previewed
from application.circuits.requests import CreateRole
from application.items.sharing import ShareItem
from domain.access.decide import Action
from domain.access.permissions import Permission
from domain.access.principal import Principal
from domain.errors import Invalid, Refusal
from tests.application.circuits.world import World


async def preview(world: World, who: Principal, circuit_id: str, **of: str | None) -> Previewed:
    return await Access(world.circuits.units).preview(who, circuit_id, Preview(**of))


def allowed(found: Previewed) -> set[Action]:
    return {each.action for each in found.frame["actions"] if each.allowed}


async def test_a_member_is_previewed_with_role_permissions_actions_and_items(world: World) -> None:
    ana, bia, caio = [await world.user(name) for name in ("ana", "bia", "caio")]
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.join(ana, circuit_id, bia)
    await world.join(ana, circuit_id, caio, role="viewer")
    dfids = [await world.item(bia) for _ in range(3)]
    for dfid in dfids:
        await world.circuits.push(bia, circuit_id, dfid)
    await world.trail()
    found = await preview(world, ana, circuit_id, as_=caio.user_id)
    assert (await world.trail()).silent
    assert [each.dfid for each in found.items] == dfids[::-1]
    assert all(each.allowed and each.grounds[0]["ground"] == "circuit_member" for each in found.items)
    assert (found.frame["role"], found.frame["permissions"]) == ("viewer", frozenset({Permission.PULL}))
    assert Action.CIRCUIT_VIEW in allowed(found)
    assert not {Action.CIRCUIT_PUSH, Action.CIRCUIT_UPDATE, Action.PREVIEW_AS_MEMBER} & allowed(found)
    denied = {each.action: each.reason for each in found.frame["actions"] if not each.allowed}
    assert denied[Action.CIRCUIT_PUSH] == "permission_missing"
    assert {each.action for each in found.frame["actions"]} == set(PREVIEWED)


async def test_a_role_is_previewed_without_pulls_and_without_anybody(world: World) -> None:
    ana, caio = await world.user("ana"), await world.user("caio")
    circuit_id = (await world.circuit(ana, require_approval_for_pull=True)).circuit_id
    await world.join(ana, circuit_id, caio, role="viewer")
    dfid = await world.item(ana)
    await world.circuits.push(ana, circuit_id, dfid)
    pull = (await world.circuits.pull(caio, circuit_id, dfid)).operation
    await world.circuits.approve_operation(ana, pull.operation_id)
    (real,) = (await preview(world, ana, circuit_id, as_=caio.user_id)).items
    assert (real.allowed, real.grounds[0]["ground"]) == (True, "approved_pull")
    found = await preview(world, ana, circuit_id, role="viewer")
    (item,) = found.items
    assert (item.allowed, item.reason, found.frame["subject"].user_id) == (False, "pull_approval_required", None)
    assert Action.CIRCUIT_TRANSFER in allowed(await preview(world, ana, circuit_id, role="owner"))


async def test_neither_workspace_nor_shares_nor_other_circuits_of_the_subject_count(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id, other = [(await world.circuit(ana)).circuit_id for _ in range(2)]
    role = CreateRole("mudo", frozenset())
    await world.circuits.create_role(ana, circuit_id, role)
    await world.join(ana, circuit_id, bia, role="member")
    await world.join(ana, other, bia)
    own, shared = await world.item(bia), await world.item(ana)
    await world.circuits.push(bia, circuit_id, own)
    await world.circuits.push(ana, circuit_id, shared)
    await world.circuits.push(ana, other, shared)
    await world.items.share(ana, shared, ShareItem(str(bia.user_id)))
    found = await preview(world, ana, circuit_id, role="mudo")
    assert [each.allowed for each in found.items] == [False, False]
    found = await preview(world, ana, circuit_id, as_=bia.user_id)
    assert {each.dfid: [ground["ground"] for ground in each.grounds] for each in found.items} == {
        own: ["circuit_member"],
        shared: ["circuit_member"],
    }


async def test_the_asker_sees_no_placement_that_they_do_not_see_anyway(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.circuits.create_role(ana, circuit_id, CreateRole("chefe", frozenset({Permission.MANAGE_MEMBERS})))
    await world.join(ana, circuit_id, bia, role="chefe")
    await world.circuits.push(ana, circuit_id, await world.item(ana))
    assert (await preview(world, bia, circuit_id, role="viewer")).items == ()


async def test_who_may_not_preview_is_told_so_and_a_stranger_is_told_nothing(world: World) -> None:
    ana, bia, caio = [await world.user(name) for name in ("ana", "bia", "caio")]
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.join(ana, circuit_id, bia)
    for who, of, code in (
        (bia, {"role": "viewer"}, "permission_missing"),
        (caio, {"role": "viewer"}, "not_found"),
        (ana, {"as_": caio.user_id}, "not_found"),
        (ana, {"role": "nobody"}, "role_unknown"),
    ):
        with pytest.raises(Refusal) as refused:
            await preview(world, who, circuit_id, **of)
        assert refused.value.code == code
    for of in ({}, {"role": "viewer", "as_": bia.user_id}):
        with pytest.raises(Invalid):
            await preview(world, ana, circuit_id, **of)

"""Circuits, members, roles (circuits.md 8, scenarios 1 to 8)."""

from random import Random

import pytest

from application.circuits.requests import (
    AddMember,
    AliasRequest,
    ChangeRole,
    CircuitFilter,
    CreateRole,
    MemberFilter,
    PublicRequest,
    TransferCircuit,
    UpdateCircuit,
    UpdateRole,
)
from application.items.requests import ItemAccess, ItemFilter
from domain.access.permissions import Permission
from domain.access.principal import ANONYMOUS, Principal
from domain.access.vocabulary import CircuitStatus, OperationStatus, PageState
from domain.circuits import engine
from domain.errors import Invalid, Refusal
from domain.ports.schema import CIRCUITS, MEMBERSHIPS, OPERATIONS
from tests.application.circuits.world import World

DEACTIVATED, ACTIVE, ARCHIVED = CircuitStatus.INACTIVE, CircuitStatus.ACTIVE, CircuitStatus.ARCHIVED


async def test_scenario_1_a_public_circuit_is_made_in_one_call_and_its_owner_may_do_everything(world: World) -> None:
    ana = await world.user("ana")
    made = await world.circuit(ana, allow_public_visibility=True, alias_config=AliasRequest(("sisbov",)))
    assert made.my.role == "owner"
    assert set(made.my.permissions) == set(Permission)
    assert made.public_settings.page_state is PageState.OPEN
    assert made.public_since == made.created_at
    assert made.alias_config.use_fingerprint
    assert await world.circuits.get(ana, made.circuit_id) == made
    trail = await world.trail()
    assert (trail.audit, trail.activity, trail.told) == (["circuit.created"], ["circuit_created"], set())


async def test_without_agreed_keys_a_circuit_compares_no_fingerprints(world: World) -> None:
    made = await world.circuit(await world.user("ana"))
    assert not made.alias_config.use_fingerprint


async def test_what_is_filled_in_must_be_allowed(world: World) -> None:
    with pytest.raises(Invalid) as refused:
        await world.circuit(await world.user("ana"), alias_config=AliasRequest(allowed_namespaces=("bovino",)))
    assert [fault.code for fault in refused.value.faults] == ["namespace_not_allowed"]


async def test_scenario_2_fields_left_out_keep_their_values_and_old_versions_change_nothing(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    settings = PublicRequest(access_password="correct horse", tagline="Boi")
    made = await world.circuit(ana, public_settings=settings, description="All")
    await world.join(ana, made.circuit_id, bia)
    hashed = (await world.rows(CIRCUITS))[0].public_settings.password_hash
    await world.trail()
    change = UpdateCircuit(name="Outro", require_approval_for_push=True)
    changed = await world.circuits.update(ana, made.circuit_id, change, frozenset({1}))
    assert (changed.name, changed.description, changed.version) == ("Outro", "All", 2)
    stored = (await world.rows(CIRCUITS))[0].public_settings
    assert (stored.password_hash, stored.password_version) == (hashed, 1)
    assert changed.public_settings.has_password
    assert changed.public_settings.tagline == "Boi"
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.updated"], ["circuit_updated"])
    assert trail.told == {("circuit_updated", bia.user_id)}
    with pytest.raises(Refusal, match="version_mismatch") as refused:
        await world.circuits.update(ana, made.circuit_id, UpdateCircuit(name="X"), frozenset({1}))
    assert refused.value.members["current_version"] == 2
    same = await world.circuits.update(ana, made.circuit_id, UpdateCircuit(name="Outro"), frozenset({2}))
    assert same == changed
    assert (await world.trail()).silent


async def test_scenario_3_a_closed_circuit_refuses_changes_hides_items_and_cancels_what_waits(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    made = await world.circuit(ana, require_approval_for_push=True, allow_public_visibility=True)
    await world.join(ana, made.circuit_id, bia)
    placed, waiting = await world.item(ana), await world.item(bia)
    await world.circuits.push(ana, made.circuit_id, placed)
    pending = await world.circuits.push(bia, made.circuit_id, waiting)
    await world.trail()
    closed = await world.circuits.change_status(ana, made.circuit_id, DEACTIVATED, "rest")
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.deactivated"], ["circuit_status_changed"])
    assert (trail.told, trail.jobs) == ({("circuit_updated", bia.user_id)}, ["cancel_waiting"])
    assert closed.public_settings.page_state is PageState.CLOSED
    for gone in (
        world.items.get(bia, placed),
        world.pages.page(ANONYMOUS, made.circuit_id),
        world.pages.items(bia, made.circuit_id),
    ):
        with pytest.raises(Refusal, match="not_found"):
            await gone
    for refused in (
        world.circuits.update(ana, made.circuit_id, UpdateCircuit(name="X"), None),
        world.circuits.push(ana, made.circuit_id, placed),
        world.circuits.withdraw(ana, made.circuit_id, placed),
        world.circuits.publish(ana, made.circuit_id, placed, shown=True),
        world.circuits.leave(bia, made.circuit_id),
        world.circuits.approve_operation(ana, pending.operation.operation_id),  # type: ignore[union-attr]
        world.circuits.create_role(ana, made.circuit_id, CreateRole("r", frozenset())),
    ):
        with pytest.raises(Refusal, match="circuit_not_active") as closed_out:
            await refused
        assert closed_out.value.members["current_status"] == "inactive"
    await world.run_jobs()
    (operation,) = await world.rows(OPERATIONS, status=OperationStatus.CANCELLED)
    assert (operation.reason, operation.decided_by) == ("circuit_inactive", None)
    assert (await world.trail()).audit == ["circuit.operation_cancelled"]
    assert await world.circuits.change_status(ana, made.circuit_id, DEACTIVATED) == closed
    await world.circuits.change_status(ana, made.circuit_id, ACTIVE)
    assert (await world.items.get(bia, placed)).dfid == placed
    assert (await world.pages.page(ANONYMOUS, made.circuit_id)).shown.member_count == 2
    assert (await world.circuits.operation(bia, operation.operation_id)).status is OperationStatus.CANCELLED
    assert (await world.circuits.push(bia, made.circuit_id, waiting)).outcome == "pending"
    await world.circuits.change_status(ana, made.circuit_id, ARCHIVED)
    with pytest.raises(Refusal, match="circuit_not_active"):
        await world.circuits.change_status(ana, made.circuit_id, ACTIVE)
    assert (await world.circuits.get(bia, made.circuit_id)).status is ARCHIVED
    assert len((await world.circuits.members(bia, made.circuit_id, MemberFilter())).items) == 2


async def test_scenario_4_a_custom_role_replaces_the_base_role_while_it_is_carried(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.join(ana, circuit_id, bia)
    narrow = CreateRole("inspetor", frozenset({Permission.PULL, Permission.CERTIFY}))
    await world.circuits.create_role(ana, circuit_id, narrow)
    await world.trail()
    member = await world.circuits.change_role(ana, circuit_id, bia.user_id, ChangeRole("inspetor"), frozenset({1}))
    assert (member.role, member.base_role, member.custom_role) == ("inspetor", "member", "inspetor")
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.role_changed"], ["role_changed"])
    assert trail.told == {("role_changed", bia.user_id)}
    own = await world.item(bia)
    await world.trail()
    with pytest.raises(Refusal, match="permission_missing"):
        await world.circuits.push(bia, circuit_id, own)
    wider = UpdateRole(permissions=frozenset({Permission.PULL, Permission.PUSH}))
    view = await world.circuits.update_role(ana, circuit_id, "inspetor", wider, frozenset({1}))
    assert (view.version, view.member_count) == (2, 1)
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.role_updated"], ["circuit_updated"])
    assert trail.told == {("role_changed", bia.user_id)}
    assert (await world.circuits.push(bia, circuit_id, own)).outcome == "placed"
    with pytest.raises(Refusal, match="role_in_use") as refused:
        await world.circuits.delete_role(ana, circuit_id, "inspetor")
    assert refused.value.members["member_count"] == 1
    back = await world.circuits.change_role(ana, circuit_id, bia.user_id, ChangeRole(None), None)
    assert (back.role, back.custom_role, back.permissions) == ("member", None, ("pull", "push"))
    await world.circuits.delete_role(ana, circuit_id, "inspetor")
    names = [role.name for role in (await world.circuits.roles(bia, circuit_id)).items]
    assert names == ["owner", "admin", "member", "viewer"]
    with pytest.raises(Refusal, match="role_fixed"):
        await world.circuits.delete_role(ana, circuit_id, "viewer")


async def test_scenario_5_an_owner_goes_only_after_handing_the_circuit_on(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.join(ana, circuit_id, bia, role="admin")
    with pytest.raises(Refusal, match="owner_cannot_leave"):
        await world.circuits.leave(ana, circuit_id)
    with pytest.raises(Refusal, match="owner_cannot_leave"):
        await world.circuits.remove_member(bia, circuit_id, str(ana.user_id))
    with pytest.raises(Refusal, match="owner_role_fixed"):
        await world.circuits.change_role(bia, circuit_id, str(ana.user_id), ChangeRole("viewer"), None)
    await world.trail()
    handed = await world.circuits.transfer(ana, circuit_id, TransferCircuit(str(bia.user_id)))
    assert (handed.owner_id, handed.my.role) == (bia.user_id, "admin")
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.ownership_transferred"], ["ownership_transferred"])
    assert trail.told == {("ownership_transferred", bia.user_id)}
    await world.circuits.leave(ana, circuit_id)
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.member_left"], ["member_left"])
    assert (trail.told, trail.jobs) == ({("member_left", bia.user_id)}, ["cancel_waiting"])
    owners = await world.rows(MEMBERSHIPS, circuit_id=circuit_id, status="active")
    assert [(row.user_id, row.base_role) for row in owners] == [(bia.user_id, "owner")]


async def test_nobody_comes_to_own_more_circuits_than_they_may_make(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MAX_OWNED", 1)
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id, other = (await world.circuit(ana)).circuit_id, (await world.circuit(bia)).circuit_id
    await world.join(ana, circuit_id, bia)
    for refused in (
        world.circuit(ana),
        world.circuits.transfer(ana, circuit_id, TransferCircuit(str(bia.user_id))),
    ):
        with pytest.raises(Refusal, match="quota_reached"):
            await refused
    await world.circuits.change_status(bia, other, ARCHIVED)
    handed = await world.circuits.transfer(ana, circuit_id, TransferCircuit(str(bia.user_id)))
    assert handed.owner_id == bia.user_id


async def test_scenario_6_nobody_gives_more_than_they_hold(world: World) -> None:
    ana, bia, caio = await world.user("ana"), await world.user("bia"), await world.user("caio")
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.join(ana, circuit_id, bia, role="admin")
    everything = CreateRole("tudo", frozenset(Permission))
    for refused in (
        world.circuits.add_member(bia, circuit_id, AddMember("owner", member_id=caio.user_id)),
        world.circuits.create_role(bia, circuit_id, everything),
        world.circuits.add_member(ana, circuit_id, AddMember("owner", member_id=caio.user_id)),
        world.circuits.change_role(bia, circuit_id, str(bia.user_id), ChangeRole("owner"), None),
    ):
        with pytest.raises(Refusal, match="role_not_grantable"):
            await refused
    await world.circuits.create_role(ana, circuit_id, everything)
    for refused in (
        world.circuits.add_member(bia, circuit_id, AddMember("tudo", member_id=caio.user_id)),
        world.circuits.change_role(bia, circuit_id, str(bia.user_id), ChangeRole("tudo"), None),
    ):
        with pytest.raises(Refusal, match="role_not_grantable"):
            await refused
    with pytest.raises(Refusal, match="role_unknown"):
        await world.circuits.add_member(bia, circuit_id, AddMember("nenhum", member_id=caio.user_id))


async def test_scenario_7_managers_of_members_and_roles_cannot_reach_what_none_of_them_holds(world: World) -> None:
    ana, bia, caio = await world.user("ana"), await world.user("bia"), await world.user("caio")
    circuit_id = (await world.circuit(ana)).circuit_id
    manages = frozenset({Permission.MANAGE_MEMBERS, Permission.MANAGE_ROLES, Permission.PULL})
    await world.circuits.create_role(ana, circuit_id, CreateRole("gente", manages))
    await world.join(ana, circuit_id, bia, caio, role="gente")
    wider = UpdateRole(permissions=manages | {Permission.APPROVE})
    for refused in (
        world.circuits.update_role(bia, circuit_id, "gente", wider, None),
        world.circuits.change_role(bia, circuit_id, str(bia.user_id), ChangeRole("admin"), None),
        world.circuits.change_role(bia, circuit_id, str(caio.user_id), ChangeRole("admin"), None),
        world.circuits.create_role(bia, circuit_id, CreateRole("alto", frozenset({Permission.APPROVE}))),
    ):
        with pytest.raises(Refusal, match="role_not_grantable"):
            await refused
    await world.circuits.change_role(bia, circuit_id, str(bia.user_id), ChangeRole("viewer"), None)


async def thought_of(
    world: World, who: Principal, circuit_id: str, whom: str, name: str | None, chance: Random
) -> None:
    """Do something with roles as somebody, by chance."""
    circuits = world.circuits
    permissions = frozenset(chance.sample(sorted(Permission), chance.randint(1, 2)))
    match chance.randrange(5):
        case 0:
            await circuits.create_role(who, circuit_id, CreateRole(f"r{chance.randrange(4)}", permissions))
        case 1:
            await circuits.update_role(who, circuit_id, str(name), UpdateRole(permissions=permissions), None)
        case 2:
            await circuits.change_role(who, circuit_id, whom, ChangeRole(name), None)
        case 3:
            await circuits.add_member(who, circuit_id, AddMember(str(name), member_id=whom))
        case _:
            await circuits.delete_role(who, circuit_id, str(name))


@pytest.mark.parametrize("seed", range(3))
async def test_scenario_7_no_sequence_of_their_calls_ends_with_it(world: World, seed: int) -> None:
    """Members with every other permission act by chance; what they take from themselves they get back."""
    chance = Random(seed)
    ana, *helpers, caio = [await world.user(name) for name in ("ana", "bia", "dora", "caio")]
    circuit_id = (await world.circuit(ana)).circuit_id
    held = frozenset(Permission) - {Permission.APPROVE, Permission.DELETE}
    await world.circuits.create_role(ana, circuit_id, CreateRole("gente", held))
    await world.join(ana, circuit_id, *helpers, role="gente")
    names = ["gente", "admin", "member", "viewer", "owner", None, *(f"r{number}" for number in range(4))]
    people = [ana, *helpers, caio]

    done = 0
    for _ in range(80):
        await world.circuits.update_role(ana, circuit_id, "gente", UpdateRole(permissions=held), None)
        for helper in helpers:
            await world.circuits.change_role(ana, circuit_id, str(helper.user_id), ChangeRole("gente"), None)
        whom, name = str(chance.choice(people).user_id), chance.choice(names)
        try:
            await thought_of(world, chance.choice(helpers), circuit_id, whom, name, chance)
            done += 1
        except Refusal:
            continue
        for row in await world.rows(MEMBERSHIPS, circuit_id=circuit_id, status="active"):
            assert row.user_id == ana.user_id or not row.permissions & {Permission.APPROVE, Permission.DELETE}
    assert done >= 8


async def test_a_member_who_holds_more_cannot_be_touched_and_a_known_name_is_enough_to_add(world: World) -> None:
    ana, bia, caio = await world.user("ana"), await world.user("bia"), await world.user("caio")
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.circuits.create_role(ana, circuit_id, CreateRole("rh", frozenset({Permission.MANAGE_MEMBERS})))
    await world.join(ana, circuit_id, bia, role="rh")
    await world.trail()
    added = await world.circuits.add_member(ana, circuit_id, AddMember("member", username="Caio"))
    assert (added.username, added.added_by, added.joined_via) == ("caio", ana.user_id, "added")
    assert added.workspace is not None
    assert added.workspace.name == "farm of caio"
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.member_added"], ["member_added"])
    assert trail.told == {("member_added", caio.user_id)}
    with pytest.raises(Refusal, match="target_outranks"):
        await world.circuits.remove_member(bia, circuit_id, str(caio.user_id))
    with pytest.raises(Refusal, match="already_member"):
        await world.circuits.add_member(ana, circuit_id, AddMember("viewer", member_id=caio.user_id))
    with pytest.raises(Refusal, match="member_unknown"):
        await world.circuits.add_member(ana, circuit_id, AddMember("viewer", username="ninguem"))


async def test_scenario_8_a_removed_member_loses_everything_at_the_next_request(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana, require_approval_for_push=True)).circuit_id
    await world.join(ana, circuit_id, bia)
    placed, own = await world.item(ana), await world.item(bia)
    await world.circuits.push(ana, circuit_id, placed)
    waiting = (await world.circuits.push(bia, circuit_id, own)).operation
    assert waiting is not None
    await world.trail()
    await world.circuits.remove_member(ana, circuit_id, str(bia.user_id), frozenset({1}))
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.member_removed"], ["member_removed"])
    assert (trail.told, trail.jobs) == ({("member_removed", bia.user_id)}, ["cancel_waiting"])
    for lost in (
        world.items.get(bia, placed),
        world.circuits.get(bia, circuit_id),
        world.circuits.push(bia, circuit_id, own),
        world.circuits.pull(bia, circuit_id, placed),
    ):
        with pytest.raises(Refusal, match="not_found"):
            await lost
    everywhere = ItemFilter(access=ItemAccess.ALL)
    assert [item.dfid for item in (await world.items.page(bia, everywhere)).items] == [own]
    assert (await world.circuits.page(bia, CircuitFilter())).items == ()
    await world.run_jobs()
    assert (await world.circuits.operation(bia, waiting.operation_id)).status is OperationStatus.CANCELLED

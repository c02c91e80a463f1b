"""Joining (circuits.md 8, scenarios 9 to 14), public settings and lists."""

from datetime import timedelta

import pytest

from application.circuits.requests import (
    AddMember,
    ApproveJoin,
    AskToJoin,
    AutoRole,
    ChangeRole,
    CircuitFilter,
    CircuitSort,
    CreateRole,
    JoinPage,
    MemberFilter,
    PlacementFilter,
    PublicRequest,
    UpdateCircuit,
)
from domain.access.permissions import Permission
from domain.access.principal import Principal
from domain.access.vocabulary import CircuitStatus, JoinRequestStatus, PageState, PublicAccessMode
from domain.circuits.values import JoinRequest
from domain.errors import Refusal
from domain.ids import new_id
from domain.ports.schema import JOIN_REQUESTS, MEMBERSHIPS
from tests.application.circuits.world import World

ASK = AskToJoin("let me in")
DAY = timedelta(hours=24)


async def open_circuit(world: World, **settings: object) -> tuple[Principal, Principal, str]:
    ana, bia = await world.user("ana"), await world.user("bia")
    made = await world.circuit(ana, allow_public_visibility=True, public_settings=PublicRequest(**settings))
    await world.trail()
    return ana, bia, made.circuit_id


async def test_scenario_9_a_private_circuit_does_not_exist_for_a_stranger(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    private = (await world.circuit(ana)).circuit_id
    answers = []
    for circuit_id in (private, "00000000-0000-7000-8000-000000000000"):
        for asked in (
            world.circuits.ask_to_join(bia, circuit_id, ASK),
            world.circuits.get(bia, circuit_id),
            world.circuits.members(bia, circuit_id, MemberFilter()),
            world.circuits.placements(bia, circuit_id, PlacementFilter()),
            world.circuits.stats(bia, circuit_id),
            world.circuits.join_requests(bia, circuit_id),
        ):
            with pytest.raises(Refusal) as refused:
                await asked
            answers.append((refused.value.code, refused.value.detail, dict(refused.value.members)))
    assert set(map(repr, answers)) == {repr(answers[0])}
    assert answers[0][0] == "not_found"


async def test_scenario_10_asking_at_an_open_page_tells_managers_and_nothing_of_the_circuit(world: World) -> None:
    ana, bia, circuit_id = await open_circuit(world)
    answer = await world.circuits.ask_to_join(bia, circuit_id, ASK)
    assert (answer.requires_approval, answer.membership) == (True, None)
    assert answer.request.status is JoinRequestStatus.PENDING
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.join_requested"], ["join_requested"])
    assert trail.told == {("join_request_received", ana.user_id)}
    with pytest.raises(Refusal, match="request_pending"):
        await world.circuits.ask_to_join(bia, circuit_id, ASK)
    with pytest.raises(Refusal, match="not_a_member"):
        await world.circuits.get(bia, circuit_id)
    assert (await world.circuits.join_requests(bia, circuit_id)).items == (answer.request,)
    assert (await world.circuits.my_join_requests(bia)).items == (answer.request,)
    assert (await world.circuits.join_request(ana, circuit_id, answer.request.request_id)).message == "let me in"
    await world.circuits.cancel_join(bia, circuit_id, answer.request.request_id)
    assert (await world.trail()).audit == ["circuit.join_cancelled"]
    with pytest.raises(Refusal, match="request_decided"):
        await world.circuits.approve_join(ana, circuit_id, answer.request.request_id, ApproveJoin())


async def test_scenario_11_after_a_rejection_one_waits_a_day(world: World) -> None:
    ana, bia, circuit_id = await open_circuit(world)
    asked = await world.circuits.ask_to_join(bia, circuit_id, ASK)
    await world.trail()
    rejected = await world.circuits.reject_join(ana, circuit_id, asked.request.request_id, "full")
    assert (rejected.status, rejected.reason, rejected.decided_by) == ("rejected", "full", ana.user_id)
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.join_rejected"], ["join_rejected"])
    assert trail.told == {("join_request_rejected", bia.user_id)}
    with pytest.raises(Refusal, match="join_cool_down") as early:
        await world.circuits.ask_to_join(bia, circuit_id, ASK)
    assert 0 < early.value.members["retry_after_seconds"] <= DAY.total_seconds()
    assert early.value.members["retry_at"].startswith("2026-03-02T12:00")
    world.clock.pass_by(DAY)
    assert (await world.circuits.ask_to_join(bia, circuit_id, ASK)).requires_approval


async def test_scenario_12_adding_somebody_who_asked_approves_the_request(world: World) -> None:
    ana, bia, circuit_id = await open_circuit(world)
    await world.circuits.ask_to_join(bia, circuit_id, ASK)
    await world.circuits.add_member(ana, circuit_id, AddMember("viewer", member_id=bia.user_id))
    (request,) = await world.rows(JOIN_REQUESTS)
    assert (request.status, request.decided_by, request.role) == ("approved", ana.user_id, "viewer")
    assert len(await world.rows(MEMBERSHIPS, user_id=bia.user_id)) == 1
    with pytest.raises(Refusal, match="already_member"):
        await world.circuits.ask_to_join(bia, circuit_id, ASK)


async def test_scenario_13_auto_approval_lets_in_at_once_but_never_who_was_removed(world: World) -> None:
    ana, bia, circuit_id = await open_circuit(world, auto_approve_members=True)
    answer = await world.circuits.ask_to_join(bia, circuit_id, ASK)
    assert answer.membership is not None
    assert (answer.requires_approval, answer.membership.role) == (False, "member")
    assert (answer.request.status, answer.request.decided_by) == ("approved", None)
    trail = await world.trail()
    assert (trail.audit, trail.activity, trail.told) == (["circuit.member_joined"], ["member_joined"], set())
    await world.circuits.leave(bia, circuit_id)
    viewers = PublicRequest(auto_approve_role=AutoRole.VIEWER)
    await world.circuits.change_public_settings(ana, circuit_id, viewers, None)
    again = await world.circuits.ask_to_join(bia, circuit_id, JoinPage())
    assert (again.requires_approval, again.membership and again.membership.role) == (False, "viewer")
    await world.circuits.remove_member(ana, circuit_id, str(bia.user_id))
    with pytest.raises(Refusal, match="join_cool_down"):
        await world.circuits.ask_to_join(bia, circuit_id, ASK)
    world.clock.pass_by(DAY)
    assert (await world.circuits.ask_to_join(bia, circuit_id, ASK)).requires_approval
    await world.circuits.add_member(ana, circuit_id, AddMember("member", member_id=bia.user_id))
    await world.circuits.leave(bia, circuit_id)
    assert (await world.circuits.ask_to_join(bia, circuit_id, ASK)).requires_approval


async def test_scenario_14_a_request_is_approved_within_ones_own_permissions(world: World) -> None:
    ana, bia, circuit_id = await open_circuit(world)
    caio = await world.user("caio")
    rights = frozenset({Permission.MANAGE_MEMBERS, Permission.PULL})
    await world.circuits.create_role(ana, circuit_id, CreateRole("porteiro", rights))
    await world.join(ana, circuit_id, caio, role="porteiro")
    request_id = (await world.circuits.ask_to_join(bia, circuit_id, ASK)).request.request_id
    with pytest.raises(Refusal, match="role_not_grantable"):
        await world.circuits.approve_join(caio, circuit_id, request_id, ApproveJoin("member"))
    await world.trail()
    approved = await world.circuits.approve_join(caio, circuit_id, request_id, ApproveJoin())
    assert (approved.status, approved.role) == ("approved", "viewer")
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.join_approved"], ["join_approved"])
    assert trail.told == {("join_request_approved", bia.user_id)}
    assert (await world.circuits.get(bia, circuit_id)).my.permissions == ("pull",)


@pytest.mark.tampers
async def test_a_request_left_by_somebody_who_is_a_member_takes_no_role_away(world: World) -> None:
    ana, bia, circuit_id = await open_circuit(world)
    await world.join(ana, circuit_id, bia, role="admin")
    left = JoinRequest(new_id(), circuit_id, str(bia.user_id), world.clock.now())
    async with world.storage.write() as unit:
        await unit.add(JOIN_REQUESTS, left)
    with pytest.raises(Refusal, match="already_member"):
        await world.circuits.approve_join(ana, circuit_id, left.request_id, ApproveJoin())
    assert (await world.circuits.get(bia, circuit_id)).my.role == "admin"
    assert (await world.circuits.reject_join(ana, circuit_id, left.request_id)).status == "rejected"


async def test_a_protected_page_is_joined_with_its_password_only(world: World) -> None:
    ana, bia, circuit_id = await open_circuit(
        world, access_mode=PublicAccessMode.PROTECTED, access_password="porteira aberta"
    )
    with pytest.raises(Refusal, match="already_member"):
        await world.circuits.ask_to_join(ana, circuit_id, JoinPage(access_password="errada errada"))
    with pytest.raises(Refusal, match="not_found"):
        await world.circuits.ask_to_join(bia, circuit_id, ASK)
    with pytest.raises(Refusal, match="page_password_wrong"):
        await world.circuits.ask_to_join(bia, circuit_id, JoinPage(access_password="errada errada"))
    right = JoinPage(access_password="porteira aberta")
    assert (await world.circuits.ask_to_join(bia, circuit_id, right)).requires_approval
    for _ in range(10):
        with pytest.raises(Refusal, match="page_password_wrong"):
            await world.circuits.ask_to_join(bia, circuit_id, JoinPage(access_password="errada errada"))
    with pytest.raises(Refusal, match="rate_limited"):
        await world.circuits.ask_to_join(bia, circuit_id, right)


async def test_public_settings_keep_what_is_left_out_and_open_nothing(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.join(ana, circuit_id, bia)
    await world.trail()
    with pytest.raises(Refusal, match="password_required"):
        protected = PublicRequest(access_mode=PublicAccessMode.PROTECTED)
        await world.circuits.change_public_settings(ana, circuit_id, protected, None)
    with pytest.raises(Refusal, match="scheduled_date_required"):
        scheduled = PublicRequest(access_mode=PublicAccessMode.SCHEDULED)
        await world.circuits.change_public_settings(ana, circuit_id, scheduled, None)
    first = PublicRequest(access_mode=PublicAccessMode.PROTECTED, access_password="porteira aberta", tagline="Boi")
    answer = await world.circuits.change_public_settings(ana, circuit_id, first, frozenset({1}))
    assert (answer.settings.page_state, answer.settings.has_password, answer.version) == (PageState.CLOSED, True, 2)
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.public_settings_updated"], ["circuit_updated"])
    await world.circuits.update(ana, circuit_id, UpdateCircuit(allow_public_visibility=True), None)
    second = PublicRequest(footer_text="MS")
    answer = await world.circuits.change_public_settings(ana, circuit_id, second, None)
    assert (answer.settings.tagline, answer.settings.has_password) == ("Boi", True)
    assert answer.settings.page_state is PageState.PROTECTED
    with pytest.raises(Refusal, match="permission_missing"):
        await world.circuits.public_settings(bia, circuit_id)
    assert "argon2" not in repr(answer)


async def test_auto_approval_needs_the_right_to_invite_and_the_role_to_be_given(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana)).circuit_id
    rights = frozenset({Permission.MANAGE_SETTINGS, Permission.PULL})
    await world.circuits.create_role(ana, circuit_id, CreateRole("zelador", rights))
    await world.join(ana, circuit_id, bia, role="zelador")
    on = PublicRequest(auto_approve_members=True, auto_approve_role=AutoRole.VIEWER)
    with pytest.raises(Refusal, match="permission_missing"):
        await world.circuits.change_public_settings(bia, circuit_id, on, None)
    await world.circuits.change_public_settings(ana, circuit_id, on, None)
    wider = PublicRequest(auto_approve_role=AutoRole.MEMBER)
    for accepted in (None, frozenset({99})):  # The right comes before the version.
        with pytest.raises(Refusal, match="permission_missing"):
            await world.circuits.change_public_settings(bia, circuit_id, wider, accepted)
    with pytest.raises(Refusal, match="version_mismatch"):
        await world.circuits.change_public_settings(ana, circuit_id, wider, frozenset({99}))
    await world.circuits.change_public_settings(bia, circuit_id, PublicRequest(tagline="ok"), None)


async def test_lists_show_ones_own_and_page_through_without_loss(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    names = ["c", "a", "b", "d"]
    made = [await world.circuit(ana, name=name) for name in names]
    await world.circuits.change_status(ana, made[3].circuit_id, CircuitStatus.ARCHIVED)
    first = await world.circuits.page(ana, CircuitFilter(), None, 2)
    rest = await world.circuits.page(ana, CircuitFilter(), first.after, 2)
    assert [view.name for view in (*first.items, *rest.items)] == ["b", "a", "c"]
    assert rest.after is None
    by_name = CircuitFilter(sort=CircuitSort.NAME)
    first = await world.circuits.page(ana, by_name, None, 2)
    rest = await world.circuits.page(ana, by_name, first.after, 2)
    assert [view.name for view in (*first.items, *rest.items)] == ["a", "b", "c"]
    assert (await world.circuits.page(bia, CircuitFilter())).items == ()
    circuit_id = made[0].circuit_id
    others = [await world.user(name) for name in ("carla", "carlos", "dora")]
    await world.join(ana, circuit_id, *others)
    await world.circuits.change_role(ana, circuit_id, str(others[0].user_id), ChangeRole("viewer"), None)
    found = await world.circuits.members(ana, circuit_id, MemberFilter(q="Carl"))
    assert [view.username for view in found.items] == ["carla", "carlos"]
    page = await world.circuits.members(ana, circuit_id, MemberFilter(role="member"), None, 1)
    assert [view.username for view in page.items] == ["carlos"]
    page = await world.circuits.members(ana, circuit_id, MemberFilter(role="member"), page.after, 1)
    assert ([view.username for view in page.items], page.after) == (["dora"], None)
    stats = await world.circuits.stats(ana, circuit_id)
    assert (stats.members, stats.items, stats.pending_operations, stats.pending_requests) == (4, 0, 0, 0)
    assert (await world.circuits.stats(others[0], circuit_id)).pending_operations is None

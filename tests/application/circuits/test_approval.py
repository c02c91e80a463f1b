"""Approval, pulls, withdrawal and publication (circuits.md 8, scenarios 25 to 33)."""

from datetime import timedelta

import pytest

from application.circuits.requests import (
    AliasRequest,
    ChangeRole,
    Decision,
    Decisions,
    Include,
    OperationFilter,
    PlacementFilter,
    Publications,
    PushBatch,
    PushElement,
    UpdateCircuit,
)
from application.circuits.views import OperationView, PlacementWithItem
from application.items.requests import UpdateDraft
from domain.access.principal import Principal, WorkspaceRole
from domain.access.vocabulary import CircuitStatus, OperationStatus
from domain.circuits import pushing
from domain.document import Document
from domain.errors import Refusal
from domain.items.submission import IdentifierInput
from domain.ports.schema import CLAIMS, EVENTS, ITEMS, MAPPINGS, OPERATIONS, PENDING, PLACEMENTS
from tests.application.circuits.world import World, sisbov


async def circle(world: World, **settings: object) -> tuple[Principal, Principal, str]:
    """Return the owner and a member of a circuit that approves pushes."""
    ana, bia = await world.user("ana"), await world.user("bia")
    made = await world.circuit(ana, **{"require_approval_for_push": True} | settings)
    await world.join(ana, made.circuit_id, bia)
    await world.trail()
    return ana, bia, made.circuit_id


async def waiting(world: World, who: Principal, circuit_id: str, dfid: str | None = None) -> OperationView:
    pushed = await world.circuits.push(who, circuit_id, dfid or await world.item(who))
    assert pushed.operation is not None
    assert pushed.outcome == "pending"
    await world.trail()
    return pushed.operation


async def test_scenario_25_a_waiting_draft_leaves_nothing_but_the_request_until_it_is_approved(world: World) -> None:
    ana, bia, circuit_id = await circle(world)
    lid = await world.draft(bia, sisbov(1))
    await world.trail()
    pushed = await world.push_local(bia, circuit_id, lid, peso=1)
    assert (pushed.outcome, pushed.dfid, pushed.placement) == ("pending", None, None)
    assert pushed.operation is not None
    assert (pushed.operation.data, pushed.operation.local_id) == ({"peso": 1}, lid)
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.push_requested"], ["push_requested"])
    assert trail.told == {("operation_pending", ana.user_id)}
    for facet in (PLACEMENTS, CLAIMS, EVENTS, MAPPINGS):
        assert await world.rows(facet) == []
    with pytest.raises(Refusal, match="local_item_held"):
        await world.items.update_draft(bia, lid, UpdateDraft(data=Document(peso=2)), None)
    assert (await world.push_local(bia, circuit_id, lid, peso=1)).operation == pushed.operation
    with pytest.raises(Refusal, match="local_item_held") as held:
        await world.push_local(bia, circuit_id, lid, peso=3)
    assert held.value.members["operation_id"] == pushed.operation.operation_id
    assert (await world.trail()).silent
    (entry,) = (await world.circuits.pending_operations(ana, circuit_id)).items
    assert entry.preview is not None
    assert (entry.preview.data, entry.local_id, entry.data) == ({"peso": 1}, None, None)
    done = await world.circuits.approve_operation(ana, pushed.operation.operation_id, circuit_id, "fine")
    assert (done.status, done.approved, done.decided_by) == ("completed", True, ana.user_id)
    assert (done.outcome, done.item_outcome, done.reason) == ("placed", "created", "fine")
    assert done.decided_at is not None
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.operation_approved"], ["item_tokenized", "operation_approved"])
    assert trail.told == {("operation_approved", bia.user_id)}
    item = await world.items.get(bia, str(done.dfid))
    assert (item.created_by, item.workspace_id, item.data) == (bia.user_id, bia.workspace_id, {"peso": 1})
    events = sorted(await world.rows(EVENTS), key=lambda event: event.position)
    assert [(event.event_type, event.author_user_id) for event in events] == [
        ("created", bia.user_id),
        ("pushed_to_circuit", bia.user_id),
    ]
    assert (events[1].payload or {})["approved"] is True
    (operation,) = await world.rows(OPERATIONS)
    assert (operation.identifiers, operation.data) == (None, None)


async def test_personal_extras_wait_sealed_and_come_out_again(world: World) -> None:
    ana, bia, circuit_id = await circle(world)
    cpf = IdentifierInput("cpf", "111.444.777-35")
    lid = await world.draft(bia, sisbov(1))
    pushed = await world.push_local(bia, circuit_id, lid, cpf)
    assert pushed.operation is not None
    assert pushed.operation.identifiers == (cpf,)
    (stored,) = await world.rows(OPERATIONS)
    assert "444.777" not in repr(stored) and "11144477735" not in repr(stored)
    (entry,) = (await world.circuits.pending_operations(ana, circuit_id)).items
    assert "444.777" not in repr(entry)
    assert (await world.push_local(bia, circuit_id, lid, cpf)).operation == pushed.operation
    done = await world.circuits.approve_operation(ana, pushed.operation.operation_id)
    seen = await world.items.get(bia, str(done.dfid))
    assert {given.key: given.value for given in seen.identifiers}["cpf"] == "111.444.777-35"


async def test_scenario_26_who_approves_pushes_at_once_but_never_decides_what_waited_before(world: World) -> None:
    ana, bia, circuit_id = await circle(world)
    pushed = await world.circuits.push(ana, circuit_id, await world.item(ana))
    assert pushed.operation is not None
    assert (pushed.outcome, pushed.operation.decided_by, pushed.operation.approved) == ("placed", ana.user_id, False)
    operation = await waiting(world, bia, circuit_id)
    with pytest.raises(Refusal, match="permission_missing"):
        await world.circuits.approve_operation(bia, operation.operation_id)
    await world.circuits.change_role(ana, circuit_id, str(bia.user_id), ChangeRole("admin"), None)
    with pytest.raises(Refusal, match="own_operation"):
        await world.circuits.approve_operation(bia, operation.operation_id)
    now = await world.circuits.push(bia, circuit_id, str(operation.dfid))
    assert now.outcome == "placed"
    superseded = await world.circuits.operation(bia, operation.operation_id)
    assert (superseded.status, superseded.reason) == ("cancelled", "superseded")


async def test_an_addition_that_waits_gives_way_to_the_same_without_approval(world: World) -> None:
    """Whether or not the item stands there already (4.12.4, 4.13.2)."""
    ana, _, circuit_id = await circle(world)
    lid = await world.draft(ana, sisbov(1))
    await world.push_local(ana, circuit_id, lid)
    colleague = await world.user("duda", "farm of ana")
    await world.join(ana, circuit_id, colleague)
    asked = (await world.push_local(colleague, circuit_id, lid, peso=1)).operation
    assert asked is not None
    assert asked.status is OperationStatus.PENDING
    await world.circuits.change_role(ana, circuit_id, str(colleague.user_id), ChangeRole("admin"), None)
    done = await world.push_local(colleague, circuit_id, lid, peso=2)
    assert (done.outcome, done.item_outcome) == ("already_placed", "enriched")
    ended = await world.circuits.operation(colleague, asked.operation_id)
    assert (ended.status, ended.reason) == ("cancelled", "superseded")


async def test_scenario_27_a_rejection_keeps_its_reason_and_frees_the_draft(world: World) -> None:
    ana, bia, circuit_id = await circle(world)
    lid = await world.draft(bia, sisbov(1))
    operation = (await world.push_local(bia, circuit_id, lid)).operation
    assert operation is not None
    await world.trail()
    done = await world.circuits.reject_operation(ana, operation.operation_id, reason="no brand")
    assert (done.status, done.reason, done.decided_by) == ("rejected", "no brand", ana.user_id)
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.operation_rejected"], ["operation_rejected"])
    assert trail.told == {("operation_rejected", bia.user_id)}
    await world.items.update_draft(bia, lid, UpdateDraft(data=Document(peso=2)), None)
    with pytest.raises(Refusal, match="operation_decided") as decided:
        await world.circuits.approve_operation(ana, operation.operation_id)
    assert decided.value.members["current_status"] == "rejected"


async def test_scenario_28_a_second_approval_changes_nothing(world: World) -> None:
    ana, bia, circuit_id = await circle(world)
    operation = await waiting(world, bia, circuit_id)
    caio = await world.user("caio")
    await world.join(ana, circuit_id, caio, role="admin")
    await world.circuits.approve_operation(ana, operation.operation_id)
    await world.trail()
    for approver in (ana, caio):
        with pytest.raises(Refusal, match="operation_decided"):
            await world.circuits.approve_operation(approver, operation.operation_id)
    assert (await world.trail()).silent
    assert len(await world.rows(EVENTS, event_type="pushed_to_circuit")) == 1


async def test_scenario_29_what_a_removed_member_asked_for_can_be_refused_only(world: World) -> None:
    ana, bia, circuit_id = await circle(world)
    operation = await waiting(world, bia, circuit_id)
    await world.circuits.remove_member(ana, circuit_id, str(bia.user_id))
    with pytest.raises(Refusal, match="requester_not_permitted"):
        await world.circuits.approve_operation(ana, operation.operation_id)
    await world.join(ana, circuit_id, bia)
    with pytest.raises(Refusal, match="requester_not_permitted"):
        await world.circuits.approve_operation(ana, operation.operation_id)
    rejected = await world.circuits.reject_operation(ana, operation.operation_id)
    assert rejected.status is OperationStatus.REJECTED


async def test_scenario_30_a_conflict_at_approval_is_told_to_the_submitter_alone(world: World) -> None:
    ana, bia, circuit_id = await circle(world)
    lid = await world.draft(bia, sisbov(1))
    operation = (await world.push_local(bia, circuit_id, lid)).operation
    assert operation is not None
    caio = await world.user("caio")
    await world.item(caio, sisbov(1))
    await world.trail()
    with pytest.raises(Refusal, match="push_blocked") as blocked:
        await world.circuits.approve_operation(ana, operation.operation_id)
    assert dict(blocked.value.members) == {}
    (pending,) = await world.rows(PENDING)
    assert (pending.submitted_by, pending.workspace_id) == (bia.user_id, bia.workspace_id)
    told = (await world.trail()).told
    assert ("identifier_conflict", bia.user_id) in told
    assert not {user for kind, user in told if kind == "identifier_conflict"} - {bia.user_id}
    assert (await world.circuits.operation(bia, operation.operation_id)).status is OperationStatus.PENDING
    (draft,) = await world.rows(ITEMS, local_id=lid)
    assert draft.held_by == operation.operation_id


async def test_stricter_settings_outdate_what_waits(world: World) -> None:
    ana, bia, circuit_id = await circle(world)
    operation = (await world.push_local(bia, circuit_id, await world.draft(bia, sisbov(1)))).operation
    assert operation is not None
    stricter = UpdateCircuit(alias_config=AliasRequest(required_contextual=("lote",)))
    await world.circuits.update(ana, circuit_id, stricter, None)
    with pytest.raises(Refusal, match="submission_outdated") as outdated:
        await world.circuits.approve_operation(ana, operation.operation_id)
    assert [fault.code for fault in outdated.value.members["errors"]] == ["contextual_required"]


async def test_scenario_31_where_pulls_are_approved_nothing_is_read_before(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana, require_approval_for_pull=True)).circuit_id
    await world.join(ana, circuit_id, bia, role="viewer")
    dfid = await world.item(ana, peso=1)
    await world.circuits.push(ana, circuit_id, dfid)
    await world.trail()
    asked = await world.circuits.pull(bia, circuit_id, dfid)
    assert (asked.operation.status, asked.item, asked.events) == ("pending", None, None)
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.pull_requested"], ["pull_requested"])
    assert trail.told == {("operation_pending", ana.user_id)}
    with pytest.raises(Refusal, match="not_found"):
        await world.items.get(bia, dfid)
    shown = (await world.circuits.placements(bia, circuit_id, PlacementFilter(include=Include.ITEM))).items
    assert [(entry.item, entry.reason) for entry in shown if isinstance(entry, PlacementWithItem)] == [
        (None, "pull_approval_required")
    ]
    assert (await world.circuits.pull(bia, circuit_id, dfid)).operation == asked.operation
    assert (await world.trail()).silent
    await world.circuits.approve_operation(ana, asked.operation.operation_id)
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.operation_approved"], ["operation_approved"])
    pulled = await world.circuits.pull(bia, circuit_id, dfid)
    assert pulled.operation.operation_id == asked.operation.operation_id
    assert pulled.item == await world.items.get(bia, dfid)
    await world.circuits.withdraw(ana, circuit_id, dfid)
    await world.circuits.push(ana, circuit_id, dfid)
    with pytest.raises(Refusal, match="not_found"):
        await world.items.get(bia, dfid)
    assert (await world.circuits.pull(bia, circuit_id, dfid)).item is None


async def test_scenario_32_a_pull_is_recorded_once_and_reads_the_data_of_now(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.join(ana, circuit_id, bia, role="viewer")
    lid = await world.draft(ana, sisbov(1), peso=1)
    dfid = str((await world.push_local(ana, circuit_id, lid)).dfid)
    await world.trail()
    first = await world.circuits.pull(bia, circuit_id, dfid)
    assert first.item is not None
    assert first.item.data == {"peso": 1}
    assert first.events is not None
    kinds = [event.event_type for event in first.events.items]
    assert kinds == ["created", "pushed_to_circuit", "pulled_from_circuit"]
    trail = await world.trail()
    assert (trail.audit, trail.activity, trail.told) == (["circuit.item_pulled"], ["item_pulled"], set())
    await world.push_local(ana, circuit_id, lid, peso=2)
    await world.trail()
    second = await world.circuits.pull(bia, circuit_id, dfid)
    assert second.operation == first.operation
    assert second.item is not None
    assert second.item.data == {"peso": 2}
    assert (await world.trail()).silent
    assert len(await world.rows(PLACEMENTS)) == 1


async def test_scenario_33_an_owner_takes_an_item_out_anywhere_and_others_need_the_right(world: World) -> None:
    ana, bia, caio = await world.user("ana"), await world.user("bia"), await world.user("caio")
    source = (await world.circuit(ana, allow_resharing=True)).circuit_id
    mine = (await world.circuit(bia)).circuit_id
    await world.join(ana, source, bia)
    await world.join(bia, mine, caio, role="admin")
    dfid = await world.item(ana)
    await world.circuits.push(ana, source, dfid)
    await world.circuits.push(bia, mine, dfid)
    assert (await world.items.get(caio, dfid)).dfid == dfid
    with pytest.raises(Refusal, match="permission_missing"):
        await world.circuits.withdraw(caio, mine, dfid)
    assert (await world.circuits.placement(ana, mine, dfid)).placed_by == bia.user_id
    standing = await world.circuits.placements_of(ana, dfid)
    assert {row.circuit_id for row in standing.items} == {source, mine}
    await world.trail()
    await world.circuits.withdraw(ana, mine, dfid, "sold")
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.item_withdrawn"], ["item_withdrawn"])
    assert (trail.told, trail.jobs) == (set(), ["cancel_waiting"])
    with pytest.raises(Refusal, match="not_found"):
        await world.items.get(caio, dfid)
    (event,) = await world.rows(EVENTS, event_type="withdrawn")
    assert (event.payload or {})["reason"] == "sold"
    await world.circuits.push(bia, mine, dfid)
    await world.trail()
    await world.circuits.withdraw(bia, mine, dfid)
    assert (await world.trail()).told == {("item_withdrawn", ana.user_id)}


async def test_only_an_owner_shows_to_the_world_what_others_passed_on(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    source = (await world.circuit(ana, allow_resharing=True)).circuit_id
    mine = (await world.circuit(bia)).circuit_id
    await world.join(ana, source, bia)
    foreign, own = await world.item(ana), await world.item(bia)
    await world.circuits.push(ana, source, foreign)
    for dfid in (foreign, own):
        await world.circuits.push(bia, mine, dfid)
    await world.trail()
    with pytest.raises(Refusal, match="owner_must_publish"):
        await world.circuits.publish(bia, mine, foreign, shown=True)
    await world.circuits.publish(bia, mine, own, shown=True)
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.item_published"], ["item_published"])
    await world.circuits.publish(bia, mine, own, shown=True)
    assert (await world.trail()).silent
    result = await world.circuits.publish_many(bia, mine, Publications((own, foreign, own), False))
    assert [one.outcome for one in result.results] == ["changed", "unchanged", "unchanged"]
    assert (await world.trail()).audit == ["circuit.item_unpublished"]
    result = await world.circuits.publish_many(bia, mine, Publications((foreign,), True))
    assert [one.error.code for one in result.results if one.error] == ["owner_must_publish"]


async def test_a_batch_that_waits_is_one_notice_and_is_decided_in_one_call(world: World) -> None:
    ana, bia, circuit_id = await circle(world)
    dfids = [await world.item(bia) for _ in range(3)]
    elements = (*(PushElement(dfid=dfid) for dfid in dfids), PushElement(local_id=await world.draft(bia, sisbov(1))))
    await world.trail()
    batch = await world.circuits.push_batch(bia, circuit_id, PushBatch(elements))
    assert batch.counts["pending"] == 4
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.items_pushed"], ["push_requested"])
    assert trail.told == {("operation_pending", ana.user_id)}
    wanted = OperationFilter(batch_id=batch.batch_id)
    rows = (await world.circuits.operations(ana, circuit_id, wanted)).items
    ids = tuple(row.operation_id for row in rows)
    request = Decisions(Decision.APPROVE, (*ids, ids[0]))
    result = await world.circuits.decide_operations(ana, circuit_id, request)
    assert result.counts == {"completed": 4, "refused": 1}
    trail = await world.trail()
    assert trail.told == {("operation_approved", bia.user_id)}
    assert trail.audit == ["circuit.operation_approved"] * 4
    assert len(await world.rows(PLACEMENTS)) == 4


async def test_requesters_take_back_what_waits_and_colleagues_may_too(world: World) -> None:
    ana, bia, circuit_id = await circle(world)
    one, two = await waiting(world, bia, circuit_id), await waiting(world, bia, circuit_id)
    done = await world.circuits.cancel_operation(bia, one.operation_id)
    assert (done.status, done.decided_by) == ("cancelled", bia.user_id)
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.operation_cancelled"], ["operation_cancelled"])
    assert trail.told == {("operation_cancelled", ana.user_id)}
    colleague = await world.user("duda", "farm of bia", role=WorkspaceRole.MEMBER)
    assert (await world.circuits.cancel_operation(colleague, two.operation_id)).status == "cancelled"
    with pytest.raises(Refusal, match="not_found"):
        await world.circuits.operations(colleague, circuit_id, OperationFilter())


async def test_a_pull_that_waits_ends_with_the_placement(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana, require_approval_for_pull=True)).circuit_id
    await world.join(ana, circuit_id, bia)
    dfid = await world.item(ana)
    await world.circuits.push(ana, circuit_id, dfid)
    asked = (await world.circuits.pull(bia, circuit_id, dfid)).operation
    await world.circuits.withdraw(ana, circuit_id, dfid)
    with pytest.raises(Refusal, match="placement_gone"):
        await world.circuits.approve_operation(ana, asked.operation_id)
    await world.run_jobs()
    ended = await world.circuits.operation(bia, asked.operation_id)
    assert (ended.status, ended.reason) == ("cancelled", "placement_gone")


async def test_what_was_asked_after_a_circuit_opened_again_is_not_cancelled_by_the_job(world: World) -> None:
    ana, bia, circuit_id = await circle(world)
    await world.circuits.change_status(ana, circuit_id, CircuitStatus.INACTIVE)
    await world.circuits.change_status(ana, circuit_id, CircuitStatus.ACTIVE)
    world.clock.pass_by(timedelta(minutes=1))
    operation = await waiting(world, bia, circuit_id)
    await world.run_jobs()
    assert (await world.circuits.operation(bia, operation.operation_id)).status is OperationStatus.PENDING


async def test_a_requester_has_only_so_many_operations_waiting(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "MAX_WAITING", 2)
    _, bia, circuit_id = await circle(world, require_approval_for_pull=True)
    items = [await world.item(bia) for _ in range(3)]
    for dfid in items[:2]:
        await waiting(world, bia, circuit_id, dfid)
    draft = await world.draft(bia, sisbov(1))
    for call in (
        world.circuits.push(bia, circuit_id, items[2]),
        world.push_local(bia, circuit_id, draft),
        world.circuits.push_batch(bia, circuit_id, PushBatch((PushElement(dfid=items[2]),))),
    ):
        with pytest.raises(Refusal, match="quota_reached"):
            await call
    assert len(await world.rows(OPERATIONS)) == 2
    assert (await world.circuits.push(bia, circuit_id, items[0])).outcome == "pending"


async def test_an_owner_hears_when_others_show_and_hide_their_item(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit = (await world.circuit(ana)).circuit_id
    await world.join(ana, circuit, bia)
    dfid = await world.item(bia)
    await world.circuits.push(bia, circuit, dfid)
    await world.trail()
    for shown, kind in ((True, "item_published"), (False, "item_unpublished")):
        await world.circuits.publish(ana, circuit, dfid, shown=shown)
        assert (await world.trail()).told == {(kind, bia.user_id)}

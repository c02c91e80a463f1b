"""Pushing (circuits.md 8, scenarios 15 to 24, 44 to 46)."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from application.circuits.requests import (
    AliasRequest,
    ApproveJoin,
    AskToJoin,
    ChangeRole,
    CreateRole,
    Decision,
    Decisions,
    Evidence,
    PlacementFilter,
    PublicRequest,
    PushBatch,
    PushElement,
    UpdateCircuit,
    UpdateRole,
)
from application.items.requests import CreateBatch
from application.items.sharing import ShareItem
from domain.access.principal import ANONYMOUS
from domain.document import EMPTY, Document
from domain.errors import Invalid, Refusal
from domain.items.submission import IdentifierInput, Submission
from domain.ports.schema import (
    CLAIMS,
    EVENTS,
    FINGERPRINTS,
    ITEMS,
    MAPPINGS,
    OPERATIONS,
    PENDING,
    PLACEMENTS,
)
from tests.application.circuits.world import World, lot, sisbov


async def test_scenario_15_pushing_twice_makes_one_placement_and_one_event(world: World) -> None:
    ana = await world.user("ana")
    circuit_id = (await world.circuit(ana)).circuit_id
    dfid = await world.item(ana)
    await world.trail()
    first = await world.circuits.push(ana, circuit_id, dfid)
    assert (first.outcome, first.written) == ("placed", True)
    assert first.placement is not None
    assert first.operation is not None
    assert (first.operation.status, first.operation.decided_by) == ("completed", None)
    assert first.operation.placement_id == first.placement.placement_id
    trail = await world.trail()
    assert (trail.audit, trail.activity, trail.told) == (["circuit.item_pushed"], ["item_pushed"], set())
    second = await world.circuits.push(ana, circuit_id, dfid)
    assert (second.outcome, second.written) == ("already_placed", False)
    assert second.placement == first.placement
    assert (await world.trail()).silent
    (event,) = await world.rows(EVENTS, event_type="pushed_to_circuit")
    assert event.payload == {
        "circuit_id": circuit_id,
        "operation_id": first.operation.operation_id,
        "approved": False,
    }
    assert len(await world.rows(PLACEMENTS)) == 1


async def test_scenario_16_a_pushed_draft_becomes_an_item_with_everything_in_one_commit(world: World) -> None:
    ana = await world.user("ana")
    rules = AliasRequest(required_canonical=("sisbov",), required_contextual=("lote",))
    circuit_id = (await world.circuit(ana, alias_config=rules)).circuit_id
    lid = await world.draft(ana, sisbov(1), peso_kg=410)
    await world.trail()
    pushed = await world.push_local(ana, circuit_id, lid, lot("L-77"), raca="Nelore")
    assert (pushed.outcome, pushed.item_outcome, pushed.local_id) == ("placed", "created", lid)
    item = await world.items.get(ana, str(pushed.dfid))
    assert item.data == {"peso_kg": 410, "raca": "Nelore"}
    assert {given.key for given in item.identifiers} == {"sisbov", "lote"}
    assert {given.namespace for given in item.identifiers} == {"generic"}
    assert [row.dfid for row in await world.rows(MAPPINGS, local_id=lid)] == [pushed.dfid]
    assert [row.item for row in await world.rows(CLAIMS)] == [pushed.dfid]
    assert await world.rows(ITEMS, status="local") == []
    events = sorted(await world.rows(EVENTS, dfid=pushed.dfid), key=lambda event: event.position)
    assert [event.event_type for event in events] == ["created", "pushed_to_circuit"]
    trail = await world.trail()
    assert trail.audit == ["circuit.item_tokenized"]
    assert trail.activity == ["item_pushed", "item_tokenized"]


async def test_scenario_17_a_tokenised_lid_is_the_same_item_in_a_second_circuit(world: World) -> None:
    ana = await world.user("ana")
    one, two = (await world.circuit(ana)).circuit_id, (await world.circuit(ana)).circuit_id
    lid = await world.draft(ana, sisbov(1))
    first = await world.push_local(ana, one, lid)
    again = await world.push_local(ana, two, lid)
    assert (again.outcome, again.dfid, again.item_outcome) == ("placed", first.dfid, None)
    assert (await world.push_local(ana, two, lid)).outcome == "already_placed"
    await world.trail()
    more = await world.push_local(ana, two, lid, peso_kg=430)
    assert (more.outcome, more.item_outcome, more.written) == ("already_placed", "enriched", True)
    assert more.operation is not None
    assert (await world.items.get(ana, str(first.dfid))).data == {"peso_kg": 430}
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.item_tokenized"], ["item_enriched"])
    assert not (await world.push_local(ana, two, lid, peso_kg=430)).written
    assert (await world.trail()).silent


async def test_scenario_18_all_that_is_missing_is_said_at_once(world: World) -> None:
    ana = await world.user("ana")
    rules = AliasRequest(
        required_canonical=("sisbov",),
        required_contextual=("lote",),
        allowed_namespaces=("bovino",),
        auto_apply_namespace=False,
    )
    circuit_id = (await world.circuit(ana, alias_config=rules)).circuit_id
    lid = await world.draft(ana, IdentifierInput("safra", "2026"))
    with pytest.raises(Invalid) as refused:
        await world.push_local(ana, circuit_id, lid, IdentifierInput("curral", "7", "suino"))
    found = {(fault.code, fault.pointer) for fault in refused.value.faults}
    assert found == {
        ("namespace_not_allowed", "/local_id"),
        ("namespace_not_allowed", "/identifiers/0/namespace"),
        ("canonical_required", "/identifiers"),
        ("contextual_required", "/identifiers"),
    }


async def test_a_required_number_must_prove_enough(world: World) -> None:
    ana = await world.user("ana")
    rules = AliasRequest(required_canonical=("sisbov",), minimum_evidence=Evidence.REGISTRY_OK)
    circuit_id = (await world.circuit(ana, alias_config=rules)).circuit_id
    with pytest.raises(Invalid) as refused:
        await world.push_local(ana, circuit_id, await world.draft(ana, sisbov(1)))
    assert [fault.code for fault in refused.value.faults] == ["evidence_too_low"]
    with pytest.raises(Invalid) as empty:
        await world.push_local(ana, circuit_id, await world.draft(ana))
    assert {fault.code for fault in empty.value.faults} == {"identifiers_required", "canonical_required"}


async def test_scenario_19_a_foreign_item_of_this_circuit_takes_a_contribution(world: World) -> None:
    ana, bia, caio = await world.user("ana"), await world.user("bia"), await world.user("caio")
    here, there = (await world.circuit(ana)).circuit_id, (await world.circuit(ana)).circuit_id
    for circuit_id in (here, there):
        await world.join(ana, circuit_id, bia if circuit_id == here else caio)
    dfid = await world.item(ana, sisbov(1), peso_kg=400)
    for circuit_id in (here, there):
        await world.circuits.push(ana, circuit_id, dfid)
    lid = await world.draft(bia, sisbov(1), peso_kg=999, vacina="sim")
    await world.trail()
    pushed = await world.push_local(bia, here, lid)
    assert (pushed.outcome, pushed.item_outcome, pushed.dfid) == ("already_placed", "contributed", dfid)
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.item_tokenized"], ["item_enriched"])
    assert trail.told == {("item_contributed", ana.user_id)}
    seen = await world.items.get(bia, dfid)
    assert seen.workspace_id == ana.workspace_id
    assert seen.data == {"peso_kg": 400, "vacina": "sim"}
    assert (await world.items.get(caio, dfid)).data == {"peso_kg": 400}
    await world.circuits.update(ana, here, UpdateCircuit(allow_public_visibility=True), None)
    await world.circuits.publish(ana, here, dfid, shown=True)
    assert (await world.pages.item(ANONYMOUS, here, dfid)).shown.data == {"peso_kg": 400}
    (event,) = await world.rows(EVENTS, event_type="enriched")
    assert (event.visibility, event.circuit_id) == ("circuit_only", here)
    assert [row.workspace_id for row in await world.rows(CLAIMS)] == [ana.workspace_id]


async def test_another_number_of_a_kind_that_an_animal_has_once_is_no_contribution(world: World) -> None:
    """The item of another workspace is hit by its RFID, and carries an ear tag of its own (4.13)."""
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.join(ana, circuit_id, bia)
    chip = IdentifierInput("rfid", "982000123456789")
    dfid = await world.item(ana, sisbov(1), chip)
    await world.circuits.push(ana, circuit_id, dfid)
    lid = await world.draft(bia, sisbov(2), chip)
    (before,) = await world.rows(ITEMS, local_id=lid)
    with pytest.raises(Refusal, match="identifier_contradiction") as refused:
        await world.push_local(bia, circuit_id, lid)
    told = repr((refused.value.detail, dict(refused.value.members)))
    assert dfid not in told and sisbov(1).value not in told and str(ana.workspace_id) not in told
    (pending,) = await world.rows(PENDING)
    assert (pending.reason, pending.local_id) == ("contradiction", lid)
    assert dfid not in repr(pending.details) and sisbov(1).value not in repr(pending.details)
    assert await world.rows(ITEMS, local_id=lid) == [before]
    fitting = await world.push_local(bia, circuit_id, await world.draft(bia, sisbov(1), chip, peso=1))
    assert (fitting.item_outcome, fitting.dfid) == ("contributed", dfid)


async def test_scenario_20_a_foreign_item_elsewhere_stays_unnamed_and_the_draft_untouched(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(bia)).circuit_id
    dfid = await world.item(ana, sisbov(1), segredo="S")
    lid = await world.draft(bia, sisbov(1))
    (before,) = await world.rows(ITEMS, local_id=lid)
    with pytest.raises(Refusal, match="identifier_claimed") as refused:
        await world.push_local(bia, circuit_id, lid)
    told = repr((refused.value.code, refused.value.detail, dict(refused.value.members)))
    for secret in (dfid, str(ana.workspace_id), str(ana.user_id), "segredo"):
        assert secret not in told
    assert await world.rows(ITEMS, local_id=lid) == [before]
    (pending,) = await world.rows(PENDING)
    assert (pending.local_id, pending.circuit_id, pending.reason) == (lid, circuit_id, "claim_conflict")
    assert refused.value.members["pending_id"] == pending.pending_id
    assert await world.rows(OPERATIONS) == []


async def test_scenario_21_a_circuit_that_agreed_on_keys_knows_the_lot_of_another_member(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    agreed = (await world.circuit(ana, alias_config=AliasRequest())).circuit_id
    other = (await world.circuit(ana, alias_config=AliasRequest())).circuit_id
    loose = (await world.circuit(ana)).circuit_id
    for circuit_id in (agreed, other, loose):
        await world.join(ana, circuit_id, bia)
    names = (lot("L-77"), lot("2025/26", "safra"))
    first = await world.push_local(ana, agreed, await world.draft(ana, *names))
    same = await world.push_local(bia, agreed, await world.draft(bia, *names, peso=1))
    assert (same.item_outcome, same.dfid) == ("contributed", first.dfid)
    elsewhere = await world.push_local(bia, loose, await world.draft(bia, *names))
    assert elsewhere.item_outcome == "created"
    assert elsewhere.dfid != first.dfid
    known = await world.rows(FINGERPRINTS)
    assert [(row.circuit_id, row.dfid) for row in known] == [(agreed, first.dfid)]
    third = await world.push_local(bia, other, await world.draft(bia, *names))
    assert third.dfid == elsewhere.dfid
    await world.circuits.withdraw(ana, agreed, str(first.dfid))
    assert await world.rows(FINGERPRINTS) == []


async def test_two_numbered_animals_of_one_lot_are_two_animals(world: World) -> None:
    ana = await world.user("ana")
    circuit_id = (await world.circuit(ana, alias_config=AliasRequest())).circuit_id
    pushed = [await world.push_local(ana, circuit_id, await world.draft(ana, sisbov(n), lot("L-77"))) for n in (1, 2)]
    assert [one.item_outcome for one in pushed] == ["created", "created"]


async def test_scenario_22_a_batch_places_what_it_may_and_repeating_it_writes_nothing(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana)).circuit_id
    animals = tuple(Submission((sisbov(number),), EMPTY) for number in range(995))
    own = [str(one.dfid) for one in (await world.items.create_batch(ana, CreateBatch(animals))).results]
    foreign = [await world.item(bia) for _ in range(3)]
    elements = tuple(PushElement(dfid=dfid) for dfid in (*own, *foreign, own[0], own[1]))
    await world.trail()
    result = await world.circuits.push_batch(ana, circuit_id, PushBatch(elements))
    assert result.counts == {"placed": 995, "already_placed": 2, "pending": 0, "refused": 3}
    refused = [one.index for one in result.results if one.outcome == "refused"]
    assert refused == [995, 996, 997]
    assert {one.error.code for one in result.results if one.error} == {"not_found"}
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.items_pushed"], ["items_pushed"])
    rows = await world.rows(OPERATIONS)
    assert {row.batch_id for row in rows} == {result.batch_id}
    again = await world.circuits.push_batch(ana, circuit_id, PushBatch(elements))
    assert again.counts == {"placed": 0, "already_placed": 997, "pending": 0, "refused": 3}
    assert (await world.trail()).silent
    fresh = PushElement(dfid=await world.item(ana))
    await world.trail()
    with pytest.raises(Refusal, match="batch_refused") as nothing:
        await world.circuits.push_batch(ana, circuit_id, PushBatch((fresh, *elements[-4:-1]), atomic=True))
    assert [one.outcome for one in nothing.value.members["results"]] == [
        "placed", "refused", "refused", "already_placed"
    ]  # fmt: skip
    assert (await world.trail()).silent
    assert len(await world.rows(PLACEMENTS)) == 995


async def test_a_batch_of_drafts_sees_its_own_effects_and_keeps_conflicts_for_review(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana)).circuit_id
    await world.item(bia, sisbov(9))
    twins = [await world.draft(ana, sisbov(1)), await world.draft(ana, sisbov(1), peso=7)]
    stranger, bare = await world.draft(ana, sisbov(9)), await world.draft(ana)
    dfid = await world.item(ana)
    elements = (
        *(PushElement(local_id=lid) for lid in (*twins, stranger, bare, twins[0])),
        PushElement(local_id=twins[1], data=Document(cor="preta")),
        PushElement(dfid=dfid),
        PushElement(),
    )
    await world.trail()
    result = await world.circuits.push_batch(ana, circuit_id, PushBatch(elements))
    outcomes = [(one.outcome, one.item_outcome, one.error and one.error.code) for one in result.results]
    assert outcomes == [
        ("placed", "created", None),
        ("already_placed", "enriched", None),
        ("refused", None, "identifier_claimed"),
        ("refused", None, "validation_failed"),
        ("already_placed", None, None),
        ("already_placed", "enriched", None),
        ("placed", None, None),
        ("refused", None, "validation_failed"),
    ]
    (pending,) = await world.rows(PENDING)
    assert result.results[2].pending_id == pending.pending_id
    item = await world.items.get(ana, str(result.results[0].dfid))
    assert item.data == {"peso": 7, "cor": "preta"}
    assert {row.dfid for row in await world.rows(MAPPINGS)} == {item.dfid}
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.items_pushed"], ["items_pushed"])
    assert ("identifier_claim_disputed", bia.user_id) in trail.told


async def test_scenario_23_what_publishes_by_itself_does_so_on_every_path_but_not_for_others(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    settings = PublicRequest(auto_publish_pushed_items=True)
    source = (await world.circuit(bia, allow_resharing=True)).circuit_id
    circuit_id = (await world.circuit(ana, public_settings=settings)).circuit_id
    await world.join(bia, source, ana)
    foreign = await world.item(bia)
    await world.circuits.push(bia, source, foreign)
    single, batched, lid = await world.item(ana), await world.item(ana), await world.draft(ana, sisbov(1))
    await world.trail()
    await world.circuits.push(ana, circuit_id, single)
    trail = await world.trail()
    assert (trail.audit, trail.activity) == (["circuit.item_pushed"], ["item_published", "item_pushed"])
    local = await world.push_local(ana, circuit_id, lid)
    await world.circuits.push_batch(ana, circuit_id, PushBatch((PushElement(dfid=batched),)))
    await world.trail()
    reshared = await world.circuits.push(ana, circuit_id, foreign)
    assert reshared.placement is not None
    assert not reshared.placement.published
    trail = await world.trail()
    assert trail.told == {("item_reshared", bia.user_id)}
    assert trail.activity == ["item_pushed"]
    await world.circuits.update(ana, circuit_id, UpdateCircuit(require_approval_for_push=True), None)
    await world.join(ana, circuit_id, bia)
    asked = (await world.circuits.push(bia, circuit_id, await world.item(bia))).operation
    approved = await world.circuits.approve_operation(ana, asked.operation_id)
    shown = {row.dfid for row in await world.rows(PLACEMENTS, circuit_id=circuit_id, published=True)}
    assert shown == {single, batched, local.dfid, approved.dfid}


async def test_scenario_24_what_was_placed_before_resharing_was_switched_on_stays_where_it_is(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    source, mine = (await world.circuit(bia)).circuit_id, (await world.circuit(ana)).circuit_id
    await world.join(bia, source, ana)
    dfid = await world.item(bia)
    await world.circuits.push(bia, source, dfid)
    await world.circuits.update(bia, source, UpdateCircuit(allow_resharing=True), None)
    with pytest.raises(Refusal, match="resharing_not_allowed"):
        await world.circuits.push(ana, mine, dfid)
    await world.circuits.withdraw(bia, source, dfid)
    await world.circuits.push(bia, source, dfid)
    await world.trail()
    assert (await world.circuits.push(ana, mine, dfid)).outcome == "placed"
    assert (await world.trail()).told == {("item_reshared", bia.user_id)}


async def test_scenario_45_a_foreign_item_is_as_absent_as_one_that_never_was(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    circuit_id = (await world.circuit(ana)).circuit_id
    foreign, absent = await world.item(bia), "DFID-20200101-000001-5EB"
    calls: list[Callable[[str], Awaitable[Any]]] = [
        lambda dfid: world.circuits.push(ana, circuit_id, dfid),
        lambda dfid: world.circuits.pull(ana, circuit_id, dfid),
        lambda dfid: world.circuits.withdraw(ana, circuit_id, dfid),
        lambda dfid: world.circuits.publish(ana, circuit_id, dfid, shown=True),
        lambda dfid: world.circuits.placement(ana, circuit_id, dfid),
        lambda dfid: world.circuits.placements_of(ana, dfid),
    ]
    for call in calls:
        answers = []
        for dfid in (foreign, absent):
            with pytest.raises(Refusal) as refused:
                await call(dfid)
            answers.append((refused.value.code, refused.value.detail, dict(refused.value.members)))
        assert answers[0] == answers[1]
        assert answers[0][0] == "not_found"


async def test_scenario_46_a_share_or_a_right_to_read_gives_no_right_to_pass_on(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    source, mine = (await world.circuit(bia)).circuit_id, (await world.circuit(ana)).circuit_id
    await world.join(bia, source, ana)
    read, shared = await world.item(bia), await world.item(bia)
    await world.circuits.push(bia, source, read)
    await world.items.share(bia, shared, ShareItem(str(ana.user_id)))
    for dfid in (read, shared):
        with pytest.raises(Refusal, match="resharing_not_allowed"):
            await world.circuits.push(ana, mine, dfid)
    assert (await world.circuits.placements(ana, mine, PlacementFilter())).items == ()


async def test_scenario_44_ids_of_another_circuit_are_unknown_under_ones_own(world: World) -> None:
    ana, bia = await world.user("ana"), await world.user("bia")
    mine = (await world.circuit(ana)).circuit_id
    other = (await world.circuit(bia, require_approval_for_push=True)).circuit_id
    caio = await world.user("caio")
    await world.join(bia, other, caio)
    operation = (await world.circuits.push(caio, other, await world.item(caio))).operation
    assert operation is not None
    await world.trail()
    for circuit_id in (mine, None, other):
        for decide in (
            world.circuits.approve_operation,
            world.circuits.reject_operation,
            world.circuits.cancel_operation,
        ):
            with pytest.raises(Refusal, match="not_found"):
                await decide(ana, operation.operation_id, circuit_id)  # type: ignore[operator]
    many = Decisions(Decision.APPROVE, (operation.operation_id,))
    (refused,) = (await world.circuits.decide_operations(ana, mine, many)).results
    assert refused.error is not None
    assert refused.error.code == "not_found"
    await world.circuits.update(bia, other, UpdateCircuit(allow_public_visibility=True), None)
    dora = await world.user("dora")
    asked = (await world.circuits.ask_to_join(dora, other, AskToJoin())).request.request_id
    await world.circuits.create_role(bia, other, CreateRole("deles", frozenset()))
    await world.trail()
    for attempt in (
        world.circuits.change_role(ana, mine, str(caio.user_id), ChangeRole("viewer"), None),
        world.circuits.join_request(ana, mine, asked),
        world.circuits.approve_join(ana, mine, asked, ApproveJoin()),
        world.circuits.reject_join(ana, mine, asked),
        world.circuits.cancel_join(ana, mine, asked),
        world.circuits.update_role(ana, mine, "deles", UpdateRole(display_name="Meus"), None),
        world.circuits.delete_role(ana, mine, "deles"),
        world.circuits.operation(ana, operation.operation_id, mine),
    ):
        with pytest.raises(Refusal, match="not_found"):
            await attempt
    assert (await world.trail()).silent

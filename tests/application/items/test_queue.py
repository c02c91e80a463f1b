"""The queue of submissions that wait (items-events.md 8), scenarios by number."""

from typing import Any

import pytest

from application.items import CreateDraft, OnProblem
from application.items.lineage import MergeItems
from application.items.queue import PendingFilter, PendingView, Priority, ResolvePending
from domain.document import Document
from domain.errors import Invalid, Refusal
from domain.items.resolving import PendingAction
from domain.items.submission import IdentifierInput
from domain.items.values import Outcome, PendingReason, PendingStatus
from domain.ports.schema import CLAIMS, EVENTS, ITEMS, MAPPINGS, PENDING
from tests.application.items.conftest import Farm, submission
from tests.application.items.test_identity import OTHER, SISBOV, made
from tests.application.items.test_lineage import RFID, check_rows, item_of

CPF = "529.982.247-25"


async def parked(farm: Farm, *identifiers: tuple[str, ...], **data: Any) -> str:
    with pytest.raises(Refusal) as refused:
        await made(farm, *identifiers, **data)
    return str(refused.value.members["pending_id"])


def do(action: str, **more: Any) -> ResolvePending:
    return ResolvePending(PendingAction(action), **more)


async def the_one(farm: Farm) -> PendingView:
    [view] = (await farm.items.queue(farm.ana, PendingFilter())).items
    return view


async def test_40_repeated_conflicts_are_one_record_that_failing_makes_more_urgent(farm: Farm) -> None:
    await farm.items.create(farm.rui, submission(("sisbov", SISBOV)))
    ids = {await parked(farm, ("sisbov", SISBOV), ("cpf", CPF), peso_kg=3) for _ in range(10)}
    view = await the_one(farm)
    assert ids == {view.pending_id}
    assert (view.priority, view.retry_count, view.reason["code"]) == (Priority.HIGH, 0, "claim_conflict")
    assert [given.value for given in view.submission.identifiers] == [SISBOV, CPF]
    for retries in (1, 2):
        with pytest.raises(Refusal, match="identifier_claimed") as refused:
            await farm.items.resolve(farm.ana, view.pending_id, do("approve"))
        assert refused.value.members["pending_id"] == view.pending_id
        again = await the_one(farm)
        assert (again.priority, again.retry_count) == (Priority.CRITICAL, retries)
    assert [item.workspace_id for item in await farm.rows(ITEMS)] == [farm.rui.workspace_id]


async def test_41_the_queue_of_others_is_absent(farm: Farm) -> None:
    await farm.items.create(farm.rui, submission(("sisbov", SISBOV)))
    pending_id = await parked(farm, ("sisbov", SISBOV))
    assert (await farm.items.queue(farm.rui, PendingFilter())).items == ()
    for refused in (
        farm.items.pending(farm.rui, pending_id),
        farm.items.resolve(farm.rui, pending_id, do("reject")),
    ):
        with pytest.raises(Refusal, match="not_found"):
            await refused


async def test_31_what_waited_for_a_restored_item_enriches_it(farm: Farm) -> None:
    dfid = await item_of(farm, ("sisbov", SISBOV))
    await farm.items.deprecate(farm.ana, dfid)
    pending_id = await parked(farm, ("sisbov", SISBOV), peso_kg=3)
    await farm.items.restore(farm.ana, dfid)
    done = await farm.items.resolve(farm.ana, pending_id, do("approve", note="back"))
    assert done.item is not None
    assert (done.item.dfid, done.outcome, done.item.data) == (dfid, Outcome.ENRICHED, Document(peso_kg=3))
    assert done.pending.resolution is not None and done.pending.resolution["dfid"] == dfid
    with pytest.raises(Refusal, match="pending_closed"):
        await farm.items.resolve(farm.ana, pending_id, do("reject"))
    await check_rows(farm)


async def test_modifying_replaces_what_is_given_and_approves(farm: Farm) -> None:
    queued = await farm.items.create(farm.ana, submission(("sisbov", "12"), cor="roxa"), OnProblem.QUEUE)
    pending_id = queued.pending_id  # type: ignore[union-attr]
    with pytest.raises(Refusal, match="validation_failed"):
        await farm.items.resolve(farm.ana, pending_id, do("approve"))
    assert (await the_one(farm)).retry_count == 1
    with pytest.raises(Refusal, match="action_not_allowed"):
        await farm.items.resolve(farm.ana, pending_id, do("create_separate"))
    fixed = (IdentifierInput("sisbov", SISBOV),)
    done = await farm.items.resolve(farm.ana, pending_id, do("modify", identifiers=fixed))
    assert done.item is not None and done.item.data == Document(cor="roxa")
    assert (done.outcome, done.pending.status) == (Outcome.CREATED, PendingStatus.RESOLVED)


async def test_linking_leaves_out_what_others_hold(farm: Farm) -> None:
    first, second = await item_of(farm, ("sisbov", SISBOV)), await item_of(farm, ("rfid", RFID))
    pending_id = await parked(farm, ("sisbov", SISBOV), ("rfid", RFID), peso_kg=4)
    with pytest.raises(Invalid, match="/dfid"):
        await farm.items.resolve(farm.ana, pending_id, do("link"))
    done = await farm.items.resolve(farm.ana, pending_id, do("link", dfid=first))
    assert [skipped["key"] for skipped in done.skipped_identifiers] == ["rfid"]
    assert done.item is not None and (done.item.dfid, done.item.data) == (first, Document(peso_kg=4))
    assert (await farm.items.get(farm.ana, second)).data == Document()
    await check_rows(farm)


async def test_merging_makes_the_items_of_a_conflict_one(farm: Farm) -> None:
    first, second = await item_of(farm, ("sisbov", SISBOV)), await item_of(farm, ("rfid", RFID), cor="roxa")
    pending_id = await parked(farm, ("sisbov", SISBOV), ("rfid", RFID), peso_kg=4)
    other = await item_of(farm, ("lote", "1"))
    with pytest.raises(Invalid, match="/dfid"):
        await farm.items.resolve(farm.ana, pending_id, do("merge", dfid=other))
    done = await farm.items.resolve(farm.ana, pending_id, do("merge", dfid=first))
    assert done.item is not None and done.item.data == Document(cor="roxa", peso_kg=4)
    assert done.item.lineage.merged_from == (second,)
    await check_rows(farm)


async def test_a_separate_item_only_mentions_what_others_hold(farm: Farm) -> None:
    await item_of(farm, ("sisbov", SISBOV), ("rfid", RFID))
    pending_id = await parked(farm, ("rfid", RFID), ("sisbov", OTHER))
    done = await farm.items.resolve(farm.ana, pending_id, do("create_separate"))
    assert [demoted["key"] for demoted in done.demoted_identifiers] == ["rfid"]
    assert done.item is not None
    assert {i.key: i.scope for i in done.item.identifiers} == {"rfid": "reference", "sisbov": "global"}
    assert len(await farm.rows(CLAIMS)) == 3
    await farm.items.create(farm.rui, submission(("sscc", "106141412345678908")))
    with pytest.raises(Invalid, match="identifiers_required"):
        lonely = await parked(farm, ("sscc", "106141412345678908"))
        await farm.items.resolve(farm.ana, lonely, do("create_separate"))
    await check_rows(farm)


async def test_of_two_numbers_where_an_item_has_one_the_first_goes_with_it(farm: Farm) -> None:
    numbers = (("sisbov", SISBOV), ("sisbov", OTHER), ("brinco", "7"))
    held = await item_of(farm, ("lote", "1"))
    done = await farm.items.resolve(farm.ana, await parked(farm, *numbers), do("create_separate"))
    assert [demoted["value"] for demoted in done.demoted_identifiers] == [OTHER]
    linked = await farm.items.resolve(farm.ana, await parked(farm, *numbers, ("k", "1")), do("link", dfid=held))
    assert [skipped["value"] for skipped in linked.skipped_identifiers] == [SISBOV]
    assert linked.item is not None and sorted(one.key for one in linked.item.identifiers) == [
        *("brinco", "k", "lote", "sisbov"),
    ]
    await check_rows(farm)


async def test_the_queue_is_read_by_urgency_then_age_and_filtered(farm: Farm) -> None:
    await item_of(farm, ("sisbov", SISBOV))
    await item_of(farm, ("rfid", RFID))
    await farm.items.create(farm.ana, submission(("sisbov", "12")), OnProblem.QUEUE)
    await farm.items.create(farm.ana, submission(), OnProblem.QUEUE)
    await parked(farm, ("sisbov", SISBOV), ("rfid", RFID))
    await farm.items.create(farm.ana, submission(("sisbov", "13")), OnProblem.QUEUE)

    async def reasons(wanted: PendingFilter) -> list[str]:
        first = await farm.items.queue(farm.ana, wanted, limit=3)
        rest = (await farm.items.queue(farm.ana, wanted, first.after, 3)).items if first.after else ()
        return [view.reason["code"] for view in (*first.items, *rest)]

    urgent = ["conflicting_items", "no_identifiers"]
    assert await reasons(PendingFilter()) == [*urgent, "invalid_identifiers", "invalid_identifiers"]
    assert await reasons(PendingFilter(priority_min=Priority.HIGH)) == urgent
    assert await reasons(PendingFilter(reason=frozenset({PendingReason.NO_IDENTIFIERS}))) == ["no_identifiers"]
    assert await reasons(PendingFilter(status=frozenset({PendingStatus.REJECTED}))) == []


async def test_a_record_of_a_draft_ends_with_it(farm: Farm) -> None:
    """Linking consumes the draft as promoting would; promoting it closes what waits of it."""
    await item_of(farm, ("sisbov", SISBOV))
    target = await item_of(farm, ("rfid", RFID))
    for action in ("link", "promote"):
        given = (IdentifierInput("sisbov", SISBOV), IdentifierInput("rfid", RFID))
        draft = await farm.items.create_draft(farm.ana, CreateDraft(identifiers=given))
        assert draft.local_id is not None
        with pytest.raises(Refusal, match="identifier_conflict") as refused:
            await farm.items.promote(farm.ana, draft.local_id)
        pending_id = refused.value.members["pending_id"]
        if action == "link":
            await farm.items.resolve(farm.ana, pending_id, do("link", dfid=target))
        else:
            await farm.items.merge(farm.ana, target, _merged(await farm.rows(ITEMS, status="active"), target))
            await farm.items.promote(farm.ana, draft.local_id)
        record = await farm.items.pending(farm.ana, pending_id)
        assert record.status is PendingStatus.RESOLVED
        assert record.resolution is not None and record.resolution["dfid"] == target
    assert [mapping.dfid for mapping in await farm.rows(MAPPINGS)] == [target, target]
    assert await farm.rows(ITEMS, status="local") == []


def _merged(items: list[Any], target: str) -> Any:
    return MergeItems(next(item.key for item in items if item.key != target))


async def test_rejecting_changes_nothing_else(farm: Farm) -> None:
    await farm.items.create(farm.rui, submission(("sisbov", SISBOV)))
    pending_id = await parked(farm, ("sisbov", SISBOV), ("cpf", CPF))
    events = len(await farm.rows(EVENTS))
    done = await farm.items.resolve(farm.ana, pending_id, do("reject", note="theirs"))
    assert (done.pending.status, done.item) == (PendingStatus.REJECTED, None)
    assert len(await farm.rows(EVENTS)) == events
    assert CPF not in str(await farm.rows(PENDING))

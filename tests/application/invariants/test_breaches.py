"""Every invariant is broken by hand in a good store, and reported of the row it was broken in."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import attrs
import pytest

from application.circuits.requests import AskToJoin, CreateRole
from application.events import Events
from application.events.requests import AppendEvent
from application.invariants import INVARIANTS, breaches
from application.items.lineage import MergeItems, SplitItem, SplitMode, SplitPart
from application.items.requests import OnProblem
from application.items.sharing import ShareItem
from domain.access.permissions import BaseRole, Permission
from domain.access.principal import Principal
from domain.access.vocabulary import (
    CircuitStatus,
    EventVisibility,
    ItemStatus,
    MembershipStatus,
    PublicAccessMode,
)
from domain.accounts.values import ROSTER_ID, AdminRoster
from domain.circuits.values import FingerprintEntry
from domain.document import Document
from domain.ids import new_id
from domain.items.submission import IdentifierInput, Submission
from domain.items.values import Claim, Import, ImportRow, Lineage, Mapping, Outcome, PendingStatus
from domain.ports.schema import (
    ACCOUNTS,
    AUDIT,
    CHAINS,
    CIRCUITS,
    CLAIMS,
    CONTRIBUTIONS,
    COUNTERS,
    ENTRIES,
    EVENTS,
    FINGERPRINTS,
    IMPORT_ROWS,
    IMPORTS,
    ITEMS,
    JOIN_REQUESTS,
    MAPPINGS,
    MEMBERSHIPS,
    OPERATIONS,
    PENDING,
    PLACEMENTS,
    ROSTER,
    SHARES,
    Facet,
)
from tests.application.circuits.world import World, lot, sisbov

pytestmark = pytest.mark.tampers
ABSENT = "DFID-20250108-000042-94E"


@attrs.define
class Good:
    """A store with something of everything, in which all invariants hold."""

    world: World
    ana: Principal
    bia: Principal
    circuit_id: str
    dfid: str
    absorbed: str
    parted: str
    waiting: str
    held: str
    local_id: str

    async def change(self, facet: Facet[Any], where: dict[str, Any], **members: Any) -> Any:
        """Change one stored row as somebody with the password of the database could."""
        row = (await self.world.rows(facet, **where))[0]
        async with self.world.storage.write() as unit:
            if facet.versioned and facet is not CHAINS:
                await unit.save(facet, attrs.evolve(row, version=row.version + 1, **members))
            else:
                await unit.remove(facet, row)
                await unit.add(facet, attrs.evolve(row, **members))
        return facet.key_of(row)

    async def add(self, facet: Facet[Any], row: Any) -> Any:
        async with self.world.storage.write() as unit:
            await unit.add(facet, row)
        return facet.key_of(row)

    async def remove(self, facet: Facet[Any], **where: Any) -> Any:
        row = (await self.world.rows(facet, **where))[0]
        async with self.world.storage.write() as unit:
            await unit.remove(facet, row)
        return facet.key_of(row)


@pytest.fixture
async def good(world: World) -> Good:
    ana, bia, caio = [await world.user(name) for name in ("ana", "bia", "caio")]
    made = await world.circuit(ana, require_approval_for_push=True, allow_public_visibility=True)
    circuit_id = made.circuit_id
    await world.join(ana, circuit_id, bia)
    await world.circuits.create_role(ana, circuit_id, CreateRole("mudo", frozenset()))
    await world.circuits.ask_to_join(caio, circuit_id, AskToJoin())
    dfid, other = await world.item(ana, sisbov(1), lot("A"), kg=1), await world.item(ana, lot("B"))
    await world.items.merge(ana, dfid, MergeItems(other))
    parted = await world.item(ana, lot("C"), lot("C1", "brinco"), lot("C2", "brinco"))
    part = SplitPart((lot("C1", "brinco"),))
    await world.items.split(ana, parted, SplitItem(SplitMode.DIVIDE, (part,)))
    await world.circuits.push(ana, circuit_id, dfid)
    await world.circuits.pull(bia, circuit_id, dfid)
    await world.items.share(ana, dfid, ShareItem(str(caio.user_id)))
    tokenised = await world.draft(ana, lot("D"))
    await world.push_local(ana, circuit_id, tokenised)
    held = await world.draft(bia, lot("E"))
    waiting = (await world.push_local(bia, circuit_id, held)).operation
    assert waiting is not None
    event = AppendEvent(dfid, category="weighing", visibility=EventVisibility.PUBLIC)
    await Events(world.circuits.units).append(ana, event)
    return Good(world, ana, bia, circuit_id, dfid, other, parted, waiting.operation_id, held, tokenised)


def at(good: Good) -> dict[str, Any]:
    return {"circuit_id": good.circuit_id}


def of_bia(good: Good) -> dict[str, Any]:
    return at(good) | {"user_id": good.bia.user_id}


def placed(good: Good) -> dict[str, Any]:
    return at(good) | {"dfid": good.dfid}


def pull(good: Good) -> dict[str, Any]:
    return at(good) | {"operation_type": "pull"}


def tokenising(good: Good) -> Callable[[Any], bool]:
    return lambda row: row.local_id == good.local_id


async def unrolled(good: Good, **members: Any) -> Any:
    circuit = (await good.world.rows(CIRCUITS, **at(good)))[0]
    return await good.change(CIRCUITS, at(good), roles=(attrs.evolve(circuit.roles[0], **members),))


async def repeated(good: Good) -> Any:
    """Withdraw an item and put its placement back."""
    row = (await good.world.rows(PLACEMENTS, **placed(good)))[0]
    await good.world.circuits.withdraw(good.ana, good.circuit_id, good.dfid)
    await good.add(PLACEMENTS, row)
    return good.dfid


async def mispushed(good: Good) -> Any:
    row = next(each for each in await good.world.rows(OPERATIONS, **at(good)) if tokenising(good)(each))
    await good.remove(MAPPINGS, local_id=good.local_id)
    return row.operation_id


async def damaged(good: Good) -> Any:
    await good.change(EVENTS, {"dfid": good.dfid, "position": 2}, payload=Document(x=1))
    return good.dfid


async def undated(good: Good) -> Any:
    row = (await good.world.rows(CONTRIBUTIONS, item=good.dfid))[0]
    return await good.change(CONTRIBUTIONS, {"contribution_id": row.contribution_id}, data=Document(kg=2))


async def foreign(good: Good) -> Any:
    row = (await good.world.rows(CONTRIBUTIONS, item=good.dfid))[0]
    mine = {"contribution_id": row.contribution_id}
    return await good.change(CONTRIBUTIONS, mine, workspace_id=good.bia.workspace_id)


async def kept_in_clear(good: Good) -> Any:
    item = (await good.world.rows(ITEMS, key=good.dfid))[0]
    first = attrs.evolve(item.identifiers[0], key="cpf", value="111.444.777-35", lookup="x")
    return await good.change(ITEMS, {"key": good.dfid}, identifiers=(first, *item.identifiers[1:]))


async def unheaded(good: Good) -> Any:
    await good.remove(EVENTS, dfid=good.dfid, position=1)
    return good.dfid


async def closed(good: Good) -> Any:
    """Close the circuit without the job that cancels what waits."""
    await good.change(CIRCUITS, at(good), status=CircuitStatus.INACTIVE)
    return good.waiting


async def asked_in_closed(good: Good) -> Any:
    await good.change(CIRCUITS, at(good), status=CircuitStatus.INACTIVE)
    return (await good.world.rows(JOIN_REQUESTS))[0].request_id


async def left(good: Good) -> Any:
    """End the membership under which a pull was completed, so long before that nothing can have overlapped."""
    operation = (await good.world.rows(OPERATIONS, **pull(good)))[0]
    ended = operation.member_since + timedelta(microseconds=1)
    await good.change(MEMBERSHIPS, of_bia(good), status=MembershipStatus.LEFT, ended_at=ended)
    await good.change(OPERATIONS, pull(good), decided_at=ended + timedelta(minutes=2))
    return operation.operation_id


async def unmanaged(good: Good) -> Any:
    await good.change(ACCOUNTS, {"user_id": good.bia.user_id}, workspace_role="member")
    return good.bia.workspace_id


async def shared_by_others(good: Good) -> Any:
    return await good.change(SHARES, {"dfid": good.dfid}, workspace_id=good.bia.workspace_id)


async def imported(good: Good, **members: Any) -> Any:
    known = {"workspace_id": "w", "created_by": "u", "format": "csv", "target": "items", "dry_run": False}
    known |= {"on_problem": "refuse", "status": "completed", "started_at": good.world.clock.now()}
    return await good.add(IMPORTS, Import(new_id(), **known, rows_read=2, counts=Document(created=1)))


async def protected(good: Good) -> Any:
    circuit = (await good.world.rows(CIRCUITS, **at(good)))[0]
    page = attrs.evolve(circuit.public_settings, access_mode=PublicAccessMode.PROTECTED, password_hash="secret")
    return await good.change(CIRCUITS, at(good), public_settings=page)


async def unheld(good: Good) -> Any:
    await good.change(ITEMS, {"key": good.held}, held_by=None)
    return good.waiting


async def untold(good: Good) -> Any:
    operation = (await good.world.rows(OPERATIONS, **pull(good)))[0]
    await good.remove(EVENTS, dfid=good.dfid, event_type="pulled_from_circuit")
    return operation.operation_id


async def unclaimed(good: Good) -> Any:
    await good.remove(CLAIMS, item=good.dfid)
    return good.dfid


async def unfound(good: Good) -> Any:
    *place, _ = await good.change(ENTRIES, {"item": good.dfid, "key": "sisbov"}, lookup="x")
    return (*place, "x")


async def unpersoned(good: Good) -> Any:
    await good.remove(ACCOUNTS, user_id=good.bia.user_id)
    return (good.circuit_id, good.bia.user_id)


async def miscounted(good: Good) -> Any:
    place = next(row.place for row in await good.world.rows(ENTRIES, item=good.dfid) if row.place is not None)
    return await good.change(COUNTERS, {"place": place}, count=0)


async def unresolved(good: Good) -> Any:
    faulty = Submission((IdentifierInput("sisbov", "x"),), Document())
    await good.world.items.create(good.ana, faulty, OnProblem.QUEUE)
    return await good.change(PENDING, {}, status=PendingStatus.REJECTED)


BREAKS: dict[str, Callable[[Good], Awaitable[Any]]] = {
    "a_circuit_has_its_owner": lambda g: g.change(CIRCUITS, at(g), owner_id=new_id()),
    "nobody_else_is_an_owner": lambda g: g.change(MEMBERSHIPS, of_bia(g), base_role=BaseRole.OWNER),
    "permissions_are_those_of_the_role": lambda g: g.change(
        MEMBERSHIPS, of_bia(g), permissions=frozenset({Permission.DELETE})
    ),
    "an_end_belongs_to_an_ended_membership": lambda g: g.change(
        MEMBERSHIPS, of_bia(g), status=MembershipStatus.REMOVED
    ),
    "settings_fit_together": lambda g: unrolled(g, name="viewer"),
    "page_passwords_are_hashed": protected,
    "requests_wait_in_active_circuits": asked_in_closed,
    "requests_are_decided_or_wait": lambda g: g.change(JOIN_REQUESTS, at(g), decided_at=g.world.clock.now()),
    "what_is_placed_exists": lambda g: g.change(PLACEMENTS, placed(g), item_workspace_id=new_id()),
    "a_placement_has_its_push": lambda g: g.change(PLACEMENTS, placed(g), operation_id=new_id()),
    "published_since_when": lambda g: g.change(PLACEMENTS, placed(g), published=True),
    "placements_are_what_the_chain_says": repeated,
    "what_waits_has_no_effect_yet": lambda g: g.change(OPERATIONS, {"operation_id": g.waiting}, outcome="placed"),
    "decisions_are_complete": lambda g: g.change(OPERATIONS, pull(g), decided_at=None),
    "members_only_push_and_pull": left,
    "a_waiting_push_holds_its_draft": unheld,
    "a_held_draft_waits": lambda g: g.change(ITEMS, {"key": g.held}, held_by=new_id()),
    "operations_wait_for_members_of_active_circuits": closed,
    "a_pull_stands_in_the_chain": untold,
    "a_fingerprint_is_of_what_stands": lambda g: g.add(FINGERPRINTS, FingerprintEntry(g.circuit_id, "f", ABSENT)),
    "a_pushed_draft_is_mapped": mispushed,
    "an_item_is_what_its_key_says": lambda g: g.change(ITEMS, {"key": g.dfid}, status=ItemStatus.LOCAL),
    "mergers_agree_on_both_sides": lambda g: g.change(ITEMS, {"key": g.absorbed}, lineage=Lineage()),
    "splits_agree_on_both_sides": lambda g: g.change(ITEMS, {"key": g.parted}, lineage=Lineage()),
    "unique_identifiers_are_claimed": unclaimed,
    "claims_are_of_what_is_carried": lambda g: g.add(CLAIMS, Claim("*", "sisbov", "x", g.dfid, "w")),
    "identifiers_are_what_the_engine_computes": kept_in_clear,
    "items_are_the_fold_of_contributions": lambda g: g.change(ITEMS, {"key": g.dfid}, data=Document(kg=7)),
    "contributions_are_what_was_hashed": undated,
    "others_contribute_through_circuits": foreign,
    "local_ids_lead_to_items": lambda g: g.add(MAPPINGS, Mapping(new_id(), ABSENT, "w")),
    "owners_share": shared_by_others,
    "pending_records_are_open_or_resolved": unresolved,
    "counters_count_all_entries": miscounted,
    "entries_are_of_what_is_carried": unfound,
    "imports_count_their_rows": imported,
    "import_results_exist": lambda g: g.add(IMPORT_ROWS, ImportRow(new_id(), 1, 1, Outcome.CREATED, dfid=ABSENT)),
    "chains_verify": damaged,
    "every_item_has_a_chain_that_begins": unheaded,
    "events_have_what_their_kind_needs": lambda g: g.change(
        EVENTS, {"dfid": g.dfid, "position": 1}, category="weighing"
    ),
    "items_are_what_their_chains_tell": lambda g: g.change(
        ITEMS, {"key": g.absorbed}, status=ItemStatus.ACTIVE, lineage=Lineage()
    ),
    "an_administrator_is_active": lambda g: g.add(ROSTER, AdminRoster(ROSTER_ID, frozenset({new_id()}))),
    "workspaces_have_managers": unmanaged,
    "passwords_are_hashed": lambda g: g.change(ACCOUNTS, {"user_id": g.bia.user_id}, password_hash="secret"),
    "members_exist": unpersoned,
    "audit_entries_are_what_was_hashed": lambda g: g.change(AUDIT, at(g), reason="other"),
}


def test_every_invariant_is_broken_here() -> None:
    assert {one.name for one in INVARIANTS} == BREAKS.keys()


async def test_nothing_is_reported_of_a_good_store(good: Good) -> None:
    assert [each async for each in breaches(good.world.storage)] == []


@pytest.mark.parametrize("judge", BREAKS)
async def test_a_breach_is_reported_of_its_row_with_what_to_do(good: Good, judge: str) -> None:
    key = await BREAKS[judge](good)
    found = [each async for each in breaches(good.world.storage, [judge])]
    assert key in [each.key for each in found]
    assert all(each.judge == judge and each.what and each.remedy for each in found)

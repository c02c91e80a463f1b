"""Every invariant is broken by hand in a good store, and reported of the row it was broken in."""

from base64 import b64encode
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
from application.items.transfers import OfferItem
from domain.access.permissions import BaseRole, Permission
from domain.access.principal import Principal, WorkspaceRole
from domain.access.vocabulary import (
    CircuitStatus,
    EventVisibility,
    ItemStatus,
    MembershipStatus,
    PublicAccessMode,
    TransferStatus,
)
from domain.accounts.values import ROSTER_ID, AccountStatus, AdminRoster, Invitation, PasswordReset, RefreshToken
from domain.audit.log import Checkpoint, LogTile
from domain.circuits.values import FingerprintEntry
from domain.document import Document
from domain.ids import new_id
from domain.items.dfid import format_dfid
from domain.items.storage_records import StorageAction, StorageRecord, StoreName
from domain.items.submission import IdentifierInput, Submission
from domain.items.values import Claim, Import, ImportRow, Lineage, Mapping, Outcome, PendingStatus, Transfer
from domain.keys.values import ApiKey
from domain.ports.schema import (
    ACCOUNTS,
    API_KEYS,
    AUDIT,
    CHAINS,
    CIRCUITS,
    CLAIMS,
    CONTRIBUTIONS,
    COUNTERS,
    DELIVERIES,
    ENTRIES,
    EVENTS,
    FINGERPRINTS,
    IMPORT_ROWS,
    IMPORTS,
    INVITATIONS,
    ITEMS,
    JOIN_REQUESTS,
    LOG_CHECKPOINTS,
    LOG_TILES,
    MAPPINGS,
    MEMBERSHIPS,
    OPERATIONS,
    PASSWORD_RESETS,
    PENDING,
    PLACEMENTS,
    REFRESH_TOKENS,
    ROSTER,
    SHARES,
    STORAGE_RECORDS,
    STORE,
    TRANSFERS,
    WEBHOOKS,
    Facet,
)
from domain.store import StoreRecord
from domain.webhooks.values import Delivery, DeliveryStatus, Webhook
from tests.application.circuits.world import World, lot, sisbov

pytestmark = pytest.mark.tampers
ABSENT = "DFID-20250108-000042-94E"
Break = Callable[["Good"], Awaitable[Any]]


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


@pytest.fixture(autouse=True)
def _at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is at work here, for whom a second look would have to wait."""
    monkeypatch.setattr("application.invariants.core.PAUSES", (0.0,))


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


async def erased(good: Good) -> Any:
    await good.add(API_KEYS, key(good))
    gone = good.world.clock.now()
    left = {"email": "", "status": AccountStatus.FROZEN, "erased_at": gone}
    return await good.change(ACCOUNTS, {"user_id": good.ana.user_id}, **left)


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


async def unlisted(good: Good) -> Any:
    await good.remove(ENTRIES, item=good.dfid, key="sisbov")
    return good.dfid


async def overcounted(good: Good) -> Any:
    held = (await good.world.rows(ITEMS, key=good.held))[0]
    return await good.change(COUNTERS, {"place": held.draft_place}, count=2)


async def unresolved(good: Good) -> Any:
    faulty = Submission((IdentifierInput("sisbov", "x"),), Document())
    await good.world.items.create(good.ana, faulty, OnProblem.QUEUE)
    return await good.change(PENDING, {}, status=PendingStatus.REJECTED)


async def unnumbered(good: Good) -> Any:
    item = (await good.world.rows(ITEMS, key=good.dfid))[0]
    return await good.add(ITEMS, attrs.evolve(item, dfid=format_dfid("20260302", 7), local_id=None, version=1))


async def handed(good: Good) -> Any:
    """Write that an offer was accepted without handing anything over."""
    made = await good.world.transfers.offer(good.ana, good.dfid, OfferItem(str(good.bia.workspace_id)))
    now = good.world.clock.now()
    return await good.change(
        TRANSFERS, {"transfer_id": made.transfer_id}, status=TransferStatus.ACCEPTED, decided_at=now
    )


async def retired(good: Good) -> Any:
    here, now = StoreName(new_id(), "postgres"), good.world.clock.now()
    await good.add(STORAGE_RECORDS, StorageRecord(new_id(), good.dfid, here, StorageAction.RETIRED, now))
    return await good.add(STORE, StoreRecord("store", here.store_id, "sealed", now))


async def copied_from_nowhere(good: Good) -> Any:
    here = StoreName(new_id(), "postgres")
    copy = StorageRecord(new_id(), good.dfid, here, StorageAction.COPIED, good.world.clock.now(), run_id="r")
    return await good.add(STORAGE_RECORDS, copy)


async def shown_by_others(good: Good) -> Any:
    shown = {"published": True, "published_at": good.world.clock.now(), "published_by": good.bia.user_id}
    return await good.change(PLACEMENTS, placed(good), placed_by_workspace_id=good.bia.workspace_id, **shown)


async def contributed_in_clear(good: Good) -> Any:
    row = next(each for each in await good.world.rows(CONTRIBUTIONS, item=good.dfid) if each.identifiers)
    clear = attrs.evolve(row.identifiers[0], key="cpf", value="111.444.777-35", lookup="x")
    return await good.change(CONTRIBUTIONS, {"contribution_id": row.contribution_id}, identifiers=(clear,))


def backdated(facet: Facet[Any], member: str, where: Callable[[Good], dict[str, Any]]) -> Break:
    """Move an instant of a row to where no audit entry is."""

    async def change(good: Good) -> Any:
        row = (await good.world.rows(facet, **where(good)))[0]
        earlier = getattr(row, member) - timedelta(milliseconds=1)
        return await good.change(facet, where(good), **{member: earlier})

    return change


def offered(good: Good) -> Transfer:
    now = good.world.clock.now()
    sides = (str(good.ana.workspace_id), str(good.bia.workspace_id))
    return Transfer(new_id(), good.dfid, *sides, str(good.ana.user_id), now, now + timedelta(days=1))


def hook(good: Good, **members: Any) -> Webhook:
    now = good.world.clock.now()
    known: dict[str, Any] = {"name": "ERP", "url": "https://erp.example", "created_at": now, "updated_at": now}
    known |= {"sealed": b64encode(bytes(range(200, 240))).decode()}
    return Webhook(new_id(), good.circuit_id, str(good.ana.user_id), **known | members)


def delivery(good: Good, webhook_id: str, **members: Any) -> Delivery:
    now = good.world.clock.now()
    return Delivery(new_id(), webhook_id, good.circuit_id, new_id(), "item_pushed", "{}", now, **members)


async def told_twice(good: Good) -> Any:
    made = delivery(good, "w")
    await good.add(DELIVERIES, made)
    return await good.add(DELIVERIES, attrs.evolve(made, delivery_id=new_id(), source_id=new_id()))


async def unheard(good: Good) -> Any:
    """Make a webhook of which the circuit does not know, and push something."""
    made = hook(good)
    await good.add(WEBHOOKS, made)
    await good.add(DELIVERIES, delivery(good, "w", status=DeliveryStatus.DEAD, ended_at=made.created_at))
    good.world.clock.pass_by(timedelta(minutes=2))
    await good.world.circuits.push(good.ana, good.circuit_id, await good.world.item(good.ana, lot("Z")))
    return made.webhook_id


def key(good: Good, **members: Any) -> ApiKey:
    now = good.world.clock.now()
    known: dict[str, Any] = {"secret_hash": "ab" * 32, "workspace_id": good.ana.workspace_id}
    known |= {"created_by": good.ana.user_id, "name": "ERP", "prefix": "dfk", "scopes": frozenset({"items:read"})}
    return ApiKey(new_id(), created_at=now, updated_at=now, **known | members)


def token(good: Good) -> RefreshToken:
    return RefreshToken("secret", new_id(), good.world.clock.now())


def invitation(good: Good) -> Invitation:
    now = good.world.clock.now()
    return Invitation(new_id(), "w", WorkspaceRole.MEMBER, None, "secret", "u", now, now + timedelta(days=1))


def reset(good: Good) -> PasswordReset:
    now = good.world.clock.now()
    return PasswordReset(new_id(), "u", "secret", None, now, now + timedelta(days=1))


async def audited_twice(good: Good) -> Any:
    row = (await good.world.rows(AUDIT, action="circuit.created"))[0]
    return await good.add(AUDIT, attrs.evolve(row, entry_id=new_id()))


async def misplaced(good: Good) -> Any:
    row = (await good.world.rows(AUDIT, action="circuit.created"))[0]
    return await good.change(AUDIT, {"entry_id": row.entry_id}, log_index=5)


async def forged(good: Good) -> Any:
    await good.add(LOG_TILES, LogTile(0, 0, ("ab" * 32,)))
    return await good.add(LOG_CHECKPOINTS, Checkpoint("defarm", 1, "cd" * 32, good.world.clock.now()))


BREAKS: dict[str, Break] = {
    "numbers_were_taken": unnumbered,
    "transfers_are_what_chains_tell": handed,
    "storage_records_are_complete": copied_from_nowhere,
    "one_store_answers": retired,
    "owners_show_what_others_placed": shown_by_others,
    "personal_values_are_sealed_in_contributions": contributed_in_clear,
    "operations_are_audited": backdated(OPERATIONS, "requested_at", pull),
    "placements_are_audited": backdated(PLACEMENTS, "placed_at", placed),
    "memberships_are_audited": lambda g: g.change(
        MEMBERSHIPS, of_bia(g), status=MembershipStatus.REMOVED, ended_at=g.world.clock.now()
    ),
    "join_requests_are_audited": backdated(JOIN_REQUESTS, "requested_at", at),
    "circuits_are_audited": backdated(CIRCUITS, "created_at", at),
    "items_are_audited": backdated(ITEMS, "created_at", lambda g: {"key": g.dfid}),
    "shares_are_audited": backdated(SHARES, "created_at", lambda g: {"dfid": g.dfid}),
    "transfers_are_audited": lambda g: g.add(TRANSFERS, offered(g)),
    "webhooks_are_audited": lambda g: g.add(WEBHOOKS, hook(g)),
    "api_keys_are_audited": lambda g: g.add(API_KEYS, key(g)),
    "audit_entries_tell_what_was_done_once": audited_twice,
    "the_log_has_no_gaps": misplaced,
    "tiles_hold_the_hashes_of_entries": lambda g: g.add(LOG_TILES, LogTile(0, 0, ("ab" * 32,))),
    "checkpoints_are_of_the_tree": forged,
    "deliveries_are_what_their_status_says": lambda g: g.add(
        DELIVERIES, delivery(g, "w", status=DeliveryStatus.DELIVERED)
    ),
    "nothing_is_told_twice": told_twice,
    "webhooks_hear_everything": unheard,
    "webhook_secrets_are_sealed": lambda g: g.add(WEBHOOKS, hook(g, sealed="whsec_c2VjcmV0")),
    "api_keys_keep_hashes": lambda g: g.add(API_KEYS, key(g, secret_hash="dfk_secret")),
    "refresh_tokens_keep_hashes": lambda g: g.add(REFRESH_TOKENS, token(g)),
    "invitations_keep_hashes": lambda g: g.add(INVITATIONS, invitation(g)),
    "password_resets_keep_hashes": lambda g: g.add(PASSWORD_RESETS, reset(g)),
    "keys_are_of_their_creators": lambda g: g.add(API_KEYS, key(g, workspace_id=g.bia.workspace_id)),
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
    "what_is_carried_is_found": unlisted,
    "drafts_are_found_by_what_they_carry": lambda g: g.change(ITEMS, {"key": g.held}, confidence=0.1),
    "draft_values_are_counted_exactly": overcounted,
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
    "who_was_erased_left_nothing": erased,
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

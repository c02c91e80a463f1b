"""Items that change hands (items-events.md 15, scenarios 61 to 63; circuits.md 8, scenario 56)."""

from collections import Counter
from datetime import timedelta
from typing import Any

import attrs
import pytest

from adapters.memory.limits import MemoryRateLimiter
from adapters.staging import StagedStorage
from application.circuits import Circuits
from application.circuits.requests import PublicRequest
from application.events.requests import AppendEvent, EventFilter
from application.items import Items
from application.items.lineage import MergeItems
from application.items.requests import ItemAccess, ItemFilter, UpdateItem
from application.items.sharing import ShareItem
from application.items.transfers import (
    DecideTransfers,
    OfferItem,
    OfferItems,
    TransferDirection,
    TransferFilter,
    TransferView,
)
from application.passwords import Passwords
from application.units import DfidSource, Units
from domain.access.principal import Principal, WorkspaceRole
from domain.access.vocabulary import EventVisibility, TransferStatus
from domain.document import Document
from domain.errors import Invalid, Refusal
from domain.identifiers.personal import IdentifierKeys
from domain.items.submission import IdentifierInput, Submission
from domain.items.transferring import TransferDecision
from domain.ports.schema import CLAIMS, ENTRIES, EVENTS, ITEMS, PLACEMENTS, SHARES, TRANSFERS
from tests.application.circuits.test_cost import Counted
from tests.application.circuits.test_races import Rounds, outcomes, people, rounds
from tests.application.circuits.world import SteppedClock, World, lot, sisbov

__all__ = ["rounds"]

ACCEPT, DECLINE, CANCEL = TransferDecision


async def refused(code: str, call: Any) -> Refusal:
    with pytest.raises(Refusal) as error:
        await call
    assert error.value.code == code
    return error.value


async def two_farms(world: World) -> tuple[Principal, Principal, Principal]:
    """Return a manager of the offering farm, and a manager and a plain member of the receiving one."""
    ana, bia = await world.user("ana"), await world.user("bia")
    return ana, bia, await world.user("beto", "farm of bia", role=WorkspaceRole.MEMBER)


async def offered(world: World, ana: Principal, bia: Principal, dfid: str) -> TransferView:
    made = await world.transfers.offer(ana, dfid, OfferItem(str(bia.workspace_id), "sold"))
    assert (made.status, made.offered_by, made.reason) == ("open", ana.user_id, "sold")
    return made


async def test_scenario_61_an_offer_shows_identifiers_and_public_events_to_the_receiving_workspace_alone(
    world: World,
) -> None:
    ana, bia, beto = await two_farms(world)
    caio = await world.user("caio")
    dfid = await world.item(ana, sisbov(1), lot("7"), nota="segredo")
    await world.events.append(ana, AppendEvent(dfid, "price", visibility=EventVisibility.PRIVATE))
    await world.trail()
    made = await offered(world, ana, bia, dfid)
    assert (await world.trail()).told == {("item_transfer_offered", bia.user_id)}
    for who in (bia, beto):
        item = await world.items.get(who, dfid)
        assert ({one.key for one in item.identifiers}, item.data, item.fingerprint) == ({"sisbov", "lote"}, {}, None)
        assert (await world.items.contributions(who, dfid)).items == ()
        assert [event.event_type for event in (await world.events.of_item(who, dfid)).items] == ["created"]
        assert (await world.transfers.get(who, made.transfer_id)).offered_by is None
        shared = await world.items.page(who, ItemFilter(access=ItemAccess.SHARED))
        assert [one.dfid for one in shared.items] == [dfid] and shared.items[0].data == {}
        assert (await world.items.page(who, ItemFilter(access=ItemAccess.ALL, q="segredo"))).items == ()
        await refused("not_owner", world.items.update(who, dfid, UpdateItem(Document(nota="minha")), None))
    await refused("not_found", world.items.get(caio, dfid))
    await refused("not_found", world.transfers.get(caio, made.transfer_id))
    for decision in (ACCEPT, DECLINE, CANCEL):
        await refused("not_found", world.transfers.decide(caio, made.transfer_id, decision))
    await refused("manager_required", world.transfers.decide(beto, made.transfer_id, ACCEPT))
    await refused("manager_required", world.transfers.decide(ana, made.transfer_id, ACCEPT))
    await refused("not_owner", world.transfers.decide(bia, made.transfer_id, CANCEL))
    await refused("transfer_open", offered(world, ana, bia, dfid))
    declined = await world.transfers.decide(bia, made.transfer_id, DECLINE)
    assert (declined.status, declined.decided_by, declined.offered_by) == ("declined", bia.user_id, None)
    trail = await world.trail()
    assert (trail.told, "item.transfer_declined" in trail.audit) == ({("item_transfer_decided", ana.user_id)}, True)
    await refused("not_found", world.items.get(bia, dfid))
    closed = await refused("transfer_closed", world.transfers.decide(bia, made.transfer_id, ACCEPT))
    assert closed.members["current_status"] == "declined"
    second = await offered(world, ana, bia, dfid)
    await world.transfers.decide(ana, second.transfer_id, CANCEL)
    await refused("not_found", world.items.get(bia, dfid))
    third = await offered(world, ana, bia, dfid)
    world.clock.pass_by(timedelta(days=7))
    await refused("not_found", world.items.get(bia, dfid))
    assert (await world.items.page(bia, ItemFilter(access=ItemAccess.SHARED))).items == ()
    assert (await world.transfers.get(bia, third.transfer_id)).status == "expired"
    closed = await refused("transfer_closed", world.transfers.decide(bia, third.transfer_id, ACCEPT))
    assert closed.members["current_status"] == "expired"
    await offered(world, ana, bia, dfid)
    statuses = sorted(row.status.value for row in await world.rows(TRANSFERS))
    assert statuses == ["cancelled", "declined", "expired", "open"]


async def test_an_offer_names_an_active_item_another_workspace_and_an_end_within_thirty_days(world: World) -> None:
    ana, bia, beto = await two_farms(world)
    dfid = await world.item(ana)
    clerk = await world.user("clara", "farm of ana", role=WorkspaceRole.MEMBER)
    good = OfferItem(str(bia.workspace_id))
    await refused("manager_required", world.transfers.offer(clerk, dfid, good))
    await refused("not_found", world.transfers.offer(bia, dfid, good))
    await refused("recipient_has_access", world.transfers.offer(ana, dfid, OfferItem(str(ana.workspace_id))))
    await refused("recipient_unknown", world.transfers.offer(ana, dfid, OfferItem("no workspace")))
    for days in (-1, 31):
        late = attrs.evolve(good, expires_at=world.clock.now() + timedelta(days=days))
        with pytest.raises(Invalid):
            await world.transfers.offer(ana, dfid, late)
    await refused("version_mismatch", world.transfers.offer(ana, dfid, good, frozenset({7})))
    await world.items.deprecate(ana, dfid)
    await refused("item_not_active", world.transfers.offer(ana, dfid, good))
    assert beto.workspace_id == bia.workspace_id


async def test_scenario_62_an_accepted_item_is_the_receiving_workspace_s_with_all_that_stood_on_it(
    world: World,
) -> None:
    ana, bia, _ = await two_farms(world)
    caio = await world.user("caio")
    dfid = await world.item(ana, sisbov(1), lot("7"), peso=410)
    absorbed = await world.item(ana, sisbov(2), lot("8"), raça="nelore")
    await world.items.merge(ana, dfid, MergeItems(absorbed, force=True))
    await world.items.share(ana, dfid, ShareItem(str(caio.user_id)))
    mine, _ = await world.events.append(ana, AppendEvent(dfid, "price", visibility=EventVisibility.PRIVATE))
    before = {item.key: item.fingerprint for item in await world.rows(ITEMS)}
    made = await offered(world, ana, bia, dfid)
    await world.trail()
    done = await world.transfers.decide(bia, made.transfer_id, ACCEPT, frozenset({1}))
    assert (done.status, done.version, done.decided_by) == ("accepted", 2, bia.user_id)
    trail = await world.trail()
    assert trail.audit == ["item.transferred"]
    assert trail.activity == ["item_transferred", "share_revoked"]
    assert trail.told == {("item_transfer_decided", ana.user_id), ("share_revoked", caio.user_id)}
    for item in await world.rows(ITEMS):
        assert item.workspace_id == bia.workspace_id
        assert item.fingerprint != before[item.key]
    assert {claim.workspace_id for claim in await world.rows(CLAIMS)} == {bia.workspace_id}
    places = [entry.place for entry in await world.rows(ENTRIES) if entry.place is not None]
    assert len(places) == 2 and all(place.startswith(str(bia.workspace_id)) for place in places)
    for owned in (dfid, absorbed):
        (event,) = await world.rows(EVENTS, dfid=owned, event_type="transferred")
        assert event.visibility == "public" and event.payload is not None
        assert event.payload["transfer_id"] == made.transfer_id
        assert (await world.events.verify(bia, owned)).valid
    theirs = await world.items.get(bia, dfid)
    assert (theirs.data, theirs.created_by) == ({"peso": 410, "raça": "nelore"}, None)
    await refused("not_found", world.items.get(ana, dfid))
    await refused("not_found", world.items.get(caio, dfid))
    assert (await world.rows(SHARES))[0].revoked_at is not None
    assert (await world.events.get(ana, mine.event_id)).event_id == mine.event_id
    assert [one.event_id for one in (await world.events.page(ana, EventFilter(category="price"))).items] == [
        mine.event_id
    ]
    found = await world.items.create(bia, Submission((sisbov(1),), Document(peso=420)))
    assert (found.item.dfid, found.outcome) == (dfid, "enriched")  # type: ignore[union-attr]
    again = await world.items.create(bia, Submission((lot("7"),), Document(cor="branca")))
    assert again.item.dfid == dfid  # type: ignore[union-attr]
    assert (await world.items.get(bia, dfid)).data["peso"] == 420
    await world.trail()
    await refused("identifier_claimed", world.items.create(ana, Submission((sisbov(1),), Document())))
    assert ("identifier_claim_disputed", bia.user_id) in (await world.trail()).told
    own = await world.items.create(ana, Submission((lot("7"),), Document()))
    assert own.item.dfid != dfid  # type: ignore[union-attr]
    restored = await world.items.unmerge(bia, absorbed)
    assert restored.item.workspace_id == bia.workspace_id


async def test_a_number_that_is_unique_in_the_receiving_workspace_keeps_an_item_out(world: World) -> None:
    ana, bia, _ = await two_farms(world)
    number = IdentifierInput("sisbov", "076000000000000")
    dfid = await world.item(ana, number)
    theirs = await world.item(bia, number)
    made = await offered(world, ana, bia, dfid)
    conflict = await refused("identifier_conflict", world.transfers.decide(bia, made.transfer_id, ACCEPT))
    assert conflict.members["dfids"] == [theirs]


async def test_scenario_56_a_placed_item_changes_hands_and_only_its_new_owner_has_the_owner_s_rights(
    world: World,
) -> None:
    ana, bia, _ = await two_farms(world)
    olga = await world.user("olga")
    circuit_id = (await world.circuit(olga, allow_public_visibility=True)).circuit_id
    waiting = await world.circuit(olga, require_approval_for_push=True)
    await world.join(olga, circuit_id, ana)
    await world.join(olga, waiting.circuit_id, ana)
    dfid = await world.item(ana)
    await world.circuits.push(ana, circuit_id, dfid)
    await world.circuits.publish(olga, circuit_id, dfid, shown=True)
    asked = (await world.circuits.push(ana, waiting.circuit_id, dfid)).operation
    assert asked is not None
    (before,) = await world.rows(PLACEMENTS)
    made = await offered(world, ana, bia, dfid)
    await world.transfers.decide(bia, made.transfer_id, ACCEPT)
    (placement,) = await world.rows(PLACEMENTS)
    assert (placement.item_workspace_id, placement.published) == (bia.workspace_id, False)
    assert (placement.placement_id, placement.placed_by) == (before.placement_id, ana.user_id)
    seen = await world.items.get(ana, dfid)
    assert (seen.dfid, seen.created_by) == (dfid, ana.user_id)
    await refused("owner_must_publish", world.circuits.publish(olga, circuit_id, dfid, shown=True))
    await refused("permission_missing", world.circuits.withdraw(ana, circuit_id, dfid))
    await refused("item_not_pushable", world.circuits.approve_operation(olga, asked.operation_id, waiting.circuit_id))
    await world.join(olga, circuit_id, bia, role="admin")
    await world.circuits.publish(bia, circuit_id, dfid, shown=True)
    await refused("permission_missing", world.circuits.publish(ana, circuit_id, dfid, shown=False))
    await world.circuits.remove_member(olga, circuit_id, str(ana.user_id))
    for gone in (
        world.circuits.publish(ana, circuit_id, dfid, shown=False),
        world.circuits.withdraw(ana, circuit_id, dfid),
    ):
        await refused("not_a_member", gone)
    page = await world.pages.events(bia, circuit_id, dfid)
    transferred = next(event for event in page.items if event.event_type == "transferred")
    assert transferred.payload == {"transfer_id": made.transfer_id, "reason": "sold"}
    await world.circuits.remove_member(olga, circuit_id, str(bia.user_id))
    await world.circuits.publish(bia, circuit_id, dfid, shown=False)
    await world.circuits.withdraw(bia, circuit_id, dfid)
    assert await world.rows(PLACEMENTS) == []


async def test_many_items_are_offered_and_accepted_in_one_unit_each_with_its_own_result(world: World) -> None:
    ana, bia, _ = await two_farms(world)
    dfids = [await world.item(ana, sisbov(number)) for number in range(1, 5)]
    await world.items.deprecate(ana, dfids[3])
    foreign = await world.item(bia)
    await world.trail()
    asked = OfferItems((*dfids, dfids[0], foreign), str(bia.workspace_id))
    batch = await world.transfers.offer_many(ana, asked)
    assert [one.outcome for one in batch.results] == ["open", "open", "open", "refused", "refused", "refused"]
    assert [one.errors[0].code for one in batch.results[3:]] == ["item_not_active", "transfer_open", "not_found"]
    trail = await world.trail()
    assert (trail.audit, trail.told) == (["item.transfer_offered"], {("item_transfer_offered", bia.user_id)})
    ids = [str(one.transfer_id) for one in batch.results[:3]]
    await world.transfers.decide(ana, ids[2], CANCEL)
    await world.trail()
    done = await world.transfers.decide_many(bia, DecideTransfers(ACCEPT, (*ids, ids[0])))
    assert [one.outcome for one in done.results] == ["accepted", "accepted", "refused", "refused"]
    assert {error.code for one in done.results for error in one.errors} == {"transfer_closed"}
    trail = await world.trail()
    assert (trail.audit, trail.told) == (["item.transferred"], {("item_transfer_decided", ana.user_id)})
    owners = {item.key: item.workspace_id for item in await world.rows(ITEMS)}
    assert [owners[dfid] for dfid in dfids] == [bia.workspace_id] * 2 + [ana.workspace_id] * 2


async def test_offers_are_listed_by_direction_and_status_newest_first(world: World) -> None:
    ana, bia, _ = await two_farms(world)
    made = []
    for giver, taker in ((ana, bia), (bia, ana), (ana, bia), (ana, bia)):
        made.append(await offered(world, giver, taker, await world.item(giver)))
    await world.transfers.decide(bia, made[0].transfer_id, DECLINE)

    async def listed(**wanted: Any) -> list[int]:
        found, after = [], None
        while True:
            page = await world.transfers.page(ana, TransferFilter(**wanted), after, 2)
            found += page.items
            after = page.after
            if after is None:
                ids = [one.transfer_id for one in made]
                return [ids.index(one.transfer_id) for one in found]

    assert await listed() == [3, 2, 1, 0]
    assert await listed(direction=TransferDirection.IN) == [1]
    assert await listed(direction=TransferDirection.OUT, status=frozenset({TransferStatus.OPEN})) == [3, 2]
    assert await listed(dfid=made[2].dfid) == [2]
    some = frozenset({TransferStatus.OPEN, TransferStatus.DECLINED})
    assert await listed(status=some) == [3, 2, 1, 0]
    world.clock.pass_by(timedelta(days=8))
    assert await listed(status=frozenset({TransferStatus.OPEN})) == []
    assert await listed(status=frozenset({TransferStatus.EXPIRED})) == [3, 2, 1]
    assert await listed(status=frozenset({TransferStatus.DECLINED})) == await listed(status=some) == [0]
    assert await listed(status=some | {TransferStatus.EXPIRED}) == [3, 2, 1, 0]


async def test_scenario_63_an_accept_comes_before_or_after_what_meets_it(rounds: Rounds) -> None:
    async def prepare(world: World) -> tuple[list[Principal], str, list[str], list[str]]:
        ana, bia, caio = await people(world, 3)
        circuit_id = (await world.circuit(ana)).circuit_id
        dfids = [await world.item(ana) for _ in range(5)]
        batch = await world.transfers.offer_many(ana, OfferItems(tuple(dfids[:4]), str(bia.workspace_id)))
        return [ana, bia, caio], circuit_id, dfids, [str(one.transfer_id) for one in batch.results]

    ended_as = Counter[tuple[int, str, str]]()

    async def race(world: World, made: tuple[list[Principal], str, list[str], list[str]]) -> None:
        (ana, bia, caio), circuit_id, dfids, ids = made

        async def against(index: int, other: Any) -> list[str]:
            accepted, met = await outcomes(world.transfers.decide(bia, ids[index], ACCEPT), other)
            ended_as[index, accepted, met] += 1
            return [accepted, met]

        assert sorted(await against(0, world.transfers.decide(ana, ids[0], CANCEL))) == ["done", "transfer_closed"]
        merging = await against(1, world.items.merge(ana, dfids[4], MergeItems(dfids[1], force=True)))
        assert merging in (["done", "not_found"], ["item_merged", "done"])
        pushing = await against(2, world.circuits.push(ana, circuit_id, dfids[2]))
        assert pushing in (["done", "done"], ["done", "not_found"])
        sharing = await against(3, world.items.share(ana, dfids[3], ShareItem(str(caio.user_id))))
        assert sharing in (["done", "done"], ["done", "not_found"])
        placed = await world.rows(PLACEMENTS, dfid=dfids[2])
        assert [row.item_workspace_id for row in placed] == [bia.workspace_id] * (pushing[1] == "done")
        shares = await world.rows(SHARES, dfid=dfids[3])
        assert all(share.revoked_at is not None for share in shares)

    await rounds.each(prepare, race)
    assert rounds.url or len(ended_as) == 8, f"only {dict(ended_as)} ever came first"


async def cost(passwords: Passwords, count: int) -> int:
    """Return the statements of offering and accepting `count` items that stand in circuits and are shared."""
    backend: Any = Counted()
    storage, clock = StagedStorage(backend), SteppedClock()
    units = Units(storage, clock, DfidSource(storage, clock, block=10_000))
    keys = IdentifierKeys(b"k" * 32)
    world = World(storage, clock, Circuits(units, keys, passwords, MemoryRateLimiter({})), Items(units, keys))
    ana, bia, _ = await two_farms(world)
    caio = await world.user("caio")
    circuit = await world.circuit(ana, public_settings=PublicRequest(auto_publish_pushed_items=True))
    dfids = []
    for number in range(1, count + 1):
        dfids.append(await world.item(ana, sisbov(number), lot(str(number))))
        await world.circuits.push(ana, circuit.circuit_id, dfids[-1])
        await world.items.share(ana, dfids[-1], ShareItem(str(caio.user_id)))
    before = backend.statements
    batch = await world.transfers.offer_many(ana, OfferItems(tuple(dfids), str(bia.workspace_id)))
    ids = tuple(str(one.transfer_id) for one in batch.results)
    done = await world.transfers.decide_many(bia, DecideTransfers(ACCEPT, ids))
    assert done.counts == {"accepted": count}
    return int(backend.statements - before)


async def test_handing_over_forty_items_asks_the_store_as_often_as_handing_over_two(passwords: Passwords) -> None:
    assert await cost(passwords, 40) == await cost(passwords, 2)

"""Placements taken out, shown to the world and hidden again (circuits.md 4.17)."""

from collections.abc import Sequence

import attrs

from domain.access.decide import Action, Decision, require
from domain.access.vocabulary import EventVisibility, ItemStatus
from domain.act import Act
from domain.circuits.facts import placement_fact
from domain.circuits.recipients import tell_owners
from domain.circuits.rules import published, unpublished
from domain.circuits.scene import Scene, scene
from domain.circuits.values import Placement
from domain.document import Document
from domain.errors import Refusal, not_found
from domain.events.chain import EventDraft
from domain.events.engine import record
from domain.events.values import EventType
from domain.items.values import Item
from domain.ports.queries import Select
from domain.ports.schema import FINGERPRINTS, ITEMS, PLACEMENTS
from domain.ports.walking import walk
from domain.webhooks.triggers import Trigger, fire


async def withdraw(act: Act, circuit_id: str, dfid: str, reason: str | None = None) -> None:
    """Take an item out of a circuit; who read it through this circuit loses it at the next request.

    Raises Refusal `not_found`, `not_a_member`, `permission_missing`, `circuit_not_active`.
    """
    at = await scene(act.unit, act.principal, circuit_id)
    placement = await act.unit.find(PLACEMENTS, (circuit_id, dfid))
    require(_decide(act, at, Action.ITEM_WITHDRAW, placement, dfid))
    item = await act.unit.find(ITEMS, dfid)
    if placement is None or item is None:
        raise not_found()
    await at.confirm(act)
    await act.unit.remove(PLACEMENTS, placement)
    prints = Select({"circuit_id": circuit_id, "dfid": dfid})
    await act.unit.remove(FINGERPRINTS, *[row async for row in walk(act.unit, FINGERPRINTS, prints)])
    waiting = {"circuit_id": circuit_id, "dfid": dfid, "placement_id": placement.placement_id}
    await act.job("cancel_waiting", waiting, circuit_id=circuit_id)
    payload = {"circuit_id": circuit_id, "operation_id": placement.operation_id} | (
        {"reason": reason} if reason else {}
    )
    visibility = EventVisibility.CIRCUIT_ONLY
    await record(act, EventDraft(dfid, EventType.WITHDRAWN, visibility, Document(payload), circuit_id=circuit_id))
    await fire(act, at.circuit, Trigger.ITEM_WITHDRAWN, dfid=dfid)
    await _tell(act, circuit_id, "withdrawn", [item])


def _decide(act: Act, at: Scene, action: Action, placement: Placement | None, dfid: str) -> Decision:
    known = () if placement is None else (placement_fact(placement),)
    return at.decide(act, action, facts={"placements": known}, dfid=dfid)


async def _tell(act: Act, circuit_id: str, verb: str, items: Sequence[Item], *, bulk: bool = False) -> None:
    """Record what was done with placements, and tell the owners of items of other workspaces."""
    kind, dfids = f"item_{verb}", [item.key for item in items]
    subject = ("circuit", circuit_id) if bulk else ("item", dfids[0])
    activity = await act.activity(kind, subject, circuit_id=circuit_id, dfids=dfids)
    foreign = [item for item in items if item.workspace_id != act.principal.workspace_id]
    await tell_owners(act, kind, foreign, source_id=activity, circuit_id=circuit_id)
    details = {"item_count": len(dfids), "dfids": dfids[:20]}
    await act.audit(f"circuit.{kind}", subject, circuit_id=circuit_id, details=details)


@attrs.frozen
class Publication:
    """What became of one element: `changed`, `unchanged` or `refused`."""

    dfid: str
    outcome: str
    error: Refusal | None = None


async def publish(act: Act, circuit_id: str, dfids: Sequence[str], *, shown: bool, bulk: bool) -> list[Publication]:
    """Show placements on the public page, or hide them; one by one a refusal is raised, in bulk it is returned.

    Raises Refusal `not_found`, `not_a_member`, `permission_missing`, `owner_must_publish`, `item_not_active`.
    """
    at = await scene(act.unit, act.principal, circuit_id)
    if bulk:
        at.require_open(act)
    keys = [(circuit_id, dfid) for dfid in dict.fromkeys(dfids)]
    standing = {row.dfid: row for row in (await act.unit.get_many(PLACEMENTS, keys)).values()}
    items = {row.key: row for row in (await act.unit.get_many(ITEMS, sorted(standing))).values()}
    results, changed = [], {}
    for dfid in dfids:
        try:
            after = _turned(act, at, standing.get(dfid), items.get(dfid), dfid, shown=shown)
        except Refusal as refusal:
            if not bulk:
                raise
            results.append(Publication(dfid, "refused", refusal))
            continue
        results.append(Publication(dfid, "unchanged" if after is standing[dfid] else "changed"))
        if after is not standing[dfid]:
            standing[dfid] = changed[dfid] = after
    if changed:
        await at.confirm(act)
        await act.unit.confirm(ITEMS, *(items[dfid] for dfid in sorted(changed)))
        await act.unit.save(PLACEMENTS, *changed.values())
        verb = "published" if shown else "unpublished"
        for dfid in changed if shown else ():
            await fire(act, at.circuit, Trigger.ITEM_PUBLISHED, dfid=dfid)
        await _tell(act, circuit_id, verb, [items[dfid] for dfid in changed], bulk=bulk)
    return results


def _turned(
    act: Act, at: Scene, placement: Placement | None, item: Item | None, dfid: str, *, shown: bool
) -> Placement:
    action = Action.ITEM_PUBLISH if shown else Action.ITEM_UNPUBLISH
    require(_decide(act, at, action, placement, dfid))
    if placement is None or item is None:
        raise not_found()
    if not shown:
        return unpublished(placement)
    if not placement.published and item.status is not ItemStatus.ACTIVE:
        raise Refusal("item_not_active", f"This item is {item.status}.", current_status=item.status.value)
    return published(placement, act.now, act.user_id)

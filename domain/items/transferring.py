"""Items that change hands: offered, accepted, declined, taken back (items-events.md 6.11a).

One offer is a batch of one: what all elements need is read in a fixed number of queries, each is decided by
itself in order, and everything is staged at the end.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import attrs

from domain.access.decide import Action, decide, require
from domain.access.facts import Facts, Target
from domain.access.vocabulary import ItemStatus, TransferStatus
from domain.accounts.roles import manager_accounts, managers_of
from domain.act import Act
from domain.circuits.facts import transfer_fact
from domain.circuits.rules import unpublished
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.items.register import Register
from domain.items.values import Item, Share, Transfer
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import ITEMS, PLACEMENTS, SHARES, TRANSFERS, WORKSPACES
from domain.ports.walking import walk
from domain.precondition import Versions, require_version

LONGEST, USUAL = timedelta(days=30), timedelta(days=7)


class TransferDecision(StrEnum):
    """What is done with an open offer."""

    ACCEPT = "accept"
    DECLINE = "decline"
    CANCEL = "cancel"


_ENDS = {
    TransferDecision.ACCEPT: (Action.TRANSFER_DECIDE, TransferStatus.ACCEPTED, "item.transferred"),
    TransferDecision.DECLINE: (Action.TRANSFER_DECIDE, TransferStatus.DECLINED, "item.transfer_declined"),
    TransferDecision.CANCEL: (Action.TRANSFER_CANCEL, TransferStatus.CANCELLED, "item.transfer_cancelled"),
}


@attrs.frozen
class Offer:
    """To whom, why, and until when: an instant at most 30 days ahead, 7 when left out."""

    to_workspace_id: str
    reason: str | None = None
    expires_at: datetime | None = None

    def end(self, now: datetime) -> datetime:
        """Return when the offer ends. Raises Invalid for an instant that is past or too far."""
        end = now + USUAL if self.expires_at is None else self.expires_at
        if not now < end <= now + LONGEST:
            raise Invalid([Fault("out_of_range", "An instant at most 30 days ahead.", pointer="/expires_at")])
        return end


Outcome = Transfer | Refusal


async def offer(
    act: Act, dfids: Sequence[str], terms: Offer, viewable: Facts, accepted: Versions = None
) -> list[Outcome]:
    """Offer items of the acting user's workspace; what cannot be offered comes back as its refusal.

    `viewable` are the facts on which the actor views the items.
    """
    ends = terms.end(act.now)
    recipient = await act.unit.find(WORKSPACES, terms.to_workspace_id)
    items = {item.key: item for item in (await act.unit.get_many(ITEMS, dict.fromkeys(dfids))).values()}
    query = Select({"open_dfid": AnyOf(tuple(sorted(items)))}, ("open_dfid",))
    standing = {row.dfid: row async for row in walk(act.unit, TRANSFERS, query)}
    made: dict[str, Transfer] = {}
    results: list[Outcome] = []
    for dfid in dfids:
        try:
            facts = attrs.evolve(viewable, target=Target(dfid=dfid))
            item = _offerable(act, items.get(dfid), facts, standing.get(dfid), accepted, again=dfid in made)
            if recipient is None:
                raise Refusal("recipient_unknown", "There is no such workspace.")
            if recipient.workspace_id == item.workspace_id:
                raise Refusal("recipient_has_access", "The item is this workspace's already.")
        except Refusal as refusal:
            results.append(refusal)
            continue
        made[dfid] = Transfer(
            transfer_id=new_id(),
            dfid=dfid,
            from_workspace_id=item.workspace_id,
            to_workspace_id=terms.to_workspace_id,
            offered_by=act.user_id,
            created_at=act.now,
            expires_at=ends,
            reason=terms.reason,
        )
        results.append(made[dfid])
    if made:
        expired = [row for dfid, row in standing.items() if dfid in made]
        await act.unit.save(TRANSFERS, *(_ended(row, TransferStatus.EXPIRED, row.expires_at) for row in expired))
        await act.unit.add(TRANSFERS, *made.values())
        await act.unit.confirm(ITEMS, *(items[dfid] for dfid in sorted(made)))
        await _tell_offered(act, list(made.values()))
    return results


async def meet_offer(act: Act, dfid: str) -> None:
    """Make an act on an item and the acceptance of an open offer of it come one after the other.

    An acceptance ends what it finds on the item; what comes at the same time must not escape it.
    """
    query = Select({"open_dfid": dfid}, ("open_dfid",))
    for transfer in (await act.unit.page(TRANSFERS, query, limit=1)).items:
        await act.unit.save(TRANSFERS, attrs.evolve(transfer, version=transfer.version + 1))


def _offerable(
    act: Act, item: Item | None, facts: Facts, standing: Transfer | None, accepted: Versions, *, again: bool
) -> Item:
    require(decide(act.principal, Action.TRANSFER_OFFER, facts, act.now))
    if item is None or item.dfid is None:
        raise not_found()
    require_version(accepted, item.version)
    _require_active(item)
    if again or (standing is not None and standing.status_at(act.now) is TransferStatus.OPEN):
        raise Refusal("transfer_open", "This item is offered already.")
    return item


def _require_active(item: Item) -> None:
    if item.status is ItemStatus.MERGED:
        raise Refusal("item_merged", "Another item absorbed this one.", merged_into=item.lineage.merged_into)
    if item.status is not ItemStatus.ACTIVE:
        raise Refusal("item_not_active", f"The item is {item.status}.", current_status=item.status.value)


def _ended(transfer: Transfer, status: TransferStatus, at: datetime, by: str | None = None) -> Transfer:
    return attrs.evolve(transfer, status=status, decided_by=by, decided_at=at, version=transfer.version + 1)


async def _tell_offered(act: Act, made: Sequence[Transfer]) -> None:
    dfids = [transfer.dfid for transfer in made]
    subject, source = _subject(made)
    details = {"to_workspace_id": made[0].to_workspace_id, "item_count": len(made), "dfids": dfids[:20]}
    await act.audit("item.transfer_offered", subject, workspace_id=act.workspace_id, details=details)
    await act.activity("item_transfer_offered", ("item", dfids[0]), dfids=dfids)
    told = await managers_of(act.unit, made[0].to_workspace_id)
    await _notify(act, "item_transfer_offered", told, source, dfids, transfer_id=made[0].transfer_id)


def _subject(transfers: Sequence[Transfer]) -> tuple[tuple[str, str], str]:
    """Return what an act is recorded under, and the source of what is told of it."""
    if len(transfers) == 1:
        return ("transfer", transfers[0].transfer_id), transfers[0].transfer_id
    batch = new_id()
    return ("batch", batch), batch


async def _notify(act: Act, kind: str, users: Iterable[str], source: str, dfids: Sequence[str], **data: object) -> None:
    single = dfids[0] if len(dfids) == 1 else None
    shown = {name: value for name, value in data.items() if single is not None or name != "transfer_id"}
    await act.notify(kind, users, source_id=source, dfid=single, data={**shown, "item_count": len(dfids)})


async def end(
    act: Act,
    keys: IdentifierKeys,
    transfer_ids: Sequence[str],
    decision: TransferDecision,
    accepted: Versions = None,
) -> list[Outcome]:
    """Accept, decline or take back offers; what cannot be ended so comes back as its refusal."""
    action, status, _ = _ENDS[decision]
    rows = {row.transfer_id: row for row in (await act.unit.get_many(TRANSFERS, transfer_ids)).values()}
    handover = Handover(act, keys) if decision is TransferDecision.ACCEPT else None
    if handover is not None:
        await handover.load([row for row in rows.values() if row.to_workspace_id == act.principal.workspace_id])
    done: dict[str, Transfer] = {}
    results: list[Outcome] = []
    for transfer_id in transfer_ids:
        try:
            transfer = _open(act, done.get(transfer_id) or rows.get(transfer_id), action, accepted)
            if handover is not None:
                handover.take(transfer)
        except Refusal as refusal:
            results.append(refusal)
            continue
        done[transfer_id] = _ended(transfer, status, act.now, act.user_id)
        results.append(done[transfer_id])
    if done:
        await act.unit.save(TRANSFERS, *done.values())
        if handover is not None:
            await handover.flush()
        await _tell_ended(act, decision, list(done.values()))
    return results


def _open(act: Act, transfer: Transfer | None, action: Action, accepted: Versions) -> Transfer:
    """Return an offer that the actor may end now. Raises Refusal."""
    if transfer is None:
        raise not_found()
    facts = Facts(Target(transfer_id=transfer.transfer_id), transfers=(transfer_fact(transfer),))
    require(decide(act.principal, action, facts, act.now))
    require_version(accepted, transfer.version)
    status = transfer.status_at(act.now)
    if status is not TransferStatus.OPEN:
        raise Refusal("transfer_closed", "This offer is not open any more.", current_status=status.value)
    return transfer


async def _tell_ended(act: Act, decision: TransferDecision, done: Sequence[Transfer]) -> None:
    dfids = [transfer.dfid for transfer in done]
    subject, source = _subject(done)
    _, status, audited = _ENDS[decision]
    details = {"item_count": len(done), "dfids": dfids[:20]}
    await act.audit(audited, subject, workspace_id=act.workspace_id, details=details)
    if decision is TransferDecision.ACCEPT:
        await act.activity("item_transferred", ("item", dfids[0]), dfids=dfids)
    sides = [side for one in done for side in (one.from_workspace_id, one.to_workspace_id)]
    told = {
        manager.user_id: _told(done, manager.workspace_id, status)
        for manager in await manager_accounts(act.unit, sides)
    }
    await act.notify_each("item_transfer_decided", told, source_id=source)


def _told(done: Sequence[Transfer], workspace_id: str, status: TransferStatus) -> dict[str, object]:
    """Return what the managers of one side learn of it."""
    theirs = [one.dfid for one in done if workspace_id in (one.from_workspace_id, one.to_workspace_id)]
    return {"outcome": status.value, "item_count": len(theirs), "dfids": theirs[:20]}


@attrs.define
class Handover:
    """Everything that follows an item to another workspace, in one act of the receiving one."""

    act: Act
    keys: IdentifierKeys
    register: Register = attrs.field(init=False)
    _moved: list[str] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.register = Register(self.act, self.keys)

    async def load(self, transfers: Sequence[Transfer]) -> None:
        """Read the items of these offers, what was absorbed in them, and what they claim."""
        await self.register.load_handover(sorted({one.dfid for one in transfers}), self.act.workspace_id)

    def take(self, transfer: Transfer) -> None:
        """Take over one item with all that it absorbed.

        Raises Refusal `item_merged`, `item_not_active`, and `identifier_conflict` with the own items that carry
        a number that is unique in the workspace.
        """
        item = self.register.item(transfer.dfid)
        if item is None or item.workspace_id != transfer.from_workspace_id:
            raise Refusal("transfer_closed", "The item is not theirs any more.", current_status="open")
        _require_active(item)
        family = self.register.family(item)
        rivals = sorted({rival for one in family for rival in self.register.rivals(one, self.act.workspace_id)})
        if rivals:
            raise Refusal("identifier_conflict", "Items of yours carry a number of this item.", dfids=rivals)
        payload: dict[str, object] = {
            "from_workspace_id": transfer.from_workspace_id,
            "to_workspace_id": transfer.to_workspace_id,
            "transfer_id": transfer.transfer_id,
        }
        payload |= {} if transfer.reason is None else {"reason": transfer.reason}
        for one in family:
            self.register.hand_over(one, self.act.workspace_id, payload)
            self._moved.append(one.key)

    async def flush(self) -> None:
        """Stage the items, their claims and events, and what stands on them elsewhere."""
        await self.register.flush()
        moved = AnyOf(tuple(sorted(self._moved)))
        placed = Select({"dfid": moved}, ("dfid", "circuit_id"))
        standing = [row async for row in walk(self.act.unit, PLACEMENTS, placed)]
        owner = self.act.workspace_id
        hidden = (unpublished(row) for row in standing)
        turned = [
            attrs.evolve(after, item_workspace_id=owner, version=before.version + 1)
            for before, after in zip(standing, hidden, strict=True)
        ]
        await self.act.unit.save(PLACEMENTS, *turned)
        given = Select({"dfid": moved}, ("dfid", "created_at"))
        await self._end_shares([row async for row in walk(self.act.unit, SHARES, given) if row.revoked_at is None])

    async def _end_shares(self, shares: Sequence[Share]) -> None:
        """End what was shared by the former owner, expired or not, and tell those who could still read."""
        act = self.act
        await act.unit.save(
            SHARES,
            *(
                attrs.evolve(share, revoked_at=act.now, revoked_by=act.user_id, version=share.version + 1)
                for share in shares
            ),
        )
        live = [share for share in shares if share.expires_at is None or share.expires_at > act.now]
        if not live:
            return
        dfids = sorted({share.dfid for share in live})
        activity = await act.activity("share_revoked", ("item", dfids[0]), dfids=dfids)
        told = {share.recipient_user_id for share in live}
        single = dfids[0] if len(dfids) == 1 else None
        data = {"item_count": len(dfids)}
        # Who shared it knows the recipient; who took the item over does not.
        await act.notify("share_revoked", told, source_id=activity, dfid=single, data=data, anonymous=True)

"""Use cases of items that change hands (items-events.md 6.11a)."""

import heapq
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

import attrs

from application.facts import items_facts
from application.items.requests import Reason
from application.items.views import BatchError
from application.units import Units
from domain.access.decide import Action, decide, require
from domain.access.facts import Facts, Target
from domain.access.principal import Principal
from domain.access.vocabulary import TransferStatus
from domain.act import Act
from domain.circuits.facts import transfer_fact
from domain.document import Document
from domain.errors import Refusal, not_found
from domain.identifiers.personal import IdentifierKeys
from domain.items.dfid import parse_dfid
from domain.items.transferring import Offer, Outcome, TransferDecision, end, offer
from domain.items.values import Transfer
from domain.ports.queries import AnyOf, Between, Condition, Cursor, Page, Select
from domain.ports.schema import ITEMS, TRANSFERS
from domain.ports.storage import Reader
from domain.precondition import Versions
from domain.shape import Count, Dfid, Id

_INSTANT = timedelta(microseconds=1)


@attrs.frozen
class OfferItem:
    """To which workspace, why, and until when; at most 30 days ahead, 7 when left out."""

    to_workspace_id: Id
    reason: Reason | None = None
    expires_at: datetime | None = None

    @property
    def terms(self) -> Offer:
        return Offer(self.to_workspace_id, self.reason, self.expires_at)


@attrs.frozen
class OfferItems:
    """Many items to one workspace, in one unit."""

    dfids: Annotated[tuple[Dfid, ...], Count(1, 1000)]
    to_workspace_id: Id
    reason: Reason | None = None
    expires_at: datetime | None = None

    @property
    def terms(self) -> Offer:
        return Offer(self.to_workspace_id, self.reason, self.expires_at)


@attrs.frozen
class DecideTransfers:
    """What is done with many offers, in one unit."""

    decision: TransferDecision
    transfer_ids: Annotated[tuple[Id, ...], Count(1, 1000)]


class TransferDirection(StrEnum):
    IN = "in"
    OUT = "out"


@attrs.frozen
class TransferFilter:
    """Offers received or made, by status and item."""

    direction: TransferDirection | None = None
    status: frozenset[TransferStatus] = frozenset()
    dfid: Dfid | None = None


@attrs.frozen
class TransferView:
    """An offer as its two workspaces see it; users are named inside their own workspace only."""

    transfer_id: str
    dfid: str
    from_workspace_id: str
    to_workspace_id: str
    offered_by: str | None
    decided_by: str | None
    reason: str | None
    status: TransferStatus
    created_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    version: int


@attrs.frozen
class TransferResult:
    """What became of one element: a status of a transfer, or `refused`."""

    index: int
    outcome: str
    dfid: str | None
    transfer_id: str | None
    errors: tuple[BatchError, ...]


@attrs.frozen
class TransferBatch:
    """`counts` are numbers of results by outcome."""

    counts: Document
    results: tuple[TransferResult, ...]


@attrs.define
class Transfers:
    """Everything that can be done with offers of items."""

    units: Units
    keys: IdentifierKeys

    async def offer(
        self, principal: Principal, dfid: str, request: OfferItem, accepted: Versions = None
    ) -> TransferView:
        """Offer an item to another workspace.

        Raises Invalid for an end that is past or too far; Refusal `not_found`, `not_owner`, `manager_required`,
        `item_merged`, `item_not_active`, `transfer_open`, `recipient_unknown`, `recipient_has_access`.
        """

        async def work(act: Act) -> TransferView:
            (result,) = await self._offered(act, [dfid], request.terms, accepted)
            return transfer_view(_made(result), principal, act.now)

        return await self.units.perform(principal, work)

    async def offer_many(self, principal: Principal, request: OfferItems) -> TransferBatch:
        """Offer many items to one workspace in one unit; a refused one does not stop the others."""
        dfids = [parse_dfid(given) or given for given in request.dfids]

        async def work(act: Act) -> TransferBatch:
            return _batch(await self._offered(act, dfids, request.terms), dfids=dfids)

        return await self.units.perform(principal, work)

    async def _offered(self, act: Act, dfids: Sequence[str], terms: Offer, accepted: Versions = None) -> list[Outcome]:
        items = list((await act.unit.get_many(ITEMS, dict.fromkeys(dfids))).values())
        return await offer(act, dfids, terms, await items_facts(act.unit, act.principal, items), accepted)

    async def decide(
        self, principal: Principal, transfer_id: str, decision: TransferDecision, accepted: Versions = None
    ) -> TransferView:
        """Accept, decline or take back an offer.

        Raises Refusal `not_found`, `manager_required`, `not_owner`, `transfer_closed` with `current_status`,
        `item_merged`, `item_not_active`, `identifier_conflict` with `dfids`.
        """

        async def work(act: Act) -> TransferView:
            (result,) = await end(act, self.keys, [transfer_id], decision, accepted)
            return transfer_view(_made(result), principal, act.now)

        return await self.units.perform(principal, work)

    async def decide_many(self, principal: Principal, request: DecideTransfers) -> TransferBatch:
        """End many offers alike in one unit; a refused one does not stop the others."""

        async def work(act: Act) -> TransferBatch:
            done = await end(act, self.keys, request.transfer_ids, request.decision)
            return _batch(done, transfer_ids=request.transfer_ids)

        return await self.units.perform(principal, work)

    async def get(self, principal: Principal, transfer_id: str) -> TransferView:
        """Return an offer to either of its workspaces. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            found = await reader.find(TRANSFERS, transfer_id)
        now = self.units.clock.now()
        if found is None:
            raise not_found()
        facts = Facts(Target(transfer_id=transfer_id), transfers=(transfer_fact(found),))
        require(decide(principal, Action.TRANSFER_VIEW, facts, now))
        return transfer_view(found, principal, now)

    async def page(
        self, principal: Principal, wanted: TransferFilter, after: Cursor | None = None, limit: int = 50
    ) -> Page[TransferView]:
        """Return offers made and received by the principal's workspace, newest first."""
        if principal.workspace_id is None:
            raise not_found()
        now = self.units.clock.now()
        async with self.units.storage.read() as reader:
            page = await _merged(reader, _queries(wanted, principal.workspace_id, now), after, limit)
        return Page(tuple(transfer_view(row, principal, now) for row in page.items), page.after)


def _queries(wanted: TransferFilter, workspace_id: str, now: datetime) -> list[Select]:
    """Return queries that together find every offer once: an open one is expired when its time is over."""
    sides = {TransferDirection.IN: "to_workspace_id", TransferDirection.OUT: "from_workspace_id"}
    columns = [column for direction, column in sides.items() if wanted.direction in (None, direction)]
    states = _states(wanted.status, now + _INSTANT) if wanted.status else [{}]
    item: dict[str, Condition] = {} if wanted.dfid is None else {"dfid": parse_dfid(wanted.dfid) or wanted.dfid}
    return [
        Select({column: workspace_id, **state, **item}, ("created_at", "transfer_id"), descending=True)
        for column in columns
        for state in states
    ]


def _states(wanted: frozenset[TransferStatus], later: datetime) -> list[dict[str, Condition]]:
    """Return the conditions that offers of these statuses meet, each of them one."""
    stored = tuple(sorted(wanted - {TransferStatus.OPEN}))
    states: list[dict[str, Condition]] = [{"status": AnyOf(stored)}] if stored else []
    if wanted >= {TransferStatus.OPEN, TransferStatus.EXPIRED}:
        return [*states, {"status": TransferStatus.OPEN}]
    if TransferStatus.OPEN in wanted:
        states.append({"status": TransferStatus.OPEN, "expires_at": Between(later)})
    if TransferStatus.EXPIRED in wanted:
        states.append({"status": TransferStatus.OPEN, "expires_at": Between(None, later)})
    return states


async def _merged(reader: Reader, queries: Sequence[Select], after: Cursor | None, limit: int) -> Page[Transfer]:
    """Return one page of what several queries of one order find, no row of which they share."""
    pages = [await reader.page(TRANSFERS, query, after, limit) for query in queries]
    rows = heapq.merge(*(page.items for page in pages), key=lambda row: (row.created_at, row.transfer_id), reverse=True)
    found = list(rows)
    more = len(found) > limit or any(page.after is not None for page in pages)
    kept = found[:limit]
    return Page(tuple(kept), (kept[-1].created_at, *[kept[-1].transfer_id] * 2) if more and kept else None)


def _made(result: Outcome) -> Transfer:
    if isinstance(result, Refusal):
        raise result
    return result


def _batch(
    done: Sequence[Outcome], *, dfids: Sequence[str] | None = None, transfer_ids: Sequence[str] | None = None
) -> TransferBatch:
    results = tuple(
        TransferResult(index, one.status.value, one.dfid, one.transfer_id, ())
        if isinstance(one, Transfer)
        else TransferResult(
            index,
            "refused",
            None if dfids is None else dfids[index],
            None if transfer_ids is None else transfer_ids[index],
            (BatchError(None, one.code, one.detail),),
        )
        for index, one in enumerate(done)
    )
    outcomes = [one.outcome for one in results]
    return TransferBatch(Document((name, outcomes.count(name)) for name in dict.fromkeys(outcomes)), results)


def transfer_view(transfer: Transfer, principal: Principal, now: datetime) -> TransferView:
    """Return an offer as one of its workspaces sees it at an instant."""
    offering = transfer.from_workspace_id == principal.workspace_id
    decided_here = offering is (transfer.status is TransferStatus.CANCELLED)
    shown = {field.name: getattr(transfer, field.name) for field in attrs.fields(TransferView)}
    hidden = {
        "offered_by": transfer.offered_by if offering else None,
        "decided_by": transfer.decided_by if decided_here else None,
    }
    return TransferView(**shown | hidden | {"status": transfer.status_at(now)})

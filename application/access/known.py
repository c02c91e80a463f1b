"""What is known of the objects that a question names, and what of it the asker may know."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

import attrs

from application.access.requests import Explain
from application.events.views import event_fact
from application.facts import about, items_facts
from domain.access.decide import Action, Reason, decide
from domain.access.facts import Facts, Target
from domain.access.principal import Principal
from domain.circuits.facts import circuit_fact, member_fact, operation_fact, request_fact, transfer_fact
from domain.circuits.values import Circuit, JoinRequest, Operation
from domain.errors import not_found
from domain.events.values import Event
from domain.items.dfid import parse_dfid
from domain.items.values import Item, Transfer
from domain.notifications.values import Notification
from domain.ports.schema import (
    CIRCUITS,
    EVENTS,
    ITEMS,
    JOIN_REQUESTS,
    MEMBERSHIPS,
    NOTIFICATIONS,
    OPERATIONS,
    TRANSFERS,
    Facet,
)
from domain.ports.storage import Reader

V = TypeVar("V")


@attrs.frozen
class Named:
    """The stored objects of a question; what was not named is None."""

    circuit: Circuit | None = None
    item: Item | None = None
    event: Event | None = None
    operation: Operation | None = None
    request: JoinRequest | None = None
    transfer: Transfer | None = None
    notification: Notification | None = None

    @property
    def target(self) -> Target:
        """What a decision about these objects is asked."""
        return Target(
            circuit_id=None if self.circuit is None else self.circuit.circuit_id,
            dfid=None if self.item is None else self.item.key,
            event_id=None if self.event is None else self.event.event_id,
            operation_id=None if self.operation is None else self.operation.operation_id,
            request_id=None if self.request is None else self.request.request_id,
            transfer_id=None if self.transfer is None else self.transfer.transfer_id,
            user_id=None if self.notification is None else self.notification.user_id,
        )


async def named(reader: Reader, asked: Explain) -> Named:
    """Read the objects of a question. Raises Refusal `not_found` where one does not exist or does not fit."""
    operation = await _there(reader, OPERATIONS, asked.operation_id)
    request = await _there(reader, JOIN_REQUESTS, asked.request_id)
    event = await _there(reader, EVENTS, asked.event_id)
    transfer = await _there(reader, TRANSFERS, asked.transfer_id)
    notification = await _there(reader, NOTIFICATIONS, asked.notification_id)
    held = [one.circuit_id for one in (operation, request) if one is not None]
    circuit_id = _one_of(asked.circuit_id, *held)
    dfid = None if asked.dfid is None else parse_dfid(asked.dfid) or asked.dfid
    key = _one_of(asked.local_id, dfid, *(one.dfid for one in (event, transfer) if one is not None))
    item = await _there(reader, ITEMS, key)
    if item is not None and (item.dfid is None) != (asked.local_id is not None):
        raise not_found()
    circuit = await _there(reader, CIRCUITS, circuit_id)
    return Named(circuit, item, event, operation, request, transfer, notification)


async def _there(reader: Reader, facet: Facet[V], key: str | None) -> V | None:
    if key is None:
        return None
    found = await reader.find(facet, key)
    if found is None:
        raise not_found()
    return found


def _one_of(*ids: str | None) -> str | None:
    """Return the one id that is named, however often. Raises Refusal `not_found` for two of them."""
    distinct = {each for each in ids if each is not None}
    if len(distinct) > 1:
        raise not_found()
    return distinct.pop() if distinct else None


async def facts_about(reader: Reader, principal: Principal, objects: Named) -> Facts:
    """Return everything a decision of the principal about these objects rests on, in a fixed number of queries."""
    items = [] if objects.item is None else [objects.item]
    facts = await items_facts(reader, principal, items, own=True)
    known = {fact.circuit_id for fact in facts.circuits}
    pages = {fact.circuit_id for fact in facts.placements if fact.published} - known
    named = () if objects.circuit is None else (objects.circuit.circuit_id,)
    read = await reader.get_many(CIRCUITS, sorted(pages | set(named)))
    circuits = list(read.values())
    asked = [principal.user_id] if objects.operation is None else [principal.user_id, objects.operation.requester_id]
    keys = [(circuit.circuit_id, user) for circuit in circuits for user in asked if user is not None]
    members = {(row.circuit_id, row.user_id): row for row in (await reader.get_many(MEMBERSHIPS, keys)).values()}
    by_id = {circuit.circuit_id: circuit for circuit in circuits}
    return attrs.evolve(
        facts,
        target=objects.target,
        circuits=(*facts.circuits, *(circuit_fact(row) for row in circuits if row.circuit_id not in known)),
        members=(*facts.members, *(member_fact(by_id[row.circuit_id], row) for row in members.values())),
        events=() if objects.event is None else (event_fact(objects.event),),
        operations=() if objects.operation is None else (operation_fact(objects.operation),),
        requests=() if objects.request is None else (request_fact(objects.request),),
        transfers=(*facts.transfers, *(() if objects.transfer is None else (transfer_fact(objects.transfer),))),
    )


def within(facts: Facts, circuit_id: str) -> Facts:
    """Return the facts of one circuit only: no shares, no offers, no other circuits."""
    return attrs.evolve(
        facts,
        circuits=tuple(fact for fact in facts.circuits if fact.circuit_id == circuit_id),
        members=tuple(fact for fact in facts.members if fact.circuit_id == circuit_id),
        placements=tuple(fact for fact in facts.placements if fact.circuit_id == circuit_id),
        pulls=tuple(fact for fact in facts.pulls if fact.circuit_id == circuit_id),
        shares=(),
        transfers=(),
    )


def require_known(principal: Principal, objects: Named, facts: Facts, now: datetime) -> None:
    """Refuse what the principal may not know: it is never explained. Raises Refusal `not_found`."""

    def open_by(actions: Sequence[Action], *reasons: Reason, everywhere: bool = False) -> bool:
        asked = about(facts, circuit_id=None) if everywhere else facts
        decisions = [decide(principal, action, asked, now) for action in actions]
        return any(decision.allowed or decision.reason in reasons for decision in decisions)

    views = (Action.ITEM_VIEW, Action.ITEM_VIEW_PUBLIC)
    events = (Action.EVENT_VIEW, Action.EVENT_VIEW_PUBLIC)
    reached = objects.operation is not None or objects.request is not None
    if (
        (objects.operation is not None and not open_by([Action.OPERATION_VIEW]))
        or (objects.request is not None and not open_by([Action.JOIN_VIEW]))
        or (objects.event is not None and not open_by(events, everywhere=True))
        or (objects.transfer is not None and not open_by([Action.TRANSFER_VIEW]))
        or (objects.notification is not None and not open_by([Action.NOTIFICATION_VIEW]))
        or (
            objects.item is not None
            and objects.event is None
            and objects.transfer is None
            and not open_by(views, Reason.PULL_APPROVAL_REQUIRED, everywhere=True)
        )
        or (
            objects.circuit is not None
            and not reached
            and not open_by([Action.CIRCUIT_VIEW, Action.PLACEMENT_VIEW], Reason.NOT_A_MEMBER)
        )
    ):
        raise not_found()

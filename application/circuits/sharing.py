"""Use cases of items in circuits: push, pull, withdraw, publish (circuits.md 4.12 to 4.14, 4.17)."""

from collections.abc import Sequence
from typing import Any

import attrs

from application.ahead import NOTHING_AHEAD, Ahead
from application.circuits.people import CircuitPeople
from application.circuits.requests import Publications, PushBatch, PushElement, PushLocal
from application.circuits.views import (
    ElementError,
    PublicationResult,
    PublicationsResult,
    Pull,
    Push,
    PushBatchResult,
    PushElementResult,
    operation_view,
    placement_view,
)
from application.events.views import EventView, event_views, visible
from application.facts import about, items_facts
from application.items.views import ItemView, item_view
from domain.access.decide import Action, GroundKind, decide
from domain.access.principal import Principal
from domain.act import Act
from domain.circuits.batching import Element, Failed, counts, error_members, push_batch, push_local
from domain.circuits.pulling import pull
from domain.circuits.pushing import Pushed, push
from domain.circuits.tokenising import LocalPush
from domain.circuits.withdrawing import publish, withdraw
from domain.errors import Fault, Invalid, Refusal
from domain.events.values import Event
from domain.ids import new_id
from domain.items.dfid import parse_dfid
from domain.items.values import Item
from domain.ports.queries import Page, Select
from domain.ports.schema import EVENTS
from domain.ports.storage import Reader
from domain.ports.walking import pages
from domain.shape import Faulty

FIRST_EVENTS = 50
READ_EVENTS = 200


class CircuitSharing(CircuitPeople):
    """What is done with items in a circuit."""

    async def push(self, principal: Principal, circuit_id: str, dfid: str, ahead: Ahead = NOTHING_AHEAD) -> Push:
        """Push an item by its DFID (4.12).

        Raises Refusal `not_found`, `permission_missing`, `resharing_not_allowed`, `item_merged`,
        `item_not_active`, `circuit_not_active`.
        """

        async def work(act: Act) -> Push:
            return self._push_result(principal, await push(act, circuit_id, dfid))

        return await self.units.perform(principal, work, ahead=ahead)

    def _push_result(self, principal: Principal, pushed: Pushed) -> Push:
        operation, placement = pushed.operation, pushed.placement
        return Push(
            outcome=pushed.outcome,
            item_outcome=pushed.item_outcome,
            dfid=pushed.dfid,
            local_id=pushed.local_id,
            placement=None if placement is None else placement_view(placement),
            operation=None if operation is None else operation_view(operation, principal.workspace_id, self.keys),
            warnings=pushed.warnings,
            written=pushed.written,
        )

    async def push_local(
        self, principal: Principal, circuit_id: str, request: PushLocal, ahead: Ahead = NOTHING_AHEAD
    ) -> Push:
        """Push what a LID stands for; a draft becomes an item, or part of one (4.13).

        Raises Invalid with all requirements that are not met; Refusal `not_found`, `item_merged`,
        `local_item_held`, `identifier_claimed`, `identifier_conflict`, `identifier_contradiction`,
        `item_not_active` and those of `push`.
        """

        async def work(act: Act) -> Push | Refusal:
            pushed = await push_local(act, self.keys, circuit_id, LocalPush(request.local_id, request.extras))
            return pushed if isinstance(pushed, Refusal) else self._push_result(principal, pushed)

        return await self.units.perform(principal, work, dfids=1, ahead=ahead)

    async def push_batch(self, principal: Principal, circuit_id: str, request: PushBatch) -> PushBatchResult:
        """Push many in one unit, in order (4.14).

        Raises Refusal `batch_refused` with the results when an atomic batch has an element that is refused.
        """
        elements = [_element(element) for element in request.items]

        async def work(act: Act) -> PushBatchResult:
            batch_id = new_id()
            pushed = await push_batch(act, self.keys, circuit_id, batch_id, elements, atomic=request.atomic)
            results = tuple(
                _element_result(index, one, element)
                for index, (one, element) in enumerate(zip(pushed, request.items, strict=True))
            )
            if request.atomic and any(isinstance(one, Failed) for one in pushed):
                raise _nothing_stored(results)
            return PushBatchResult(batch_id, counts(pushed), results)

        drafts = sum(isinstance(element, LocalPush) for element in elements)
        return await self.units.perform(principal, work, dfids=drafts)

    async def pull(self, principal: Principal, circuit_id: str, dfid: str) -> Pull:
        """Read an item of a circuit on record (4.17). Raises Refusal `not_found`, `item_merged`."""

        async def work(act: Act) -> Pull:
            pulled = await pull(act, circuit_id, dfid)
            operation = operation_view(pulled.operation, principal.workspace_id, self.keys)
            if pulled.waits:
                return Pull(operation, None, None)
            item = await self._seen(act.unit, principal, pulled.item)
            return Pull(operation, item, await self._first_events(act.unit, principal, dfid))

        return await self.units.perform(principal, work)

    async def _seen(self, reader: Reader, principal: Principal, item: Item) -> ItemView:
        """Return an item as the principal sees it through the circuits that open it."""
        facts = about(await items_facts(reader, principal, [item]), dfid=item.key)
        now = self.units.clock.now()
        decision = decide(principal, Action.ITEM_VIEW, facts, now)
        through = {GroundKind.CIRCUIT_MEMBER, GroundKind.APPROVED_PULL}
        circuits = [str(held.circuit_id) for held in decision.grounds if held.ground in through]
        return await item_view(reader, principal, self.keys, item, now, circuits)

    async def _first_events(self, reader: Reader, principal: Principal, dfid: str) -> Page[EventView]:
        """Return the first visible events of an item, those staged in the unit included."""
        now, found = self.units.clock.now(), list[Event]()
        async for events in pages(reader, EVENTS, Select({"dfid": dfid}, ("position",)), size=READ_EVENTS):
            found += await visible(reader, principal, events, now)
            if len(found) > FIRST_EVENTS:
                break
        views = await event_views(reader, principal, found[:FIRST_EVENTS], now)
        return Page(tuple(views), (views[-1].position,) if len(found) > FIRST_EVENTS else None)

    async def withdraw(self, principal: Principal, circuit_id: str, dfid: str, reason: str | None = None) -> None:
        """Take an item out of a circuit (4.17). Raises Refusal `not_found`, `permission_missing`."""
        await self.units.perform(principal, lambda act: withdraw(act, circuit_id, dfid, reason))

    async def publish(self, principal: Principal, circuit_id: str, dfid: str, *, shown: bool) -> None:
        """Show a placement on the public page, or hide it (4.17)."""

        async def work(act: Act) -> None:
            await publish(act, circuit_id, [dfid], shown=shown, bulk=False)

        await self.units.perform(principal, work)

    async def publish_many(self, principal: Principal, circuit_id: str, request: Publications) -> PublicationsResult:
        """Show or hide many placements in one unit (4.17)."""
        dfids = [parse_dfid(given) or given for given in request.dfids]

        async def work(act: Act) -> PublicationsResult:
            done = await publish(act, circuit_id, dfids, shown=request.published, bulk=True)
            results = tuple(
                PublicationResult(one.dfid, one.outcome, None if one.error is None else element_error(one.error))
                for one in done
            )
            outcomes = [one.outcome for one in results]
            return PublicationsResult(
                {name: outcomes.count(name) for name in ("changed", "unchanged", "refused")}, results
            )

        return await self.units.perform(principal, work)


def _element(given: PushElement | Faulty) -> Element:
    """Return what one element asks for; what it cannot mean comes back as a refusal."""
    if isinstance(given, Faulty):
        return Failed(Invalid(given.faults))
    if (given.dfid is None) == (given.local_id is None):
        return Failed(Invalid([Fault("required", "Name a dfid or a local_id.", pointer="/dfid")]))
    if given.local_id is not None:
        extras = PushLocal(given.local_id, given.identifiers, given.data).extras
        return LocalPush(given.local_id, extras)
    if given.identifiers or given.data:
        return Failed(Invalid([Fault("not_allowed", "Extras belong to a local_id.", pointer="/dfid")]))
    dfid = parse_dfid(str(given.dfid))
    return dfid or Failed(Invalid([Fault("format", "This is no DFID.", pointer="/dfid")]))


def _element_result(index: int, one: Pushed | Failed, given: PushElement | Faulty) -> PushElementResult:
    if isinstance(one, Failed):
        named = given if isinstance(given, PushElement) else PushElement()
        error = element_error(one.error, f"/items/{index}")
        return PushElementResult(index, "refused", None, named.dfid, named.local_id, None, one.pending_id, error)
    operation_id = None if one.operation is None else one.operation.operation_id
    return PushElementResult(index, one.outcome, one.item_outcome, one.dfid, one.local_id, operation_id, None, None)


def element_error(error: Refusal | Invalid, under: str = "") -> ElementError:
    """Return what a refused element is told; `under` is the pointer to the element."""
    code, detail, faults = error_members(error)
    members: list[dict[str, Any]] = [
        {"pointer": placed.pointer, "code": placed.code, "detail": placed.detail}
        for placed in (fault.under(under) for fault in faults)
    ]
    if isinstance(error, Refusal):
        members = [dict(entry) for entry in error.members.get("errors", ())]
        members = [entry | {"pointer": under + str(entry.get("pointer") or "")} for entry in members]
    return ElementError(code, detail, tuple(members))


def _nothing_stored(results: Sequence[PushElementResult]) -> Refusal:
    """Return the refusal of an atomic batch: what the results would have been, without what was not kept."""
    unkept = [
        attrs.evolve(one, operation_id=None, pending_id=None, dfid=one.dfid if one.local_id is None else None)
        for one in results
    ]
    return Refusal("batch_refused", "Nothing was stored: some elements are refused.", results=unkept)

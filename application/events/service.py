"""Use cases of events: append, read, verify, export (items-events.md 10)."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence

import attrs

from application.events.appending import Appended, append
from application.events.erasing import EraseEvent, erase
from application.events.requests import AppendEvent, AppendEvents, Author, Direction, EventFilter, Time
from application.events.verifying import Chain, check_chains, registered
from application.events.views import (
    EventBatch,
    EventResult,
    EventView,
    FirstFault,
    TimelineEntry,
    Verification,
    event_view,
    event_views,
    visible,
)
from application.facts import about, items_facts
from application.items.views import BatchError
from application.storage_history import StoreSettings, may_read, storage_records
from application.units import Units
from domain.access.decide import Action, decide, require
from domain.access.principal import Principal, system
from domain.act import Act
from domain.document import Document
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.events.chain import ALGORITHM, ChainFault
from domain.events.values import Event
from domain.ids import new_id
from domain.items.dfid import parse_dfid
from domain.items.values import Item, Outcome
from domain.ports.queries import Cursor, Page, Select
from domain.ports.schema import EVENTS, ITEMS
from domain.ports.storage import MAX_PAGE, Reader
from domain.ports.views import EventsView, Viewer
from domain.shape import Faulty

MAX_POSITION = 2**53 - 1


@attrs.frozen
class Events:
    """Everything that can be done with events. `dfid` arguments are in canonical form."""

    units: Units
    store: StoreSettings = attrs.field(factory=StoreSettings)

    async def append(self, principal: Principal, request: AppendEvent) -> tuple[EventView, bool]:
        """Record an event and return it, and whether it is new: repeating an `event_id` gives the original.

        Raises Invalid, and Refusal `event_type_not_allowed`, `not_found`, `event_write_denied`, `item_merged`,
        `event_id_taken`, `circuit_not_usable`, `visibility_not_allowed`, `recipient_unknown`, `corrects_invalid`.
        """
        request.check(self.units.clock.now())

        async def work(act: Act) -> tuple[EventView, bool]:
            (result,) = await append(act, [request])
            if isinstance(result, Refusal):
                raise result
            if result.created:
                return event_view(result.event), True
            (view,) = await event_views(act.unit, principal, [result.event], act.now)
            return view, False

        return await self.units.perform(principal, work)

    async def append_many(self, principal: Principal, batch: AppendEvents) -> EventBatch:
        """Record many events in one unit, in order; each element stands or is refused on its own."""
        now = self.units.clock.now()
        refused: dict[int, tuple[BatchError, ...]] = {}
        sound: dict[int, AppendEvent] = {}
        for index, element in enumerate(batch.events):
            if isinstance(element, Faulty):
                refused[index] = _errors(element.faults)
                continue
            try:
                element.check(now)
            except Invalid as invalid:
                refused[index] = _errors(invalid.faults)
            except Refusal as refusal:
                refused[index] = _refused(refusal)
            else:
                sound[index] = element

        async def work(act: Act) -> EventBatch:
            results = dict(zip(sound, await append(act, list(sound.values())), strict=True))
            return _batch([_result(index, results.get(index), refused.get(index, ())) for index in _all(batch)])

        return await self.units.perform(principal, work)

    async def get(self, principal: Principal, event_id: str) -> EventView:
        """Return one event that the principal may see. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            event = await reader.find(EVENTS, event_id)
            return await self._one(reader, principal, () if event is None else (event,))

    async def _one(self, reader: Reader, principal: Principal, found: Sequence[Event]) -> EventView:
        now = self.units.clock.now()
        seen = await visible(reader, principal, found, now)
        if not seen:
            raise not_found()
        (view,) = await event_views(reader, principal, seen, now)
        return view

    async def page(
        self, principal: Principal, wanted: EventFilter, after: Cursor | None = None, limit: int = 50
    ) -> Page[EventView]:
        """Return one page of everything the principal may see, ordered by (chosen time, event id) (10.7)."""
        me = _viewer(principal)
        mine = wanted.author is Author.ME
        view = EventsView(
            viewer=me,
            now=self.units.clock.now(),
            dfid=_dfid_parameter(wanted.dfid),
            event_types=tuple(sorted(wanted.event_type)),
            category=wanted.category,
            visibility=wanted.visibility,
            circuit_id=wanted.circuit_id,
            author_user_id=me.user_id if mine else None,
            author_workspace_id=me.workspace_id if wanted.author is Author.WORKSPACE else None,
            period=wanted.period,
            time="occurred_at" if wanted.time is Time.OCCURRED else "recorded_at",
            descending=wanted.order is Direction.DESC,
        )
        return await self._viewed(principal, view, after, limit)

    async def _viewed(
        self, principal: Principal, view: EventsView, after: Cursor | None, limit: int
    ) -> Page[EventView]:
        async with self.units.storage.read() as reader:
            page = await reader.view(view, after, limit)
            return Page(tuple(await event_views(reader, principal, page.items, view.now)), page.after)

    async def of_item(
        self, principal: Principal, dfid: str, after: Cursor | None = None, limit: int = 50
    ) -> Page[EventView]:
        """Return the visible events of an item that the principal may view, by position. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            await self._viewable(reader, principal, dfid)
        return await self._viewed(principal, self._chain_view(principal, dfid), after, limit)

    def _chain_view(self, principal: Principal, dfid: str) -> EventsView:
        return EventsView(viewer=_viewer(principal), now=self.units.clock.now(), dfid=dfid, by_position=True)

    async def _viewable(self, reader: Reader, principal: Principal, dfid: str) -> Item:
        item = await reader.find(ITEMS, dfid)
        if item is None or item.dfid is None:
            raise not_found()
        facts = about(await items_facts(reader, principal, [item]), dfid=dfid)
        require(decide(principal, Action.ITEM_VIEW, facts, self.units.clock.now()))
        return item

    async def timeline(
        self, principal: Principal, dfid: str, after: Cursor | None = None, limit: int = 50
    ) -> Page[TimelineEntry]:
        """Return what happened to an item, oldest first: visible events, and for those who may read it where it was
        kept (10.7). Raises Refusal `not_found`."""
        position, passed = (int(str(part)) for part in after or (0, 0))
        async with self.units.storage.read() as reader:
            item = await self._viewable(reader, principal, dfid)
            kept = await storage_records(reader, principal, item, self.store) if may_read(principal, item) else []
        records = [TimelineEntry("storage", one.recorded_at, record=one) for one in kept[passed:]]
        page = await self._viewed(principal, self._chain_view(principal, dfid), (position,), limit)
        events = [TimelineEntry("event", one.recorded_at, one) for one in page.items]
        # Records later than the last event at hand may come after an event that is not.
        due = [one for one in records if page.after is None or one.at < events[-1].at]
        entries = sorted((*events, *due), key=lambda entry: (entry.at, entry.kind))
        shown = tuple(entries[:limit])
        told = [entry.event for entry in shown if entry.event is not None]
        place = (told[-1].position if told else position, passed + len(shown) - len(told))
        more = page.after is not None or len(entries) > limit
        return Page(shown, place if more else None)

    async def at_position(self, principal: Principal, dfid: str, position: int) -> EventView:
        """Return the event at a position of an item's chain. Raises Refusal `not_found`, also for a hidden one."""
        async with self.units.storage.read() as reader:
            await self._viewable(reader, principal, dfid)
            if not 1 <= position <= MAX_POSITION:
                raise not_found()
            page = await reader.page(EVENTS, Select({"dfid": dfid, "position": position}), limit=1)
            return await self._one(reader, principal, page.items)

    async def verify(self, principal: Principal, dfid: str) -> Verification:
        """Recompute the whole chain of an item that the principal may view, what they do not see included (10.6).

        A broken chain is recorded in the audit log, which opens an incident. Raises Refusal `not_found`.
        """
        async with self.units.storage.read() as reader:
            await self._viewable(reader, principal, dfid)
            chains = await check_chains(reader, [dfid])
        return (await self._verified(principal, chains))[0]

    async def verify_chains(self, dfids: Sequence[str]) -> list[Verification]:
        """Recompute the chains of any items, for the command line. Raises Refusal `not_found`, naming the item."""
        async with self.units.storage.read() as reader:
            known = {item.key for item in (await reader.get_many(ITEMS, dfids)).values()}
            for dfid in dfids:
                if dfid not in known:
                    raise Refusal("not_found", f"There is no item {dfid}.")
            chains = await check_chains(reader, dfids)
        return await self._verified(system(), chains)

    async def verify_all(self) -> AsyncIterator[list[Verification]]:
        """Recompute the chains of all items, some at a time, for the command line."""
        async with self.units.storage.read() as reader:
            async for dfids in registered(reader):
                yield await self._verified(system(), await check_chains(reader, dfids))

    async def _verified(self, principal: Principal, chains: Sequence[Chain]) -> list[Verification]:
        for chain in chains:
            if chain.fault is not None:
                await self._tell_broken(principal, chain.dfid, *chain.fault)
        return [
            Verification(
                dfid=chain.dfid,
                valid=chain.fault is None,
                algorithm=ALGORITHM,
                length=chain.length,
                head_hash=chain.head_hash,
                erased=chain.erased,
                checked_at=self.units.clock.now(),
                first_fault=FirstFault(*chain.fault) if chain.fault is not None else None,
            )
            for chain in chains
        ]

    async def _tell_broken(self, principal: Principal, dfid: str, position: int, fault: ChainFault) -> None:
        async def broken(act: Act) -> None:
            details = {"position": position, "fault": fault.value}
            await act.audit("event.chain_broken", ("item", dfid), details=details)

        await self.units.perform(principal, broken)

    async def erase(self, principal: Principal, event_id: str, request: EraseEvent) -> None:
        """Remove the payload of any event (10.8). That the principal is an administrator was checked before.

        Raises Refusal `not_found`.
        """

        async def work(act: Act) -> None:
            await erase(act, event_id, request.reason)

        await self.units.perform(principal, work)

    async def export(self, principal: Principal, dfid: str) -> AsyncIterator[Event]:
        """Return the visible events of an item by position, to be read as they come. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            await self._viewable(reader, principal, dfid)
        return self._exported(self._chain_view(principal, dfid))

    async def _exported(self, view: EventsView) -> AsyncIterator[Event]:
        after: Cursor | None = None
        while True:
            async with self.units.storage.read() as reader:
                page = await reader.view(view, after, MAX_PAGE)
            for event in page.items:
                yield event
            after = page.after
            if after is None:
                return


def _viewer(principal: Principal) -> Viewer:
    if principal.user_id is None or principal.workspace_id is None:
        raise not_found()
    return Viewer(principal.user_id, principal.workspace_id)


def _dfid_parameter(text: str | None) -> str | None:
    if text is None:
        return None
    dfid = parse_dfid(text)
    if dfid is None:
        raise Invalid([Fault("format", "This is no DFID.", parameter="dfid")])
    return dfid


def _all(batch: AppendEvents) -> range:
    return range(len(batch.events))


def _errors(faults: Sequence[Fault]) -> tuple[BatchError, ...]:
    return tuple(BatchError(fault.pointer, fault.code, fault.detail) for fault in faults)


def _refused(refusal: Refusal) -> tuple[BatchError, ...]:
    return (BatchError("", refusal.code, refusal.detail),)


def _result(index: int, result: Appended | Refusal | None, errors: tuple[BatchError, ...]) -> EventResult:
    if isinstance(result, Appended):
        event, outcome = result.event, Outcome.CREATED if result.created else Outcome.UNCHANGED
        return EventResult(index, outcome, event.event_id, event.dfid, event.position, ())
    errors = errors if result is None else _refused(result)
    return EventResult(index, Outcome.REFUSED, None, None, None, errors)


def _batch(results: list[EventResult]) -> EventBatch:
    counted = Counter(result.outcome for result in results)
    told = (Outcome.CREATED, Outcome.UNCHANGED, Outcome.REFUSED)
    return EventBatch(new_id(), Document({outcome.value: counted[outcome] for outcome in told}), tuple(results))

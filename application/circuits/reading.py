"""Lists of circuits, placements and operations (circuits.md 4.20)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import attrs

from application.circuits.requests import CircuitFilter, CircuitSort, Include, OperationFilter, PlacementFilter
from application.circuits.sharing import CircuitSharing
from application.circuits.views import (
    CircuitView,
    OperationView,
    PendingOperationView,
    PlacementElsewhere,
    PlacementView,
    PlacementWithItem,
    circuit_view,
    members_of,
    operation_view,
    placement_view,
)
from application.facts import about, items_facts
from application.filtered import filtered_page
from application.items.views import ItemView, as_offered, item_views
from domain.access.decide import Action, Decision, GroundKind, decide, require
from domain.access.facts import Facts
from domain.access.permissions import Permission
from domain.access.principal import Principal
from domain.access.vocabulary import CircuitStatus, MembershipStatus, OperationStatus
from domain.circuits.extras import taken
from domain.circuits.facts import circuit_fact, member_fact, operation_fact, placement_fact
from domain.circuits.requirements import filled_namespace
from domain.circuits.scene import Scene, scene
from domain.circuits.values import Circuit, Membership, Operation, Placement
from domain.errors import not_found
from domain.items.dfid import parse_dfid
from domain.items.drafts import content_of
from domain.items.submission import bind
from domain.items.values import Item
from domain.ports.queries import AnyOf, Condition, Cursor, Page, Select, chosen
from domain.ports.schema import CIRCUITS, ITEMS, MEMBERSHIPS, OPERATIONS, PLACEMENTS
from domain.ports.storage import Reader
from domain.ports.views import PlacementsView
from domain.ports.walking import walk

_THROUGH = frozenset({GroundKind.CIRCUIT_MEMBER, GroundKind.APPROVED_PULL})


class CircuitReading(CircuitSharing):
    """What is read of circuits."""

    async def page(
        self, principal: Principal, wanted: CircuitFilter, after: Cursor | None = None, limit: int = 50
    ) -> Page[CircuitView]:
        """Return the circuits the caller is a member of, newest membership first or by name."""
        where = {"user_id": str(principal.user_id), "status": MembershipStatus.ACTIVE}
        query = Select(where, ("joined_at", "circuit_id"), descending=True)
        async with self.units.storage.read() as reader:

            async def shown(rows: Sequence[Membership]) -> list[CircuitView | None]:
                return await self._mine(reader, rows, wanted)

            if wanted.sort is CircuitSort.NAME:
                return await _by_name(reader, query, shown, after, limit)
            return await filtered_page(reader, MEMBERSHIPS, query, after, limit, shown)

    async def _mine(
        self, reader: Reader, rows: Sequence[Membership], wanted: CircuitFilter
    ) -> list[CircuitView | None]:
        found = await reader.get_many(CIRCUITS, [row.circuit_id for row in rows])
        circuits = {circuit.circuit_id: circuit for circuit in found.values()}
        now = self.units.clock.now()
        views = [circuit_view(circuits[row.circuit_id], row, now) for row in rows]
        return [view if _wanted(view, wanted) else None for view in views]

    async def placements(
        self,
        principal: Principal,
        circuit_id: str,
        wanted: PlacementFilter,
        after: Cursor | None = None,
        limit: int = 50,
    ) -> Page[PlacementView | PlacementWithItem]:
        """Return what stands in a circuit, as far as the reader sees it, newest first."""
        async with self.units.storage.read() as reader:
            at = await scene(reader, principal, circuit_id)
            at.require(self.visit(principal), Action.CIRCUIT_VIEW)
            where = placed(at, principal, wanted)
            query = Select(where, ("placed_at", "placement_id"), descending=True)

            async def shown(rows: Sequence[Placement]) -> list[PlacementView | PlacementWithItem | None]:
                return await self._entries(reader, principal, rows, wanted)

            if wanted.status and len(where) > 1:
                return await filtered_page(reader, PLACEMENTS, query, after, limit, shown)
            in_status = PlacementsView(circuit_id, tuple(sorted(wanted.status)))
            page = await (
                reader.view(in_status, after, limit) if wanted.status else reader.page(PLACEMENTS, query, after, limit)
            )
            return Page(tuple(filter(None, await shown(page.items))), page.after)

    async def _entries(
        self, reader: Reader, principal: Principal, rows: Sequence[Placement], wanted: PlacementFilter
    ) -> list[PlacementView | PlacementWithItem | None]:
        if wanted.include is None and not wanted.status:
            return [placement_view(row) for row in rows]
        found = await reader.get_many(ITEMS, [row.dfid for row in rows])
        items = {item.key: item for item in found.values()}
        fitting = [row for row in rows if not wanted.status or items[row.dfid].status in wanted.status]
        kept = {row.dfid for row in fitting}
        if wanted.include is not Include.ITEM:
            return [placement_view(row) if row.dfid in kept else None for row in rows]
        seen = await self._views(reader, principal, [items[row.dfid] for row in fitting])
        return [_with_item(row, *seen[row.dfid]) if row.dfid in kept else None for row in rows]

    async def _views(
        self, reader: Reader, principal: Principal, items: Sequence[Item]
    ) -> Mapping[str, tuple[ItemView | None, str | None]]:
        """Return each item as the reader sees it, or why not."""
        facts = await items_facts(reader, principal, items)
        decisions = {item.key: self._view_decision(principal, facts, item) for item in items}
        allowed = [item for item in items if decisions[item.key].allowed]
        through = {item.key: _circuits(decisions[item.key]) for item in allowed}
        views = await item_views(reader, principal, self.keys, allowed, self.units.clock.now(), through)
        seen: dict[str, tuple[ItemView | None, str | None]] = {
            item.key: (as_offered(view) if decisions[item.key].offer_only else view, None)
            for item, view in zip(allowed, views, strict=True)
        }
        return {key: (None, str(decision.reason)) for key, decision in decisions.items() if not decision.allowed} | seen

    def _view_decision(self, principal: Principal, facts: Facts, item: Item) -> Decision:
        return decide(principal, Action.ITEM_VIEW, about(facts, dfid=item.key), self.units.clock.now())

    async def placement(self, principal: Principal, circuit_id: str, dfid: str) -> PlacementView:
        """Return one placement: to members holding `pull`, and to the item's owner, member or not."""
        async with self.units.storage.read() as reader:
            at = await scene(reader, principal, circuit_id)
            found = await reader.find(PLACEMENTS, (circuit_id, dfid))
            known = {"placements": () if found is None else (placement_fact(found),)}
            decision = at.decide(self.visit(principal), Action.PLACEMENT_VIEW, facts=known, dfid=dfid)
            if found is None or not decision.allowed:
                at.require(self.visit(principal), Action.CIRCUIT_VIEW)
                raise not_found()
            return placement_view(found)

    async def placements_of(
        self, principal: Principal, dfid: str, after: Cursor | None = None, limit: int = 50
    ) -> Page[PlacementElsewhere]:
        """Return where an item stands, as far as the reader sees it. Raises Refusal `not_found`."""
        query = Select({"dfid": dfid}, ("dfid", "circuit_id"))
        async with self.units.storage.read() as reader:

            async def shown(rows: Sequence[Placement]) -> list[PlacementElsewhere | None]:
                return await self._elsewhere(reader, principal, rows)

            page = await filtered_page(reader, PLACEMENTS, query, after, limit, shown)
            if not page.items:
                await self._require_viewable(reader, principal, dfid)
            return page

    async def _require_viewable(self, reader: Reader, principal: Principal, dfid: str) -> None:
        item = await reader.find(ITEMS, dfid)
        if item is None:
            raise not_found()
        require(self._view_decision(principal, await items_facts(reader, principal, [item]), item))

    async def _elsewhere(
        self, reader: Reader, principal: Principal, rows: Sequence[Placement]
    ) -> list[PlacementElsewhere | None]:
        wanted = [row.circuit_id for row in rows]
        circuits = {row.circuit_id: row for row in (await reader.get_many(CIRCUITS, wanted)).values()}
        mine = await reader.get_many(MEMBERSHIPS, [(key, str(principal.user_id)) for key in wanted])
        facts = Facts(
            circuits=tuple(map(circuit_fact, circuits.values())),
            members=tuple(member_fact(circuits[row.circuit_id], row) for row in mine.values()),
            placements=tuple(map(placement_fact, rows)),
        )
        return [self._where(principal, facts, circuits[row.circuit_id], row) for row in rows]

    def _where(self, principal: Principal, facts: Facts, circuit: Circuit, row: Placement) -> PlacementElsewhere | None:
        asked = about(facts, circuit_id=row.circuit_id, dfid=row.dfid)
        if not decide(principal, Action.PLACEMENT_VIEW, asked, self.units.clock.now()).allowed:
            return None
        return PlacementElsewhere(
            **members_of(placement_view(row)), circuit_name=circuit.name, circuit_status=circuit.status
        )

    async def operation(self, principal: Principal, operation_id: str, circuit_id: str | None = None) -> OperationView:
        """Return an operation to its requester's workspace, and to holders of `approve` or `audit`."""
        async with self.units.storage.read() as reader:
            found = await reader.find(OPERATIONS, operation_id)
            if found is None or circuit_id not in (None, found.circuit_id):
                raise not_found()
            at = await scene(reader, principal, found.circuit_id)
            known = {"operations": (operation_fact(found),)}
            at.require(self.visit(principal), Action.OPERATION_VIEW, facts=known, operation_id=operation_id)
            return operation_view(found, principal.workspace_id, self.keys)

    async def operations(
        self,
        principal: Principal,
        circuit_id: str,
        wanted: OperationFilter,
        after: Cursor | None = None,
        limit: int = 50,
    ) -> Page[OperationView]:
        """Return operations, newest first: all to holders of `approve` or `audit`, else one's workspace's."""
        async with self.units.storage.read() as reader:
            at = await scene(reader, principal, circuit_id)
            at.require(self.visit(principal), Action.CIRCUIT_VIEW)
            query = Select(_asked(at, principal, wanted), ("requested_at", "operation_id"), descending=True)
            page = await reader.page(OPERATIONS, query, after, limit)
            views = (operation_view(row, principal.workspace_id, self.keys) for row in page.items)
            return Page(tuple(views), page.after)

    async def pending_operations(
        self, principal: Principal, circuit_id: str, after: Cursor | None = None, limit: int = 50
    ) -> Page[PendingOperationView]:
        """Return what waits, oldest first, with what an approver may see of it beforehand."""
        wanted = OperationFilter(status=frozenset({OperationStatus.PENDING}))
        async with self.units.storage.read() as reader:
            at = await scene(reader, principal, circuit_id)
            at.require(self.visit(principal), Action.CIRCUIT_VIEW)
            query = Select(_asked(at, principal, wanted), ("requested_at", "operation_id"))
            page = await reader.page(OPERATIONS, query, after, limit)
            previews = await self._previews(reader, principal, at, page.items)
            entries = (self._waiting(row, principal, previews.get(row.operation_id)) for row in page.items)
            return Page(tuple(entries), page.after)

    async def _previews(
        self, reader: Reader, principal: Principal, at: Scene, rows: Sequence[Operation]
    ) -> dict[str, ItemView]:
        """Return what would stand in the circuit, for the waiting pushes that the reader may preview."""
        keys = [(at.circuit.circuit_id, row.requester_id) for row in rows]
        members = await reader.get_many(MEMBERSHIPS, keys)
        among = Scene(at.found, {**at.memberships, **{row.user_id: row for row in members.values()}})
        open_ = [row for row in rows if self._may_preview(principal, among, row)]
        found = await reader.get_many(ITEMS, [str(row.dfid or row.local_id) for row in open_])
        items = {item.key: item for item in found.values()}
        wholes = {
            row.operation_id: item if row.dfid is not None else self._with_extras(at.circuit, row, item)
            for row in open_
            if (item := items.get(str(row.dfid or row.local_id))) is not None
        }
        through = {item.key: frozenset({at.circuit.circuit_id}) for item in wholes.values()}
        now = self.units.clock.now()
        views = await item_views(reader, principal, self.keys, list(wholes.values()), now, through)
        return dict(zip(wholes, views, strict=True))

    def _waiting(self, row: Operation, principal: Principal, preview: ItemView | None) -> PendingOperationView:
        view = operation_view(row, principal.workspace_id, self.keys)
        return PendingOperationView(**members_of(view), preview=preview)

    def _may_preview(self, principal: Principal, at: Scene, row: Operation) -> bool:
        known = {"operations": (operation_fact(row),)}
        visit = self.visit(principal)
        return at.decide(visit, Action.OPERATION_PREVIEW, facts=known, operation_id=row.operation_id).allowed

    def _with_extras(self, circuit: Circuit, operation: Operation, draft: Item) -> Item:
        """Return a draft as it would be pushed, with the extras of its operation, which brings all of it."""
        extras = taken(operation, self.keys)
        content = content_of(draft, self.keys, extras, namespace=filled_namespace(circuit))
        bound = (
            bind(
                read,
                self.keys,
                item=draft.key,
                scope=content.scope_of(read, creating=True),
                workspace_id=draft.workspace_id,
                contribution_id=operation.operation_id,
            )
            for read in content.identifiers
        )
        identifiers = tuple(sorted(bound, key=lambda given: given.order))
        return attrs.evolve(draft, identifiers=identifiers, data=content.data)


def _with_item(row: Placement, item: ItemView | None, reason: str | None) -> PlacementWithItem:
    return PlacementWithItem(**members_of(placement_view(row)), item=item, reason=reason)


def _wanted(view: CircuitView, wanted: CircuitFilter) -> bool:
    return (
        view.status in wanted.status
        and wanted.role in (None, view.my.role)
        and (wanted.q is None or wanted.q.casefold() in view.name.casefold())
    )


async def _by_name(
    reader: Reader,
    query: Select,
    shown: Callable[[Sequence[Membership]], Awaitable[Sequence[CircuitView | None]]],
    after: Cursor | None,
    limit: int,
) -> Page[CircuitView]:
    """Return one page by (name, id); a name is no column of a membership, so all of one's own are read."""
    views = [view for view in await shown([row async for row in walk(reader, MEMBERSHIPS, query)]) if view]
    views.sort(key=lambda view: (view.name, view.circuit_id))
    rest = [view for view in views if after is None or (view.name, view.circuit_id) > after]
    page = rest[:limit]
    return Page(tuple(page), (page[-1].name, page[-1].circuit_id) if len(rest) > limit else None)


def placed(at: Scene, principal: Principal, wanted: PlacementFilter) -> dict[str, Condition]:
    """Return the placements of a circuit that the reader sees: all with `pull` while it is active, else own ones."""
    where: dict[str, Condition] = {"circuit_id": at.circuit.circuit_id}
    filters = {"dfid": wanted.dfid and (parse_dfid(wanted.dfid) or wanted.dfid), "published": wanted.published}
    filters |= {"placed_by": wanted.placed_by, "item_workspace_id": wanted.workspace_id}
    where |= {name: value for name, value in filters.items() if value is not None}
    sees_all = at.circuit.status is CircuitStatus.ACTIVE and at.holds(principal.user_id, Permission.PULL)
    if not sees_all:
        others = wanted.workspace_id not in (None, principal.workspace_id)
        where["item_workspace_id"] = AnyOf(() if others else (principal.workspace_id,))
    return where


def _asked(at: Scene, principal: Principal, wanted: OperationFilter) -> dict[str, Condition]:
    """Return the operations of a circuit that the reader sees: all with `approve` or `audit`, else own ones."""
    where: dict[str, Condition] = {"circuit_id": at.circuit.circuit_id}
    filters = {
        "dfid": wanted.dfid and (parse_dfid(wanted.dfid) or wanted.dfid),
        "requester_id": wanted.requester_id,
        "batch_id": wanted.batch_id,
    }
    where |= {name: value for name, value in filters.items() if value is not None}
    where |= chosen(status=wanted.status, operation_type=wanted.type)
    if not any(at.holds(principal.user_id, held) for held in (Permission.APPROVE, Permission.AUDIT)):
        where["requester_workspace_id"] = principal.workspace_id
    return where


def _circuits(decision: Decision) -> frozenset[str]:
    return frozenset(str(held.circuit_id) for held in decision.grounds if held.ground in _THROUGH)

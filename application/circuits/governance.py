"""Use cases of roles, joining and decisions (circuits.md 4.8 to 4.10, 4.18), and the numbers of a circuit."""

from collections import Counter
from collections.abc import Collection, Mapping

from application.circuits.reading import CircuitReading
from application.circuits.requests import (
    ApproveJoin,
    AskToJoin,
    CreateRole,
    Decision,
    Decisions,
    JoinPage,
    UpdateRole,
    given,
)
from application.circuits.sharing import element_error
from application.circuits.tallies import EVERYTHING
from application.circuits.views import (
    CircuitStats,
    DecisionResult,
    DecisionsResult,
    JoinAnswer,
    JoinRequestView,
    OperationView,
    RoleView,
    base_role_view,
    custom_role_view,
    my_membership,
    operation_view,
    request_view,
)
from domain.access.decide import Action, page_state
from domain.access.facts import PageFact
from domain.access.permissions import BaseRole, Permission
from domain.access.principal import Principal
from domain.access.vocabulary import (
    CircuitStatus,
    JoinRequestStatus,
    MembershipStatus,
    PageState,
)
from domain.act import Act
from domain.circuits import deciding, joining, roles
from domain.circuits.facts import circuit_fact, request_fact
from domain.circuits.scene import Scene, scene
from domain.circuits.values import Circuit
from domain.errors import Refusal, not_found
from domain.ports.queries import Condition, Cursor, Page, Select, chosen
from domain.ports.schema import CIRCUITS, JOIN_REQUESTS, MEMBERSHIPS
from domain.ports.storage import Reader
from domain.precondition import Versions

_BASE = [role.value for role in BaseRole]


def _place(view: RoleView) -> Cursor:
    """Return where a role stands in the list: it keeps its place when others come or go."""
    if view.created_at is None or view.role_id is None:
        return (_BASE.index(view.name),)
    return (len(_BASE), view.created_at, view.role_id)


class CircuitGovernance(CircuitReading):
    """What decides who belongs to a circuit, with which rights, and what may enter it."""

    async def roles(
        self, principal: Principal, circuit_id: str, after: Cursor | None = None, limit: int = 200
    ) -> Page[RoleView]:
        """Return the base roles and then the custom ones by age, with how many members carry each."""
        views = await self._role_views(principal, circuit_id)
        rest = [view for view in views if after is None or _place(view) > after]
        return Page(tuple(rest[:limit]), _place(rest[limit - 1]) if len(rest) > limit else None)

    async def _role_views(self, principal: Principal, circuit_id: str) -> tuple[RoleView, ...]:
        async with self.units.storage.read() as reader:
            at = await scene(reader, principal, circuit_id)
            circuit = at.require(self.visit(principal), Action.ROLE_LIST)
            counts = await _role_counts(reader, circuit)
            base = (base_role_view(role, counts.get(role.value, 0)) for role in BaseRole)
            custom = (custom_role_view(role, counts.get(role.name, 0)) for role in circuit.roles)
            return tuple(sorted((*base, *custom), key=_place))

    async def role(self, principal: Principal, circuit_id: str, name: str) -> RoleView:
        """Return one role. Raises Refusal `not_found`."""
        for view in await self._role_views(principal, circuit_id):
            if view.name == name:
                return view
        raise not_found()

    async def create_role(self, principal: Principal, circuit_id: str, request: CreateRole) -> RoleView:
        """Define a role. Raises Refusal `role_not_grantable`, `role_exists`, `quota_reached`."""

        async def work(act: Act) -> RoleView:
            role = await roles.create(
                act,
                circuit_id,
                request.name,
                request.permissions,
                display_name=request.display_name,
                description=request.description,
                color=request.color,
            )
            return custom_role_view(role, 0)

        return await self.units.perform(principal, work)

    async def update_role(
        self, principal: Principal, circuit_id: str, name: str, request: UpdateRole, accepted: Versions
    ) -> RoleView:
        """Change a role and what everybody who carries it may do. Raises Refusal `role_fixed`, `role_not_grantable`."""
        changes = given(request)

        async def work(act: Act) -> RoleView:
            return custom_role_view(*await roles.update(act, circuit_id, name, changes, accepted))

        return await self.units.perform(principal, work)

    async def delete_role(self, principal: Principal, circuit_id: str, name: str, accepted: Versions = None) -> None:
        """Delete a role that nobody carries. Raises Refusal `role_fixed`, `role_in_use`."""
        await self.units.perform(principal, lambda act: roles.delete(act, circuit_id, name, accepted))

    async def ask_to_join(
        self,
        principal: Principal,
        circuit_id: str,
        request: AskToJoin,
        pages: tuple[PageFact, ...] = (),
    ) -> JoinAnswer:
        """Ask to join (4.9). `pages` are claims of verified page tokens.

        Raises Refusal `not_found`, `already_member`, `circuit_not_active`, `request_pending`, `join_cool_down`,
        `quota_reached`, `page_password_wrong`, `rate_limited`.
        """
        if isinstance(request, JoinPage) and request.access_password is not None:
            pages = (*pages, *await self._verified(principal, circuit_id, request.access_password))

        async def work(act: Act) -> JoinAnswer:
            asked = await joining.ask(act, circuit_id, request.message, self.join_cooldown, pages)
            view = request_view(asked.request, decider=False)
            if asked.membership is None:
                return JoinAnswer(True, view)
            circuit = await act.unit.get(CIRCUITS, circuit_id)
            return JoinAnswer(False, view, my_membership(circuit, asked.membership))

        answer = await self.units.perform(principal, work)
        await self._settle_request(principal, circuit_id, str(principal.user_id))
        return answer

    async def _verified(self, principal: Principal, circuit_id: str, password: str) -> tuple[PageFact, ...]:
        """Return what a right page password proves; nothing where none is asked, as of a member."""
        async with self.units.storage.read() as reader:
            at = await scene(reader, principal, circuit_id)
        circuit = None if at.member(principal.user_id) is not None else at.found
        if circuit is None or page_state(circuit_fact(circuit), self.units.clock.now()) is not PageState.PROTECTED:
            return ()
        return (await self.door.verified(principal, circuit, password),)

    async def approve_join(
        self,
        principal: Principal,
        circuit_id: str,
        request_id: str,
        request: ApproveJoin,
        accepted: Versions = None,
    ) -> JoinRequestView:
        """Let somebody in (4.10)."""

        async def work(act: Act) -> JoinRequestView:
            done = await joining.approve(act, circuit_id, request_id, request.role, accepted)
            return request_view(done, decider=True)

        return await self.units.perform(principal, work)

    async def reject_join(
        self,
        principal: Principal,
        circuit_id: str,
        request_id: str,
        reason: str | None = None,
        accepted: Versions = None,
    ) -> JoinRequestView:
        """Refuse a request to join (4.10)."""

        async def work(act: Act) -> JoinRequestView:
            done = await joining.reject(act, circuit_id, request_id, reason, self.join_cooldown, accepted)
            return request_view(done, decider=True)

        return await self.units.perform(principal, work)

    async def cancel_join(
        self, principal: Principal, circuit_id: str, request_id: str, accepted: Versions = None
    ) -> None:
        """Take one's own request back (4.10)."""
        await self.units.perform(principal, lambda act: joining.cancel(act, circuit_id, request_id, accepted))

    async def join_requests(
        self,
        principal: Principal,
        circuit_id: str,
        statuses: Collection[JoinRequestStatus] = (),
        after: Cursor | None = None,
        limit: int = 50,
    ) -> Page[JoinRequestView]:
        """Return requests to join, newest first, waiting ones oldest first: all to `manage_members`, else own ones."""
        async with self.units.storage.read() as reader:
            at = await scene(reader, principal, circuit_id)
            decides = at.decide(self.visit(principal), Action.JOIN_LIST).allowed
            if not decides:
                await self._require_asked(reader, principal, at, circuit_id)
            where = {"circuit_id": circuit_id, **chosen(status=statuses)}
            where |= {} if decides else {"requester_id": str(principal.user_id)}
            newest_first = set(statuses) != {JoinRequestStatus.PENDING}
            query = Select(where, ("requested_at",), descending=newest_first)
            page = await reader.page(JOIN_REQUESTS, query, after, limit)
            return Page(tuple(request_view(row, decider=decides) for row in page.items), page.after)

    async def _require_asked(self, reader: Reader, principal: Principal, at: Scene, circuit_id: str) -> None:
        """Let those in who asked to join; everybody else is answered as the list is. Raises Refusal."""
        query = Select({"circuit_id": circuit_id, "requester_id": str(principal.user_id)}, ("requested_at",))
        if not (await reader.page(JOIN_REQUESTS, query, limit=1)).items:
            at.require(self.visit(principal), Action.JOIN_LIST)

    async def join_request(self, principal: Principal, circuit_id: str, request_id: str) -> JoinRequestView:
        """Return a request to join, to who asked and to who may decide."""
        async with self.units.storage.read() as reader:
            found = await reader.find(JOIN_REQUESTS, request_id)
            if found is None or found.circuit_id != circuit_id:
                raise not_found()
            at = await scene(reader, principal, circuit_id)
            facts = {"requests": (request_fact(found),)}
            at.require(self.visit(principal), Action.JOIN_VIEW, facts=facts, request_id=request_id)
            return request_view(found, decider=at.holds(principal.user_id, Permission.MANAGE_MEMBERS))

    async def my_join_requests(
        self, principal: Principal, after: Cursor | None = None, limit: int = 50
    ) -> Page[JoinRequestView]:
        """Return one's own requests to any circuit, newest first."""
        query = Select({"requester_id": str(principal.user_id)}, ("requested_at",), descending=True)
        async with self.units.storage.read() as reader:
            page = await reader.page(JOIN_REQUESTS, query, after, limit)
            return Page(tuple(request_view(row, decider=False) for row in page.items), page.after)

    async def approve_operation(
        self,
        principal: Principal,
        operation_id: str,
        circuit_id: str | None = None,
        reason: str | None = None,
        accepted: Versions = None,
    ) -> OperationView:
        """Approve a waiting push or pull (4.18)."""

        async def work(act: Act) -> OperationView | Refusal:
            done = await deciding.approve(act, self.keys, operation_id, circuit_id, reason, accepted)
            return done if isinstance(done, Refusal) else operation_view(done, principal.workspace_id, self.keys)

        return await self.units.perform(principal, work, dfids=1)

    async def reject_operation(
        self,
        principal: Principal,
        operation_id: str,
        circuit_id: str | None = None,
        reason: str | None = None,
        accepted: Versions = None,
    ) -> OperationView:
        """Reject a waiting push or pull (4.18)."""

        async def work(act: Act) -> OperationView:
            done = await deciding.reject(act, operation_id, circuit_id, reason, accepted)
            return operation_view(done, principal.workspace_id, self.keys)

        return await self.units.perform(principal, work)

    async def cancel_operation(
        self, principal: Principal, operation_id: str, circuit_id: str | None = None, accepted: Versions = None
    ) -> OperationView:
        """Take a waiting push or pull back (4.18)."""

        async def work(act: Act) -> OperationView:
            done = await deciding.cancel(act, operation_id, circuit_id, accepted)
            return operation_view(done, principal.workspace_id, self.keys)

        return await self.units.perform(principal, work)

    async def decide_operations(self, principal: Principal, circuit_id: str, request: Decisions) -> DecisionsResult:
        """Decide many alike in one unit; a refused one does not stop the others (4.18)."""

        async def work(act: Act) -> DecisionsResult:
            done = await deciding.decide_many(
                act,
                self.keys,
                circuit_id,
                request.operation_ids,
                approved=request.decision is Decision.APPROVE,
                reason=request.reason,
            )
            results = tuple(_decision_result(one) for one in done)
            counts = Counter("refused" if one.error else str(one.status) for one in results)
            return DecisionsResult(dict(counts), results)

        approves = request.decision is Decision.APPROVE
        numbers = len(request.operation_ids) if approves else 0
        return await self.units.perform(principal, work, dfids=numbers)

    async def stats(self, principal: Principal, circuit_id: str) -> CircuitStats:
        """Return the numbers of a circuit (4.20), null where the reader may not list what is counted."""
        async with self.units.storage.read() as reader:
            visit = self.visit(principal)
            at = await scene(reader, principal, circuit_id)
            circuit = at.require(visit, Action.CIRCUIT_STATS)
            sees = circuit.status is CircuitStatus.ACTIVE and at.holds(principal.user_id, Permission.PULL)
            decides = at.holds(principal.user_id, Permission.APPROVE)
            decides = decides or at.holds(principal.user_id, Permission.AUDIT)
            manages = at.holds(principal.user_id, Permission.MANAGE_MEMBERS)
            tally = (await self.tallies.of(reader, [circuit_id], EVERYTHING))[circuit_id]
            may = {
                "members": True,
                "items": sees,
                "published_items": sees,
                "pending_operations": decides,
                "pending_requests": manages,
            }
            shown = {name: tally.numbers[name] if may[name] else None for name in EVERYTHING}
            return CircuitStats(**shown, as_of=tally.as_of)


async def _role_counts(reader: Reader, circuit: Circuit) -> Mapping[str, int]:
    """Return how many members carry each role, by name."""
    where: dict[str, Condition] = {"circuit_id": circuit.circuit_id, "status": MembershipStatus.ACTIVE}
    counted = await reader.count(MEMBERSHIPS, where, "role")
    names = {role.role_id: role.name for role in circuit.roles}
    return {names.get(str(role), str(role)): number for role, number in counted.items()}


def _decision_result(one: deciding.Decided) -> DecisionResult:
    done = one.operation
    error = None if one.error is None else element_error(one.error)
    if done is None:
        return DecisionResult(one.operation_id, None, None, None, error)
    return DecisionResult(one.operation_id, done.status, done.outcome, done.dfid, error)

"""Use cases of members (circuits.md 4.5 to 4.7, 4.20)."""

from application.circuits.requests import AddMember, ChangeRole, MemberFilter
from application.circuits.settings import CircuitSettings
from application.circuits.views import MemberView, member_views
from domain.access.decide import Action
from domain.access.principal import Principal, system
from domain.access.vocabulary import MembershipStatus
from domain.act import Act
from domain.circuits import members
from domain.circuits.rules import custom_role
from domain.circuits.scene import scene
from domain.circuits.values import Membership
from domain.errors import Refusal, not_found
from domain.ports.queries import Condition, Cursor, Page, Select
from domain.ports.schema import CIRCUITS, MEMBERSHIPS
from domain.ports.storage import Reader
from domain.ports.views import MembersView
from domain.precondition import Versions


class CircuitPeople(CircuitSettings):
    """What is done with members."""

    async def add_member(self, principal: Principal, circuit_id: str, request: AddMember) -> MemberView:
        """Make a user a member (4.5).

        Raises Invalid; Refusal `role_unknown`, `role_not_grantable`, `member_unknown`, `already_member`,
        `quota_reached`.
        """
        request.check()
        if request.username is not None:
            await self._count_look_up(principal)

        async def work(act: Act) -> MemberView:
            user_id = request.member_id
            if request.username is not None:
                account = await members.account_named(act.unit, request.username.lower())
                user_id = None if account is None else account.user_id
            member = await members.add(act, circuit_id, user_id, request.role)
            return await self._member_view(act.unit, member)

        added = await self.units.perform(principal, work)
        await self._settle_request(principal, circuit_id, added.user_id)
        return added

    async def _settle_request(self, principal: Principal, circuit_id: str, user_id: str) -> None:
        """Approve what was asked while its asker was being added; whichever came last finds both."""
        async with self.units.storage.read() as reader:
            if not await members.waiting_request(reader, circuit_id, user_id):
                return
            member = await reader.find(MEMBERSHIPS, (circuit_id, user_id))
        if member is not None and member.status is MembershipStatus.ACTIVE:
            await self.units.perform(
                system(principal.trace_id),
                lambda act: members.settle_request(act, circuit_id, user_id),
                completes=False,
            )

    async def _count_look_up(self, principal: Principal) -> None:
        """Count the use of a user name as what it is, a look-up. Raises Refusal `rate_limited`."""
        verdict = await self.limiter.hit("lookup", str(principal.user_id))
        if verdict is not None and not verdict.allowed:
            wait = max(1, verdict.retry_after_seconds)
            raise Refusal("rate_limited", f"Too many look-ups. Wait {wait} seconds.", retry_after_seconds=wait)

    async def _member_view(self, reader: Reader, member: Membership) -> MemberView:
        circuit = await reader.get(CIRCUITS, member.circuit_id)
        return (await member_views(reader, circuit, [member]))[0]

    async def change_role(
        self, principal: Principal, circuit_id: str, user_id: str, request: ChangeRole, accepted: Versions
    ) -> MemberView:
        """Give a member another role (4.6)."""

        async def work(act: Act) -> MemberView:
            member = await members.change_role(act, circuit_id, user_id, request.role, accepted)
            return await self._member_view(act.unit, member)

        return await self.units.perform(principal, work)

    async def remove_member(
        self, principal: Principal, circuit_id: str, user_id: str, accepted: Versions = None
    ) -> None:
        """Remove a member, or leave when it is oneself (4.7)."""
        await self.units.perform(principal, lambda act: members.end(act, circuit_id, user_id, accepted))

    async def leave(self, principal: Principal, circuit_id: str, accepted: Versions = None) -> None:
        """Leave a circuit (4.7). Raises Refusal `owner_cannot_leave`."""
        await self.remove_member(principal, circuit_id, str(principal.user_id), accepted)

    async def member(self, principal: Principal, circuit_id: str, user_id: str) -> MemberView:
        """Return an active member to a member. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            at = await scene(reader, principal, circuit_id, user_id)
            action = Action.MEMBER_VIEW_OWN if user_id == principal.user_id else Action.MEMBER_LIST
            circuit = at.require(self.visit(principal), action)
            member = at.member(user_id)
            if member is None:
                raise not_found()
            return (await member_views(reader, circuit, [member]))[0]

    async def members(
        self,
        principal: Principal,
        circuit_id: str,
        wanted: MemberFilter,
        after: Cursor | None = None,
        limit: int = 50,
    ) -> Page[MemberView]:
        """Return active members to a member, in the order they joined."""
        async with self.units.storage.read() as reader:
            at = await scene(reader, principal, circuit_id)
            circuit = at.require(self.visit(principal), Action.MEMBER_LIST)
            custom = None if wanted.role is None else custom_role(circuit, wanted.role)
            role = wanted.role if custom is None else custom.role_id
            if wanted.q is not None:
                page = await reader.view(MembersView(circuit_id, wanted.q.lower(), role), after, limit)
            else:
                where: dict[str, Condition] = {"circuit_id": circuit_id, "status": MembershipStatus.ACTIVE}
                where |= {} if role is None else {"role": role}
                page = await reader.page(MEMBERSHIPS, Select(where, ("joined_at", "user_id")), after, limit)
            return Page(tuple(await member_views(reader, circuit, page.items)), page.after)

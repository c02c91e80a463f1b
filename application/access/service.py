"""Use cases of access: explaining a decision, and previewing a circuit as a member (circuits.md 2.6, 2.7).

Nothing is decided here: every answer is the `Decision` of `domain/access/decide.py`, over the facts that the route
which does the thing would load.
"""

from collections.abc import Sequence
from datetime import datetime

import attrs

from application.access.known import Named, facts_about, named, require_known, within
from application.access.requests import NEEDED, OF_EVENTS, OF_ITEMS, Explain, Preview
from application.access.views import (
    Explanation,
    Previewed,
    PreviewedAction,
    PreviewedItem,
    Subject,
    reason_of,
    told,
)
from application.accounts.desk import principal_of
from application.circuits.reading import placed
from application.circuits.requests import PlacementFilter
from application.facts import about, items_facts
from application.units import Units
from domain.access.decide import Action, Decision, decide
from domain.access.facts import Facts, MemberFact, Target
from domain.access.permissions import BaseRole
from domain.access.principal import Principal, PrincipalKind
from domain.access.vocabulary import MembershipStatus
from domain.accounts.rules import is_active
from domain.circuits.facts import circuit_fact, item_fact, member_fact, placement_fact
from domain.circuits.rules import role_named, role_unknown
from domain.circuits.scene import Scene, Visit, scene
from domain.circuits.values import Circuit, Placement
from domain.document import Document
from domain.errors import not_found
from domain.ids import new_id
from domain.ports.queries import Cursor, Select
from domain.ports.schema import ACCOUNTS, ITEMS, MEMBERSHIPS, PLACEMENTS
from domain.ports.storage import Reader

PREVIEWED = tuple(action for action in Action if NEEDED[action] == ("circuit_id",))
"""The actions whose object is the circuit itself."""


@attrs.frozen
class Access:
    """Tells what `decide` answers."""

    units: Units

    async def explain(self, principal: Principal, asked: Explain) -> Explanation:
        """Return the decision about an action with all grounds that hold, or the reason and what is missing.

        Raises Invalid for a missing id, Refusal `not_found` for what the caller may not know, and for questions
        about others that are not theirs to ask.
        """
        asked.check()
        now = self.units.clock.now()
        async with self.units.storage.read() as reader:
            objects = await named(reader, asked)
            facts = await facts_about(reader, principal, objects)
            require_known(principal, objects, facts, now)
            if asked.user_id in (None, principal.user_id):
                decision = decide(principal, asked.action, facts, now)
                return _explanation(asked, principal, decision, now)
            subject = await _somebody(reader, str(asked.user_id))
            return await self._of_another(reader, principal, subject, asked, objects, facts, now)

    async def _of_another(
        self,
        reader: Reader,
        principal: Principal,
        subject: Principal,
        asked: Explain,
        objects: Named,
        own: Facts,
        now: datetime,
    ) -> Explanation:
        """Explain what somebody else may do, to the item's workspace or to who manages the circuit's members."""
        item = objects.item
        facts = await facts_about(reader, subject, objects)
        if item is not None and asked.action in OF_ITEMS and item.workspace_id == principal.workspace_id:
            decision = decide(subject, asked.action, facts, now)
            return _explanation(asked, subject, decision, now, await _circuits_of(reader, principal, decision))
        manages = decide(principal, Action.PREVIEW_AS_MEMBER, own, now).allowed
        if objects.circuit is None or asked.action in OF_EVENTS or not manages:
            raise not_found()
        circuit_id = objects.circuit.circuit_id
        decision = decide(_bare(subject.user_id), asked.action, within(facts, circuit_id), now)
        return _explanation(asked, subject, decision, now)

    async def preview(
        self, principal: Principal, circuit_id: str, asked: Preview, after: Cursor | None = None, limit: int = 50
    ) -> Previewed:
        """Return what a member, or somebody with a role, may do in a circuit and which of its items they read.

        The items are those whose placement the asker sees, newest first. Raises Invalid; Refusal `not_found`,
        `not_a_member`, `permission_missing`, `role_unknown`.
        """
        asked.check()
        now = self.units.clock.now()
        async with self.units.storage.read() as reader:
            at = await scene(reader, principal, circuit_id, *filter(None, [asked.as_]))
            circuit = at.require(Visit(principal, now), Action.PREVIEW_AS_MEMBER)
            member = _previewed(at, circuit, asked, now)
            query = Select(placed(at, principal, PlacementFilter()), ("placed_at", "placement_id"), descending=True)
            page = await reader.page(PLACEMENTS, query, after, limit)
            facts = await _facts_of(reader, circuit, member, page.items, real=asked.as_ is not None)
        subject = _bare(member.user_id)
        decisions = {
            row.dfid: decide(subject, Action.ITEM_VIEW, about(facts, dfid=row.dfid), now) for row in page.items
        }
        actions = [(action, decide(subject, action, facts, now)) for action in PREVIEWED]
        return Previewed(
            tuple(PreviewedItem(dfid, each.allowed, told(each), reason_of(each)) for dfid, each in decisions.items()),
            page.after,
            {
                "subject": Subject(asked.as_),
                "role": member.role,
                "permissions": member.permissions,
                "actions": [PreviewedAction(action, each.allowed, reason_of(each)) for action, each in actions],
            },
        )


def _explanation(
    asked: Explain, subject: Principal, decision: Decision, now: datetime, roles_of: frozenset[str] | None = None
) -> Explanation:
    return Explanation(
        action=asked.action,
        subject=Subject(subject.user_id),
        object=Document(asked.named),
        allowed=decision.allowed,
        grounds=told(decision, roles_of),
        reason=reason_of(decision),
        needed=decision.needed,
        evaluated_at=now,
    )


async def _somebody(reader: Reader, user_id: str) -> Principal:
    """Return the principal of a user; one who is frozen reaches nothing, and is as if absent."""
    account = await reader.find(ACCOUNTS, user_id)
    if account is None or not is_active(account):
        raise not_found()
    return principal_of(account)


def _bare(user_id: str | None) -> Principal:
    """Return a user without a workspace, who has no grounds but those of a circuit."""
    return Principal(PrincipalKind.USER, user_id=user_id)


async def _circuits_of(reader: Reader, principal: Principal, decision: Decision) -> frozenset[str]:
    """Return the circuits of the grounds of which the principal is a member."""
    wanted = sorted({ground.circuit_id for ground in decision.grounds if ground.circuit_id is not None})
    found = await reader.get_many(MEMBERSHIPS, [(circuit_id, str(principal.user_id)) for circuit_id in wanted])
    return frozenset(row.circuit_id for row in found.values() if row.status is MembershipStatus.ACTIVE)


def _previewed(at: Scene, circuit: Circuit, asked: Preview, now: datetime) -> MemberFact:
    """Return the membership to preview. Raises Refusal `not_found` for no member, `role_unknown`."""
    if asked.as_ is not None:
        member = at.member(asked.as_)
        if member is None:
            raise not_found()
        return member_fact(circuit, member)
    role = role_named(circuit, str(asked.role))
    if role is None:
        raise role_unknown(str(asked.role))
    user_id = circuit.owner_id if role.name == BaseRole.OWNER else new_id()
    return MemberFact(circuit.circuit_id, user_id, MembershipStatus.ACTIVE, role.permissions, now, role.name)


async def _facts_of(
    reader: Reader, circuit: Circuit, member: MemberFact, rows: Sequence[Placement], *, real: bool
) -> Facts:
    """Return what is known of a member and of these placements, in this circuit alone; only real ones have pulls."""
    items = list((await reader.get_many(ITEMS, [row.dfid for row in rows])).values())
    read = await items_facts(reader, _bare(member.user_id), items) if real else Facts()
    return attrs.evolve(
        within(read, circuit.circuit_id),
        target=Target(circuit_id=circuit.circuit_id),
        circuits=(circuit_fact(circuit),),
        members=(member,),
        items=tuple(map(item_fact, items)),
        placements=tuple(map(placement_fact, rows)),
    )

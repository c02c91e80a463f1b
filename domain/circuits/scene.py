"""A circuit and some of its members, read once for one act; the questions that are asked about them."""

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

import attrs

from domain.access.decide import Action, Decision, Reason, decide, refusal, require
from domain.access.facts import CircuitFact, Facts, MemberFact, Target
from domain.access.permissions import Permission
from domain.access.principal import Principal
from domain.access.vocabulary import CircuitStatus, MembershipStatus
from domain.act import Act
from domain.circuits.facts import circuit_fact, member_fact
from domain.circuits.values import Circuit, Membership
from domain.errors import Refusal, not_found
from domain.ports.schema import CIRCUITS, MEMBERSHIPS
from domain.ports.storage import Place, Reader
from domain.precondition import Versions, require_version

CONFLICTS = frozenset({Reason.CIRCUIT_NOT_ACTIVE, Reason.OWNER_CANNOT_LEAVE, Reason.OWNER_ROLE_FIXED})
"""Reasons answered with 409: they come after the precondition (circuits.md 0)."""


class Asker(Protocol):
    """Somebody at an instant: an act, or a visit that only reads."""

    @property
    def principal(self) -> Principal: ...

    @property
    def now(self) -> datetime: ...


@attrs.frozen
class Visit:
    """A look at circuits that changes nothing."""

    principal: Principal
    now: datetime


@attrs.frozen
class Scene:
    """A circuit, if there is one, and the memberships read with it, ended ones included, by user."""

    found: Circuit | None
    memberships: Mapping[str, Membership]

    @property
    def circuit(self) -> Circuit:
        """The circuit. Raises Refusal `not_found`."""
        if self.found is None:
            raise not_found()
        return self.found

    def member(self, user_id: str | None) -> Membership | None:
        """Return the active membership of a user."""
        membership = self.memberships.get(user_id or "")
        return membership if membership is not None and membership.status is MembershipStatus.ACTIVE else None

    def holds(self, user_id: str | None, permission: Permission) -> bool:
        """Tell whether a user is a member holding `permission`."""
        member = self.member(user_id)
        return member is not None and permission in member.permissions

    def facts(self, target: Target, **more: Any) -> Facts:
        """Return what is known here about `target`; `more` are further kinds of facts."""
        return Facts(target, *self._known, **more)

    @cached_property
    def _known(self) -> tuple[tuple[CircuitFact, ...], tuple[MemberFact, ...]]:
        circuits = () if self.found is None else (circuit_fact(self.found),)
        return circuits, tuple(member_fact(self.found, membership) for membership in self.memberships.values())

    def decide(self, by: Asker, action: Action, *, facts: Mapping[str, Any] | None = None, **target: Any) -> Decision:
        """Decide about this circuit; `facts` are further kinds of facts, `target` members of the target."""
        circuit_id = None if self.found is None else self.found.circuit_id
        asked = self.facts(Target(circuit_id=circuit_id, **target), **(facts or {}))
        return decide(by.principal, action, asked, by.now)

    def require(self, by: Asker, action: Action, *, facts: Mapping[str, Any] | None = None, **target: Any) -> Circuit:
        """Return the circuit when the action is allowed. Raises the Refusal of the decision."""
        require(self.decide(by, action, facts=facts, **target))
        return self.circuit

    def require_open(self, by: Asker) -> None:
        """Demand an active circuit of a member, for acts whose elements are judged one by one. Raises Refusal."""
        circuit = self.require(by, Action.CIRCUIT_VIEW)
        if circuit.status is not CircuitStatus.ACTIVE:
            raise Refusal("circuit_not_active", "This circuit is closed.", current_status=circuit.status.value)

    async def confirm(self, act: Act, *users: str | None) -> None:
        """Confirm the circuit and the memberships of the acting user and of `users`."""
        await act.unit.confirm(CIRCUITS, self.circuit)
        relied = {user for user in (act.principal.user_id, *users) if self.member(user) is not None}
        await act.unit.confirm(MEMBERSHIPS, *(self.memberships[user] for user in sorted(map(str, relied))))


def scene_places(circuit_id: str, *users: str) -> tuple[Place, ...]:
    """Return where a circuit stands, and the memberships of these users."""
    return (CIRCUITS, circuit_id), *((MEMBERSHIPS, (circuit_id, user)) for user in users)


async def scene(reader: Reader, principal: Principal, circuit_id: str, *users: str) -> Scene:
    """Read a circuit with the memberships of the principal and of `users` in one round trip."""
    wanted = sorted({user for user in (principal.user_id, *users) if user is not None})
    found, *rows = await reader.find_each(*scene_places(circuit_id, *wanted))
    return Scene(found, {row.user_id: row for row in rows if row is not None and found is not None})


def known(decision: Decision) -> None:
    """Refuse what is denied for any reason but a conflict: what may be known, and the right, come first."""
    if not decision.allowed and decision.reason not in CONFLICTS:
        raise refusal(decision)


def settle(decision: Decision, accepted: Versions, current: int) -> None:
    """Answer in the order of circuits.md 0: known, right, precondition, conflict. Raises Refusal."""
    known(decision)
    require_version(accepted, current)
    require(decision)

"""One question: who asks, about what, knowing what, at which instant. Picks the facts that bear on it."""

from datetime import datetime

import attrs

from domain.access.facts import (
    CircuitFact,
    EventFact,
    Facts,
    ItemFact,
    MemberFact,
    OperationFact,
    PlacementFact,
    RequestFact,
    Target,
    TransferFact,
)
from domain.access.principal import Principal, PrincipalKind
from domain.access.vocabulary import CircuitStatus, MembershipStatus, PageState, PublicAccessMode

_PERSONS = frozenset({PrincipalKind.USER, PrincipalKind.API_KEY})


@attrs.define(eq=False)
class Question:
    """`user` and `workspace` are None for everybody who is no user; nothing ever matches None."""

    principal: Principal
    user: str | None
    workspace: str | None
    facts: Facts
    target: Target
    now: datetime

    def circuit(self, circuit_id: str | None) -> CircuitFact | None:
        """Return the circuit of that id, if known."""
        for fact in self.facts.circuits:
            if fact.circuit_id == circuit_id:
                return fact
        return None

    def member(self, circuit_id: str | None) -> MemberFact | None:
        """Return the principal's own active membership of a circuit."""
        return self.active_member(circuit_id, self.user)

    def active_member(self, circuit_id: str | None, user_id: str | None) -> MemberFact | None:
        """Return the active membership of a user."""
        if user_id is None:
            return None
        for fact in self.facts.members:
            if fact.circuit_id == circuit_id and fact.user_id == user_id and fact.status is MembershipStatus.ACTIVE:
                return fact
        return None

    def item(self, dfid: str | None) -> ItemFact | None:
        """Return the item of that DFID or LID, if known."""
        for fact in self.facts.items:
            if fact.dfid == dfid:
                return fact
        return None

    def placement(self) -> PlacementFact | None:
        """Return the placement of the item asked about in the circuit asked about."""
        return self.placed(self.target.dfid, self.target.circuit_id)

    def placed(self, dfid: str | None, circuit_id: str | None) -> PlacementFact | None:
        """Return the placement of an item in a circuit."""
        for fact in self.facts.placements:
            if fact.circuit_id == circuit_id and fact.dfid == dfid:
                return fact
        return None

    def event(self) -> EventFact | None:
        """Return the event asked about."""
        for fact in self.facts.events:
            if fact.event_id == self.target.event_id:
                return fact
        return None

    def operation(self) -> OperationFact | None:
        """Return the operation asked about, unless it is another circuit's than the one named."""
        target = self.target
        for fact in self.facts.operations:
            if fact.operation_id == target.operation_id and target.circuit_id in (None, fact.circuit_id):
                return fact
        return None

    def request(self) -> RequestFact | None:
        """Return the join request asked about, unless it is another circuit's than the one named."""
        target = self.target
        for fact in self.facts.requests:
            if fact.request_id == target.request_id and target.circuit_id in (None, fact.circuit_id):
                return fact
        return None

    def transfer(self) -> TransferFact | None:
        """Return the transfer asked about."""
        if self.target.transfer_id is None:
            return None
        for fact in self.facts.transfers:
            if fact.transfer_id == self.target.transfer_id:
                return fact
        return None


def ask(principal: Principal, facts: Facts, now: datetime) -> Question:
    """Put a question; only users, by themselves or by a key of theirs, act as somebody."""
    if principal.kind in _PERSONS and principal.user_id is not None:
        return Question(principal, principal.user_id, principal.workspace_id, facts, facts.target, now)
    return Question(principal, None, None, facts, facts.target, now)


def page_state(circuit: CircuitFact, now: datetime) -> PageState:
    """Return what the public page of `circuit` is at `now` (circuits.md 2.5). A date that is missing never comes."""
    if circuit.status is not CircuitStatus.ACTIVE or not circuit.allow_public_visibility:
        return PageState.CLOSED
    if circuit.access_mode is PublicAccessMode.PROTECTED:
        return PageState.PROTECTED
    if circuit.access_mode is PublicAccessMode.SCHEDULED and (
        circuit.scheduled_date is None or now < circuit.scheduled_date
    ):
        return PageState.CLOSED
    return PageState.OPEN

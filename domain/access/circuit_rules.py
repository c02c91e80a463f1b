"""The rows of circuits.md 2.4: circuits, members, roles, requests, operations and the rest.

The order within a row is that of circuits.md 0: what may be known (404), the right (403), the status of the
circuit (409).
"""

from collections.abc import Callable

from domain.access import grounds as g
from domain.access.decision import Decision, Ground, Reason, allow, deny, hide
from domain.access.facts import CircuitFact, MemberFact
from domain.access.permissions import Permission, may_define, may_grant, target_outranks
from domain.access.question import Question, page_state
from domain.access.vocabulary import CircuitStatus, PageState

Judge = Callable[[Question], Decision]
Check = Callable[[Question, CircuitFact, MemberFact], Reason | None]

_Statuses = frozenset[CircuitStatus]
A: _Statuses = frozenset({CircuitStatus.ACTIVE})
I: _Statuses = frozenset({CircuitStatus.INACTIVE})  # noqa: E741
AI: _Statuses = A | I
AIX: _Statuses = frozenset(CircuitStatus)


def outsider(question: Question, circuit: CircuitFact) -> Decision:
    """Answer somebody who is no member: only where the page is open to them the circuit is known at all."""
    return deny(Reason.NOT_A_MEMBER) if g.page_ground(question, circuit) else hide()


def within(question: Question, judge: Callable[[Question, CircuitFact, MemberFact], Decision]) -> Decision:
    """Judge as a member of the circuit named; everybody else is an outsider."""
    circuit = question.circuit(question.target.circuit_id)
    if circuit is None:
        return deny(Reason.NOT_FOUND)
    member = question.member(circuit.circuit_id)
    return outsider(question, circuit) if member is None else judge(question, circuit, member)


def membership(statuses: _Statuses = AIX) -> Judge:
    """Row: any member."""

    def judge(question: Question, circuit: CircuitFact, member: MemberFact) -> Decision:
        return g.in_status(circuit, g.membership_ground(member), statuses)

    return lambda question: within(question, judge)


def permitted(
    permission: Permission,
    statuses: _Statuses = A,
    *checks: Check,
    known: Callable[[Question, CircuitFact], bool] | None = None,
    conflict: Check | None = None,
) -> Judge:
    """Row: a member holding `permission`; then `checks` (403, 404), then the status, then `conflict` (409).

    `known` says whether what the question names besides the circuit exists.
    """

    def judge(question: Question, circuit: CircuitFact, member: MemberFact) -> Decision:
        if known is not None and not known(question, circuit):
            return deny(Reason.NOT_FOUND)
        held = g.permission_ground(member, permission)
        if not held:
            return deny(Reason.PERMISSION_MISSING, permission)
        for check in checks:
            if (reason := check(question, circuit, member)) is not None:
                return deny(reason)
        decision = g.in_status(circuit, held, statuses)
        if decision.allowed and conflict is not None:
            clash = conflict(question, circuit, member)
            return decision if clash is None else deny(clash)
        return decision

    return lambda question: within(question, judge)


def grants(question: Question, circuit: CircuitFact, member: MemberFact) -> Reason | None:
    """S1 for the role to be given, if the question names one."""
    target = question.target
    granted = frozenset[Permission]() if target.granted is None else target.granted
    may = may_grant(member.permissions, granted, as_owner=target.grants_owner)
    return None if may else Reason.ROLE_NOT_GRANTABLE


def grants_to_member(question: Question, circuit: CircuitFact, member: MemberFact) -> Reason | None:
    """S1 for the new role of a member; for the owner, whose role is fixed, that conflict is the answer."""
    is_owner = question.target.user_id == circuit.owner_id
    return None if is_owner else grants(question, circuit, member)


def touches(question: Question, circuit: CircuitFact, member: MemberFact) -> Reason | None:
    """S2 for the member to be changed or removed; the owner is a conflict, not a rank."""
    touched = question.active_member(circuit.circuit_id, question.target.user_id)
    if touched is None or touched.user_id == circuit.owner_id:
        return None
    outranks = target_outranks(member.permissions, touched.permissions)
    return Reason.TARGET_OUTRANKS if outranks else None


def defines(question: Question, circuit: CircuitFact, member: MemberFact) -> Reason | None:
    """S3 for the old and new permissions of the custom role."""
    may = may_define(member.permissions, *question.target.defined)
    return None if may else Reason.ROLE_NOT_GRANTABLE


def target_is_member(question: Question, circuit: CircuitFact) -> bool:
    """The member acted upon, if the question names one, is an active member."""
    named = question.target.user_id
    return named is None or question.active_member(circuit.circuit_id, named) is not None


def owner_stays(question: Question, circuit: CircuitFact, member: MemberFact) -> Reason | None:
    """The owner cannot be removed."""
    return Reason.OWNER_CANNOT_LEAVE if question.target.user_id == circuit.owner_id else None


def owner_role_stays(question: Question, circuit: CircuitFact, member: MemberFact) -> Reason | None:
    """The owner keeps the role."""
    return Reason.OWNER_ROLE_FIXED if question.target.user_id == circuit.owner_id else None


def request_stands(question: Question, circuit: CircuitFact, member: MemberFact) -> Reason | None:
    """The join request, if the question names one, is one of this circuit."""
    if question.target.request_id is None:
        return None
    request = question.request()
    known = request is not None and request.circuit_id == circuit.circuit_id
    return None if known else Reason.NOT_FOUND


def item_stands(question: Question, circuit: CircuitFact, member: MemberFact) -> Reason | None:
    """The item is placed in this circuit."""
    return Reason.NOT_FOUND if question.placement() is None else None


def circuit_create(question: Question) -> Decision:
    """Any user."""
    return deny(Reason.NOT_FOUND) if question.user is None else Decision(True)


def circuit_view_page(question: Question) -> Decision:
    """`page`; a protected page tells that it asks for a password, a closed one only its members that it is."""
    circuit = question.circuit(question.target.circuit_id)
    if circuit is None:
        return deny(Reason.NOT_FOUND)
    held = g.page_ground(question, circuit)
    if held:
        return allow(held)
    if page_state(circuit, question.now) is PageState.PROTECTED:
        return deny(Reason.PAGE_PASSWORD_REQUIRED)
    return deny(Reason.NOT_FOUND if question.member(circuit.circuit_id) is None else Reason.PAGE_CLOSED)


def circuit_transfer(question: Question) -> Decision:
    """The owner, who is an active member."""

    def judge(_: Question, circuit: CircuitFact, member: MemberFact) -> Decision:
        if circuit.owner_id != member.user_id:
            return deny(Reason.OWNER_REQUIRED)
        return g.in_status(circuit, g.owner_ground(circuit))

    return within(question, judge)


def member_leave(question: Question) -> Decision:
    """Any member but the owner."""

    def judge(_: Question, circuit: CircuitFact, member: MemberFact) -> Decision:
        decision = g.in_status(circuit, g.SELF)
        stays = decision.allowed and circuit.owner_id == member.user_id
        return deny(Reason.OWNER_CANNOT_LEAVE) if stays else decision

    return within(question, judge)


def join_request(question: Question) -> Decision:
    """Any user whom the page is open to. Members of a closed circuit learn that it is closed."""
    circuit = question.circuit(question.target.circuit_id)
    if circuit is None or question.user is None:
        return deny(Reason.NOT_FOUND)
    held = g.page_ground(question, circuit)
    if held:
        return allow(held)
    if question.member(circuit.circuit_id) is None:
        return deny(Reason.NOT_FOUND)
    closed = g.in_status(circuit, ())
    return deny(Reason.PAGE_CLOSED) if closed.allowed else closed


def join_view(question: Question) -> Decision:
    """Who asked; and members holding `manage_members`."""
    request = question.request()
    if request is None:
        return deny(Reason.NOT_FOUND)
    member = question.member(request.circuit_id)
    held = (
        *g.permission_ground(member, Permission.MANAGE_MEMBERS),
        *g.join_requester_ground(question),
    )
    return _known_circuit(question, request.circuit_id, held, AIX)


def join_cancel(question: Question) -> Decision:
    """Who asked."""
    request = question.request()
    circuit_id = None if request is None else request.circuit_id
    return _known_circuit(question, circuit_id, g.join_requester_ground(question), A)


def operation_view(question: Question) -> Decision:
    """The requester and their workspace; members holding `approve` or `audit`."""
    operation = question.operation()
    if operation is None:
        return deny(Reason.NOT_FOUND)
    member = question.member(operation.circuit_id)
    held = (
        *g.permission_ground(member, Permission.APPROVE),
        *g.permission_ground(member, Permission.AUDIT),
        *g.requester_grounds(question),
    )
    return _known_circuit(question, operation.circuit_id, held, AIX)


def operation_preview(question: Question) -> Decision:
    """Approvers, of a waiting push whose requester is still a member of that period."""
    decision = _approver(question)
    if decision.allowed and not g.waits_as_push_of_member(question):
        return deny(Reason.NOT_FOUND)
    return decision


def operation_decide(question: Question) -> Decision:
    """Approvers other than the requester."""
    return _approver(question, but_not_own=True)


def _approver(question: Question, *, but_not_own: bool = False) -> Decision:
    operation = question.operation()
    if operation is None or not operation_view(question).allowed:
        return deny(Reason.NOT_FOUND)
    held = g.permission_ground(question.member(operation.circuit_id), Permission.APPROVE)
    if not held:
        return deny(Reason.PERMISSION_MISSING, Permission.APPROVE)
    if but_not_own and operation.requester_id == question.user:
        return deny(Reason.OWN_OPERATION)
    return _known_circuit(question, operation.circuit_id, held, A)


def operation_cancel(question: Question) -> Decision:
    """The requester and their workspace, member or not."""
    operation = question.operation()
    circuit_id = None if operation is None else operation.circuit_id
    return _known_circuit(question, circuit_id, g.requester_grounds(question), A)


def _known_circuit(
    question: Question, circuit_id: str | None, held: tuple[Ground, ...], statuses: _Statuses
) -> Decision:
    circuit = question.circuit(circuit_id)
    return deny(Reason.NOT_FOUND) if circuit is None or not held else g.in_status(circuit, held, statuses)


def activity_view(question: Question) -> Decision:
    """Members of the circuit, and the actor of the entry."""
    circuit = question.circuit(question.target.circuit_id)
    member = None if circuit is None else question.member(circuit.circuit_id)
    of_member = () if member is None else g.membership_ground(member)
    held = (*of_member, *g.self_ground(question))
    return allow(held) if held else deny(Reason.NOT_FOUND)


def audit_view_all(question: Question) -> Decision:
    """Administrators: the one thing in which being one counts."""
    admin = question.user is not None and question.principal.is_admin
    return allow(g.ADMINISTRATOR) if admin else deny(Reason.ADMIN_REQUIRED)


def own_only(question: Question) -> Decision:
    """Row: the user whom the object belongs to."""
    held = g.self_ground(question)
    return allow(held) if held else deny(Reason.NOT_FOUND)

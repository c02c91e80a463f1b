"""The rows of circuits.md 2.4."""

from itertools import product

import attrs
import pytest

from domain.access.decide import RULES, Action, Decision, decide, require
from domain.access.facts import Facts, MemberFact, RequestFact, Target
from domain.access.permissions import ALL_PERMISSIONS, ROLE_PERMISSIONS, BaseRole
from domain.access.permissions import Permission as P
from domain.access.principal import ANONYMOUS, Principal, PrincipalKind, Scope, system
from domain.access.vocabulary import CircuitStatus, MembershipStatus, OperationStatus, OperationType
from domain.errors import Refusal
from tests.unit.access.worlds import (
    ALL,
    ANA,
    ARCHIVED,
    EARLIER,
    INACTIVE,
    NOW,
    circuit,
    member,
    operation,
    placement,
    user,
)

# action, what it needs (- any member), the statuses it is allowed in
TABLE = """
circuit.view             -                A I X
circuit.stats            -                A I X
member.list              -                A I X
member.view_own          -                A I X
role.list                -                A I X
circuit.view_settings    manage_settings  A I X
circuit.update           manage_settings  A
circuit.public_settings  manage_settings  A
webhook.view             manage_settings  A I X
webhook.change           manage_settings  A
circuit.deactivate       manage_settings  A
circuit.activate         manage_settings  I
circuit.archive          delete           A I
member.add               invite           A
member.change_role       manage_members   A
member.remove            manage_members   A
role.create              manage_roles     A
role.update              manage_roles     A
role.delete              manage_roles     A
join.list                manage_members   A I X
join.decide              manage_members   A
circuit.push             push             A
circuit.pull             pull             A
audit.view_circuit       audit            A I X
preview.as_member        manage_members   A I X
"""
ROWS = [line.split() for line in TABLE.strip().split("\n")]
LETTER = {"A": CircuitStatus.ACTIVE, "I": INACTIVE, "X": ARCHIVED}
CASES = [(Action(row[0]), row[1], letter, letter in row[2:]) for row, letter in product(ROWS, LETTER)]
KNOWN = Facts(Target("C", "D"), circuits=(circuit(),), placements=(placement(),))


def _asked(facts: Facts, action: Action, principal: Principal = ANA, **target: object) -> Decision:
    return decide(
        principal,
        action,
        attrs.evolve(facts, target=Target(**{"circuit_id": "C", "dfid": "D"} | target)),  # type: ignore[arg-type]
        NOW,
    )


def _with(*permissions: P, **changed: object) -> Facts:
    return attrs.evolve(KNOWN, members=(member(permissions),), **changed)


@pytest.mark.parametrize(("action", "needs", "letter", "allowed"), CASES)
def test_a_member_may_what_their_permissions_and_the_status_of_the_circuit_allow(
    action: Action, needs: str, letter: str, allowed: bool
) -> None:
    in_status = {"circuits": (circuit(status=LETTER[letter]),)}
    least = () if needs == "-" else (P(needs),)
    decision = _asked(_with(*least, **in_status), action)
    assert decision.allowed is allowed
    if allowed:
        kind = "membership" if needs == "-" else "permission"
        assert [(ground.ground, ground.permission) for ground in decision.grounds] == [
            (kind, None if needs == "-" else needs)
        ]
    else:
        assert (decision.reason, decision.current_status) == ("circuit_not_active", LETTER[letter])
    if needs != "-":
        without = _asked(_with(*(ALL_PERMISSIONS - {P(needs)}), **in_status), action)
        assert (without.reason, without.needed) == ("permission_missing", (needs,))


@pytest.mark.parametrize("action", [Action(row[0]) for row in ROWS])
def test_who_is_no_member_learns_of_a_circuit_only_by_its_open_page(action: Action) -> None:
    gone = (
        member(status=MembershipStatus.LEFT),
        member(status=MembershipStatus.REMOVED),
        member(user_id="rita"),
        member(circuit_id="E"),
    )
    facts = attrs.evolve(KNOWN, members=gone)
    opened = attrs.evolve(facts, circuits=(circuit(allow_public_visibility=True),))
    assert _asked(facts, action).reason == "not_found"
    assert _asked(opened, action).reason == "not_a_member"
    assert _asked(attrs.evolve(facts, circuits=()), action).reason == "not_found"


def test_a_refusal_names_what_is_missing() -> None:
    with pytest.raises(Refusal) as caught:
        require(_asked(_with(P.PULL), Action.CIRCUIT_UPDATE))
    assert caught.value.code == "permission_missing"
    assert caught.value.members == {"needed": ["manage_settings"]}
    assert caught.value.detail == "This needs the permission manage_settings in this circuit."


def test_any_user_creates_circuits_and_nobody_else() -> None:
    assert decide(ANA, Action.CIRCUIT_CREATE, Facts(), NOW).allowed
    assert not decide(ANONYMOUS, Action.CIRCUIT_CREATE, Facts(), NOW).allowed
    assert not decide(system(), Action.CIRCUIT_CREATE, Facts(), NOW).allowed


def test_a_pull_needs_a_placement_here() -> None:
    assert _asked(_with(P.PULL, placements=()), Action.CIRCUIT_PULL).reason == "not_found"
    assert _asked(_with(P.PULL, placements=(placement("E"),)), Action.CIRCUIT_PULL).reason == "not_found"


def test_ownership_passes_by_the_owner_alone_while_a_member() -> None:
    owned = {"circuits": (circuit(owner_id="ana"),)}
    assert _asked(_with(*ALL, **owned), Action.CIRCUIT_TRANSFER).grounds[0].shown() == {
        "ground": "circuit_owner",
        "circuit_id": "C",
    }
    assert _asked(_with(*ALL), Action.CIRCUIT_TRANSFER).reason == "owner_required"
    assert _asked(attrs.evolve(KNOWN, **owned), Action.CIRCUIT_TRANSFER).reason == "not_found"
    closed = {"circuits": (circuit(owner_id="ana", status=INACTIVE),)}
    assert _asked(_with(*ALL, **closed), Action.CIRCUIT_TRANSFER).reason == "circuit_not_active"


def test_everybody_but_the_owner_leaves() -> None:
    assert _asked(_with(), Action.MEMBER_LEAVE).grounds[0].ground == "self"
    owned = {"circuits": (circuit(owner_id="ana"),)}
    assert _asked(_with(*ALL, **owned), Action.MEMBER_LEAVE).reason == "owner_cannot_leave"
    assert _asked(_with(circuits=(circuit(status=ARCHIVED),)), Action.MEMBER_LEAVE).reason == ("circuit_not_active")


@pytest.mark.parametrize(
    ("action", "held"),
    [
        (Action.MEMBER_ADD, P.INVITE),
        (Action.MEMBER_CHANGE_ROLE, P.MANAGE_MEMBERS),
        (Action.JOIN_DECIDE, P.MANAGE_MEMBERS),
    ],
)
def test_a_role_beyond_ones_own_is_not_given(action: Action, held: P) -> None:
    facts = _with(held, P.PULL)
    assert _asked(facts, action, granted=frozenset({P.PULL})).allowed
    assert _asked(facts, action, granted=frozenset({P.PUSH})).reason == "role_not_grantable"
    everything = _asked(_with(*ALL), action, granted=ALL, grants_owner=True)
    assert everything.reason == "role_not_grantable"


def _touching(target: MemberFact, *held: P) -> Facts:
    return attrs.evolve(KNOWN, members=(member(held), target))


@pytest.mark.parametrize("action", [Action.MEMBER_CHANGE_ROLE, Action.MEMBER_REMOVE])
def test_members_act_on_equals_and_lesser_ones(action: Action) -> None:
    held = (P.MANAGE_MEMBERS, P.PULL)
    for permissions in (held, (P.PULL,), ()):
        assert _asked(_touching(member(permissions, user_id="rita"), *held), action, user_id="rita").allowed
    greater = _touching(member((P.PUSH,), user_id="rita"), *held)
    assert _asked(greater, action, user_id="rita").reason == "target_outranks"
    gone = _touching(member((), user_id="rita", status=MembershipStatus.LEFT), *held)
    assert _asked(gone, action, user_id="rita").reason == "not_found"


def test_the_owner_is_neither_changed_nor_removed() -> None:
    facts = _touching(member(user_id="olga"), P.MANAGE_MEMBERS)
    assert _asked(facts, Action.MEMBER_CHANGE_ROLE, user_id="olga", granted=ALL).reason == "owner_role_fixed"
    assert _asked(facts, Action.MEMBER_REMOVE, user_id="olga").reason == "owner_cannot_leave"


@pytest.mark.parametrize("action", [Action.ROLE_CREATE, Action.ROLE_UPDATE, Action.ROLE_DELETE])
def test_custom_roles_are_defined_within_ones_own_permissions(action: Action) -> None:
    facts = _with(P.MANAGE_ROLES, P.PULL)
    within, beyond = frozenset({P.PULL}), frozenset({P.PUSH})
    assert _asked(facts, action, defined=(within, frozenset())).allowed
    for sets in ((beyond, within), (within, beyond)):
        assert _asked(facts, action, defined=sets).reason == "role_not_grantable"


def test_joining_is_asked_for_at_an_open_page() -> None:
    opened = attrs.evolve(KNOWN, circuits=(circuit(allow_public_visibility=True),))
    assert _asked(opened, Action.JOIN_REQUEST).grounds[0].ground == "page"
    assert _asked(opened, Action.JOIN_REQUEST, ANONYMOUS).reason == "not_found"
    assert _asked(KNOWN, Action.JOIN_REQUEST).reason == "not_found"
    closed = _with(circuits=(circuit(status=INACTIVE),))
    assert _asked(closed, Action.JOIN_REQUEST).reason == "circuit_not_active"


ASKED = attrs.evolve(KNOWN, requests=(RequestFact("R", "C", "ana"),))


def test_a_join_request_is_seen_by_who_asked_and_by_managers_and_cancelled_by_who_asked() -> None:
    assert _asked(ASKED, Action.JOIN_VIEW, request_id="R").grounds[0].shown() == {
        "ground": "requester",
        "request_id": "R",
    }
    assert _asked(ASKED, Action.JOIN_CANCEL, request_id="R").allowed
    others = attrs.evolve(ASKED, requests=(RequestFact("R", "C", "rita"),))
    managed = attrs.evolve(others, members=(member({P.MANAGE_MEMBERS}),))
    assert _asked(managed, Action.JOIN_VIEW, request_id="R").grounds[0].ground == "permission"
    for action in (Action.JOIN_VIEW, Action.JOIN_CANCEL):
        assert _asked(others, action, request_id="R").reason == "not_found"
    assert _asked(managed, Action.JOIN_CANCEL, request_id="R").reason == "not_found"


def test_a_join_request_of_another_circuit_is_not_found_here() -> None:
    elsewhere = attrs.evolve(_with(P.MANAGE_MEMBERS), requests=(RequestFact("R", "E", "ana"),))
    for action in (Action.JOIN_VIEW, Action.JOIN_DECIDE, Action.JOIN_CANCEL):
        assert _asked(elsewhere, action, request_id="R").reason == "not_found"


@pytest.mark.parametrize("status", [INACTIVE, ARCHIVED])
def test_requests_and_operations_of_a_closed_circuit_are_read_but_not_changed(status: CircuitStatus) -> None:
    facts = attrs.evolve(ASKED, circuits=(circuit(status=status),), operations=(operation(requester_id="ana"),))
    assert _asked(facts, Action.JOIN_VIEW, request_id="R").allowed
    assert _asked(facts, Action.JOIN_CANCEL, request_id="R").reason == "circuit_not_active"
    assert _asked(facts, Action.OPERATION_VIEW, operation_id="O").allowed
    assert _asked(facts, Action.OPERATION_CANCEL, operation_id="O").reason == "circuit_not_active"
    approver = attrs.evolve(facts, operations=(operation(),), members=(member({P.APPROVE}),))
    assert _asked(approver, Action.OPERATION_DECIDE, operation_id="O").reason == "circuit_not_active"


WAITING = attrs.evolve(KNOWN, operations=(operation(),))
READS_OPERATION = [
    (user("rita", "elsewhere"), (), ["requester"]),
    (user("otto", "dairy"), (), ["requester_workspace"]),
    (user("rita", "dairy"), (), ["requester", "requester_workspace"]),
    (ANA, (P.APPROVE,), ["permission"]),
    (ANA, (P.AUDIT,), ["permission"]),
    (ANA, (P.APPROVE, P.AUDIT), ["permission", "permission"]),
    (ANA, tuple(ALL - {P.APPROVE, P.AUDIT}), []),
]


@pytest.mark.parametrize(("principal", "held", "grounds"), READS_OPERATION)
def test_an_operation_is_seen_by_its_requesters_side_and_by_approvers_and_auditors(
    principal: Principal, held: tuple[P, ...], grounds: list[str]
) -> None:
    facts = attrs.evolve(WAITING, members=(member(held),))
    decision = _asked(facts, Action.OPERATION_VIEW, principal, operation_id="O")
    assert [ground.ground for ground in decision.grounds] == grounds
    assert decision.allowed or decision.reason == "not_found"
    cancels = any(ground.startswith("requester") for ground in grounds)
    cancel = _asked(facts, Action.OPERATION_CANCEL, principal, operation_id="O")
    assert (cancel.allowed, cancel.reason) == (cancels, None if cancels else "not_found")


def test_an_operation_of_another_circuit_is_not_found_here_even_by_who_may_decide_it_there() -> None:
    facts = attrs.evolve(
        KNOWN,
        circuits=(circuit(), circuit("E")),
        members=(member(ALL), member(ALL, "E")),
        operations=(operation(circuit_id="E"),),
    )
    for action in (Action.OPERATION_VIEW, Action.OPERATION_DECIDE):
        assert _asked(facts, action, circuit_id="E", operation_id="O").allowed
        assert _asked(facts, action, circuit_id=None, operation_id="O").allowed
        assert _asked(facts, action, operation_id="O").reason == "not_found"


def test_a_credential_without_a_user_is_nobody() -> None:
    nobody = Principal(PrincipalKind.USER, is_admin=True)
    opened = attrs.evolve(KNOWN, circuits=(circuit(allow_public_visibility=True),))
    assert not _asked(opened, Action.JOIN_REQUEST, nobody).allowed
    assert not _asked(opened, Action.CIRCUIT_CREATE, nobody).allowed
    assert not _asked(opened, Action.AUDIT_VIEW_ALL, nobody).allowed
    assert _asked(opened, Action.CIRCUIT_VIEW_PAGE, nobody).allowed


def test_somebody_else_decides_an_operation() -> None:
    def decided(principal: Principal, *held: P) -> Decision:
        facts = attrs.evolve(WAITING, members=(member(held, user_id=principal.user_id or ""),))
        return _asked(facts, Action.OPERATION_DECIDE, principal, operation_id="O")

    assert decided(ANA, P.APPROVE).allowed
    assert decided(user("rita", "dairy"), P.APPROVE).reason == "own_operation"
    assert decided(user("rita", "dairy"), P.PUSH).needed == ("approve",)
    assert decided(ANA, P.AUDIT).reason == "permission_missing"
    assert decided(ANA, P.PUSH).reason == "not_found"


def test_a_waiting_push_is_previewed_while_its_requester_is_a_member_of_that_period() -> None:
    def shown(*others: MemberFact, **more: object) -> bool:
        members = (member({P.APPROVE}), *others)
        facts = attrs.evolve(WAITING, members=members, operations=(operation(**more),))
        return _asked(facts, Action.OPERATION_PREVIEW, operation_id="O").allowed

    requester = member({P.PUSH}, user_id="rita")
    assert shown(requester)
    assert not shown()
    assert not shown(attrs.evolve(requester, joined_at=EARLIER))
    assert not shown(attrs.evolve(requester, status=MembershipStatus.REMOVED))
    assert not shown(requester, type=OperationType.PULL)
    assert not shown(requester, status=OperationStatus.COMPLETED)


def test_activity_of_a_circuit_is_its_members_and_the_actors() -> None:
    assert _asked(_with(), Action.ACTIVITY_VIEW, user_id="rita").grounds[0].ground == "membership"
    assert _asked(KNOWN, Action.ACTIVITY_VIEW, user_id="ana").grounds[0].ground == "self"
    assert _asked(KNOWN, Action.ACTIVITY_VIEW, user_id="rita").reason == "not_found"


def test_the_whole_audit_log_is_for_administrators() -> None:
    admin = attrs.evolve(ANA, is_admin=True)
    assert _asked(Facts(), Action.AUDIT_VIEW_ALL, admin).grounds[0].ground == "administrator"
    assert _asked(Facts(), Action.AUDIT_VIEW_ALL).reason == "admin_required"


@pytest.mark.parametrize("action", [Action.NOTIFICATION_VIEW, Action.NOTIFICATION_CHANGE])
def test_notifications_are_their_recipients_own(action: Action) -> None:
    assert _asked(Facts(), action, user_id="ana").allowed
    assert _asked(Facts(), action, user_id="rita").reason == "not_found"
    assert _asked(Facts(), action).reason == "not_found"


def _key(*scopes: Scope) -> Principal:
    return Principal(PrincipalKind.API_KEY, "ana", "mill", scopes=frozenset(scopes))


def test_a_key_acts_within_its_scopes() -> None:
    facts = _with(*ALL)
    assert _asked(facts, Action.CIRCUIT_PUSH, _key(Scope.CIRCUITS_PUSH)).allowed
    refused = _asked(facts, Action.CIRCUIT_PUSH, _key(Scope.CIRCUITS_READ))
    assert (refused.reason, refused.needed) == ("scope_missing", ("circuits:push",))
    with pytest.raises(Refusal, match=r"scope_missing: This needs the scope circuits:push\."):
        require(refused)
    unlimited = attrs.evolve(_key(), scopes=None)
    assert _asked(facts, Action.CIRCUIT_PUSH, unlimited).reason == "scope_missing"


@pytest.mark.parametrize("role", BaseRole)
def test_every_member_may_view_and_leave_whatever_the_role(role: BaseRole) -> None:
    facts = _with(*ROLE_PERMISSIONS[role])
    for action in (Action.CIRCUIT_VIEW, Action.MEMBER_LIST, Action.ROLE_LIST, Action.MEMBER_LEAVE):
        assert _asked(facts, action).allowed


def test_every_action_has_its_row() -> None:
    assert set(RULES) == set(Action)

"""The laws of circuits.md 2.8 that concern the pure decision, over random worlds."""

from collections.abc import Iterator
from typing import Any

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.access.decide import Action, Ground, GroundKind, decide, refusal
from domain.access.facts import Facts, MemberFact, Target
from domain.access.permissions import Permission
from domain.access.principal import ANONYMOUS, Principal, PrincipalKind
from domain.access.vocabulary import (
    CircuitStatus,
    EventVisibility,
    PublicAccessMode,
    TransferStatus,
)
from tests.unit.access.random_worlds import (
    FACTS,
    KEYS,
    consistent,
    contradictory,
    principals,
    targets,
    users,
)
from tests.unit.access.worlds import EARLIER, NOW, circuit, item, manager, member, page, placement, share

many = settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)
ANA = manager()
PAGE_ACTIONS = (Action.CIRCUIT_VIEW_PAGE, Action.ITEM_VIEW_PUBLIC, Action.EVENT_VIEW_PUBLIC)


@many
@given(principals, contradictory)
def test_the_decision_answers_every_combination_of_facts_and_never_raises(principal: Principal, facts: Facts) -> None:
    for action in Action:
        decision = decide(principal, action, facts, NOW)
        assert decision == decide(principal, action, facts, NOW)
        assert decision.allowed is (decision.reason is None)
        assert decision.allowed or not decision.grounds
        assert decision.allowed or refusal(decision).code
        kinds = [ground.ground for ground in decision.grounds]
        assert [ground.shown()["ground"] for ground in decision.grounds] == kinds
        assert kinds == sorted(kinds, key=list(GroundKind).index)


@many
@given(principals, targets)
def test_without_facts_everything_is_denied_but_creating_a_circuit(principal: Principal, target: Target) -> None:
    stranger = attrs.evolve(principal, is_admin=False)
    nobodys = attrs.evolve(target, user_id=None)
    for action in Action:
        decision = decide(stranger, action, Facts(nobodys), NOW)
        assert not decision.allowed or action is Action.CIRCUIT_CREATE


def _without(facts: Facts, name: str, index: int) -> Facts:
    kept = getattr(facts, name)
    return attrs.evolve(facts, **{name: kept[:index] + kept[index + 1 :]})


def _smaller(facts: Facts) -> Iterator[tuple[str, Facts]]:
    for name in KEYS:
        for index in range(len(getattr(facts, name))):
            yield name, _without(facts, name, index)


def _least(facts: Facts, action: Action, ground: Ground) -> Facts:
    """Take facts away as long as the ground stands."""
    for _, smaller in _smaller(facts):
        if ground in decide(ANA, action, smaller, NOW).grounds:
            return _least(smaller, action, ground)
    return facts


READING = {"circuits", "members", "placements"}
SUPPORT: dict[str, list[set[str]]] = {
    "own_workspace": [
        {"items"},
        {"placements"},
        {"circuits", "placements"},
        {"circuits", "members", "items"},
        {"members", "items", "placements"},
    ],
    "share": [{"items", "shares"}],
    "transfer_offer": [{"items", "transfers"}],
    "circuit_member": [READING, READING | {"items"}],
    "approved_pull": [READING | {"pulls"}, READING | {"items", "pulls"}],
    "published": [{"circuits", "placements"}, READING, {"circuits", "placements", "pages"}],
    "page": [{"circuits"}, {"circuits", "members"}, {"circuits", "pages"}],
    "author_workspace": [set()],
    "recipient": [set()],
    "membership": [{"circuits", "members"}],
    "permission": [
        {"circuits", "members"},
        {"circuits", "members", "placements"},
        {"circuits", "members", "placements", "items"},
    ],
    "circuit_owner": [{"circuits", "members"}],
    "requester": [{"circuits"}],
    "requester_workspace": [{"circuits"}],
    "self": [set(), {"transfers"}, {"circuits", "members"}],
    "administrator": [set()],
}
SUBJECTS = {"events", "operations", "requests"}


@many
@given(consistent)
def test_each_ground_allows_alone_and_rests_on_its_own_facts_only(facts: Facts) -> None:
    for action in Action:
        for ground in decide(ANA, action, facts, NOW).grounds:
            least = _least(facts, action, ground)
            alone = decide(ANA, action, least, NOW)
            assert alone.allowed
            assert ground in alone.grounds
            used = {name for name in KEYS if getattr(least, name)} - SUBJECTS
            assert used in SUPPORT[ground.ground], action


gains = (
    st.tuples(st.just("permission"), st.sampled_from(Permission))
    | st.tuples(st.just("publication"), st.none())
    | st.one_of(*[st.tuples(st.just(name), FACTS[name]) for name in ("shares", "placements", "pulls")])
    | st.tuples(st.just("members"), FACTS["members"].map(lambda fact: attrs.evolve(fact, user_id="ana")))
)


def _more(facts: Facts, gained: str, what: Any) -> Facts:
    """Add one share, membership of the asker, permission, placement, pull, or publish what is placed."""
    if gained == "publication":
        published = tuple(attrs.evolve(each, published=True) for each in facts.placements)
        return attrs.evolve(facts, placements=published)
    if gained == "permission":
        return attrs.evolve(facts, members=tuple(_permitted(each, what) for each in facts.members))
    known = getattr(facts, gained)
    taken = {_key(gained, each) for each in known}
    return facts if _key(gained, what) in taken else attrs.evolve(facts, **{gained: (*known, what)})


def _permitted(fact: MemberFact, extra: Permission) -> MemberFact:
    if fact.user_id != ANA.user_id:
        return fact
    return attrs.evolve(fact, permissions=fact.permissions | {extra})


def _key(name: str, fact: Any) -> tuple[Any, ...]:
    return tuple(getattr(fact, part) for part in KEYS[name])


LOSSES: dict[str, tuple[str, str, Any]] = {
    "revoke": ("shares", "revoked_at", EARLIER),
    "share expires": ("shares", "expires_at", NOW),
    "offer expires": ("transfers", "expires_at", NOW),
    "offer ends": ("transfers", "status", TransferStatus.CANCELLED),
    "page token expires": ("pages", "expires_at", NOW),
    "password changes": ("circuits", "password_version", 7),
    "approve pulls": ("circuits", "require_approval_for_pull", True),
    "approve pushes": ("circuits", "require_approval_for_push", True),
    "close page": ("circuits", "allow_public_visibility", False),
    "protect page": ("circuits", "access_mode", PublicAccessMode.PROTECTED),
    "deactivate": ("circuits", "status", CircuitStatus.INACTIVE),
    "archive": ("circuits", "status", CircuitStatus.ARCHIVED),
    "unpublish": ("placements", "published", False),
    "stop resharing": ("circuits", "allow_resharing", False),
}


def _less(facts: Facts, loss: tuple[str, str, Any]) -> Facts:
    name, field, value = loss
    changed = tuple(
        # an archived circuit stays as closed as it is
        each if field == "status" and each.status == "archived" else attrs.evolve(each, **{field: value})
        for each in getattr(facts, name)
    )
    return attrs.evolve(facts, **{name: changed})


@many
@given(consistent, gains)
def test_more_facts_never_take_a_view_or_change_away(facts: Facts, gained: tuple[str, Any]) -> None:
    more = _more(facts, *gained)
    for action in Action:
        if decide(ANA, action, facts, NOW).allowed:
            assert decide(ANA, action, more, NOW).allowed, action


@many
@given(consistent, st.sampled_from(sorted(LOSSES)))
def test_closing_expiry_and_approval_switches_never_open_anything(facts: Facts, loss: str) -> None:
    # without a token, for the token of a page opens it only once it is protected
    facts = attrs.evolve(facts, pages=()) if loss == "protect page" else facts
    less = _less(facts, LOSSES[loss])
    # activating is there for closed circuits
    for action in set(Action) - {Action.CIRCUIT_ACTIVATE}:
        if not decide(ANA, action, facts, NOW).allowed:
            assert not decide(ANA, action, less, NOW).allowed, action


@many
@given(principals, consistent)
def test_a_key_may_nothing_that_its_creator_may_not(key: Principal, facts: Facts) -> None:
    key = attrs.evolve(key, kind=PrincipalKind.API_KEY)
    creator = attrs.evolve(key, kind=PrincipalKind.USER, scopes=None)
    for action in Action:
        if decide(key, action, facts, NOW).allowed:
            assert decide(creator, action, facts, NOW).allowed, action


@many
@given(principals, consistent)
def test_being_an_administrator_changes_nothing_but_the_view_of_the_whole_audit_log(
    principal: Principal, facts: Facts
) -> None:
    admin, other = (attrs.evolve(principal, is_admin=each) for each in (True, False))
    for action in set(Action) - {Action.AUDIT_VIEW_ALL}:
        assert decide(admin, action, facts, NOW) == decide(other, action, facts, NOW), action


@many
@given(users, consistent)
def test_what_a_visitor_sees_of_a_circuit_every_user_sees(principal: Principal, facts: Facts) -> None:
    for action in PAGE_ACTIONS:
        if decide(ANONYMOUS, action, facts, NOW).allowed:
            assert decide(principal, action, facts, NOW).allowed, action


@many
@given(consistent)
def test_a_visitors_event_is_one_of_the_page(facts: Facts) -> None:
    seen, on_page = (decide(ANONYMOUS, action, facts, NOW) for action in (Action.EVENT_VIEW, Action.EVENT_VIEW_PUBLIC))
    assert seen == on_page
    if seen.allowed:
        assert facts.events[0].visibility is EventVisibility.PUBLIC


def _of_circuit(facts: Facts) -> Facts:
    kept = {
        name: tuple(each for each in getattr(facts, name) if each.circuit_id == "C")
        for name in ("circuits", "members", "placements", "pulls")
    }
    return Facts(facts.target, items=facts.items, **kept)


@many
@given(consistent)
def test_a_preview_without_workspace_and_other_circuits_shows_no_more_than_the_member_has(
    facts: Facts,
) -> None:
    facts = attrs.evolve(facts, target=attrs.evolve(facts.target, circuit_id="C"))
    preview = attrs.evolve(ANA, workspace_id=None)
    for action in Action:
        if decide(preview, action, _of_circuit(facts), NOW).allowed:
            assert decide(ANA, action, facts, NOW).allowed, action


@many
@given(users, consistent)
def test_facts_about_others_are_ignored(principal: Principal, facts: Facts) -> None:
    noise = {
        "pages": page(circuit_id="elsewhere"),
        "circuits": circuit("elsewhere", allow_public_visibility=True),
        "members": member(circuit_id="elsewhere", user_id=principal.user_id or ""),
        "items": item(dfid="elsewhere"),
        "shares": share(dfid="elsewhere", recipient_user_id=principal.user_id),
        "placements": placement("elsewhere", dfid="elsewhere", published=True),
    }
    noisy = attrs.evolve(facts, **{name: (fact, *getattr(facts, name)) for name, fact in noise.items()})
    for action in Action:
        assert decide(principal, action, noisy, NOW) == decide(principal, action, facts, NOW), action

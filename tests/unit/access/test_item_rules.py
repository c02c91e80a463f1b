"""The rows of circuits.md 2.3 about items, placements and transfers."""

from itertools import product

import attrs
import pytest

from domain.access.decide import Action, Decision, decide, require
from domain.access.facts import CircuitFact, Facts, MemberFact, PlacementFact, Target
from domain.access.permissions import Permission as P
from domain.access.principal import ANONYMOUS, Principal
from domain.access.vocabulary import ItemStatus, PublicAccessMode, TransferStatus
from domain.errors import Refusal
from tests.unit.access.worlds import (
    ACTIVE,
    ANA,
    EARLIER,
    FARMER,
    INACTIVE,
    LATER,
    NOW,
    circuit,
    item,
    manager,
    member,
    page,
    placement,
    pull,
    share,
    transfer,
)

# own, shared or offered, placed, active, member, pull, approval, valid pull: the rows in order, first match wins
VIEW_TABLE = """
Y - - - - - - -  own_workspace
N S - - - - - -  share
N O - - - - - -  transfer_offer
N N Y Y Y Y N -  circuit_member
N N Y Y Y Y Y Y  approved_pull
N N Y Y Y Y Y N  ! pull_approval_required
N N Y Y Y N - -  ! not_found
N N - - - - - -  ! not_found
"""
VIEW_ROWS = [line.split() for line in VIEW_TABLE.strip().split("\n")]
WORLDS = ["".join(marks) for marks in product("YN", "SON", *["YN"] * 6)]


def _facts(world: str) -> Facts:
    own, shared, placed, active, joined, pulls, approval, valid = (mark not in "N" for mark in world)
    return Facts(
        Target(dfid="D"),
        items=(item("mill" if own else "farm"),),
        shares=(share(),) if world[1] == "S" else (),
        transfers=(transfer(),) if shared and world[1] == "O" else (),
        placements=(placement(),) if placed else (),
        circuits=(circuit(status=ACTIVE if active else INACTIVE, require_approval_for_pull=approval),),
        members=(member({P.PULL} if pulls else {P.PUSH}),) if joined else (),
        pulls=(pull(),) if valid else (),
    )


def _expected(world: str) -> list[str]:
    for row in VIEW_ROWS:
        if all(mark in ("-", seen) for mark, seen in zip(row[:8], world, strict=True)):
            return row[8:]
    raise AssertionError(world)


@pytest.mark.parametrize("world", WORLDS)
def test_an_item_is_viewed_exactly_as_its_truth_table_says(world: str) -> None:
    decision = decide(ANA, Action.ITEM_VIEW, _facts(world), NOW)
    expected = _expected(world)
    if expected[0] == "!":
        assert (decision.allowed, decision.reason, decision.grounds) == (False, expected[1], ())
    else:
        assert decision.allowed
        assert decision.grounds[0].ground == expected[0]


def _asked(principal: Principal, action: Action, facts: Facts, **target: object) -> Decision:
    return decide(principal, action, attrs.evolve(facts, target=Target(**target)), NOW)  # type: ignore[arg-type]


def _code(decision: Decision) -> str:
    with pytest.raises(Refusal) as caught:
        require(decision)
    return caught.value.code


def test_a_draft_is_seen_by_its_own_workspace_only() -> None:
    facts = attrs.evolve(_facts("NSYYYYNY"), items=(item(status=ItemStatus.LOCAL),), transfers=(transfer(),))
    for action in (Action.ITEM_VIEW, Action.ITEM_VIEW_OFFER, Action.ITEM_CHANGE):
        assert _asked(ANA, action, facts, dfid="D").reason == "not_found"
        assert decide(FARMER, action, facts, NOW).allowed


def test_grounds_are_listed_in_order_then_by_circuit() -> None:
    facts = attrs.evolve(
        _facts("YSYYYYNN"),
        transfers=(transfer(),),
        placements=(placement("E"), placement("C"), placement("F")),
        circuits=(circuit("F", require_approval_for_pull=True), circuit("E"), circuit("C")),
        members=tuple(member({P.PULL}, each) for each in "FEC"),
        pulls=(pull("F"),),
    )
    shown = [ground.shown() for ground in _asked(ANA, Action.ITEM_VIEW, facts, dfid="D").grounds]
    assert shown == [
        {"ground": "own_workspace"},
        {"ground": "share", "share_id": "S", "expires_at": None},
        {"ground": "transfer_offer", "transfer_id": "T", "expires_at": LATER},
        {"ground": "circuit_member", "circuit_id": "C", "role": "some", "placed_at": EARLIER},
        {"ground": "circuit_member", "circuit_id": "E", "role": "some", "placed_at": EARLIER},
        {"ground": "approved_pull", "circuit_id": "F", "role": "some", "operation_id": "O"},
    ]
    narrowed = _asked(ANA, Action.ITEM_VIEW, facts, dfid="D", circuit_id="E").grounds
    assert [ground.circuit_id for ground in narrowed] == [None, None, None, "E"]


@pytest.mark.parametrize(
    "stale", [pull(placement_id="other"), pull(member_since=EARLIER), pull("E"), pull(requester_id="rita")]
)
def test_a_pull_counts_for_its_reader_placement_and_membership_only(stale: object) -> None:
    facts = attrs.evolve(_facts("NNYYYYYN"), pulls=(stale,))
    decision = decide(ANA, Action.ITEM_VIEW, facts, NOW)
    assert decision.reason == "pull_approval_required"
    assert _code(decision) == "not_found"


def test_a_share_ends_at_its_expiry_and_at_its_revocation() -> None:
    def seen(**more: object) -> bool:
        facts = attrs.evolve(_facts("NNNNNNNN"), shares=(share(**more),))
        return decide(ANA, Action.ITEM_VIEW, facts, NOW).allowed

    assert seen(expires_at=LATER)
    assert not seen(expires_at=NOW)
    assert not seen(revoked_at=EARLIER)
    assert not seen(recipient_user_id="rita")
    assert not seen(dfid="other")


def test_an_offer_shows_the_item_while_open_and_tells_that_it_is_all_there_is() -> None:
    def view(*shares: object, **more: object) -> Decision:
        facts = attrs.evolve(_facts("NNNNNNNN"), transfers=(transfer(**more),), shares=shares)
        return decide(ANA, Action.ITEM_VIEW_OFFER, facts, NOW)

    assert view().offer_only
    assert not view(share()).offer_only
    assert not view(expires_at=NOW).allowed
    assert not view(status=TransferStatus.DECLINED).allowed
    assert not view(to_workspace_id="dairy").allowed


def test_a_published_item_is_seen_where_the_page_is() -> None:
    def view(fact: CircuitFact, *, published: bool = True, tokens: tuple[object, ...] = ()) -> bool:
        facts = Facts(
            Target("C", "D"),
            circuits=(fact,),
            placements=(placement(published=published),),
            pages=tokens,  # type: ignore[arg-type]
        )
        decision = decide(ANONYMOUS, Action.ITEM_VIEW_PUBLIC, facts, NOW)
        assert decision.allowed or _code(decision) == "not_found"
        return decision.allowed

    protected = circuit(allow_public_visibility=True, access_mode=PublicAccessMode.PROTECTED)
    assert view(circuit(allow_public_visibility=True))
    assert not view(circuit(allow_public_visibility=True), published=False)
    assert not view(circuit())
    assert not view(protected)
    assert view(protected, tokens=(page(),))


def test_an_item_is_changed_by_its_own_workspace_and_only_viewers_learn_that_it_is_not_theirs() -> None:
    assert _asked(FARMER, Action.ITEM_CHANGE, _facts("NNNNNNNN"), dfid="D").allowed
    for viewer in ("NSNNNNNN", "NONNNNNN", "NNYYYYNN"):
        assert _asked(ANA, Action.ITEM_CHANGE, _facts(viewer), dfid="D").reason == "not_owner"
    for stranger in ("NNNNNNNN", "NNYYYYYN"):
        assert _asked(ANA, Action.ITEM_CHANGE, _facts(stranger), dfid="D").reason == "not_found"
    assert _asked(ANA, Action.ITEM_CHANGE, Facts(), dfid="D").reason == "not_found"


def test_only_managers_of_the_owner_offer_an_item() -> None:
    facts = _facts("NNNNNNNN")
    assert _asked(manager("bento", "farm"), Action.TRANSFER_OFFER, facts, dfid="D").allowed
    assert _asked(FARMER, Action.TRANSFER_OFFER, facts, dfid="D").reason == "manager_required"
    assert _asked(manager(), Action.TRANSFER_OFFER, facts, dfid="D").reason == "not_found"
    assert _asked(manager(), Action.TRANSFER_OFFER, _facts("NSNNNNNN"), dfid="D").reason == "not_owner"


@pytest.mark.parametrize("status", TransferStatus)
@pytest.mark.parametrize(
    ("principal", "view", "decides", "cancel"),
    [
        (manager(), None, None, "not_owner"),
        (ANA, None, "manager_required", "not_owner"),
        (manager("bento", "farm"), None, "manager_required", None),
        (FARMER, None, "manager_required", None),
        (manager("rita", "dairy"), "not_found", "not_found", "not_found"),
    ],
)
def test_a_transfer_is_seen_by_both_sides_decided_by_one_and_cancelled_by_the_other(
    principal: Principal, view: str | None, decides: str | None, cancel: str | None, status: TransferStatus
) -> None:
    facts = Facts(transfers=(transfer(status=status),))
    actions = (Action.TRANSFER_VIEW, Action.TRANSFER_DECIDE, Action.TRANSFER_CANCEL)
    for action, reason in zip(actions, (view, decides, cancel), strict=True):
        decision = _asked(principal, action, facts, transfer_id="T")
        assert (decision.allowed, decision.reason) == (reason is None, reason)
        assert _asked(principal, action, facts, transfer_id="X").reason == "not_found"


ENRICH = attrs.evolve(_facts("NNYYYYNN"), members=(member({P.PUSH, P.PULL}),))


def test_an_item_is_enriched_by_its_owner_or_by_who_pushes_where_it_stands() -> None:
    assert _asked(FARMER, Action.ITEM_ENRICH, _facts("NNNNNNNN"), dfid="D").grounds[0].shown() == {
        "ground": "own_workspace"
    }
    assert _asked(ANA, Action.ITEM_ENRICH, ENRICH, dfid="D", circuit_id="C").grounds[0].shown() == {
        "ground": "permission",
        "circuit_id": "C",
        "role": "some",
        "permission": "push",
    }
    closed = attrs.evolve(ENRICH, circuits=(circuit(require_approval_for_push=True),))
    assert _asked(ANA, Action.ITEM_ENRICH, closed, dfid="D", circuit_id="C").reason == "approval_required"


def test_who_sees_but_may_not_enrich_is_told_why() -> None:
    def reason(**changed: object) -> str | None:
        facts = attrs.evolve(ENRICH, shares=(share(),), **changed)
        return _asked(ANA, Action.ITEM_ENRICH, facts, dfid="D", circuit_id="C").reason

    assert reason(members=(member({P.PULL}),)) == "not_owner"
    assert reason(members=()) == "not_owner"
    assert reason(placements=()) == "circuit_not_usable"
    assert reason(circuits=(circuit(status=INACTIVE),)) == "circuit_not_usable"
    unseen = attrs.evolve(ENRICH, members=())
    assert _asked(ANA, Action.ITEM_ENRICH, unseen, dfid="D", circuit_id="C").reason == "not_found"


PUSH = Facts(
    items=(item(),),
    circuits=(circuit("C"), circuit("E", allow_resharing=True)),
    placements=(placement("E", resharable=True),),
    members=(member({P.PUSH}), member({P.PULL}, "E")),
)


def _push(principal: Principal = ANA, **changed: object) -> Decision:
    return _asked(principal, Action.ITEM_PUSH, attrs.evolve(PUSH, **changed), dfid="D", circuit_id="C")


def test_an_own_item_is_pushed_with_the_permission_push() -> None:
    own = (item("mill"),)
    assert [ground.ground for ground in _push(items=own, placements=()).grounds] == ["own_workspace"]
    assert _push(items=own, members=()).reason == "not_found"
    assert _push(items=own, members=(member({P.PULL}),)).needed == ("push",)
    assert _push(items=own, circuits=(circuit(status=INACTIVE),)).reason == "circuit_not_active"


def test_a_foreign_item_is_passed_on_where_circuit_and_placement_allow_it() -> None:
    assert [(g.ground, g.circuit_id) for g in _push().grounds] == [("circuit_member", "E")]
    assert _push(placements=(placement("E"),)).reason == "resharing_not_allowed"
    assert _push(circuits=(circuit("C"), circuit("E"))).reason == "resharing_not_allowed"
    assert _push(members=(member({P.PUSH}),)).reason == "not_found"
    assert _push(members=(member({P.PUSH}),), shares=(share(),)).reason == "resharing_not_allowed"


def test_passing_on_an_item_whose_reading_needs_approval_needs_the_pull() -> None:
    circuits = (circuit("C"), circuit("E", allow_resharing=True, require_approval_for_pull=True))
    assert _push(circuits=circuits).reason == "not_found"
    assert [g.ground for g in _push(circuits=circuits, pulls=(pull("E"),)).grounds] == ["approved_pull"]


def test_the_circuit_pushed_into_is_no_source() -> None:
    into = Facts(
        items=(item(),),
        circuits=(circuit("C", allow_resharing=True),),
        placements=(placement("C", resharable=True),),
        members=(member({P.PUSH, P.PULL}),),
    )
    decision = _asked(ANA, Action.ITEM_PUSH, into, dfid="D", circuit_id="C")
    assert decision.reason == "resharing_not_allowed"


STANDS = Facts(circuits=(circuit(),), placements=(placement(),))


def _joined(*permissions: P, user_id: str = "ana") -> tuple[MemberFact, ...]:
    return (member(permissions, user_id=user_id),)


# action, who, permissions held (None: no member), expected reason (None: allowed)
PLACEMENT_ROWS = [
    (Action.PLACEMENT_VIEW, FARMER, None, None),
    (Action.PLACEMENT_VIEW, ANA, (P.PULL,), None),
    (Action.PLACEMENT_VIEW, ANA, (P.PUSH, P.DELETE), "not_found"),
    (Action.PLACEMENT_VIEW, ANA, None, "not_found"),
    (Action.ITEM_WITHDRAW, FARMER, None, None),
    (Action.ITEM_WITHDRAW, ANA, (P.DELETE,), None),
    (Action.ITEM_WITHDRAW, ANA, (P.PULL, P.PUBLISH), "permission_missing"),
    (Action.ITEM_WITHDRAW, ANA, (P.PUBLISH,), "not_found"),
    (Action.ITEM_WITHDRAW, ANA, None, "not_found"),
    (Action.ITEM_UNPUBLISH, FARMER, None, None),
    (Action.ITEM_UNPUBLISH, ANA, (P.PUBLISH,), None),
    (Action.ITEM_UNPUBLISH, ANA, (P.PULL, P.DELETE), "permission_missing"),
    (Action.ITEM_UNPUBLISH, ANA, (P.DELETE,), "not_found"),
    (Action.ITEM_UNPUBLISH, ANA, None, "not_found"),
    (Action.ITEM_PUBLISH, FARMER, None, "not_found"),
    (Action.ITEM_PUBLISH, FARMER, (P.PUBLISH,), None),
    (Action.ITEM_PUBLISH, ANA, (P.PUBLISH,), None),
    (Action.ITEM_PUBLISH, ANA, (P.PULL, P.DELETE), "permission_missing"),
    (Action.ITEM_PUBLISH, ANA, None, "not_found"),
]


@pytest.mark.parametrize(("action", "principal", "held", "reason"), PLACEMENT_ROWS)
def test_what_stands_in_a_circuit_is_seen_and_changed_by_its_row(
    action: Action, principal: Principal, held: tuple[P, ...] | None, reason: str | None
) -> None:
    members = () if held is None else _joined(*held, user_id=principal.user_id or "")
    facts = attrs.evolve(STANDS, members=members)
    decision = _asked(principal, action, facts, dfid="D", circuit_id="C")
    assert (decision.allowed, decision.reason) == (reason is None, reason)
    nowhere = attrs.evolve(facts, placements=())
    assert not _asked(principal, action, nowhere, dfid="D", circuit_id="C").allowed


@pytest.mark.parametrize("action", [Action.ITEM_WITHDRAW, Action.ITEM_UNPUBLISH, Action.ITEM_PUBLISH])
def test_nothing_is_changed_in_a_circuit_that_is_not_active(action: Action) -> None:
    facts = attrs.evolve(STANDS, circuits=(circuit(status=INACTIVE),), members=_joined(*P))
    decision = _asked(ANA, action, facts, dfid="D", circuit_id="C")
    with pytest.raises(Refusal) as caught:
        require(decision)
    assert caught.value.code == "circuit_not_active"
    assert caught.value.members == {"current_status": "inactive"}


def _published_by(third_party: PlacementFact, principal: Principal) -> Decision:
    facts = attrs.evolve(STANDS, placements=(third_party,), members=_joined(P.PUBLISH, user_id=principal.user_id or ""))
    return _asked(principal, Action.ITEM_PUBLISH, facts, dfid="D", circuit_id="C")


def test_an_item_passed_on_by_a_third_party_is_published_by_its_owner_only() -> None:
    passed_on = placement(placed_by_workspace_id="dairy")
    assert _published_by(passed_on, ANA).reason == "owner_must_publish"
    assert _published_by(passed_on, FARMER).allowed


def test_an_outsider_of_an_open_page_is_told_that_members_only_may() -> None:
    facts = attrs.evolve(STANDS, circuits=(circuit(allow_public_visibility=True),))
    for action in (Action.ITEM_WITHDRAW, Action.ITEM_UNPUBLISH, Action.ITEM_PUBLISH, Action.ITEM_PUSH):
        assert _asked(ANA, action, facts, dfid="D", circuit_id="C").reason == "not_a_member"

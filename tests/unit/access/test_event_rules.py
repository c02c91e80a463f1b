"""Who sees an event and who may append one (circuits.md 2.3, items-events.md 10.3 and 10.5)."""

from itertools import product

import attrs
import pytest

from domain.access.decide import Action, Decision, decide
from domain.access.facts import EventFact, Facts, Target
from domain.access.permissions import Permission as P
from domain.access.principal import ANONYMOUS, Principal
from domain.access.vocabulary import EventVisibility as V
from domain.access.vocabulary import ItemStatus
from tests.unit.access.worlds import (
    ANA,
    FARMER,
    INACTIVE,
    NOW,
    circuit,
    event,
    item,
    member,
    placement,
    pull,
    share,
    transfer,
    user,
)

EVENTS = {
    V.PUBLIC: event(V.PUBLIC),
    V.PRIVATE: event(V.PRIVATE),
    V.CIRCUIT_ONLY: event(V.CIRCUIT_ONLY, circuit_id="C"),
    V.DIRECT: event(V.DIRECT, recipient_user_id="ana"),
}


def _view(principal: Principal, fact: EventFact, **known: object) -> Decision:
    facts = Facts(Target(event_id="V"), items=(item(),), events=(fact,), **known)  # type: ignore[arg-type]
    return decide(principal, Action.EVENT_VIEW, facts, NOW)


THROUGH_C = {"circuits": (circuit(),), "placements": (placement(),), "members": (member({P.PULL}),)}
THROUGH_E = {"circuits": (circuit("E"),), "placements": (placement("E"),), "members": (member({P.PULL}, "E"),)}

# what the reader has; the visibilities they see
READERS = [
    (ANA, {}, {V.DIRECT}),
    (user("rita", "dairy"), {}, set()),
    (ANA, {"shares": (share(),)}, {V.PUBLIC, V.DIRECT}),
    (ANA, {"transfers": (transfer(),)}, {V.PUBLIC, V.DIRECT}),
    (ANA, THROUGH_C, {V.PUBLIC, V.CIRCUIT_ONLY, V.DIRECT}),
    (ANA, THROUGH_E, {V.PUBLIC, V.DIRECT}),
    (ANA, THROUGH_C | {"circuits": (circuit(status=INACTIVE),)}, {V.DIRECT}),
    (ANA, THROUGH_C | {"circuits": (circuit(require_approval_for_pull=True),)}, {V.DIRECT}),
    (
        ANA,
        THROUGH_C | {"circuits": (circuit(require_approval_for_pull=True),), "pulls": (pull(),)},
        {V.PUBLIC, V.CIRCUIT_ONLY, V.DIRECT},
    ),
    (FARMER, {}, set(V)),
    (ANONYMOUS, THROUGH_C, set()),
    (
        ANONYMOUS,
        {
            "circuits": (circuit(allow_public_visibility=True),),
            "placements": (placement(published=True),),
        },
        {V.PUBLIC},
    ),
]


@pytest.mark.parametrize(("reader", "visibility"), list(product(READERS, V)))
def test_an_event_is_seen_by_its_author_and_whom_its_visibility_names(
    reader: tuple[Principal, dict[str, object], set[V]], visibility: V
) -> None:
    principal, known, seen = reader
    decision = _view(principal, EVENTS[visibility], **known)
    assert decision.allowed is (visibility in seen)
    assert decision.allowed or decision.reason == "not_found"


def test_the_author_sees_an_event_of_an_item_that_is_no_longer_theirs() -> None:
    for visibility in V:
        own = attrs.evolve(EVENTS[visibility], author_workspace_id="mill", recipient_user_id=None)
        assert [ground.ground for ground in _view(ANA, own).grounds] == ["author_workspace"]


def test_a_user_sees_the_events_of_a_page_as_events_of_that_page_only() -> None:
    facts = Facts(
        Target("C", event_id="V"),
        events=(EVENTS[V.PUBLIC],),
        circuits=(circuit(allow_public_visibility=True),),
        placements=(placement(published=True),),
    )
    assert not decide(ANA, Action.EVENT_VIEW, facts, NOW).allowed
    for principal in (ANA, ANONYMOUS):
        assert decide(principal, Action.EVENT_VIEW_PUBLIC, facts, NOW).grounds[0].ground == "published"
    hidden = attrs.evolve(facts, events=(EVENTS[V.PRIVATE],))
    assert not decide(ANA, Action.EVENT_VIEW_PUBLIC, hidden, NOW).allowed


STANDS = Facts(items=(item(),), circuits=(circuit(),), placements=(placement(),))


def _append(principal: Principal, facts: Facts, visibility: V | None, *, certified: bool = False) -> Decision:
    target = Target("C", "D", visibility=visibility, certified=certified)
    return decide(principal, Action.EVENT_APPEND, attrs.evolve(facts, target=target), NOW)


def _allowed(principal: Principal, facts: Facts, *, certified: bool = False) -> set[V]:
    return {each for each in V if _append(principal, facts, each, certified=certified).allowed}


def test_the_owner_records_in_every_visibility_but_in_a_circuit_only_as_its_member() -> None:
    assert _allowed(FARMER, STANDS) == set(V) - {V.CIRCUIT_ONLY}
    assert _append(FARMER, STANDS, V.CIRCUIT_ONLY).reason == "circuit_not_usable"
    joined = attrs.evolve(STANDS, members=(member((), user_id="bento"),))
    assert _allowed(FARMER, joined) == set(V)
    elsewhere = attrs.evolve(joined, placements=())
    assert _append(FARMER, elsewhere, V.CIRCUIT_ONLY).reason == "circuit_not_usable"


def test_who_pushes_where_the_item_stands_records_everything_but_public_events() -> None:
    pushing = attrs.evolve(STANDS, members=(member({P.PUSH, P.PULL}),))
    assert _allowed(ANA, pushing) == set(V) - {V.PUBLIC}
    assert _append(ANA, pushing, V.PUBLIC).reason == "visibility_not_allowed"
    assert _append(ANA, pushing, None).allowed


def test_certify_opens_all_visibilities_and_binds_the_owner_too() -> None:
    certifier = attrs.evolve(STANDS, members=(member({P.CERTIFY, P.PULL}),))
    assert _allowed(ANA, certifier, certified=True) == set(V)
    assert _allowed(ANA, certifier) == set()
    assert _append(FARMER, STANDS, V.PUBLIC, certified=True).reason == "event_write_denied"
    owner = attrs.evolve(STANDS, members=(member({P.CERTIFY}, user_id="bento"),))
    assert _allowed(FARMER, owner, certified=True) == set(V)


@pytest.mark.parametrize("certified", [True, False])
def test_seeing_an_item_gives_no_right_to_write_on_it(certified: bool) -> None:
    reading = attrs.evolve(STANDS, members=(member({P.PULL}),))
    assert _append(ANA, reading, V.PRIVATE, certified=certified).reason == "event_write_denied"
    shared = attrs.evolve(STANDS, shares=(share(),))
    assert _append(ANA, shared, V.PRIVATE, certified=certified).reason == "event_write_denied"
    assert _append(ANA, STANDS, V.PRIVATE, certified=certified).reason == "not_found"


@pytest.mark.parametrize("certified", [True, False])
def test_nobody_writes_through_a_circuit_that_is_not_active_or_where_the_item_does_not_stand(
    certified: bool,
) -> None:
    every = attrs.evolve(STANDS, members=(member(),))
    assert not _allowed(ANA, attrs.evolve(every, circuits=(circuit(status=INACTIVE),)), certified=certified)
    assert not _allowed(ANA, attrs.evolve(every, placements=()), certified=certified)


def test_a_draft_is_written_on_by_its_own_workspace_only() -> None:
    draft = attrs.evolve(STANDS, items=(item(status=ItemStatus.LOCAL),), members=(member(),))
    assert not _allowed(ANA, draft)
    assert not _allowed(ANA, draft, certified=True)
    assert _append(FARMER, draft, V.PRIVATE).allowed

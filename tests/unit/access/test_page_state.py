"""The table of circuits.md 2.5, and what a page answers (2.4 `circuit.view_page`)."""

from datetime import timedelta
from itertools import product

import pytest

from domain.access.decide import Action, Decision, decide, page_state, require
from domain.access.facts import CircuitFact, Facts, PageFact, Target
from domain.access.permissions import Permission
from domain.access.principal import ANONYMOUS, Principal
from domain.access.vocabulary import CircuitStatus, PageState, PublicAccessMode
from domain.errors import Refusal
from tests.unit.access.worlds import (
    ANA,
    ARCHIVED,
    EARLIER,
    INACTIVE,
    LATER,
    NOW,
    circuit,
    member,
    page,
)

PUBLIC, PROTECTED, SCHEDULED = (
    PublicAccessMode.PUBLIC,
    PublicAccessMode.PROTECTED,
    PublicAccessMode.SCHEDULED,
)


@pytest.mark.parametrize(
    ("status", "switch", "mode"), list(product([INACTIVE, ARCHIVED], [True, False], PublicAccessMode))
)
def test_the_page_of_a_circuit_that_is_not_active_is_closed(
    status: CircuitStatus, switch: bool, mode: PublicAccessMode
) -> None:
    fact = circuit(status=status, allow_public_visibility=switch, access_mode=mode, scheduled_date=EARLIER)
    assert page_state(fact, NOW) is PageState.CLOSED


@pytest.mark.parametrize("mode", PublicAccessMode)
def test_the_page_is_closed_while_the_switch_is_off(mode: PublicAccessMode) -> None:
    assert page_state(circuit(access_mode=mode, scheduled_date=EARLIER), NOW) is PageState.CLOSED


def test_the_mode_decides_while_the_switch_is_on() -> None:
    def state(mode: PublicAccessMode, **more: object) -> PageState:
        return page_state(circuit(allow_public_visibility=True, access_mode=mode, **more), NOW)

    assert state(PUBLIC) is PageState.OPEN
    assert state(PROTECTED) is PageState.PROTECTED
    assert state(SCHEDULED, scheduled_date=NOW + timedelta(microseconds=1)) is PageState.CLOSED
    assert state(SCHEDULED, scheduled_date=NOW) is PageState.OPEN
    assert state(SCHEDULED, scheduled_date=None) is PageState.CLOSED


def _view(principal: Principal, fact: CircuitFact, *pages: PageFact, joined: bool = False) -> Decision:
    members = (member({Permission.PULL}),) if joined else ()
    facts = Facts(Target("C"), circuits=(fact,), members=members, pages=pages)
    return decide(principal, Action.CIRCUIT_VIEW_PAGE, facts, NOW)


def _code(decision: Decision) -> str:
    with pytest.raises(Refusal) as caught:
        require(decision)
    return caught.value.code


def test_an_open_page_is_everybodys() -> None:
    for principal in (ANONYMOUS, ANA):
        assert _view(principal, circuit(allow_public_visibility=True)).grounds[0].shown() == {
            "ground": "page",
            "circuit_id": "C",
            "access_mode": "public",
        }


def test_a_closed_page_is_404_and_tells_members_alone_why() -> None:
    stranger, insider = _view(ANONYMOUS, circuit()), _view(ANA, circuit(), joined=True)
    assert (stranger.reason, insider.reason) == ("not_found", "page_closed")
    assert _code(stranger) == _code(insider) == "not_found"
    assert _view(ANONYMOUS, circuit("other", allow_public_visibility=True)).reason == "not_found"


def test_a_protected_page_asks_for_a_password_until_a_token_of_this_version_and_circuit_is_shown() -> None:
    fact = circuit(allow_public_visibility=True, access_mode=PROTECTED, password_version=3)
    assert _code(_view(ANONYMOUS, fact)) == "page_password_required"
    assert _view(ANONYMOUS, fact, page(password_version=3)).allowed
    for useless in (page(password_version=2), page(password_version=3, expires_at=NOW)):
        assert _code(_view(ANONYMOUS, fact, useless)) == "page_password_required"
    assert not _view(ANONYMOUS, fact, page(circuit_id="E", password_version=3)).allowed


def test_members_see_a_page_that_is_switched_on_whatever_its_mode() -> None:
    for mode in (PROTECTED, SCHEDULED):
        fact = circuit(allow_public_visibility=True, access_mode=mode, scheduled_date=LATER)
        assert _view(ANA, fact, joined=True).allowed
        assert not _view(ANA, fact).allowed


@pytest.mark.parametrize("status", [INACTIVE, ARCHIVED])
def test_a_page_token_opens_nothing_in_a_circuit_that_is_not_active(status: CircuitStatus) -> None:
    fact = circuit(status=status, allow_public_visibility=True, access_mode=PROTECTED)
    assert _view(ANONYMOUS, fact, page()).reason == "not_found"

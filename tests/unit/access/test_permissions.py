"""The matrix of circuits.md 3.1 and the subset rule of 3.2."""

import pytest

from domain.access.permissions import (
    ROLE_PERMISSIONS,
    BaseRole,
    Permission,
    check_auto_approve,
    check_define,
    check_grant,
    check_touch,
)
from domain.errors import Refusal

MATRIX = """
push             x x x -
pull             x x x x
invite           x x - -
manage_members   x x - -
manage_roles     x x - -
manage_settings  x x - -
approve          x x - -
publish          x x - -
certify          x x - -
audit            x x - -
delete           x - - -
"""
ROWS = [line.split() for line in MATRIX.split("\n") if line]
PUSH, PULL, INVITE = Permission.PUSH, Permission.PULL, Permission.INVITE


def test_the_matrix_names_every_permission_in_the_order_of_the_enumeration() -> None:
    assert [row[0] for row in ROWS] == list(Permission)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_each_base_role_holds_what_the_matrix_says(row: list[str]) -> None:
    for role, mark in zip(BaseRole, row[1:], strict=True):
        assert (Permission(row[0]) in ROLE_PERMISSIONS[role]) is (mark == "x")


def _code(check: object, *sets: frozenset[Permission], **more: bool) -> str | None:
    try:
        check(*sets, **more)  # type: ignore[operator]
    except Refusal as refused:
        return refused.code
    return None


def test_a_role_is_given_within_the_givers_permissions_only() -> None:
    assert _code(check_grant, frozenset({PUSH, PULL}), frozenset({PULL})) is None
    assert _code(check_grant, frozenset({PUSH}), frozenset({PUSH})) is None
    assert _code(check_grant, frozenset({PULL}), frozenset({PUSH})) == "role_not_grantable"


def test_the_role_owner_is_never_given() -> None:
    everything = ROLE_PERMISSIONS[BaseRole.OWNER]
    assert _code(check_grant, everything, everything) is None
    assert _code(check_grant, everything, everything, as_owner=True) == "role_not_grantable"


def test_equals_may_act_on_each_other_and_lesser_ones_not_on_greater() -> None:
    assert _code(check_touch, frozenset({PULL}), frozenset({PULL})) is None
    assert _code(check_touch, frozenset({PULL}), frozenset({PULL, PUSH})) == "target_outranks"


def test_a_custom_role_moves_between_sets_within_the_actors_permissions_only() -> None:
    actor = frozenset({PULL, INVITE})
    assert _code(check_define, actor, frozenset(), frozenset({PULL})) is None
    assert _code(check_define, actor, frozenset({PUSH}), frozenset({PULL})) == "role_not_grantable"
    assert _code(check_define, actor, frozenset({PULL}), frozenset({PUSH})) == "role_not_grantable"


def test_auto_approval_needs_invite_and_a_role_one_could_give() -> None:
    assert _code(check_auto_approve, frozenset({INVITE, PULL}), frozenset({PULL})) is None
    assert _code(check_auto_approve, frozenset({PULL}), frozenset({PULL})) == "permission_missing"
    assert _code(check_auto_approve, frozenset({INVITE}), frozenset({PULL})) == "role_not_grantable"

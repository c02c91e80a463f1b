"""The hash of a contribution (items-events.md 10.4, vector 1)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

from domain.document import Document
from domain.identifiers import IdentifierKind, IdentifierScope
from domain.items.contributions import contribution_hash, new_contribution
from domain.items.values import Contribution, ContributionSource, Identifier

SISBOV = Identifier(
    namespace="bovino",
    key="sisbov",
    value="076000000000001",
    normalised="076000000000001",
    lookup="076000000000001",
    display="BR 076 0000 0000 0001",
    kind=IdentifierKind.CANONICAL,
    scope=IdentifierScope.GLOBAL,
    evidence="format_ok",
    workspace_id="w",
    added_by="c",
)
VECTOR = Contribution(
    contribution_id="01941f29-7c00-7000-8000-0000000000c1",
    item="DFID-20250108-000042-94E",
    user_id="018f3a00-0000-7000-8000-0000000000b1",
    workspace_id="018f3a00-0000-7000-8000-0000000000a1",
    source=ContributionSource.CREATE,
    recorded_at=datetime(2025, 1, 8, 12, 0, 0, 1, tzinfo=UTC),
    salt="000102030405060708090a0b0c0d0e0f",
    hash="",
    identifiers=(SISBOV,),
    data=Document({"peso_kg": 412.5, "raça": "Nelore"}),
)


def test_scenario_44_the_published_contribution_hash_is_reproduced() -> None:
    assert contribution_hash(VECTOR) == "fbeb0678e7dcc777bfae8ffced2d125437b78298b17d1885a0c67297c4b475d1"


CHANGES: list[dict[str, Any]] = [
    {"contribution_id": "01941f29-7c00-7000-8000-0000000000c2"},
    {"item": "DFID-20250108-000043-94F"},
    {"user_id": None},
    {"workspace_id": "018f3a00-0000-7000-8000-0000000000a2"},
    {"source": ContributionSource.ENRICH},
    {"recorded_at": VECTOR.recorded_at + timedelta(microseconds=1)},
    {"salt": "000102030405060708090a0b0c0d0e0e"},
    {"circuit_id": "018f3a00-0000-7000-8000-0000000000d1"},
    {"merged_from": "DFID-20250108-000043-94F"},
    {"identifiers": ()},
    {"removed_identifiers": (SISBOV,)},
    {"data": Document({"peso_kg": 412.6, "raça": "Nelore"})},
]


@pytest.mark.parametrize("change", CHANGES)
def test_scenario_45_any_changed_member_of_a_contribution_changes_its_hash(change: dict[str, Any]) -> None:
    assert contribution_hash(attrs.evolve(VECTOR, **change)) != contribution_hash(VECTOR)


@pytest.mark.parametrize(
    "change",
    [
        {"namespace": "leite"},
        {"key": "rfid"},
        {"lookup": "1", "normalised": "1"},
        {"evidence": "check_ok"},
        {"kind": IdentifierKind.CONTEXTUAL},
        {"scope": IdentifierScope.REFERENCE},
    ],
)
def test_scenario_45_any_changed_member_of_an_identifier_changes_the_hash(change: dict[str, Any]) -> None:
    other = attrs.evolve(SISBOV, **change)
    assert contribution_hash(attrs.evolve(VECTOR, identifiers=(other,))) != contribution_hash(VECTOR)
    removing = attrs.evolve(VECTOR, removed_identifiers=(SISBOV,))
    assert contribution_hash(attrs.evolve(VECTOR, removed_identifiers=(other,))) != contribution_hash(removing)


def test_scenario_45_every_member_of_a_contribution_is_bound() -> None:
    changed = {name for change in CHANGES for name in change}
    assert changed == {field.name for field in attrs.fields(Contribution)} - {"hash"}


def test_the_order_of_identifiers_does_not_matter() -> None:
    other = attrs.evolve(SISBOV, key="rfid", normalised="982000000000001", lookup="982000000000001")
    one = attrs.evolve(VECTOR, identifiers=(SISBOV, other))
    assert contribution_hash(one) == contribution_hash(attrs.evolve(VECTOR, identifiers=(other, SISBOV)))
    assert contribution_hash(one) != contribution_hash(VECTOR)


def test_a_personal_value_enters_by_its_lookup_so_that_resealing_changes_nothing() -> None:
    cpf = attrs.evolve(SISBOV, key="cpf", value="v1.a", normalised="v1.b", lookup="5b" * 32)
    sealed = attrs.evolve(VECTOR, identifiers=(cpf,))
    again = attrs.evolve(VECTOR, identifiers=(attrs.evolve(cpf, value="v1.c", normalised="v1.d"),))
    assert contribution_hash(sealed) == contribution_hash(again)
    other = attrs.evolve(VECTOR, identifiers=(attrs.evolve(cpf, lookup="5c" * 32),))
    assert contribution_hash(sealed) != contribution_hash(other)


def test_a_new_contribution_carries_its_own_hash_and_a_fresh_salt() -> None:
    made = [
        new_contribution(
            item="DFID-20250108-000042-94E",
            source=ContributionSource.ENRICH,
            recorded_at=VECTOR.recorded_at,
            user_id="u",
            workspace_id="w",
            data=Document(a=1),
        )
        for _ in range(2)
    ]
    assert all(contribution.hash == contribution_hash(contribution) for contribution in made)
    assert len({contribution.salt for contribution in made}) == len({c.contribution_id for c in made}) == 2

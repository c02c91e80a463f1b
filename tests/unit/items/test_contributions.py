"""The hash of a contribution (items-events.md 10.4, vector 1)."""

from datetime import UTC, datetime

import attrs

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

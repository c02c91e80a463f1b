"""The fold: laws, precedence, what a reader gets (items-events.md 3.6, 4)."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.access.vocabulary import ItemStatus
from domain.document import Document
from domain.identifiers import IdentifierKind, IdentifierScope
from domain.items.contributions import new_contribution
from domain.items.fold import (
    Family,
    confidence,
    fingerprint,
    fold,
    layer_data,
    own_identifiers,
    refolded,
    visible_to,
    without_circuit,
)
from domain.items.values import Contribution, ContributionSource, Identifier, Item, Lineage

START = datetime(2026, 3, 1, tzinfo=UTC)
LINEAGES = {"T": Lineage(merged_from=("A", "B")), "A": Lineage(merged_from=("C",), merged_into="T")}


def identifier(
    key: str = "lote",
    value: str = "l-77",
    namespace: str | None = "generic",
    *,
    circuit_id: str | None = None,
    scope: IdentifierScope = IdentifierScope.WORKSPACE,
    evidence: str = "format_ok",
) -> Identifier:
    kind = IdentifierKind.CANONICAL if key in ("sisbov", "rfid") else IdentifierKind.CONTEXTUAL
    return Identifier(
        namespace, key, value.upper(), value, value, value.upper(), kind, scope, evidence, "w", "c", circuit_id
    )


def contribute(
    item: str = "T",
    at: int = 0,
    data: dict[str, Any] | None = None,
    circuit: str | None = None,
    workspace: str = "owner",
    **more: Any,
) -> Contribution:
    return new_contribution(
        item=item,
        source=more.pop("source", ContributionSource.ENRICH),
        recorded_at=START + timedelta(microseconds=at),
        user_id="u",
        workspace_id=workspace,
        circuit_id=circuit,
        data=Document(data or {}),
        **more,
    )


def family(*contributions: Contribution, lineages: dict[str, Lineage] | None = None) -> Family:
    grouped: dict[str, list[Contribution]] = {}
    for contribution in contributions:
        grouped.setdefault(contribution.item, []).append(contribution)
    return Family(grouped, LINEAGES if lineages is None else lineages)


def data_of(*contributions: Contribution) -> dict[str, Any]:
    return dict(fold("T", family(*contributions)).data)


values = st.none() | st.integers(0, 3)
identifiers = st.builds(
    identifier,
    key=st.sampled_from(["lote", "sisbov", "rfid"]),
    value=st.sampled_from(["1", "2"]),
    namespace=st.sampled_from(["generic", "bovino"]),
)


@st.composite
def contributions(draw: st.DrawFn) -> list[Contribution]:
    made = []
    for at in draw(st.lists(st.integers(0, 5), max_size=9)):
        circuit = draw(st.none() | st.sampled_from(["c1", "c2"]))
        made.append(
            contribute(
                draw(st.sampled_from(["T", "A", "B", "C"])),
                at,
                draw(st.dictionaries(st.sampled_from("xyz"), values, max_size=3)),
                circuit,
                draw(st.sampled_from(["w1", "w2"])) if circuit else "owner",
                merged_from=draw(st.none() | st.sampled_from(["A", "Z"])) if circuit is None else None,
                identifiers=[attrs.evolve(one, circuit_id=circuit) for one in draw(st.lists(identifiers, max_size=2))],
                removed_identifiers=draw(st.lists(identifiers, max_size=1)),
            )
        )
    return made


@given(contributions(), st.randoms())
def test_scenario_21_the_order_of_arrival_changes_nothing(made: list[Contribution], random: Any) -> None:
    shuffled = list(made)
    random.shuffle(shuffled)
    assert fold("T", family(*shuffled)) == fold("T", family(*made))


@given(contributions(), st.data())
def test_applying_a_contribution_twice_changes_nothing(made: list[Contribution], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(made), max_size=3)) if made else []
    assert fold("T", family(*made, *again)) == fold("T", family(*made))


@given(contributions())
def test_no_contribution_through_a_circuit_changes_what_an_owner_set(made: list[Contribution]) -> None:
    by_owners = fold("T", family(*made), without_circuit).data
    everything = fold("T", family(*made)).data
    assert {key: everything[key] for key in by_owners} == by_owners


@given(contributions())
def test_a_reader_of_no_circuit_gets_the_fold_of_what_was_made_without_one(made: list[Contribution]) -> None:
    visible = visible_to("owner", "stranger", ())
    without = [one for one in made if one.circuit_id is None]
    assert fold("T", family(*made), visible) == fold("T", family(*without))


@given(contributions())
def test_a_strategy_contribution_lives_only_while_its_source_is_absorbed(made: list[Contribution]) -> None:
    live = [one for one in made if one.merged_from is None or (one.item, one.merged_from) == ("T", "A")]
    assert fold("T", family(*made)) == fold("T", family(*live))


def test_the_last_owner_to_mention_a_key_decides_and_null_withdraws() -> None:
    assert data_of(contribute(at=1, data={"a": 1, "b": 1}), contribute(at=2, data={"a": 2, "b": None})) == {"a": 2}
    assert data_of(contribute(at=2, data={"a": None}), contribute(at=3, data={"a": 4})) == {"a": 4}


def test_a_new_owner_goes_on_where_the_former_one_stopped() -> None:
    assert data_of(contribute(at=1, data={"a": 1}, workspace="x"), contribute(at=2, data={"a": 2}, workspace="y")) == {
        "a": 2
    }


def test_values_are_taken_whole() -> None:
    assert data_of(contribute(at=1, data={"a": {"x": 1}}), contribute(at=2, data={"a": {"y": 2}})) == {"a": {"y": 2}}


def test_scenario_20_the_owners_value_stands_before_a_members_and_uncovers_it_when_withdrawn() -> None:
    member = contribute(at=2, data={"peso_kg": 2}, circuit="c", workspace="w")
    owner = contribute(at=1, data={"peso_kg": 1})
    withdrawn = contribute(at=3, data={"peso_kg": None})
    assert data_of(owner, member) == {"peso_kg": 1}
    assert data_of(owner, member, withdrawn) == {"peso_kg": 2}
    share_reader = fold("T", family(owner, member, withdrawn), visible_to("owner", "other", ()))
    in_circuit = fold("T", family(owner, member, withdrawn), visible_to("owner", "other", ["c"]))
    assert (dict(share_reader.data), dict(in_circuit.data)) == ({}, {"peso_kg": 2})


def test_the_item_itself_stands_before_what_it_absorbed_each_before_its_own() -> None:
    made = [contribute(item, at, {"a": item}) for at, item in enumerate("TACB")]
    assert data_of(*made) == {"a": "T"}
    assert data_of(*made[1:]) == {"a": "A"}
    assert data_of(*made[2:]) == {"a": "C"}
    assert data_of(made[3], contribute("C", 9, {"a": None}), contribute("A", 9, {"a": None})) == {"a": "B"}


def test_among_members_the_latest_value_stands_and_each_withdraws_only_its_own() -> None:
    first = contribute("A", 1, {"a": 1}, "c1", "w1")
    second = contribute("T", 2, {"a": 2}, "c2", "w2")
    assert data_of(first, second) == {"a": 2}
    assert data_of(first, second, contribute("T", 3, {"a": None}, "c1", "w2")) == {"a": 1}
    assert data_of(first, second, contribute("T", 3, {"a": None}, "c1", "w1")) == {"a": 2}


def test_a_contributor_sees_what_their_workspace_contributed_without_the_circuit() -> None:
    made = family(contribute(at=1, data={"a": 1}, circuit="c", workspace="w1"))
    assert dict(fold("T", made, visible_to("owner", "w1", ())).data) == {"a": 1}
    assert dict(fold("T", made, visible_to("owner", "w2", ())).data) == {}
    assert dict(fold("T", made, visible_to("owner", "owner", ())).data) == {"a": 1}


def test_the_layer_a_submission_would_join_is_that_of_its_workspace_on_the_item_itself() -> None:
    made = family(
        contribute(at=1, data={"a": 1, "b": 1}),
        contribute(at=2, data={"b": None}),
        contribute("A", 3, {"z": 1}),
        contribute(at=4, data={"a": 4}, circuit="c", workspace="w"),
    )
    assert layer_data("T", made) == {"a": 1}
    assert layer_data("T", made, "w") == {"a": 4}


def identities(*made: Contribution) -> list[tuple[str | None, str, str | None]]:
    return [(one.namespace, one.key, one.normalised) for one in fold("T", family(*made)).identifiers]


def test_identifiers_are_added_and_removed_in_order_and_shown_sorted() -> None:
    added = contribute(at=1, identifiers=[identifier("safra", "2025"), identifier("lote", "1")])
    assert identities(added) == [("generic", "lote", "1"), ("generic", "safra", "2025")]
    removed = contribute(at=2, removed_identifiers=[identifier("lote", "1")])
    assert identities(added, removed) == [("generic", "safra", "2025")]
    assert len(identities(added, removed, contribute(at=3, identifiers=[identifier("lote", "1")]))) == 2


def test_a_canonical_number_is_one_identifier_in_every_namespace_and_keeps_its_first() -> None:
    made = [contribute(at=at, identifiers=[identifier("sisbov", "1", space)]) for at, space in enumerate("ba")]
    assert identities(*made) == [("b", "sisbov", "1")]
    contextual = [contribute(at=at, identifiers=[identifier("lote", "1", space)]) for at, space in enumerate("ba")]
    assert len(identities(*contextual)) == 2


def test_absorbed_items_show_theirs_once_behind_the_items_own() -> None:
    made = family(
        contribute("T", 9, identifiers=[identifier("sisbov", "1", "leite")]),
        contribute("C", 1, identifiers=[identifier("sisbov", "1", "bovino"), identifier("rfid", "2")]),
    )
    assert [(one.namespace, one.key) for one in fold("T", made).identifiers] == [
        ("generic", "rfid"),
        ("leite", "sisbov"),
    ]
    assert [one.key for one in own_identifiers("T", made)] == ["sisbov"]


@pytest.mark.parametrize("reverse", [False, True])
def test_the_owners_entry_stands_instead_of_one_that_came_through_a_circuit(*, reverse: bool) -> None:
    through = identifier("sisbov", "1", circuit_id="c", scope=IdentifierScope.REFERENCE)
    own = identifier("sisbov", "1", scope=IdentifierScope.GLOBAL)
    times = (2, 1) if reverse else (1, 2)
    made = family(
        contribute(at=times[0], circuit="c", workspace="w", identifiers=[through]),
        contribute(at=times[1], identifiers=[own]),
    )
    assert fold("T", made).identifiers == (own,)


def test_an_administrator_proves_an_identifier_that_stands_and_reveals_none() -> None:
    proof = attrs.evolve(identifier("sisbov", "1"), evidence_source="registry", evidence_at=START)
    confirm = contribute(at=2, identifiers=[proof], source=ContributionSource.ADMIN)
    (held,) = fold("T", family(contribute(at=1, identifiers=[identifier("sisbov", "1")]), confirm)).identifiers
    assert (held.evidence, held.evidence_source, held.evidence_at) == ("registry_ok", "registry", START)
    through = identifier("sisbov", "1", circuit_id="c")
    hidden = family(
        contribute(at=1, circuit="c", workspace="w", identifiers=[through]),
        contribute(at=2, identifiers=[attrs.evolve(proof, circuit_id="c")], source=ContributionSource.ADMIN),
    )
    assert fold("T", hidden, visible_to("owner", "other", ())).identifiers == ()
    assert fold("T", hidden, visible_to("owner", "other", ["c"])).identifiers[0].evidence == "registry_ok"


GLOBAL, REFERENCE = IdentifierScope.GLOBAL, IdentifierScope.REFERENCE


@pytest.mark.parametrize(
    ("carried", "expected"),
    [
        ([], 0.1),
        ([identifier()], 0.5),
        ([identifier(scope=REFERENCE), identifier("rfid", scope=REFERENCE, evidence="check_ok")], 0.1),
        ([identifier("rfid", evidence="check_failed")], 0.3),
        ([identifier("rfid", evidence="check_failed"), identifier()], 0.5),
        ([identifier("rfid", scope=GLOBAL, evidence="format_ok"), identifier()], 0.8),
        ([identifier("rfid", scope=GLOBAL, evidence="check_ok")], 0.95),
        ([identifier("rfid", scope=GLOBAL, evidence="registry_ok")], 1.0),
    ],
)
def test_confidence_is_that_of_the_best_identifier_that_is_no_reference(
    carried: list[Identifier], expected: float
) -> None:
    assert confidence(carried) == expected


def test_both_published_fingerprints_are_reproduced() -> None:
    carried = [
        identifier("safra", "2025/26", "soja"),
        identifier("lote", "l-77"),
        identifier("fazenda", "x", scope=REFERENCE),
    ]
    assert fingerprint("workspace", "018f3a00-0000-7000-8000-0000000000a1", carried) == (
        "d5c3ee715c451f848743d600f1ed4766cd5a408be81f74cfe09b2718ff8e2bce"
    )
    assert fingerprint("circuit", "018f3a00-0000-7000-8000-0000000000d1", carried) == (
        "5913a4229832db42d632976ca986c1615e8a9a617d4d3b27d73a9b529bffc8c5"
    )
    draft = [attrs.evolve(carried[1], namespace=None), carried[0]]
    assert fingerprint("workspace", "x", draft) == fingerprint("workspace", "x", carried)
    assert fingerprint("workspace", "x", carried[2:]) is None


def test_a_canonical_number_of_scope_workspace_stands_in_the_fingerprint_without_a_namespace() -> None:
    marks: Callable[[str], str | None] = lambda space: fingerprint("workspace", "x", [identifier("rfid", "1", space)])  # noqa: E731
    assert marks("bovino") == marks("leite") is not None


def test_an_item_refolded_holds_what_all_readers_see_and_names_the_circuits_of_the_rest() -> None:
    item = Item("T", None, "owner", "u", ItemStatus.ACTIVE, (), Document(), START, START)
    made = [
        contribute(at=1, data={"a": 1}, identifiers=[identifier()]),
        contribute(at=2, data={"b": 2}, circuit="c", workspace="w", identifiers=[identifier("x", circuit_id="c")]),
    ]
    result = refolded(item, Family.of([item], made))
    assert result.data == {"a": 1}
    assert [one.key for one in result.identifiers] == ["lote", "x"]
    assert (result.contributed, result.confidence) == (("c",), 0.5)
    assert result.fingerprint == fingerprint("workspace", "owner", result.identifiers)

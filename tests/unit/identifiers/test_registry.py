"""Keys, kinds, namespaces, scopes, and the data the checks rest on."""

import datetime
import json
from importlib import resources

import pycountry
import pytest

from domain.identifiers import (
    REGISTRY,
    TABLE_DATES,
    Evidence,
    IdentifierKind,
    allowed_scopes,
    canonical_key,
    check,
    default_namespace,
    default_scope,
    effective_scope,
    key_is_valid,
    kind_fault,
    kind_of,
    namespace_is_valid,
    type_of,
)
from domain.identifiers.tables import COUNTRIES, STATE_CODES
from tests.unit.identifiers.iso3166_numeric import table


def test_levels_are_ordered_as_listed_and_not_by_spelling():
    assert [level.rank for level in Evidence] == [0, 1, 2, 3, 4]
    assert Evidence.CHECK_FAILED < Evidence.FORMAT_OK < Evidence.CHECK_OK <= Evidence.CHECK_OK
    assert Evidence.REGISTRY_OK > Evidence.CHECK_OK >= Evidence.CHECK_FAILED > Evidence.MALFORMED
    assert max(Evidence) == "registry_ok"


def test_the_types_stand_in_the_order_of_the_document():
    assert list(REGISTRY) == ["sisbov", "rfid", "sscc", "car", "cib", "incra", "gta", "gtin", "gln", "cpf", "cnpj"]
    assert {name for name, kind in REGISTRY.items() if kind.single} == {"sisbov", "sscc"}


@pytest.mark.parametrize(
    ("given", "key"),
    [("nirf", "cib"), (" INCRA_code ", "incra"), ("EAN", "gtin"), ("iso11784", "rfid"), ("Lote", "lote")],
)
def test_keys_are_folded_and_aliases_replaced(given, key):
    assert canonical_key(given) == key


def test_an_alias_names_the_type_and_another_key_names_none():
    assert type_of("NIRF") is REGISTRY["cib"]
    assert check("ean", "7891234567895").type == "gtin"
    assert type_of("lote") is None


@pytest.mark.parametrize("key", ["a", " Lote.2_x-y ", "x" * 64])
def test_keys_of_the_right_shape_are_valid(key):
    assert key_is_valid(key)


@pytest.mark.parametrize("key", ["", "1a", "a b", "é", "x" * 65, "a\nb", "\u212aey", "_a"])
def test_other_keys_are_not(key):
    assert not key_is_valid(key)


def test_namespaces_are_an_open_vocabulary_of_one_shape():
    assert all(map(namespace_is_valid, ("bovino", " Soja ", "x" * 32, "a-b_c1")))
    assert not any(map(namespace_is_valid, ("", "1a", "x" * 33, "a.b", "a b", "ção")))


def test_a_namespace_left_out_is_the_type_s_own():
    assert default_namespace("sisbov") == "bovino"
    assert default_namespace("rfid") == default_namespace("lote") == "generic"


def test_the_kind_follows_from_the_key():
    assert kind_of("iso11784") == "canonical"
    assert kind_of("lote") == "contextual"
    assert kind_fault("lote", IdentifierKind.CANONICAL) == "identifier_type_unknown"
    assert kind_fault("nirf", IdentifierKind.CONTEXTUAL) == "identifier_key_reserved"
    assert kind_fault("cib", IdentifierKind.CANONICAL) is None


@pytest.mark.parametrize(
    ("key", "scopes"),
    [
        ("sisbov", {"global", "reference"}),
        ("gta", {"global", "reference"}),
        ("cpf", {"reference"}),
        ("lote", {"workspace", "reference"}),
    ],
)
def test_a_key_allows_its_scopes(key, scopes):
    assert allowed_scopes(key) == scopes


@pytest.mark.parametrize(
    ("key", "creating", "submitted", "scope"),
    [
        ("sisbov", True, ("sisbov",), "global"),
        ("sisbov", False, ("sisbov",), "global"),
        ("car", True, ("car", "cpf", "gta"), "global"),
        ("car", True, ("car", "rfid"), "reference"),
        ("car", True, ("car", "lote"), "reference"),
        ("car", False, ("car",), "reference"),
        ("cnpj", True, ("cnpj",), "reference"),
        ("lote", True, ("lote", "sisbov"), "workspace"),
    ],
)
def test_a_scope_left_out_depends_on_what_else_is_submitted(key, creating, submitted, scope):
    assert default_scope(key, creating=creating, submitted_keys=submitted) == scope


@pytest.mark.parametrize(
    ("key", "value", "asked", "scope", "warning"),
    [
        ("sisbov", "105500508078035", "global", "global", None),
        ("sisbov", "105500508078036", "global", "workspace", "check_failed_claims_locally"),
        ("sisbov", "105500508078036", "reference", "reference", None),
        ("gtin", "02345673", "global", "workspace", "restricted_claims_locally"),
    ],
)
def test_a_doubtful_number_claims_in_its_workspace_only(key, value, asked, scope, warning):
    assert effective_scope(check(key, value), asked) == (scope, warning)


def test_the_country_table_is_dated_and_made_from_its_source():
    shipped = json.loads(
        resources.files("domain.identifiers").joinpath("data", "iso3166_numeric.json").read_text("utf-8")
    )
    assert shipped == table()
    assert TABLE_DATES["iso3166_numeric"] == datetime.date.fromisoformat(shipped["date"])
    assert len(COUNTRIES) == 249 == len(pycountry.countries)


def test_the_state_table_has_27_states():
    assert len(STATE_CODES) == len(set(STATE_CODES.values())) == 27
    assert isinstance(TABLE_DATES["states"], datetime.date)

"""Every vector of identifiers.md gives the level, reason and normalised value written there."""

import pytest

from domain.document import EMPTY
from domain.identifiers import REGISTRY, candidates, check
from tests.unit.identifiers.vectors import CHECK_FAILED, GOOD, MALFORMED

ACCEPTED = [(level, *vector) for level, vectors in GOOD.items() for vector in vectors]


@pytest.mark.parametrize(("level", "key", "value", "normalised"), ACCEPTED)
def test_a_good_number_reaches_its_level_in_canonical_form(level, key, value, normalised):
    found = check(key, value)
    assert (found.evidence, found.normalised, found.reasons) == (level, normalised, ())


@pytest.mark.parametrize(("key", "value", "reason"), CHECK_FAILED)
def test_a_number_that_was_not_issued_is_kept_and_says_why(key, value, reason):
    found = check(key, value)
    assert found.evidence == "check_failed"
    assert [entry.code for entry in found.reasons] == [reason]
    assert found.normalised and found.display


@pytest.mark.parametrize(("key", "value", "reason"), MALFORMED)
def test_what_cannot_be_a_number_has_no_canonical_form(key, value, reason):
    found = check(key, value)
    assert found.evidence == "malformed"
    assert (found.normalised, found.display, found.attributes) == (None, None, EMPTY)
    assert [entry.code for entry in found.reasons] == [reason]


@pytest.mark.parametrize("name", REGISTRY)
def test_every_type_is_proved_by_three_good_and_three_bad_numbers(name):
    assert sum(vector[1] == name for vector in ACCEPTED) >= 3
    assert sum(vector[0] == name for vector in [*CHECK_FAILED, *MALFORMED]) >= 3


@pytest.mark.parametrize("kind", REGISTRY.values(), ids=list(REGISTRY))
def test_levels_and_reasons_announced_are_those_that_occur(kind):
    vectors = [vector[:2] for vector in [*CHECK_FAILED, *MALFORMED]] + [vector[1:3] for vector in ACCEPTED]
    found = [check(key, value) for key, value in vectors if key == kind.name]
    assert {result.evidence for result in found} == set(kind.levels)
    reasons = {reason.code for result in found for reason in result.reasons}
    assert reasons - {"length"} <= set(kind.reason_codes)
    assert check(kind.name, kind.example).display == kind.example


@pytest.mark.parametrize(
    ("key", "value", "digit"),
    [("sisbov", "105500508078036", "5"), ("sisbov", "105500508078053", "1"), ("sisbov", "105520298615099", "3")],
)
def test_the_detail_names_the_expected_digit(key, value, digit):
    assert check(key, value).reasons[0].detail == f"The check digit should be {digit}."


def test_the_detail_does_not_complete_the_number_of_a_person():
    assert check("cpf", "529.982.247-26").reasons[0].detail == "The check digits do not match."


def test_a_series_with_a_digit_is_accepted_and_remarked_on():
    found = check("gta", "SP-A1-55")
    assert (found.evidence, found.normalised, found.reasons[0].code) == ("format_ok", "SP-A1-55", "series_unusual")
    assert found.display == "SP-A1-000055"


def test_the_state_BR_of_a_car_is_explained():
    assert "state code" in check("car", MALFORMED[8][1]).reasons[0].detail


@pytest.mark.parametrize(
    ("rendering", "kind", "candidate"),
    [
        (("982123456789012", "3D6.1CBE991A14", "8000F59CBE991A14"), "manufacturer", None),
        (("076000000000001", "4C.1", "8000130000000001"), "country", "076000000000001"),
        (("999123456789012", "3E7.1CBE991A14", "8000F9DCBE991A14"), "test", None),
    ],
)
def test_three_renderings_of_a_tag_are_one_number(rendering, kind, candidate):
    first, *others = [check("rfid", text) for text in rendering]
    assert others == [first, first]
    decimal, dotted, word = rendering
    assert first.attributes == {
        "country": decimal[:3],
        "code_kind": kind,
        "renderings": {"decimal": decimal, "dotted_hex": dotted, "hex64": word},
        "sisbov_candidate": candidate,
    }


def test_bits_of_the_tag_word_besides_flag_country_and_number_are_ignored():
    assert check("rfid", "FFFFF59CBE991A14").normalised == "982123456789012"
    assert check("rfid", "FFFFF59CBE991A14").attributes["renderings"]["hex64"] == "8000F59CBE991A14"


def test_a_tag_word_of_country_zero_or_beyond_999_is_no_number():
    assert check("rfid", "8000000000000001").reasons[0].code == "country"
    assert check("rfid", f"{1 << 63 | 1000 << 38 | 1:016X}").reasons[0].code == "country"


@pytest.mark.parametrize(
    ("value", "attributes"),
    [
        ("076000000123456", {"generation": "current", "state": None, "management_number": "123456"}),
        ("105500508078035", {"generation": "legacy", "state": "MS", "management_number": "807803"}),
        ("10550123456789012", {"generation": "legacy_region", "state": None, "management_number": None}),
    ],
)
def test_a_bovine_number_tells_its_generation(value, attributes):
    assert check("sisbov", value).attributes == attributes


def test_other_numbers_tell_what_stands_in_them():
    assert check("car", GOOD["format_ok"][22][1]).attributes == {"state": "DF", "municipality_code": "5300108"}
    assert check("gta", "GO-A-000001").attributes == {"state": "GO", "series": "A", "number": "1"}
    assert check("cib", "BR2026A-H").attributes == {"alphanumeric": True}
    assert check("cpf", "529.982.247-25").attributes == EMPTY
    assert check("cnpj", "12.ABC.345/01DE-35").attributes == {
        "root": "12ABC345",
        "branch": "01DE",
        "alphanumeric": True,
    }


def test_what_stands_beside_a_gs1_key_is_returned_and_not_normalised():
    found = check("gtin", "https://shop.example/a/01/09521234543213/10/aB1/21/S1?17=261231")
    assert found.normalised == "09521234543213"
    assert found.attributes["other_ais"] == {"10": "aB1", "21": "S1", "17": "261231"}
    assert found.attributes["length_given"] == 14


@pytest.mark.parametrize("value", ["02345673", "416000336108"])
def test_numbers_of_one_company_only_are_marked_restricted(value):
    assert check("gtin", value).attributes["restricted"] is True
    assert check("gtin", "7891234567895").attributes["restricted"] is False
    assert check("gtin", "7891234567895").attributes["prefix_organisation"] == "GS1 Brasil"


@pytest.mark.parametrize(
    ("key", "value", "display"),
    [
        ("sisbov", "076000000000001", "076 000000 000001"),
        ("rfid", "3D6.1CBE991A14", "982 123456789012"),
        ("car", GOOD["format_ok"][22][1], "DF-5300108-B69B.317D.D02C.43DA.A77A.0784.AEEF.7D47"),
        ("cib", "00000019", "0000001-9"),
        ("incra", "9500411234567", "950.041.123.456-7"),
        ("gta", "GO-A-1", "GO-A-000001"),
        ("gtin", "00036000291452", "036000291452"),
        ("gtin", "00000096385074", "96385074"),
        ("gtin", "17891234567892", "17891234567892"),
        ("cpf", "52998224725", "529.982.247-25"),
        ("cnpj", "12abc34501de35", "12.ABC.345/01DE-35"),
        ("lote", "  Lote  7 ", "Lote  7"),
    ],
)
def test_people_read_the_usual_form(key, value, display):
    assert check(key, value).display == display


@pytest.mark.parametrize(
    ("key", "value", "mask"),
    [
        ("cpf", "529.982.247-25", "***.***.247-**"),
        ("cnpj", "16.727.230/0001-97", "**.***.***/0001-**"),
        ("car", GOOD["format_ok"][22][1], "DF-5300108-****"),
        ("cib", "0000001-9", "*******-9"),
        ("incra", "950.041.123.456-7", "***.***.***.***-7"),
        ("gta", "PA-J-123456", "PA-J-****"),
        ("sisbov", "076000000000001", "076 000000 000001"),
    ],
)
def test_masks_hide_what_they_must(key, value, mask):
    assert REGISTRY[key].mask(check(key, value).normalised) == mask


def test_candidates_come_best_level_first_then_in_the_order_of_types():
    found = [(result.type, result.evidence) for result in candidates("7891234567895")]
    assert found == [("gtin", "check_ok"), ("gln", "check_ok"), ("incra", "format_ok")]
    assert candidates("nothing") == ()

"""The laws of identifiers.md 2, over generated numbers and arbitrary text of every type."""

import random
import re
import sys
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.document import EMPTY
from domain.identifiers import MAX_LENGTH, REGISTRY, check
from tests.unit.identifiers.vectors import GOOD

SPELLING_ONLY = {"length_given", "other_ais"}
SEPARATORS = {"gta": "", "cpf": ".-/", "cnpj": ".-/", "rfid": "-"}

names = st.sampled_from([*REGISTRY, "lote"])
near = st.text(st.sampled_from("0123456789ABCDEFabcdefBRILOU-./() \t１Ａ−–°:htps"), max_size=60)
texts = st.one_of(st.text(max_size=300), near, st.text("0123456789", min_size=8, max_size=18))


def numbers(name: str) -> st.SearchStrategy[str]:
    kind = REGISTRY[name]
    return (
        st.from_regex(re.compile(kind.pattern, re.ASCII), fullmatch=True)
        .map(str.strip)
        .filter(lambda value: check(name, value).normalised is not None)
    )


accepted = st.sampled_from(sorted(REGISTRY)).flatmap(lambda name: st.tuples(st.just(name), numbers(name)))


def verdict(found):
    said = {name: value for name, value in found.attributes.items() if name not in SPELLING_ONLY}
    return (found.evidence, found.normalised, found.display, found.reasons, said)


def respellings(key, value):
    found = check(key, value)
    yield found.normalised
    yield found.display
    yield value.lower()
    yield f" \t{value}\n"
    yield value.translate({digit: digit + 0xFEE0 for digit in range(ord("0"), ord("9") + 1)})


@given(names, texts)
@example("lote", "ΐ")
@example("lote", "İ")
def test_every_spelling_of_a_number_gets_the_same_verdict(key, value):
    """Scenario 3 of identifiers.md 10."""
    found = check(key, value)
    if found.normalised is None or len(value) > MAX_LENGTH - 3:
        return
    for spelling in respellings(key, value):
        again = check(key, spelling)
        if key == "lote":
            assert (again.evidence, again.normalised) == (found.evidence, found.normalised)
        elif "://" not in value and "(" not in value:
            assert verdict(again) == verdict(found)


@given(accepted, st.randoms(use_true_random=False))
def test_separators_and_blanks_between_characters_change_nothing(pair, random):
    key, value = pair
    found = check(key, value)
    separators = SEPARATORS.get(key, ".-") + " \u2009"
    if key == "gta":
        spelled = found.display.replace("-", random.choice([" ", "/", "--", " . ", "\u2013", "\u2212"]))
    else:
        spelled = "".join(character + random.choice(["", "", "", *separators]) for character in found.normalised)
    assert verdict(check(key, spelled)) == verdict(found)
    assert verdict(check(key, spelled.lower())) == verdict(found)


@given(accepted, accepted)
def test_different_canonical_forms_are_different_numbers(one, other):
    (key, value), (_, second) = one, other
    found, again = check(key, value), check(key, second)
    assert (found.normalised == again.normalised) == (found.display == again.display)


@given(names, texts)
def test_the_canonical_form_matches_the_pattern_of_its_type(key, value):
    found = check(key, value)
    assert (found.normalised is None) == (found.evidence == "malformed") == (found.display is None)
    if found.normalised and key in REGISTRY:
        assert re.fullmatch(REGISTRY[key].pattern, found.normalised, re.ASCII)
        assert REGISTRY[key].mask(found.normalised)
        assert REGISTRY[key].clean(found.normalised).normalised == found.normalised


@given(accepted)
def test_what_the_pattern_allows_is_accepted_as_it_stands(pair):
    key, value = pair
    assert check(key, value).normalised == value


@given(names, st.text(st.characters(), max_size=300))
@example("gtin", "https://[")
@example("gtin", "https://x/01/1?391=" + "9" * 200)
@example("gtin", "https://id.gs1.org/01/09521234543213?3909=5&7003=99&11=000000")
@example("gtin", "(01)")
@example("gln", "()" * 100)
@example("rfid", "\ud800")
def test_any_text_gets_a_result(key, value):
    """Scenario 2 of identifiers.md 10."""
    found = check(key, value)
    assert (found.evidence == "malformed") <= bool(found.reasons)
    if len(value) > MAX_LENGTH:
        assert found.reasons[0].code == "length"


@given(names, st.text("0123456789abcdefABCDEF()/.-?=&:%htps ", min_size=240, max_size=256))
def test_no_text_makes_the_check_slow(key, value):
    started = time.process_time()
    for _ in range(20):
        check(key, value)
    assert time.process_time() - started < 20 * 0.005


def test_scenario_2_a_thousand_texts_of_each_type_take_a_millisecond_each_at_most():
    source = random.Random(5)
    texts = [
        "".join(source.choices("0123456789ABCDEFabcdef./-() é٣\x00", k=source.randrange(301))) for _ in range(1000)
    ]
    started = time.process_time()
    for key in (*REGISTRY, "lote"):
        for text in texts:
            check(key, text)
    assert time.process_time() - started < (len(REGISTRY) + 1) * len(texts) * 0.001


def test_every_assigned_character_has_one_contextual_form():
    points = (chr(point) for point in range(sys.maxunicode + 1))
    for character in points:
        category = unicodedata.category(character)
        found = check("lote", f"a{character}b")
        blank = character in "\t\n\v\f\r\x85" or category in {"Zs", "Zl", "Zp"}
        if category in {"Cc", "Cf", "Cs", "Co", "Cn"} and not blank:
            assert found.evidence == "malformed", hex(ord(character))
            continue
        again = check("lote", found.normalised)
        assert again.normalised == found.normalised == check("lote", found.display).normalised, hex(ord(character))


def test_full_width_digits_are_digits_and_no_other_foreign_ones():
    """Scenario 12 of identifiers.md 10."""
    assert check("cpf", "５２９９８２２４７２５").normalised == "52998224725"
    for digits in ("٥٢٩٩٨٢٢٤٧٢٥", "५२९९८२२४७२५"):
        assert check("cpf", digits).reasons[0].code == "characters"


@pytest.mark.parametrize("key", ["sisbov", "rfid", "sscc", "car", "incra", "gta", "gtin", "gln", "cpf"])
def test_scenario_12_what_is_no_ascii_digit_is_no_digit(key):
    (value, *_) = [given for found in GOOD.values() for name, given, _ in found if name == key and "0" in given]
    for wrong in (value.replace("0", "O"), value.replace("0", "\u0660"), f"\u200b{value}", f"{value}\x00"):
        assert check(key, wrong).evidence == "malformed", wrong
    assert check(key, value.replace("0", "\uff10")) == check(key, value)


def test_no_foreign_letter_becomes_an_ascii_one():
    assert check("cib", "\u0131A00001-7").reasons[0].code == "characters"
    assert check("cib", "iA00001-7").normalised == "1A000017"


@pytest.mark.parametrize("dash", "‐‑‒–—―−－")
def test_the_dashes_of_word_processors_are_separators(dash):
    assert check("cib", f"0000001{dash}9").normalised == "00000019"
    assert check("gta", f"GO{dash}A{dash}1").normalised == "GO-A-1"


def test_no_lost_leading_zero_is_put_back():
    assert check("cpf", "1234567890").evidence == "malformed"


def test_no_result_says_that_an_authority_confirmed_the_number():
    assert all("registry_ok" not in kind.levels for kind in REGISTRY.values())


def test_a_malformed_number_carries_nothing():
    assert check("cpf", "x").attributes == EMPTY

"""Check digits agree with independent implementations and catch what identifiers.md 4.10 says."""

import random

import pytest
from brutils import is_valid_cnpj, is_valid_cpf
from stdnum import ean
from stdnum.br.cnpj import calc_check_digits
from validate_docbr import CNPJ, CPF

from domain.identifiers import check
from domain.identifiers.cib import check_character
from domain.identifiers.sisbov import check_digit

COUNT = 20_000
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CIB_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
STATES = ("11", "15", "35", "50", "51", "52", "53")


def _digits(source: random.Random, count: int) -> str:
    return "".join(source.choices("0123456789", k=count))


def test_cpf_verdicts_equal_those_of_two_other_implementations():
    """Scenario 4 of identifiers.md 10."""
    source, oracle = random.Random(1), CPF()
    right = 0
    for _ in range(COUNT):
        number = _digits(source, 11)
        if source.random() < 0.5:
            number = oracle.generate()
        found = check("cpf", number).evidence == "check_ok"
        right += found
        if len(set(number)) > 1:
            assert found == oracle.validate(number) == is_valid_cpf(number), number
    assert right > COUNT * 0.4


def test_cnpj_verdicts_equal_those_of_two_other_implementations():
    """Scenario 4 of identifiers.md 10."""
    source, oracle = random.Random(2), CNPJ()
    right = 0
    for _ in range(COUNT):
        number = oracle.generate() if source.random() < 0.5 else _digits(source, 14)
        found = check("cnpj", number).evidence == "check_ok"
        right += found
        if len(set(number)) > 1:
            assert found == oracle.validate(number) == is_valid_cnpj(number), number
    assert right > COUNT * 0.4


@pytest.mark.parametrize("key", ["gtin", "gln"])
def test_gs1_verdicts_equal_those_of_another_implementation(key):
    """Scenario 4 of identifiers.md 10."""
    source = random.Random(3)
    right = 0
    for _ in range(COUNT):
        number = _digits(source, 12)
        number += ean.calc_check_digit(number) if source.random() < 0.5 else _digits(source, 1)
        found = check(key, number).evidence == "check_ok"
        right += found
        assert found == ean.is_valid(number), number
    assert right > COUNT * 0.4


def _cnpj(source: random.Random) -> str:
    base = "".join(source.choices(LETTERS, k=12))
    return base + calc_check_digits(base)


def _cib(source: random.Random) -> str:
    base = "".join(source.choices(CIB_LETTERS, k=7))
    return base + check_character(base + "A" if not base.isdigit() else base)


def _sisbov(source: random.Random) -> str:
    base = "105" + source.choice(STATES) + _digits(source, 9)
    return base + check_digit(base)


def _gs1(length: int):
    def make(source: random.Random) -> str:
        base = str(source.randint(1, 9)) + _digits(source, length - 2)
        return base + ean.calc_check_digit(base)

    return make


def _cib_numeric(source: random.Random) -> str:
    base = _digits(source, 7)
    return base + check_character(base + "0")


MAKERS = {
    "cpf": ("cpf", lambda source: CPF().generate(), "0123456789", 0.98),
    # Letters are left alone: 36 values in 11 remainders, some pairs of letters cannot be told apart.
    "cnpj": ("cnpj", _cnpj, "0123456789", 0.98),
    "cib": ("cib", _cib, CIB_LETTERS, 0.98),
    "cib numeric": ("cib", _cib_numeric, "0123456789", 0.98),
    "sisbov": ("sisbov", _sisbov, "0123456789", 0.98),
    "gtin": ("gtin", _gs1(14), "0123456789", 1.0),
    "gln": ("gln", _gs1(13), "0123456789", 1.0),
    "sscc": ("sscc", _gs1(18), "0123456789", 1.0),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_change_of_one_character_is_caught(name):
    key, make, alphabet, wanted = MAKERS[name]
    source = random.Random(4)
    tried = caught = 0
    for _ in range(250):
        number = make(source)
        if check(key, number).evidence != "check_ok":
            assert name == "cib numeric" and number == "00000000", number
            continue
        for place, character in enumerate(number):
            for other in source.sample(alphabet, 4):
                if character in alphabet and other != character:
                    found = check(key, number[:place] + other + number[place + 1 :])
                    tried += 1
                    caught += found.evidence != "check_ok"
    assert caught >= wanted * tried

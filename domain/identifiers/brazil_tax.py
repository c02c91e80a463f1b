"""Brazilian tax numbers of people and firms (identifiers.md 4.4, 4.5)."""

import re

from stdnum.br import cnpj, cpf

from domain.identifiers.cleaning import dropping, upper
from domain.identifiers.model import (
    Cleaned,
    Evidence,
    IdentifierType,
    Malformed,
    Privacy,
    Uniqueness,
    Verdict,
    failed,
)

_SPELLING = dropping(".-/")
_CPF_SHAPE = re.compile(r"[0-9]{11}")
_CNPJ_SHAPE = re.compile(r"[0-9A-Z]{12}[0-9]{2}")
_CHECK_OK = Verdict(Evidence.CHECK_OK)
_LEVELS = (Evidence.MALFORMED, Evidence.CHECK_FAILED, Evidence.CHECK_OK)
_REASON_CODES = ("characters", "shape", "repeated_digits", "check_digit")
_REPEATED = "One character repeated is not issued."


def _cpf_holds(number: str) -> bool:
    return bool(cpf.is_valid(number))


def _cnpj_check_digits(number: str) -> str:
    return str(cnpj.calc_check_digits(number))


def _repeated(number: str) -> bool:
    return number == number[0] * len(number)


def _clean_cpf(value: str) -> Cleaned:
    number = upper(value, _SPELLING)
    if not _CPF_SHAPE.fullmatch(number):
        raise Malformed("shape", "A CPF has eleven digits.")
    return Cleaned(number)


def _check_cpf(number: str) -> Verdict:
    if _repeated(number):
        return failed("repeated_digits", _REPEATED)
    if not _cpf_holds(number):
        # The expected digits stay unsaid: they would complete somebody's number.
        return failed("check_digit", "The check digits do not match.")
    return _CHECK_OK


def _display_cpf(number: str) -> str:
    return f"{number[:3]}.{number[3:6]}.{number[6:9]}-{number[9:]}"


def _mask_cpf(number: str) -> str:
    return f"***.***.{number[6:9]}-**"


CPF = IdentifierType(
    name="cpf",
    subject="natural person",
    uniqueness=Uniqueness.PARTY,
    privacy=Privacy.PERSONAL,
    pattern=r"^\d{11}$",
    example="529.982.247-25",
    levels=_LEVELS,
    reason_codes=_REASON_CODES,
    library="python-stdnum",
    clean=_clean_cpf,
    check=_check_cpf,
    display=_display_cpf,
    mask=_mask_cpf,
)


def _clean_cnpj(value: str) -> Cleaned:
    number = upper(value, _SPELLING)
    if not _CNPJ_SHAPE.fullmatch(number):
        raise Malformed("shape", "A CNPJ has twelve letters or digits and two digits.")
    return Cleaned(number)


def _check_cnpj(number: str) -> Verdict:
    attributes = {"root": number[:8], "branch": number[8:12], "alphanumeric": not number.isdigit()}
    if _repeated(number):
        return failed("repeated_digits", _REPEATED, attributes)
    expected = _cnpj_check_digits(number)
    if number[12:] != expected:
        return failed("check_digit", f"The check digits should be {expected}.", attributes)
    return Verdict(Evidence.CHECK_OK, attributes=attributes)


def _display_cnpj(number: str) -> str:
    return f"{number[:2]}.{number[2:5]}.{number[5:8]}/{number[8:12]}-{number[12:]}"


def _mask_cnpj(number: str) -> str:
    return f"**.***.***/{number[8:12]}-**"


CNPJ = IdentifierType(
    name="cnpj",
    subject="legal person",
    uniqueness=Uniqueness.PARTY,
    privacy=Privacy.LINKABLE,
    pattern=r"^[0-9A-Z]{12}\d{2}$",
    example="12.ABC.345/01DE-35",
    levels=_LEVELS,
    reason_codes=_REASON_CODES,
    library="python-stdnum",
    clean=_clean_cnpj,
    check=_check_cnpj,
    display=_display_cnpj,
    mask=_mask_cnpj,
)

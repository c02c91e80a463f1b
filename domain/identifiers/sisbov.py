"""Official bovine number of Brazil, in its three generations (identifiers.md 4.1)."""

from operator import mul

from domain.identifiers.cleaning import dropping, upper
from domain.identifiers.model import (
    Cleaned,
    Evidence,
    IdentifierType,
    Malformed,
    Uniqueness,
    Verdict,
    failed,
)
from domain.identifiers.tables import STATES_BY_CODE

_SPELLING = dropping(".-")
_NO_SERIAL = "0" * 12
_WEIGHTS = (7, 6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2)


def check_digit(base: str) -> str:
    """Return the check digit over the first 14 digits of a legacy number."""
    expected = 11 - sum(map(mul, map(int, base), _WEIGHTS)) % 11
    return "0" if expected > 9 else str(expected)


def _digits(value: str) -> str:
    text = upper(value, _SPELLING)
    if text.startswith("BR"):
        text = text[2:]
        if len(text) == 12:
            text = "076" + text
    if text and not text.isdigit():
        raise Malformed("characters", "An official bovine number has digits only, after an optional BR.")
    return text[1:] if len(text) == 16 and text[0] == "0" else text


def _clean(value: str) -> Cleaned:
    number = _digits(value)
    if len(number) != 15 and not (len(number) == 17 and number.startswith("105")):
        raise Malformed("length", "An official bovine number has 15 digits, its oldest form 17.")
    if not number.startswith(("076", "105")):
        raise Malformed("prefix", "An official bovine number starts with 076 or 105.")
    return Cleaned(number)


def _attributes(generation: str, state: str | None = None, managed: str | None = None) -> dict[str, str | None]:
    return {"generation": generation, "state": state, "management_number": managed}


def _legacy(number: str) -> Verdict:
    state = STATES_BY_CODE.get(number[3:5])
    attributes = _attributes("legacy", state, number[8:14])
    if state is None:
        return failed("state_unknown", "Digits 4 and 5 are not the code of a state.", attributes)
    expected = check_digit(number[:14])
    if number[14] != expected:
        return failed("check_digit", f"The check digit should be {expected}.", attributes)
    return Verdict(Evidence.CHECK_OK, attributes=attributes)


def _check(number: str) -> Verdict:
    if len(number) == 17:
        return Verdict(Evidence.FORMAT_OK, attributes=_attributes("legacy_region"))
    if number.startswith("105"):
        return _legacy(number)
    attributes = _attributes("current", managed=number[9:15])
    if number[3:] == _NO_SERIAL:
        return failed("serial_zero", "The number after the country is zero.", attributes)
    return Verdict(Evidence.FORMAT_OK, attributes=attributes)


def _display(number: str) -> str:
    groups = (number[:3], number[3:9], number[9:15], number[15:])
    return " ".join(filter(None, groups))


SISBOV = IdentifierType(
    name="sisbov",
    subject="animal, official bovine number",
    uniqueness=Uniqueness.ONE_ITEM,
    single=True,
    default_namespace="bovino",
    pattern=r"^(076\d{12}|105\d{12}|105\d{14})$",
    example="076 000000 000001",
    levels=(Evidence.MALFORMED, Evidence.CHECK_FAILED, Evidence.FORMAT_OK, Evidence.CHECK_OK),
    reason_codes=("characters", "length", "prefix", "serial_zero", "state_unknown", "check_digit"),
    library="own",
    clean=_clean,
    check=_check,
    display=_display,
    mask=_display,
)

"""Rural property number of the federal revenue, CIB, formerly NIRF (identifiers.md 4.6)."""

import re

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

_LOOKALIKES = str.maketrans("ILO", "110")
_SPELLING = dropping(".-")
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_POSITION = {character: position for position, character in enumerate(_ALPHABET)}
_SHAPE = re.compile(r"[0-9A-HJKMNP-TV-Z]{8}")
_LETTER_WEIGHTS = (4, 3, 9, 5, 7, 1, 8)
_RESERVED = "0" * 8


def check_character(number: str) -> str:
    """Return what the last of the eight characters should be; a number of digits only has a digit there."""
    if number.isdigit():
        remainder = sum(int(digit) * (8 - place) for place, digit in enumerate(number[:7])) % 11
        return "0" if remainder < 2 else str(11 - remainder)
    total = sum(_POSITION[character] * weight for character, weight in zip(number, _LETTER_WEIGHTS, strict=False))
    return _ALPHABET[total % 31]


def _clean(value: str) -> Cleaned:
    number = upper(value, _SPELLING).translate(_LOOKALIKES)
    if not _SHAPE.fullmatch(number):
        raise Malformed("shape", "A CIB has eight digits or letters, U excepted.")
    return Cleaned(number)


def _check(number: str) -> Verdict:
    attributes = {"alphanumeric": not number.isdigit()}
    if number == _RESERVED:
        return failed("reserved", "The number zero is not given to a property.", attributes)
    expected = check_character(number)
    if number[7] != expected:
        return failed("check_digit", f"The check character should be {expected}.", attributes)
    return Verdict(Evidence.CHECK_OK, attributes=attributes)


def _display(number: str) -> str:
    return f"{number[:7]}-{number[7]}"


def _mask(number: str) -> str:
    return f"*******-{number[7]}"


CIB = IdentifierType(
    name="cib",
    aliases=("nirf",),
    subject="rural property, federal revenue",
    uniqueness=Uniqueness.SHARED,
    privacy=Privacy.LINKABLE,
    pattern=r"^[0-9A-HJKMNP-TV-Z]{8}$",
    example="0000001-9",
    levels=(Evidence.MALFORMED, Evidence.CHECK_FAILED, Evidence.CHECK_OK),
    reason_codes=("characters", "shape", "reserved", "check_digit"),
    library="own",
    clean=_clean,
    check=_check,
    display=_display,
    mask=_mask,
)

"""Rural property number of the national land registry, SNCR (identifiers.md 4.7)."""

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
)

_SPELLING = dropping(".-")
_SHAPE = re.compile(r"(?!0{13})[0-9]{13}")
_FORMAT_OK = Verdict(Evidence.FORMAT_OK)


def _clean(value: str) -> Cleaned:
    number = upper(value, _SPELLING)
    if not _SHAPE.fullmatch(number):
        raise Malformed("shape", "A property number of the land registry has 13 digits, not all zero.")
    return Cleaned(number)


def _check(_: str) -> Verdict:
    return _FORMAT_OK


def _display(number: str) -> str:
    return f"{number[:3]}.{number[3:6]}.{number[6:9]}.{number[9:12]}-{number[12]}"


def _mask(number: str) -> str:
    return f"***.***.***.***-{number[12]}"


INCRA = IdentifierType(
    name="incra",
    aliases=("incra_code",),
    subject="rural property, land registry (SNCR)",
    uniqueness=Uniqueness.SHARED,
    privacy=Privacy.LINKABLE,
    pattern=r"^\d{13}$",
    example="950.041.123.456-7",
    levels=(Evidence.MALFORMED, Evidence.FORMAT_OK),
    reason_codes=("characters", "shape"),
    library="own",
    clean=_clean,
    check=_check,
    display=_display,
    mask=_mask,
)

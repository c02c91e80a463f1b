"""Rural environmental registry, CAR (identifiers.md 4.3)."""

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
from domain.identifiers.tables import STATE_CODES

_SPELLING = dropping(".-")
_SHAPE = re.compile(r"([A-Z]{2})([0-9]{7})([0-9A-F]{32})")


def _clean(value: str) -> Cleaned:
    match = _SHAPE.fullmatch(upper(value, _SPELLING))
    if not match:
        raise Malformed("shape", "A CAR is a state, seven digits and 32 hexadecimal digits.")
    state, municipality, rest = match.groups()
    if state == "BR":
        raise Malformed("state", "A CAR starts with the state code, such as GO, not with BR.")
    if state not in STATE_CODES:
        raise Malformed("state", "The first two letters are not a state.")
    return Cleaned(f"{state}-{municipality}-{rest}")


def _check(number: str) -> Verdict:
    state, municipality = number[:2], number[3:10]
    attributes = {"state": state, "municipality_code": municipality}
    expected = STATE_CODES[state]
    if municipality[:2] != expected:
        return failed("state_mismatch", f"Municipalities of {state} start with {expected}.", attributes)
    return Verdict(Evidence.FORMAT_OK, attributes=attributes)


def _display(number: str) -> str:
    return number[:11] + ".".join(number[place : place + 4] for place in range(11, 43, 4))


def _mask(number: str) -> str:
    return number[:11] + "****"


CAR = IdentifierType(
    name="car",
    subject="rural property, environmental registry",
    uniqueness=Uniqueness.SHARED,
    privacy=Privacy.LINKABLE,
    pattern=r"^[A-Z]{2}-\d{7}-[0-9A-F]{32}$",
    example="DF-5300108-B69B.317D.D02C.43DA.A77A.0784.AEEF.7D47",
    levels=(Evidence.MALFORMED, Evidence.CHECK_FAILED, Evidence.FORMAT_OK),
    reason_codes=("characters", "shape", "state", "state_mismatch"),
    library="own",
    clean=_clean,
    check=_check,
    display=_display,
    mask=_mask,
)

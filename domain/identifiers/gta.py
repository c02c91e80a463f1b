"""Animal movement document, GTA (identifiers.md 4.8)."""

import re

from domain.identifiers.cleaning import KEEPING, upper
from domain.identifiers.model import (
    Cleaned,
    Evidence,
    IdentifierType,
    Malformed,
    Privacy,
    Reason,
    Uniqueness,
    Verdict,
)
from domain.identifiers.tables import STATE_CODES

_SEPARATED = re.compile(r"([A-Z]{2})[ \-/.]+([A-Z0-9]{1,3})[ \-/.]+([0-9]{1,10})")
_JOINED = re.compile(r"([A-Z]{2})[ \-/.]*([A-Z]{1,3})[ \-/.]*([0-9]{1,10})")
_UNUSUAL = (Reason("series_unusual", "The series has a digit in it."),)


def _clean(value: str) -> Cleaned:
    text = upper(value, KEEPING).strip(" ")
    match = _SEPARATED.fullmatch(text) or _JOINED.fullmatch(text)
    if not match:
        raise Malformed("shape", "A GTA is a state, a series of up to three characters and a number.")
    state, series, number = match.groups()
    if state not in STATE_CODES:
        raise Malformed("state", "The first two letters are not a state.")
    number = number.lstrip("0")
    if not number:
        raise Malformed("number", "The number of a GTA is not zero.")
    return Cleaned(f"{state}-{series}-{number}")


def _check(value: str) -> Verdict:
    state, series, number = value.split("-")
    reasons = () if series.isalpha() else _UNUSUAL
    return Verdict(Evidence.FORMAT_OK, reasons, {"state": state, "series": series, "number": number})


def _display(value: str) -> str:
    state, series, number = value.split("-")
    return f"{state}-{series}-{number.zfill(6)}"


def _mask(value: str) -> str:
    return value[: value.rindex("-")] + "-****"


GTA = IdentifierType(
    name="gta",
    subject="movement document",
    uniqueness=Uniqueness.SHARED,
    privacy=Privacy.LINKABLE,
    pattern=r"^[A-Z]{2}-[A-Z0-9]{1,3}-[1-9]\d{0,9}$",
    example="GO-A-000001",
    levels=(Evidence.MALFORMED, Evidence.FORMAT_OK),
    reason_codes=("characters", "shape", "state", "number", "series_unusual"),
    library="own",
    clean=_clean,
    check=_check,
    display=_display,
    mask=_mask,
)

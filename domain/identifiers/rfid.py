"""Animal transponder numbers of ISO 11784/11785 (identifiers.md 4.2)."""

import re
from typing import Any

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
from domain.identifiers.tables import COUNTRIES

_SPELLING = dropping("-")
_DECIMAL = re.compile(r"([0-9]{3})\.?([0-9]{12})")
_DOTTED_HEX = re.compile(r"([0-9A-F]{1,3})\.([0-9A-F]{1,10})")
_WORD = re.compile(r"[0-9A-F]{16}")

_LARGEST_ID = 2**38 - 1
_ANIMAL = 1 << 63
_FIRST_MANUFACTURER = 900
_TEST = 999
_BRAZIL = "076"


def _word(text: str) -> tuple[int, int]:
    word = int(text, 16)
    if not word & _ANIMAL:
        raise Malformed("not_animal", "The animal flag of this transponder word is not set.")
    return word >> 38 & 0x3FF, word & _LARGEST_ID


def _parts(text: str) -> tuple[int, int]:
    if match := _DECIMAL.fullmatch(text):
        return int(match[1]), int(match[2])
    if match := _DOTTED_HEX.fullmatch(text):
        return int(match[1], 16), int(match[2], 16)
    if _WORD.fullmatch(text):
        return _word(text)
    raise Malformed("shape", "A transponder number has 15 digits, or is dotted or 64-bit hexadecimal.")


def _clean(value: str) -> Cleaned:
    country, national = _parts(upper(value, _SPELLING))
    if not 0 < country <= _TEST:
        raise Malformed("country", "The country or manufacturer lies between 1 and 999.")
    if national > _LARGEST_ID:
        raise Malformed("overflow", f"A transponder carries a national id up to {_LARGEST_ID}.")
    return Cleaned(f"{country:03}{national:012}")


def _attributes(number: str, country: int, national: int, kind: str) -> dict[str, Any]:
    return {
        "country": number[:3],
        "code_kind": kind,
        "renderings": {
            "decimal": number,
            "dotted_hex": f"{country:X}.{national:X}",
            "hex64": f"{_ANIMAL | country << 38 | national:016X}",
        },
        "sisbov_candidate": number if number.startswith(_BRAZIL) else None,
    }


def _kind(country: int) -> str:
    if country == _TEST:
        return "test"
    return "manufacturer" if country >= _FIRST_MANUFACTURER else "country"


def _check(number: str) -> Verdict:
    country, national = int(number[:3]), int(number[3:])
    kind = _kind(country)
    attributes = _attributes(number, country, national, kind)
    if kind == "test":
        return failed("test_code", "999 marks test transponders.", attributes)
    if kind == "country" and number[:3] not in COUNTRIES:
        return failed("country_unassigned", "No country has this code in ISO 3166-1.", attributes)
    if national == 0:
        return failed("serial_zero", "The national id is zero.", attributes)
    return Verdict(Evidence.FORMAT_OK, attributes=attributes)


def _display(number: str) -> str:
    return f"{number[:3]} {number[3:]}"


RFID = IdentifierType(
    name="rfid",
    aliases=("iso11784",),
    subject="animal transponder (ISO 11784)",
    uniqueness=Uniqueness.ONE_ITEM,
    pattern=r"^\d{15}$",
    example="982 123456789012",
    levels=(Evidence.MALFORMED, Evidence.CHECK_FAILED, Evidence.FORMAT_OK),
    reason_codes=(
        "characters",
        "shape",
        "not_animal",
        "country",
        "overflow",
        "test_code",
        "country_unassigned",
        "serial_zero",
    ),
    library="own",
    clean=_clean,
    check=_check,
    display=_display,
    mask=_display,
)

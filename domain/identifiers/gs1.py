"""GS1 keys: trade items, places and parties, logistic units (identifiers.md 4.9)."""

from collections.abc import Callable
from functools import cache
from types import ModuleType

from domain.identifiers.model import (
    Cleaned,
    Evidence,
    IdentifierType,
    Malformed,
    Uniqueness,
    Verdict,
    failed,
)

_GTIN_LENGTHS = (8, 12, 13, 14)
_LEVELS = (Evidence.MALFORMED, Evidence.CHECK_FAILED, Evidence.CHECK_OK)
_REASON_CODES = ("characters", "shape", "ai", "all_zeros", "check_digit")


@cache
def _reading() -> ModuleType:
    # The tables of the library take 16 MB and a fifth of the start; who has no GS1 numbers does not pay for them.
    from domain.identifiers import gs1_reading  # noqa: PLC0415

    return gs1_reading


def _cleaner(keys: frozenset[str], lengths: tuple[int, ...]) -> Callable[[str], Cleaned]:
    wanted = "A key of this type has " + ", ".join(map(str, lengths)) + " digits."

    def clean(value: str) -> Cleaned:
        number, others = _reading().read(value, keys)
        if len(number) not in lengths:
            raise Malformed("shape", wanted)
        return Cleaned(number.zfill(lengths[-1]), {"length_given": len(number), "other_ais": others})

    return clean


def _checker(kind: str) -> Callable[[str], Verdict]:
    def check(number: str) -> Verdict:
        if not number.strip("0"):
            return failed("all_zeros", "All digits are zero.", _reading().attributes(None))
        key = _reading().parsed(kind, number)
        attributes = _reading().attributes(key)
        if key is None:
            expected = _reading().check_digit(number[:-1])
            return failed("check_digit", f"The check digit should be {expected}.", attributes)
        return Verdict(Evidence.CHECK_OK, attributes=attributes)

    return check


def _shortest(number: str) -> str:
    significant = len(number.lstrip("0"))
    return number[-next(length for length in _GTIN_LENGTHS if length >= significant) :]


GTIN = IdentifierType(
    name="gtin",
    aliases=("ean",),
    subject="trade item (product)",
    uniqueness=Uniqueness.SHARED,
    pattern=r"^\d{14}$",
    example="7891234567895",
    levels=_LEVELS,
    reason_codes=_REASON_CODES,
    library="biip",
    clean=_cleaner(frozenset({"01"}), _GTIN_LENGTHS),
    check=_checker("gtin"),
    display=_shortest,
    mask=_shortest,
)

GLN = IdentifierType(
    name="gln",
    subject="place or party by GS1",
    uniqueness=Uniqueness.SHARED,
    pattern=r"^\d{13}$",
    example="9521234000006",
    levels=_LEVELS,
    reason_codes=_REASON_CODES,
    library="biip",
    clean=_cleaner(frozenset(map(str, range(410, 418))), (13,)),
    check=_checker("gln"),
    display=str,
    mask=str,
)

SSCC = IdentifierType(
    name="sscc",
    subject="logistic unit",
    uniqueness=Uniqueness.ONE_ITEM,
    single=True,
    pattern=r"^\d{18}$",
    example="359521000000000014",
    levels=_LEVELS,
    reason_codes=_REASON_CODES,
    library="biip",
    clean=_cleaner(frozenset({"00"}), (18,)),
    check=_checker("sscc"),
    display=str,
    mask=str,
)

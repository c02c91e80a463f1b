"""Cleaning of canonical values (identifiers.md 2). White space is Unicode's White_Space property."""

import unicodedata

from domain.identifiers.model import Malformed

WHITE_SPACE = "".join(
    map(
        chr,
        (*range(0x09, 0x0E), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000),
    )
)
_DASHES = "".join(map(chr, (*range(0x2010, 0x2016), 0x2212)))

Spelling = dict[int, str | None]


def dropping(separators: str) -> Spelling:
    """Return the table that drops white space and `separators`; odd dashes count as `-`."""
    dash = None if "-" in separators else "-"
    return {
        **dict.fromkeys(map(ord, _DASHES), dash),
        **dict.fromkeys(map(ord, WHITE_SPACE + separators)),
    }


KEEPING: Spelling = {**dict.fromkeys(map(ord, _DASHES), "-"), **dict.fromkeys(map(ord, WHITE_SPACE), " ")}
"""The table that keeps what stands between parts: every white space is a blank, every dash a `-`."""


def plain(value: str, table: Spelling) -> str:
    """Return `value` cleaned up to, not including, upper-casing.

    Raises `Malformed` with `characters` when anything but ASCII is left.
    """
    if value.isascii():
        return value.translate(table)
    text = unicodedata.normalize("NFKC", value).translate(table)
    if not text.isascii():
        raise Malformed("characters", "Only letters without accents, digits and separators are possible here.")
    return text


def upper(value: str, table: Spelling) -> str:
    """Return `value` cleaned and upper-cased. Raises `Malformed` like `plain`."""
    return plain(value, table).upper()

"""Values of free keys, about which nothing is known (identifiers.md 5)."""

import re
import unicodedata

from domain.identifiers.cleaning import WHITE_SPACE
from domain.identifiers.model import MAX_LENGTH, Malformed

_BLANKS = re.compile(f"[{re.escape(WHITE_SPACE)}]+")


def normalise(value: str) -> str:
    """Return the canonical form: 1 to 256 characters, folded in case and width, blanks collapsed.

    Raises `Malformed` with `characters` or `length`.
    """
    text = value.lower() if value.isascii() else _fold(value)
    text = _BLANKS.sub(" ", text).strip(" ")
    # After the blanks are gone, what does not print is control, format, surrogate, private or unassigned.
    if not text.isprintable():
        raise Malformed("characters", "Control, invisible, private and unassigned characters are not possible.")
    if not 0 < len(text) <= MAX_LENGTH:
        raise Malformed("length", f"A value has 1 to {MAX_LENGTH} characters.")
    return text


def _fold(value: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", value).casefold())


def display(value: str) -> str:
    """Return `value` as given, trimmed."""
    return value.strip(WHITE_SPACE)

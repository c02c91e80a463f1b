"""What the library of GS1 knows of a key: its spellings (digits, element string, Digital Link), its check digit and
prefix (identifiers.md 4.9)."""

import re
from typing import Any

from biip import ParseError
from biip.checksums import gs1_standard_check_digit
from biip.gln import Gln
from biip.gs1_digital_link_uris import GS1DigitalLinkURI
from biip.gs1_element_strings import GS1ElementStrings
from biip.gs1_messages import GS1Message
from biip.gtin import Gtin
from biip.rcn import Rcn
from biip.sscc import Sscc

from domain.document import Document
from domain.identifiers.cleaning import KEEPING, dropping, plain
from domain.identifiers.model import Malformed

_SPELLING = dropping(".-")
_SCHEMES = ("http://", "https://")
_ELEMENT_STRING = re.compile(r"(?:\([0-9]{2,4}\)[^(]+)+")
_DIGITS = re.compile(r"[0-9]+")
_KINDS: dict[str, type[Gtin | Gln | Sscc]] = {"gtin": Gtin, "gln": Gln, "sscc": Sscc}

check_digit = gs1_standard_check_digit


def parsed(kind: str, number: str) -> Gtin | Gln | Sscc | None:
    """Return what a number of a kind tells, None when its check digit is wrong."""
    try:
        return _KINDS[kind].parse(number)
    except ParseError:
        return None


def attributes(key: Gtin | Gln | Sscc | None) -> dict[str, Any]:
    """Return what the prefix of a key tells."""
    prefix = key.prefix if key else None
    return {"prefix_organisation": prefix.usage if prefix else None, "restricted": isinstance(key, Rcn)}


def _elements(text: str) -> GS1ElementStrings:
    # The library skips what it cannot read between two elements; the pattern does not let it.
    try:
        if text.startswith(_SCHEMES):
            return GS1DigitalLinkURI.parse(text).element_strings
        if _ELEMENT_STRING.fullmatch(text):
            return GS1Message.parse_hri(text).element_strings
    except (ParseError, ValueError, ArithmeticError):
        pass
    raise Malformed("shape", "This is not a readable GS1 element string or Digital Link.")


def _single_key(elements: GS1ElementStrings, keys: frozenset[str]) -> tuple[str, Document]:
    found = [element.value for element in elements if element.ai.ai in keys]
    if len(found) != 1:
        raise Malformed("ai", f"Exactly one of the application identifiers {', '.join(sorted(keys))} is wanted.")
    others = Document((element.ai.ai, element.value) for element in elements if element.ai.ai not in keys)
    return found[0], others


def read(value: str, keys: frozenset[str]) -> tuple[str, Document]:
    """Return the digits of the one key in `value` and the other elements by application identifier.

    `keys` are the application identifiers that carry the key. Raises `Malformed` with `characters`,
    `shape` or `ai`. Letter case counts in a Digital Link and in element values, as GS1 has it.
    """
    others = Document()
    number = plain(value, KEEPING).strip(" ")
    if number.startswith(("(", *_SCHEMES)):
        number, others = _single_key(_elements(number), keys)
    else:
        number = number.translate(_SPELLING)
    if not _DIGITS.fullmatch(number):
        raise Malformed("shape", "A GS1 key has digits only.")
    return number, others

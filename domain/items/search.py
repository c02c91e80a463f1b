"""The words by which an item is found (items-events.md 9.1, parameter `q`)."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from domain.items.values import Item

MAX_TOKENS = 400
_PLAIN_WORD = re.compile("[0-9a-z]+")


def words(text: str) -> tuple[str, ...]:
    """Cut `text` at non-alphanumerics after NFKD, marks dropped, lower-cased; order kept, repeats dropped."""
    if text.isascii():
        return tuple(dict.fromkeys(_PLAIN_WORD.findall(text.lower())))
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()
    return tuple(dict.fromkeys("".join(run) for alnum, run in groupby(plain, str.isalnum) if alnum))


def search_tokens(item: Item) -> tuple[str, ...]:
    """Return the words of an item: display forms of its own non-personal identifiers and the texts of its data,
    both from contributions without a circuit. At most 400, cut in that order."""
    found = dict.fromkeys(token for text in _texts(item) for token in words(text))
    return tuple(found)[:MAX_TOKENS]


def _texts(item: Item) -> Iterator[str]:
    for identifier in item.identifiers:
        if identifier.circuit_id is None and identifier.lookup == identifier.normalised:
            yield identifier.display
    yield from _strings(item.data)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from _strings(member)
    elif isinstance(value, tuple):
        for member in value:
            yield from _strings(member)

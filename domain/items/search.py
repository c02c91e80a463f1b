"""The words by which an item is found (items-events.md 9.1, parameter `q`)."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import filterfalse
from typing import Any

from domain.canonical import sha256_hex
from domain.items.values import Item

MAX_TOKENS = 400
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> tuple[str, ...]:
    """Cut `text` at non-alphanumerics after NFKD, marks dropped, lower-cased; order kept, repeats dropped."""
    if not text.isascii():
        text = "".join(filterfalse(unicodedata.combining, unicodedata.normalize("NFKD", text)))
    return tuple(dict.fromkeys(_WORD.findall(text.lower())))


def namespace_mark(namespace: str) -> str:
    """Return the word by which items with an identifier of a namespace are found. No search word equals a mark."""
    return f"#n{namespace}"


def kind_mark(kind: str) -> str:
    """Return the word by which items with an identifier of a kind are found."""
    return f"#k{kind}"


def evidence_mark(level: str) -> str:
    """Return the word by which items with an identifier of a level of evidence are found."""
    return f"#e{level}"


def alias_mark(workspace_id: str, scheme: str, value: str) -> str:
    """Return the word by which items that a workspace calls so are found."""
    return f"#a{sha256_hex(f'{workspace_id} {scheme} {value}'.encode())}"


def splits(text: str) -> list[tuple[str, str]]:
    """Return what `scheme:value` may mean: a scheme may have colons itself."""
    return [(text[:place], text[place + 1 :]) for place, sign in enumerate(text) if sign == ":"]


def stored_tokens(item: Item) -> tuple[str, ...]:
    """Return all words under which a store files an item: those that are searched, and marks of what is filtered."""
    marks: dict[str, None] = {}
    for one in item.identifiers:
        marks[kind_mark(one.kind)] = marks[evidence_mark(one.evidence)] = None
        if one.namespace is not None:
            marks[namespace_mark(one.namespace)] = None
    named = (alias_mark(one.workspace_id, one.scheme, one.value) for one in item.aliases)
    return (*search_tokens(item), *marks, *named)


def search_tokens(item: Item) -> tuple[str, ...]:
    """Return the words of an item: display forms of its own non-personal identifiers and the texts of its data,
    both from contributions without a circuit. At most 400, cut in that order."""
    return words(" ".join(_texts(item)))[:MAX_TOKENS]


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

"""ETag, If-Match, If-None-Match, Cache-Control, Vary (http.md 8)."""

import hashlib
import re
from typing import Final

from domain.errors import Refusal
from domain.precondition import Versions
from entrypoints.http.answers import Answer, header
from entrypoints.http.routing import IfMatch

VARY: Final = "Authorization, X-API-Key, X-Page-Token, Accept-Language, Accept-Encoding, Origin"
PRIVATE: Final = "private, no-cache"
PUBLIC_PAGE: Final = "no-cache"
DOCUMENT: Final = "public, max-age=300"

ABSENT: Final = frozenset({-1})

_TAG: Final = r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"'
_LIST: Final = re.compile(rf"\s*{_TAG}(\s*,\s*{_TAG})*\s*")
_ONE: Final = re.compile(_TAG)
_VERSION: Final = re.compile(r"(\d{1,18})(-[0-9a-f]{16})?")


def etag(body: bytes, version: int | None) -> str:
    """Return the strong tag of a representation: its version, where it has one, and a digest of its bytes."""
    digest = hashlib.sha256(body).hexdigest()[:16]
    return f'"{digest}"' if version is None else f'"{version}-{digest}"'


def accepted_versions(value: str | None, rule: IfMatch) -> Versions:
    """Read If-Match: the versions it names, None when the caller does not ask.

    Where it is required, `ABSENT` stands for a header that is missing or `*`: no object is at that version, so
    the refusal comes at its place, after existence and rights. Raises Refusal `header_invalid` when unreadable.
    """
    if value is None or value.strip() == "*":
        return ABSENT if rule == "required" else None
    versions = (_VERSION.fullmatch(tag) for weak, tag in _tags(value, "If-Match") if not weak)
    return frozenset(int(match[1]) for match in versions if match)


def _tags(value: str, name: str) -> list[tuple[str, str]]:
    if not _LIST.fullmatch(value):
        raise Refusal("header_invalid", f"{name} is a list of entity tags in double quotes.")
    return _ONE.findall(value)


def unchanged(answer: Answer, if_none_match: str | None) -> Answer | None:
    """Return 304 when the caller has this representation already. Raises Refusal `header_invalid`."""
    if if_none_match is None:
        return None
    everything = if_none_match.strip() == "*"
    known = () if everything else tuple(f'"{tag}"' for _, tag in _tags(if_none_match, "If-None-Match"))
    tag = header(answer, "etag")
    if tag is None or not (everything or tag in known):
        return None
    kept = tuple((name, value) for name, value in answer.headers if name in ("etag", "cache-control", "retry-after"))
    return Answer(304, b"", kept, answer.secret)

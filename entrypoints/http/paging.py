"""Cursors, pages and Link (http.md 7)."""

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

import attrs
import msgspec

from domain.errors import Refusal
from domain.instants import parse_instant, wire
from domain.ports.queries import Cursor, Page
from entrypoints.http.codec import plain

MAX_CURSOR: Final = 1024
_TAG: Final = 16
_VERSION: Final = 1
_NOT_FILTERS: Final = ("limit", "cursor")
_sorted = msgspec.json.Encoder(order="sorted")


@attrs.frozen
class Listing:
    """Which list is being read: its name, and a digest of everything but limit and cursor."""

    name: str
    sort: str
    order: str
    filters: str


def listing(name: str, query: Any, path: Any) -> Listing:
    """Return the identity of a list from its declared name, its query value and its path parameters."""
    members = {key: value for key, value in plain(query).items() if key not in _NOT_FILTERS}
    digest = hashlib.sha256(_sorted.encode([members, plain(path)])).hexdigest()[:32]
    return Listing(name, str(members.get("sort", "")), str(members.get("order", "")), digest)


@attrs.frozen
class Cursors:
    """Makes and reads cursors under the first key; the others are read too (rotation)."""

    keys: tuple[bytes, ...] = attrs.field(repr=False)

    def write(self, of: Listing, after: Cursor) -> str:
        """Return the cursor that continues a list after a row."""
        payload = _sorted.encode([_VERSION, of.name, of.sort, of.order, [_out(part) for part in after], of.filters])
        return urlsafe_b64encode(_tag(self.keys[0], payload) + payload).rstrip(b"=").decode()

    def read(self, of: Listing, text: str) -> Cursor:
        """Return where a cursor of this very list continues. Raises Refusal `cursor_invalid`."""
        payload = self._payload(text)
        if payload is not None:
            version, name, sort, order, after, filters = msgspec.json.decode(payload)
            if (version, Listing(name, sort, order, filters)) == (_VERSION, of):
                return tuple(_in(part) for part in after)
        raise Refusal("cursor_invalid", "This is no cursor of this list with these filters and this order.")

    def _payload(self, text: str) -> bytes | None:
        if len(text) > MAX_CURSOR or not text.isascii():
            return None
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except ValueError:
            return None
        if urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
            return None
        tag, payload = raw[:_TAG], raw[_TAG:]
        return payload if any(hmac.compare_digest(tag, _tag(key, payload)) for key in self.keys) else None


def _tag(key: bytes, payload: bytes) -> bytes:
    return hmac.digest(key, payload, "sha256")[:_TAG]


def _out(part: Any) -> Any:
    return {"t": wire(part)} if isinstance(part, datetime) else part


def _in(part: Any) -> Any:
    return parse_instant(part["t"]) if isinstance(part, dict) else part


def page_body(page: Page[Any], entries: list[Any], cursor: str | None) -> dict[str, Any]:
    """Return the body of one page."""
    return {"items": entries, "next_cursor": cursor}


def next_link(path: str, parameters: list[tuple[str, str]], cursor: str) -> str:
    """Return the Link header that leads to the next page of a GET list."""
    kept = [(name, value) for name, value in parameters if name != "cursor"]
    query = "&".join(f"{quote(name, safe='')}={quote(value, safe=',:')}" for name, value in [*kept, ("cursor", cursor)])
    return f'<{path}?{query}>; rel="next"'

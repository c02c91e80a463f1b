"""One request and its answer while they are under way: identity, trace, client (http.md 14, platform.md 1.5)."""

import ipaddress
import os
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any, Final, Protocol

from application.ahead import NOTHING_AHEAD, Ahead
from domain.access.principal import Principal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
WHOLE: Final = "defarm.answer"
"""The extension of ASGI by which a server takes status, headers and body of an answer as one message."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TRACEPARENT: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_ALONE: Final = frozenset({b"authorization", b"x-api-key"})


class Named(Protocol):
    """What an exchange knows of the route it serves."""

    @property
    def path(self) -> str: ...


class Exchange:
    """Facts of one request, read once, and what becomes of it."""

    __slots__ = (
        "aborted", "address", "ahead", "body_read", "bytes_in", "bytes_out", "code", "committing", "credential_sent",
        "expired", "extra_headers", "headers", "in_flight", "method", "path", "principal", "query", "receive",
        "repeated", "request_id", "route", "send", "socket", "started", "trace_id", "whole",
    )  # fmt: skip

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope["headers"]
        self.started = time.perf_counter()
        self.socket: bool = scope["type"] == "websocket"
        self.method: str = "GET" if self.socket else scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = dict(raw)
        self.repeated: frozenset[bytes] = frozenset()
        if len(self.headers) != len(raw):
            self.headers, self.repeated = _joined(raw)
        self.receive = receive
        self.send = send
        self.whole: bool = WHOLE in scope.get("extensions", ())
        self.trace_id, self.request_id = _identity(self.headers)
        self.address: str | None = None
        self.ahead: Ahead = NOTHING_AHEAD
        self.principal: Principal | None = None
        self.route: Named | None = None
        self.code: str | None = None
        self.bytes_in = self.bytes_out = 0
        self.body_read = self.expired = self.aborted = self.credential_sent = self.committing = False
        self.in_flight = False
        self.extra_headers: tuple[tuple[str, str], ...] = ()

    def header(self, name: bytes) -> str | None:
        """Return a header as text, repeated ones joined by a comma."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    @property
    def locale(self) -> str:
        """The language of the account, else of the request."""
        if self.principal is not None and self.principal.user_id is not None:
            return self.principal.locale
        return accepted_locale(self.headers.get(b"accept-language", b""))


REQUEST: ContextVar[Exchange | None] = ContextVar("request", default=None)


def add_request(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the identity of the current request to a log record; a structlog processor (platform.md 10.3)."""
    exchange = REQUEST.get()
    if exchange is not None:
        event["trace_id"] = exchange.trace_id
        event["request_id"] = exchange.request_id
        event["method"] = exchange.method
        event["route"] = exchange.route.path if exchange.route else None
        event["principal"] = named_principal(exchange.principal)
    return event


def named_principal(principal: Principal | None) -> str | None:
    """Return the kind and id of a principal as logs name it."""
    if principal is None:
        return None
    return f"{principal.kind.value}:{principal.key_id or principal.user_id or ''}".rstrip(":")


def _joined(raw: list[tuple[bytes, bytes]]) -> tuple[dict[bytes, bytes], frozenset[bytes]]:
    headers: dict[bytes, bytes] = {}
    repeated = set()
    for name, value in raw:
        if name not in headers:
            headers[name] = value
            continue
        repeated.add(name)
        if name not in _ALONE:
            headers[name] += b", " + value
    return headers, frozenset(repeated)


def _identity(headers: dict[bytes, bytes]) -> tuple[str, str]:
    parent = headers.get(b"traceparent")
    match = _TRACEPARENT.fullmatch(parent) if parent is not None else None
    trace_id = match[1].decode() if match else os.urandom(16).hex()
    own = headers.get(b"x-request-id")
    return trace_id, own.decode() if own is not None and _REQUEST_ID.fullmatch(own) else trace_id


@lru_cache(256)
def accepted_locale(accept_language: bytes) -> str:
    """Return `en` or `pt_br`, whichever the header prefers; `en` without a preference."""
    return preferred(accept_language, lambda tag: {"pt": "pt_br", "en": "en"}.get(tag.split("-")[0])) or "en"


def preferred(accepted: bytes, meaning: Callable[[str], str | None]) -> str | None:
    """Return what the entry of greatest weight of an `Accept` header means (RFC 9110, 12.4.2), None without a wish.

    `meaning` gives the meaning of what an entry names, None for what is not offered; of equal wishes the first counts.
    """
    best, best_weight = None, 0.0
    for part in accepted.decode("latin-1").lower().split(","):
        named, _, parameters = part.partition(";")
        meant, wished = meaning(named.strip()), _weight(parameters)
        if meant is not None and wished > best_weight:
            best, best_weight = meant, wished
    return best


def _weight(parameters: str) -> float:
    """Return the weight that an entry gives to what it names, 0 for one that cannot be read."""
    match = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", parameters)
    return float(match[1]) if match else (1.0 if not parameters.strip() else 0.0)


def client_address(peer: str | None, forwarded: bytes | None, trusted: tuple[Network, ...]) -> str | None:
    """Return the address that counts as the client's (platform.md 1.5)."""
    current = _address(peer or "")
    if current is None or not _inside(current, trusted):
        return str(current) if current is not None else peer
    for part in reversed((forwarded or b"").decode("latin-1").split(",")):
        hop = _address(part.strip())
        if hop is None:
            break
        current = hop
        if not _inside(hop, trusted):
            break
    return str(current)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _inside(address: ipaddress.IPv4Address | ipaddress.IPv6Address, trusted: tuple[Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in trusted)

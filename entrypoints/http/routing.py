"""Declarations of routes: everything the kernel and the OpenAPI document know about one (http.md 1, 15, 17)."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import date, datetime
from functools import cached_property
from typing import Any, Final, Literal

import attrs

from application.ahead import NOTHING_AHEAD, Ahead
from domain.access.principal import Principal
from domain.ports.queries import Cursor
from domain.ports.storage import Place
from domain.precondition import Versions
from entrypoints.http.auth import Demand
from entrypoints.http.codec import kinds

PathKind = Literal["id", "dfid", "text", "integer"]
IfMatch = Literal["honoured", "required"]

JSON_TYPES: Final = ("application/json",)
PATCH_TYPES: Final = ("application/json", "application/merge-patch+json")
UPLOAD_TYPES: Final = ("text/csv", "application/x-ndjson", "multipart/form-data")
READING: Final = frozenset({"GET", "HEAD"})
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_OPERATION: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


@attrs.frozen
class Upload:
    """A body that is read as it comes. `chunks` raises Refusal for too much or too slow a body."""

    media_type: str
    parameters: Mapping[str, str]
    chunks: AsyncIterator[bytes]


@attrs.frozen(slots=False)
class Call:
    """What a handler is given. It reads no header and names no status.

    `body` and `query` are values of the declared classes, `path` the checked parameters by name, `if_match` the
    versions the caller accepts, `after` where a page continues. `origin`, `host`, `page_token` and `last_event_id`
    are the headers that public pages and streams need; `upgrade` tells
    that a WebSocket is asked for, `ahead` holds the rows that were read with the credential's.
    """

    principal: Principal
    path: Mapping[str, Any]
    query: Any = None
    body: Any = None
    if_match: Versions = None
    after: Cursor | None = None
    upload: Upload | None = None
    page_token: str | None = None
    origin: str | None = None
    last_event_id: str | None = None
    host: str | None = None
    upgrade: bool = False
    ahead: Ahead = attrs.field(default=NOTHING_AHEAD, repr=False)

    @property
    def limit(self) -> int:
        """How many entries a page may have."""
        source = self.query if hasattr(self.query, "limit") else self.body
        return int(source.limit)


Handler = Callable[[Call], Awaitable[Any]]


@attrs.frozen
class Deprecation:
    """Since when a route should no longer be used, and the day on which it ends (http.md 16)."""

    since: datetime
    sunset: date


@attrs.frozen(kw_only=True)
class Route:
    """One operation of the API.

    Exactly one of `scope`, `session`, `any_credential`, `public` says who may call; a route without one does not
    start. `opened_by` knows a bearer that opens this route alone, beside the credentials that do. `handler` returns
    what the use case returned, or a `Stream`; `view` makes the representation of it (of each entry, for a page),
    `status_of` chooses among `success` when there are several, `location` its address (below the path of the route
    when it does not begin with a slash), `version_of` its version, `links` the addresses of related things with
    their relations, `cache_of` its Cache-Control where the usual one does not hold, `unfinished` whether work is still
    under way, so that another look is worth while. All of them are pure, because they run inside the unit of the
    effect too, on what that unit returned: with an Idempotency-Key the answer is made there, so a handler returns
    just that. Pages of the kernel itself may return an `Answer`.

    `answer` is the class of the representation, `answers` those of single statuses, `other_forms` has examples of the
    texts that it may be sent as instead, by media type. `page` marks lists; with
    `framed` the page stands as `items` among those members, and `answer` is the whole. `bulk` and `uploads` mark
    long bodies, `reads` a POST that changes nothing, `secret` answers with secrets, `export` and `live` streams,
    `socket` a WebSocket, both with the shapes of their `messages` by name. `policy` names a limit of the route's
    own. `body` and `query` are attrs classes. `ahead` tells from the parameters of the path and
    the user which rows the handler reads first of all. A handler that changes something gives them to its unit; what a
    GET answers that reads ahead does not change by time alone.
    """

    method: str
    path: str
    handler: Handler = attrs.field(repr=False)
    operation_id: str
    tag: str
    summary: str
    scope: str | None = None
    session: bool = False
    any_credential: bool = False
    public: bool = False
    admin: bool = False
    manager: bool = False
    credential_if_sent: bool = False
    ticket: bool = False
    opened_by: Callable[[str], bool] | None = attrs.field(default=None, repr=False)
    body: type[Any] | None = None
    query: type[Any] | None = None
    ahead: Callable[[Mapping[str, Any], str], tuple[Place, ...]] | None = attrs.field(default=None, repr=False)
    kinds: Mapping[str, PathKind] = attrs.field(factory=dict)
    success: tuple[int, ...] = (200,)
    status_of: Callable[[Any], int] | None = None
    location: Callable[[Any], str | None] | None = None
    links: Callable[[Any], tuple[tuple[str, str], ...]] | None = None
    view: Callable[[Any], Any] | None = None
    version_of: Callable[[Any], int | None] | None = None
    cache_of: Callable[[Any], str] | None = None
    unfinished: Callable[[Any], bool] | None = None
    framed: Callable[[Any], Mapping[str, Any]] | None = None
    answer: Any = None
    answers: Mapping[int, Any] = attrs.field(factory=dict, repr=False)
    media_type: str | None = None
    other_forms: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    messages: Mapping[str, Any] | None = attrs.field(default=None, repr=False)
    versioned: bool = False
    if_match: IfMatch | None = None
    page: bool = False
    bulk: bool = False
    uploads: bool = False
    reads: bool = False
    secret: bool = False
    export: bool = False
    live: bool = False
    socket: bool = False
    unlimited: bool = False
    keyed: bool | None = None
    policy: str | None = None
    body_limit: int | None = None
    problems: tuple[str, ...] = ()
    request_example: Any = None
    deprecated: Deprecation | None = None

    def __attrs_post_init__(self) -> None:
        if not _OPERATION.fullmatch(self.operation_id):
            raise TypeError(f"operation ids are noun_verb: {self.operation_id!r}")
        if self.path != "/" and not self.path.startswith("/"):
            raise TypeError(f"a path starts with a slash: {self.path!r}")
        if len(self.success) != 1 and self.status_of is None:
            raise TypeError(f"{self.operation_id} does not say which status it answers with")
        if self.page and not self._pages_by():
            raise TypeError(f"the list {self.operation_id} needs limit and cursor")
        _ = self.demand

    def _pages_by(self) -> bool:
        shapes: list[Any] = [cls for cls in (self.query, self.body) if cls is not None]
        names = {member.name for cls in shapes for member in kinds.members_of(cls)}
        return {"limit", "cursor"} <= names

    @cached_property
    def demand(self) -> Demand:
        """What the route asks of its caller. Raises TypeError when it does not say."""
        return Demand(
            scope=self.scope,
            session=self.session,
            any_credential=self.any_credential,
            public=self.public,
            admin=self.admin,
            manager=self.manager,
            credential_if_sent=self.credential_if_sent,
            ticket=self.ticket,
            opened_by=self.opened_by,
        )

    @cached_property
    def parameters(self) -> Mapping[str, PathKind]:
        """The path parameters in order, with their kinds: by name, unless `kinds` says otherwise."""
        return {name: self.kinds.get(name) or _kind_by_name(name) for name in _PARAMETER.findall(self.path)}

    @property
    def changes(self) -> bool:
        """Whether the route may change something."""
        return self.method not in READING and not self.reads

    @property
    def takes_key(self) -> bool:
        """Whether an Idempotency-Key counts (http.md 9)."""
        if self.keyed is not None:
            return self.keyed
        outside = self.public or self.reads or self.path.startswith("/api/auth/") or not self.path.startswith("/api/")
        return self.method == "POST" and not outside

    def time_budget(self, seconds: float) -> float | None:
        """Return the seconds a request may take, None when only its idle time is bounded (http.md 13)."""
        if self.uploads or self.streams:
            return None
        return seconds * (4 if self.bulk else 1)

    @property
    def conditional(self) -> bool:
        """Whether a client that knows the present representation is told so, without it (http.md 8)."""
        return self.method == "GET" and not self.page and not self.streams

    @property
    def streams(self) -> bool:
        """Whether the answer is sent as it comes."""
        return self.export or self.live or self.socket

    @property
    def media_types(self) -> tuple[str, ...]:
        """The request types the route takes."""
        if self.uploads:
            return UPLOAD_TYPES
        return PATCH_TYPES if self.method == "PATCH" else JSON_TYPES


def _kind_by_name(name: str) -> PathKind:
    if name == "dfid" or name.endswith("_dfid"):
        return "dfid"
    return "id" if name.endswith("_id") or name == "id" else "text"

"""Serving one route: the checks of http.md 3 from the credential on, the handler, the answer."""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import lru_cache, partial
from typing import Any, Protocol
from urllib.parse import unquote_to_bytes

import attrs

from application.ahead import Ahead
from application.completion import completion
from application.denials import Denial
from domain.access.principal import ANONYMOUS, Principal
from domain.errors import Fault, Invalid, Refusal
from domain.ids import parse_id
from domain.ports.limits import Verdict
from domain.ports.queries import Cursor
from domain.ports.storage import Unit
from entrypoints.http import conditional
from entrypoints.http.answers import Answer, Socket, Stream
from entrypoints.http.auth import Authenticator, admit, authenticate
from entrypoints.http.bodies import body_limit, open_upload, read_body
from entrypoints.http.codec import decode_query, parse, shape, split_query
from entrypoints.http.codec import kinds as codec_kinds
from entrypoints.http.errors import occurrence
from entrypoints.http.exchange import Exchange
from entrypoints.http.idempotency import Idempotency, read_key
from entrypoints.http.kept import KeptAnswers
from entrypoints.http.keyed import Keyed
from entrypoints.http.limits import RequestLimits, limit_headers, refuse_beyond
from entrypoints.http.paging import Cursors, listing
from entrypoints.http.presenting import PagePlace, deprecation_headers, present
from entrypoints.http.routing import Call, PathKind, Route, Upload
from entrypoints.http.settings import HttpSettings

DfidParser = Callable[[str], str | None]
MAX_SEGMENT = 512
_TOLD = {b"x-page-token": "page_token", b"origin": "origin", b"last-event-id": "last_event_id", b"host": "host"}
"""Headers that a call carries as they came."""
_TOLD_OTHERWISE = frozenset({"password_wrong", "account_frozen"})
"""Refusals that are in the audit as failed logins."""
_INTEGER = re.compile(r"0|[1-9]\d{0,14}", re.ASCII)


class Gate(Protocol):
    """What decides whether changes are taken at all."""

    @property
    def read_only(self) -> bool: ...


@attrs.frozen
class Nothing:
    """The shape of an absent body, and of no parameters."""


@attrs.frozen(kw_only=True)
class Kernel:
    """What every route is served with.

    `count_key` is told the status of every request that came with a key, `note_denial` of every refusal that
    belongs into the audit.
    """

    settings: HttpSettings
    authenticator: Authenticator
    cursors: Cursors
    idempotency: Idempotency
    limits: RequestLimits | None
    parse_dfid: DfidParser
    gate: Gate
    kept: KeptAnswers
    count_key: Callable[[str, int], None] = lambda key_id, status: None
    note_denial: Callable[[Denial], None] = lambda denial: None


@attrs.frozen(slots=False)
class Input:
    """What a request carries, read but not yet judged."""

    path: Mapping[str, Any]
    json: Any
    raw: bytes


class Serving:
    """One route, with what can be known of it before a request comes."""

    def __init__(self, route: Route, kernel: Kernel) -> None:
        self.route, self.kernel = route, kernel
        body: Any = route.body or Nothing
        query: Any = route.query or Nothing
        takes_body = route.body is not None or route.method in ("POST", "PUT", "PATCH")
        self.body_class = body if takes_body and not route.uploads else None
        self.body_optional = not any(member.required for member in codec_kinds.members_of(body))
        self.query_class = query
        requires = any(member.required for member in codec_kinds.members_of(query))
        self.no_query = None if requires else decode_query([], self.query_class)
        self.limit = body_limit(route, kernel.settings)
        self.extra = deprecation_headers(route)
        self.keeps = route.method == "GET" and route.ahead is not None

    async def serve(self, exchange: Exchange, segments: Mapping[str, str]) -> Answer | Stream | Socket:
        """Run the checks in order and the handler. Raises Refusal, Invalid and whatever the handler raises."""
        exchange.extra_headers = self.extra
        if self.keeps:
            return await self._kept(exchange, segments)
        return await self._made(exchange, segments)

    async def _kept(self, exchange: Exchange, segments: Mapping[str, str]) -> Answer | Stream | Socket:
        """Answer as before where nothing changed that the answer rests on."""
        answers = self.kernel.kept
        kept = await answers.find(exchange)
        if kept is not None:
            exchange.principal, exchange.credential_sent = kept.principal, True
            await self._charge(exchange, kept.principal)
            return kept.answer
        answers.begin()
        answer = await self._made(exchange, segments)
        if isinstance(answer, Answer):
            answers.keep(exchange, answer)
        return answer

    async def _made(self, exchange: Exchange, segments: Mapping[str, str]) -> Answer | Stream | Socket:
        route, kernel = self.route, self.kernel
        path = None
        if route.ahead is not None:
            # A path that is not one is refused in its turn, after the credential.
            with suppress(Refusal):
                path = self._path(segments)
                exchange.ahead = Ahead(partial(route.ahead, path))
        principal = await self._authenticated(exchange)
        exchange.principal = principal
        self._admit(principal, segments)
        await self._charge(exchange, principal)
        if route.changes and kernel.gate.read_only:
            raise Refusal("read_only", "The store is being copied.", retry_after_seconds=5)
        try:
            return await self._answer(exchange, await self._read(exchange, segments, path))
        except Refusal as refused:
            self._note_denied(principal, segments, refused)
            raise

    def _admit(self, principal: Principal, segments: Mapping[str, str]) -> None:
        try:
            admit(principal, self.route.demand)
        except Refusal as refused:
            self._note_denied(principal, segments, refused)
            raise

    def _note_denied(self, principal: Principal, segments: Mapping[str, str], refused: Refusal) -> None:
        """Tell the audit of a user who was refused by a rule, or kept from something that exists (platform.md 6.3)."""
        if principal.user_id is None or refused.code in _TOLD_OTHERWISE:
            return
        if refused.hides or occurrence(refused).problem.status == 403:
            route = f"{self.route.method} {self.route.path}"
            resource = _resource(self.route, segments)
            self.kernel.note_denial(Denial(principal, "access.denied", resource, refused.code, route))

    async def _authenticated(self, exchange: Exchange) -> Principal:
        try:
            return await authenticate(exchange, self.route.demand, self.kernel.authenticator)
        except Refusal as refused:
            limits = self.kernel.limits
            if limits is not None and refused.code not in ("ambiguous_credentials", "overloaded"):
                self._note(exchange, await limits.charge_anonymous(exchange.address))
            raise

    async def _charge(self, exchange: Exchange, principal: Principal) -> None:
        limits = self.kernel.limits
        if limits is not None and not self.route.unlimited:
            self._note(exchange, await limits.charge(principal, self.route.policy))

    def _note(self, exchange: Exchange, verdicts: list[Verdict]) -> None:
        exchange.extra_headers = (*self.extra, *limit_headers(verdicts))
        refuse_beyond(verdicts)

    async def _read(self, exchange: Exchange, segments: Mapping[str, str], path: Mapping[str, Any] | None) -> Input:
        """Read the body and the path: 415, 413, 408, then 400."""
        raw, json = b"", None
        if self.body_class is not None:
            raw = await read_body(exchange, self.route, self.limit, self.kernel.settings.body_idle)
            json = {} if not raw and self.body_optional else parse(raw)
        exchange.body_read = exchange.body_read or not self.route.uploads
        return Input(self._path(segments) if path is None else path, json, raw)

    def _path(self, segments: Mapping[str, str]) -> dict[str, Any]:
        """Return the parameters of the path. Raises Refusal for one that is not of its kind."""
        return {
            name: _path_value(kind, segments[name], self.kernel.parse_dfid)
            for name, kind in self.route.parameters.items()
        }

    async def _answer(self, exchange: Exchange, found: Input) -> Answer | Stream | Socket:
        key = read_key(exchange.header(b"idempotency-key")) if self.route.takes_key else None
        if key is not None:
            return await Keyed(self, exchange, found, key).answer()
        upload = self.upload(exchange) if self.route.uploads else None
        call, place = self.call(exchange, found, upload)
        # What a bulk body was parsed to is large, and everything that counts in it stands in the call.
        del found
        if self.route.changes:
            completion.set(_marking(exchange))
        return self._finished(exchange, await self.handle(exchange, call), place, call.path)

    def _finished(
        self, exchange: Exchange, result: Any, place: PagePlace | None, path: Mapping[str, Any]
    ) -> Answer | Stream | Socket:
        if isinstance(result, Stream | Socket):
            return result
        answer = result if isinstance(result, Answer) else present(self.route, result, place, path)
        if self.route.method == "GET":
            return conditional.unchanged(answer, exchange.header(b"if-none-match")) or answer
        return answer

    async def handle(self, exchange: Exchange, call: Call) -> Any:
        """Run the handler. An If-Match that is required and absent is 428 where another version would be 412."""
        try:
            return await self.route.handler(call)
        except Refusal as refused:
            if refused.code == "version_mismatch" and call.if_match is conditional.ABSENT:
                raise Refusal("if_match_required", "Send If-Match with the ETag of the object.") from None
            raise

    def upload(self, exchange: Exchange) -> Upload:
        """Open the body of an import."""
        return open_upload(exchange, self.route, self.limit, self.kernel.settings.body_idle)

    def call(self, exchange: Exchange, found: Input, upload: Upload | None = None) -> tuple[Call, PagePlace | None]:
        """Judge the shape of body and parameters together. Raises Invalid, and Refusal for cursor and If-Match."""
        route = self.route
        query, body, parameters = self._shaped(exchange, found)
        paged = body if route.query is None else query
        place = self._place(exchange, found, paged, parameters)
        if_match = None
        if route.if_match is not None:
            if_match = conditional.accepted_versions(exchange.header(b"if-match"), route.if_match)
        told: dict[str, Any] = {name: exchange.header(key) for key, name in _TOLD.items() if key in exchange.headers}
        call = Call(
            principal=exchange.principal or ANONYMOUS,
            path=found.path,
            query=query,
            body=body,
            if_match=if_match,
            after=_after(place, paged),
            upload=upload,
            upgrade=exchange.socket,
            ahead=exchange.ahead,
            **told,
        )
        return call, place

    def _shaped(self, exchange: Exchange, found: Input) -> tuple[Any, Any, list[tuple[str, str]]]:
        if self.body_class is None and not exchange.query and self.no_query is not None:
            return self.no_query, None, []
        faults: list[Fault] = []
        query = body = None
        parameters: list[tuple[str, str]] = []
        if self.body_class is not None:
            try:
                body = shape(found.json, self.body_class)
            except Invalid as refused:
                faults += refused.faults
        try:
            parameters = self._parameters(exchange)
            query = decode_query(parameters, self.query_class)
        except Invalid as refused:
            faults += refused.faults
        if faults:
            raise Invalid(faults)
        return query, body, parameters

    def _parameters(self, exchange: Exchange) -> list[tuple[str, str]]:
        if not exchange.query:
            return []
        parameters = split_query(exchange.query)
        return [pair for pair in parameters if pair[0] != "ticket"] if self.route.ticket else parameters

    def _place(
        self, exchange: Exchange, found: Input, filters: Any, parameters: list[tuple[str, str]]
    ) -> PagePlace | None:
        if not self.route.page:
            return None
        name = listing(self.route.operation_id, filters, found.path)
        return PagePlace(self.kernel.cursors, name, exchange.path, parameters)


def _resource(route: Route, segments: Mapping[str, str]) -> tuple[str, str]:
    """Return what a path names last: an id, never a text that somebody may have made up."""
    named = [(name.removesuffix("_id"), segments[name]) for name, kind in route.parameters.items() if kind != "text"]
    kind, text = named[-1] if named else ("route", route.operation_id)
    return kind[:32], text[:128]


def _after(place: PagePlace | None, paged: Any) -> Cursor | None:
    if place is None or paged.cursor is None:
        return None
    return place.cursors.read(place.listing, paged.cursor)


def _marking(exchange: Exchange) -> Callable[[Unit, Any], Awaitable[None]]:
    """Return a completion that only notes that the unit is about to commit."""

    async def mark(_: Unit, __: Any) -> None:
        exchange.committing = True

    return mark


@lru_cache(1024)
def _path_value(kind: PathKind, segment: str, parse_dfid: DfidParser) -> Any:
    text = _unescaped(segment)
    if kind == "dfid":
        value: Any = parse_dfid(text) if text is not None else None
        return _known(value, "dfid_invalid", "This is not a DFID.")
    if text is None or kind == "text":
        return _known(text, "id_invalid", "A part of the path is not text.")
    if kind == "integer":
        return _known(int(text) if _INTEGER.fullmatch(text) else None, "id_invalid", "A whole number is expected.")
    return _known(parse_id(text), "id_invalid", "A UUID is expected.")


def _known(value: Any, code: str, detail: str) -> Any:
    if value is None:
        raise Refusal(code, detail)
    return value


def _unescaped(segment: str) -> str | None:
    try:
        text = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        return None
    return text if "\x00" not in text and len(text) <= MAX_SEGMENT else None

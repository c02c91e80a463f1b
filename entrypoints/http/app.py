"""The ASGI application: one chain around every route, outermost first as in http.md 3."""

import asyncio
import ipaddress
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, Final, Protocol
from urllib.parse import quote, unquote_to_bytes

import attrs
import structlog
from litestar import Litestar
from litestar.exceptions import HTTPException
from litestar.handlers import asgi
from litestar.utils import normalize_path

from domain.errors import Refusal
from entrypoints.http import errors
from entrypoints.http.answers import NO_STORE, Answer, Socket, Stream
from entrypoints.http.bodies import ClientGone
from entrypoints.http.exchange import REQUEST, Exchange, Receive, Scope, Send, client_address
from entrypoints.http.heads import MAX_HEADERS, MAX_REQUEST_LINE
from entrypoints.http.health import Health
from entrypoints.http.pages import kernel_routes
from entrypoints.http.routing import Route
from entrypoints.http.sending import METHODS, Raw, Sender
from entrypoints.http.serving import Kernel, Serving
from entrypoints.http.watching import Watch, Watches

CLIENT_GONE: Final = 499
"""The status that the log gives to a request whose client went away; it is never sent."""
_UNRESERVED: Final = "!$&'()*+,;=:@-._~"


class Observer(Protocol):
    """Is told of every finished request: its route template or None, how long it took, the code of its refusal."""

    def __call__(self, method: str, route: str | None, status: int, seconds: float, code: str | None) -> None: ...


@attrs.frozen
class Endpoint:
    """One route with its server."""

    route: Route
    serving: Serving
    budget: float | None


class App:
    """The ASGI callable."""

    def __init__(
        self, routes: Iterable[Route], kernel: Kernel, health: Health, observers: tuple[Observer, ...] = ()
    ) -> None:
        self.kernel, self.health, self.observers = kernel, health, observers
        self.settings = kernel.settings
        self.routes = tuple(routes)
        self.sender = Sender(kernel.settings)
        proxies = tuple(ipaddress.ip_network(text, strict=False) for text in kernel.settings.trusted_proxies)
        self.address = lru_cache(4096)(partial(client_address, trusted=proxies))
        self.largest = max(kernel.settings.max_import_body, kernel.settings.max_bulk_body)
        self.in_flight = 0
        self.watches = Watches()
        self.log = structlog.get_logger("http")
        self.table = _table(self)
        self.litestar = Litestar([_named(path) for path in self.table], openapi_config=None, logging_config=None)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await self._request(scope, receive, upgrading(send))
        else:
            await self.litestar(scope, receive, send)  # type: ignore[arg-type]

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send)
        REQUEST.set(exchange)
        peer = scope.get("client")
        exchange.address = self.address(peer[0] if peer else None, exchange.headers.get(b"x-forwarded-for"))
        status = CLIENT_GONE
        try:
            status = await self._answered(exchange, scope)
        except ClientGone:
            exchange.aborted = True
        finally:
            self._leave(exchange)
            self._record(exchange, CLIENT_GONE if exchange.aborted else status)

    async def _answered(self, exchange: Exchange, scope: Scope) -> int:
        """Answer one request and return the status that was sent."""
        try:
            self._enter(exchange, scope)
            answer = await self._routed(exchange, scope)
        except Refusal as refused:
            answer = self.problem(exchange, refused)
        if answer is None:
            return 200
        await self.sender.send(exchange, answer)
        return answer.status

    def _enter(self, exchange: Exchange, scope: Scope) -> None:
        """The checks that need no route. Raises Refusal 414, 431, 413, 503."""
        raw_path = scope.get("raw_path") or b""
        if len(raw_path) + len(exchange.query) > MAX_REQUEST_LINE:
            raise Refusal("uri_too_long", f"The request line is longer than {MAX_REQUEST_LINE} bytes.")
        headers = exchange.headers
        if sum(map(len, headers)) + sum(map(len, headers.values())) + 4 * len(headers) > MAX_HEADERS:
            raise Refusal("headers_too_large", f"The headers are larger than {MAX_HEADERS} bytes.")
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self.largest:
            exchange.extra_headers = (("connection", "close"),)
            raise Refusal("body_too_large", f"No route takes more than {self.largest} bytes.")
        if not _always_served(exchange):
            self._admit(exchange)

    def _admit(self, exchange: Exchange) -> None:
        if self.health.phase == "starting":
            raise Refusal("starting", "The engine is starting.", retry_after_seconds=1)
        if self.health.closing:
            exchange.extra_headers = (("connection", "close"),)
            raise Refusal("draining", "This instance is shutting down.", retry_after_seconds=1)
        if self.in_flight >= self.settings.max_in_flight:
            raise Refusal("overloaded", "Too many requests are in flight.", retry_after_seconds=1)
        self.in_flight += 1
        self.health.in_flight = self.in_flight
        exchange.in_flight = True

    def turned_away(self, scope: Scope) -> tuple[list[Raw], bytes] | None:
        """Return headers and body for a request that finds no room, without the chain; None when the chain decides."""
        if self.in_flight < self.settings.max_in_flight or self.health.phase == "starting":
            return None
        exchange = Exchange(scope, _nothing, _nothing)
        token = REQUEST.set(exchange)
        try:
            self._enter(exchange, scope)
        except Refusal as refused:
            return self._aside(exchange, refused)[1:] if refused.code == "overloaded" else None
        finally:
            REQUEST.reset(token)
        return None

    def unread(self, refused: Refusal, peer: str | None) -> tuple[int, list[Raw], bytes]:
        """Return status, headers and body for what came from an address and was no request."""
        scope: Scope = {"type": "http", "method": "", "path": "", "query_string": b"", "headers": []}
        exchange = Exchange(scope, _nothing, _nothing)
        exchange.address = self.address(peer, None)
        if refused.code != "request_timeout":
            exchange.extra_headers = (("connection", "close"),)
        token = REQUEST.set(exchange)
        try:
            return self._aside(exchange, refused)
        finally:
            REQUEST.reset(token)

    def _aside(self, exchange: Exchange, refused: Refusal) -> tuple[int, list[Raw], bytes]:
        """Answer a request outside the chain, with its record."""
        answer = self.problem(exchange, refused)
        body = b"" if exchange.method == "HEAD" else answer.body
        exchange.bytes_out = len(body)
        self._record(exchange, answer.status)
        return answer.status, self.sender.headers(exchange, answer), body

    def _leave(self, exchange: Exchange) -> None:
        if exchange.in_flight:
            exchange.in_flight = False
            self.in_flight -= 1
            self.health.in_flight = self.in_flight

    async def _routed(self, exchange: Exchange, scope: Scope) -> Answer | None:
        """Let Litestar find the route. Returns None when a stream was sent.

        It is asked without a method: with one, it would look for the path parameters of that method, which its
        ASGI routes do not have. What Litestar does between finding and calling a handler is not needed here.
        """
        raw_path = scope.get("raw_path") or b""
        path = routable(raw_path) if b"%" in raw_path else exchange.path
        if "//" in path or path.endswith("/") or not path.startswith("/"):
            path = normalize_path(path)
        try:
            _, handler, _, segments, _ = self.litestar.asgi_router.handle_routing(path, None)
        except HTTPException:
            return self.problem(exchange, Refusal("route_not_found", "There is no such path."))
        endpoints = self.table[str(handler.name)]
        method = "GET" if exchange.method == "HEAD" else exchange.method
        endpoint = endpoints.get(method)
        if endpoint is None or (exchange.method == "HEAD" and endpoint.route.streams):
            return self._unrouted(exchange, endpoints)
        exchange.route = endpoint.route
        if not exchange.socket:
            return await self._watched(exchange, endpoint, segments)
        if not endpoint.route.socket:
            return self.problem(exchange, Refusal("route_not_found", "There is no WebSocket at this path."))
        return await self._served(exchange, endpoint, segments)

    def _unrouted(self, exchange: Exchange, endpoints: Mapping[str, Endpoint]) -> Answer:
        allowed = ", ".join(_allowed(endpoints))
        if exchange.method == "OPTIONS":
            preflight = self.sender.preflight if self.sender.allows(exchange.header(b"origin")) else ()
            return Answer(204, b"", (("allow", allowed), *preflight, ("cache-control", NO_STORE)))
        refused = self.problem(exchange, Refusal("method_not_allowed", f"Use one of {allowed}."))
        return attrs.evolve(refused, headers=(*refused.headers, ("allow", allowed)))

    async def _watched(self, exchange: Exchange, endpoint: Endpoint, segments: Mapping[str, str]) -> Answer | None:
        """Serve within the time budget; what a handler raises becomes a problem."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("requests are served in tasks")
        watch = Watch(self.watches, exchange, task, endpoint.budget)
        try:
            return await self._served(exchange, endpoint, segments)
        except asyncio.CancelledError:
            if not watch.fired:
                raise
            task.uncancel()
            if exchange.aborted or exchange.bytes_out:
                raise ClientGone from None
            return self.problem(exchange, _too_late(exchange))
        finally:
            watch.stop()

    async def _served(self, exchange: Exchange, endpoint: Endpoint, segments: Mapping[str, str]) -> Answer | None:
        try:
            answer = await endpoint.serving.serve(exchange, segments)
        except ClientGone:
            raise
        except Exception as error:
            return self.problem(exchange, error)
        if isinstance(answer, Answer):
            return answer
        if isinstance(answer, Socket) or answer.live:
            self._leave(exchange)
        await (self._converse(exchange, answer) if isinstance(answer, Socket) else self._stream(exchange, answer))
        return None

    async def _converse(self, exchange: Exchange, socket: Socket) -> None:
        try:
            await socket.run(exchange.receive, exchange.send)
        except OSError:
            raise ClientGone from None
        except Exception:
            exchange.code = "internal_error"
            self.log.exception("http.socket_broken", trace_id=exchange.trace_id)
            await exchange.send({"type": "websocket.close", "code": 1011})

    async def _stream(self, exchange: Exchange, stream: Stream) -> None:
        try:
            await self.sender.stream(exchange, stream)
        except Exception:
            exchange.code = "internal_error"
            self.log.exception("http.stream_broken", trace_id=exchange.trace_id)

    def problem(self, exchange: Exchange, error: Exception) -> Answer:
        """Return the answer to what went wrong; failures of the server are logged with their stack."""
        found = errors.occurrence(error)
        code = exchange.code = found.problem.code
        if found.problem.status == 500:
            self.log.error("http.failed", trace_id=exchange.trace_id, code=code, exc_info=error)
        locale = exchange.locale
        headers = (
            ("content-type", errors.CONTENT_TYPE),
            ("cache-control", NO_STORE),
            ("content-language", "pt-BR" if locale == "pt_br" else "en"),
            *_challenge(found.headers, exchange.credential_sent),
        )
        if code == "request_timeout":
            headers = (*headers, ("connection", "close"))
        return Answer(found.problem.status, errors.body(found, exchange.trace_id, locale), headers, code=code)

    def _record(self, exchange: Exchange, status: int) -> None:
        seconds = time.perf_counter() - exchange.started
        route = exchange.route.path if exchange.route is not None else None
        log = self.log.bind()
        (log.error if status >= 500 else log.info)(
            "http.request",
            status=status,
            duration_ms=round(seconds * 1000, 3),
            bytes_in=exchange.bytes_in,
            bytes_out=exchange.bytes_out,
            code=exchange.code,
        )
        if exchange.principal is not None and exchange.principal.key_id is not None:
            self.kernel.count_key(exchange.principal.key_id, status)
        for observe in self.observers:
            observe(exchange.method, route, status, seconds, exchange.code)


async def _nothing(*_: Any) -> Any:
    raise RuntimeError("a request that was turned away is neither read nor answered by the chain")


def upgrading(send: Send) -> Send:
    """Return what sends answers to a WebSocket that was not accepted, and everything else as it is."""

    async def sending(message: Any) -> None:
        if message["type"].startswith("http."):
            message = {**message, "type": f"websocket.{message['type']}"}
        await send(message)

    return sending


def _table(app: App) -> dict[str, dict[str, Endpoint]]:
    """Return what serves each path, by method. Raises TypeError for two routes of one method and path."""
    table: dict[str, dict[str, Endpoint]] = defaultdict(dict)
    names: set[str] = set()
    for route in app.routes:
        if route.method in table[route.path] or route.operation_id in names:
            raise TypeError(f"{route.method} {route.path} ({route.operation_id}) is declared twice")
        names.add(route.operation_id)
        serving = Serving(route, app.kernel)
        budget = route.time_budget(app.settings.request_timeout)
        table[route.path][route.method] = Endpoint(route, serving, budget)
    return table


def _named(path: str) -> Any:
    """Return what stands for a path in the router: its name is asked for, and it is not called."""

    async def uncalled(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("the router is only asked for a path")

    return asgi(path.replace("}", ":str}"), name=path, copy_scope=False)(uncalled)


def routable(raw_path: bytes) -> str:
    """Return a path whose segments are escaped in one way, so that an escaped slash stays within its segment."""
    segments = raw_path.partition(b"?")[0].decode("latin-1").split("/")
    return "/".join(quote(unquote_to_bytes(segment), safe=_UNRESERVED) for segment in segments)


def _always_served(exchange: Exchange) -> bool:
    if exchange.method == "OPTIONS":
        return True
    return exchange.path in {"/metrics", "/health"} or exchange.path.startswith("/health/")


def _allowed(endpoints: Mapping[str, Endpoint]) -> list[str]:
    present = set(endpoints) | {"OPTIONS"}
    if "GET" in endpoints and not endpoints["GET"].route.streams:
        present.add("HEAD")
    return [method for method in METHODS.split(", ") if method in present]


def _challenge(headers: tuple[tuple[str, str], ...], sent: bool) -> tuple[tuple[str, str], ...]:
    if not sent:
        return headers
    return tuple(
        (name, 'Bearer error="invalid_token"' if (name, value) == ("www-authenticate", "Bearer") else value)
        for name, value in headers
    )


def _too_late(exchange: Exchange) -> Refusal:
    """A request that was stopped before its unit could commit did nothing; after that nobody can tell."""
    if exchange.committing:
        return Refusal("outcome_unknown", "Time ran out during commit: it may or may not have happened.")
    return Refusal("deadline_exceeded", "The request used up its time; nothing was committed.")


def create_app(routes: Iterable[Route], kernel: Kernel, health: Health, observers: tuple[Observer, ...] = ()) -> App:
    """Return the ASGI application that serves `routes` and the routes of the kernel itself.

    Raises TypeError for a route that does not say who may call it, or that is declared twice.
    """
    declared = tuple(routes)
    return App((*declared, *kernel_routes(declared, health, kernel.settings.docs)), kernel, health, observers)

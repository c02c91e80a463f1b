"""What every route of the engine does with what is wrong about a request (http.md 18)."""

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import attrs
import pytest
import structlog
from structlog.testing import capture_logs

from adapters.memory.limits import MemoryRateLimiter
from application.secrets import SecretKind, mint
from application.tokens import SignedTokens
from domain.ids import new_id
from domain.ports.errors import OutcomeUnknown, Unavailable
from domain.ports.limits import Policy, Verdict, Window
from domain.ports.queries import Select
from domain.ports.schema import API_KEYS
from entrypoints.http.codec.kinds import members_of
from entrypoints.http.limits import RequestLimits
from entrypoints.http.routing import Call, Route
from tests.access.client import Answer, sent
from tests.access.world import World
from tests.contract.examples import Request
from tests.laws.asking import again, asked, named, raw, through

pytestmark = pytest.mark.asyncio(loop_scope="module")

PUBLIC = {
    ("GET", path)
    for path in (
        "/",
        "/health",
        "/health/ready",
        "/health/db",
        "/openapi.json",
        "/docs",
        "/docs/{asset}",
        "/problems",
        "/problems/{code}",
        "/api/circuits/public",
        "/api/circuits/{circuit_id}/public",
        "/api/circuits/{circuit_id}/public/items",
        "/api/circuits/{circuit_id}/public/items/{dfid}",
        "/api/circuits/{circuit_id}/public/items/{dfid}/events",
    )
} | {
    ("POST", path)
    for path in (
        "/api/auth/login",
        "/api/auth/register",
        "/api/auth/refresh",
        "/api/auth/setup",
        "/api/auth/password/reset",
        "/api/circuits/{circuit_id}/public/token",
    )
}
"""The literal list of http.md 1."""
UNLIMITED = {"/health", "/health/ready", "/health/db"}
CHANGE_NOTHING = {"account_setup", "page_token_create", "ticket_issue"}
"""Routes that change something by their method and store nothing, and setup, which was made."""
ORIGIN, FOREIGN = "https://app.example", "https://evil.example"


async def unwelcome(world: World) -> dict[str, tuple[str, str]]:
    """Return credentials that open nothing: what is sent and the code of the answer."""
    signed = world.container.signed_tokens()
    now = world.container.clock().now()
    token = world.people["member"].credential["authorization"].removeprefix("Bearer ")
    claims = {name: held for name, held in signed.read(token).items() if name not in ("iss", "aud", "iat", "exp")}
    late, soon = now - timedelta(hours=1), now + timedelta(hours=1)
    foreign = SignedTokens(signed.keys, signed.issuer, "another")
    unsigned = token.rpartition(".")[0] + "."
    secrets = {name: mint(SecretKind.API_KEY) for name in ("revoked", "expired", "unknown")}
    async with world.container.storage().write() as unit:
        (some, *_) = (await unit.page(API_KEYS, Select(), limit=1)).items
        for name, ended in {"revoked": {"revoked_at": now}, "expired": {"expires_at": late}}.items():
            stored = world.container.peppers().stored(secrets[name]).current
            await unit.add(API_KEYS, attrs.evolve(some, key_id=new_id(), secret_hash=stored, **ended))
    return {
        "garbage": ("Bearer garbage", "unauthenticated"),
        "another scheme": ("Basic YTpi", "unauthenticated"),
        "unsigned": (f"Bearer {unsigned}", "unauthenticated"),
        "of another audience": (f"Bearer {foreign.sign(claims, now, soon).text}", "unauthenticated"),
        "expired": (f"Bearer {signed.sign(claims, late, late).text}", "token_expired"),
        "revoked": (f"Bearer {signed.sign(claims | {'sid': new_id()}, now, soon).text}", "token_revoked"),
        "a revoked key": (f"Bearer {secrets['revoked'].text}", "key_revoked"),
        "an expired key": (f"Bearer {secrets['expired'].text}", "key_expired"),
        "an unknown key": (f"Bearer {secrets['unknown'].text}", "unauthenticated"),
    }


async def test_law_1_no_route_but_the_public_ones_opens_without_a_valid_credential(world: World) -> None:
    assert {(route.method, route.path) for route in world.app.routes if route.public} == PUBLIC
    credentials = await unwelcome(world)
    world.backend.keep()
    wrong = []
    async for request in asked(world):
        route = request.route
        for name, (shown, code) in {"none": ("", "unauthenticated"), **credentials}.items():
            anonymous = attrs.evolve(request, who="anonymous")
            answer = await anonymous.ask(world, authorization=shown)
            closed = not route.public or (route.credential_if_sent and shown)
            if ((answer.status, answer.code) == (401, code)) != bool(closed) and not _own_401(route, answer):
                wrong.append(f"{name}: {named(route, answer)}")
            if closed and answer.headers.get("www-authenticate", "").partition(" ")[0] != "Bearer":
                wrong.append(f"{name}: {route.operation_id} names no scheme")
            world.backend.rewind()
    assert not wrong, "\n".join(wrong)


def _own_401(route: Route, answer: Answer) -> bool:
    """Tell whether a public route refuses the secret in its body."""
    return route.public and answer.code in route.problems


IDENTITIES = (
    "user_id",
    "requester_id",
    "requested_by",
    "workspace_id",
    "created_by",
    "owner_id",
    "owner_workspace_id",
    "actor",
    "actor_user_id",
    "author_id",
    "key_id",
    "session_id",
    "is_admin",
)


async def test_law_3_nobody_says_in_a_body_or_a_query_who_acts(world: World) -> None:
    """That the audit names whom the credential names is seen in test_resources.py, where every change is audited."""
    wrong, seen = [], 0
    async for request in asked(world):
        route = request.route
        if not route.changes or route.uploads:
            continue
        other = world.id_of("stranger")
        bodily = _lacking(route.body) if route.method != "DELETE" else set()
        queried = _lacking(route.query)
        body = {**(request.body or {}), **dict.fromkeys(bodily, other)} if route.method != "DELETE" else None
        query = "&".join(f"{name}={other}" for name in sorted(queried))
        path = f"{request.path}{'&' if '?' in request.path else '?'}{query}"
        before = world.backend.stored
        answer = await attrs.evolve(request, body=body, path=path).ask(world)
        told = {(fault["code"], fault.get("pointer", fault.get("parameter"))) for fault in answer.json["errors"]}
        expected = {("unknown_field", f"/{name}") for name in bodily}
        expected |= {("unknown_parameter", name) for name in queried}
        if (answer.status, answer.code) != (422, "validation_failed") or not expected <= told:
            wrong.append(f"{named(route, answer)} takes {expected - told}")
        if world.backend.stored != before:
            wrong.append(f"{route.operation_id} wrote {set(world.backend.changed)}")
        seen += 1
    assert not wrong, "\n".join(wrong)
    assert seen > 100


def _lacking(shape: Any) -> set[str]:
    """Return the members that would name somebody and that a shape does not have."""
    return set(IDENTITIES) - {member.name for member in members_of(shape)} if shape is not None else set(IDENTITIES)


BROKEN: Mapping[str, tuple[bytes, str, int, str]] = {
    "truncated": (b'{"name":"a"', "application/json", 400, "body_unparsable"),
    "a member twice": (b'{"name":"a","name":"b"}', "application/json", 400, "body_unparsable"),
    "no UTF-8": (b'{"name":"\xff"}', "application/json", 400, "encoding_invalid"),
    "not JSON": (b"name=a", "application/x-www-form-urlencoded", 415, "media_type_unsupported"),
    "no type": (b"{}", "", 415, "media_type_unsupported"),
}


async def test_law_7_a_body_that_cannot_be_taken_is_refused_and_nothing_is_stored(world: World) -> None:
    wrong, seen = [], 0
    async for request in asked(world):
        if request.route.method not in ("POST", "PUT", "PATCH"):
            continue
        before = world.backend.stored
        for name, (content, kind, status, code) in broken(request).items():
            answer = await raw(world, request, content, {"content-type": kind})
            seen += 1
            if (answer.status, answer.code) != (status, code):
                wrong.append(f"{name}: {named(request.route, answer)}")
            if world.backend.stored != before:
                wrong.append(f"{name}: {request.route.operation_id} wrote {set(world.backend.changed)}")
    assert not wrong, "\n".join(wrong)
    assert seen > 500


def broken(request: Request) -> Iterator[Any] | Any:
    """Return what is wrong with a body, by name: content, type, status, code."""
    if request.route.uploads:
        return {"not a file": (b"{}", "application/json", 415, "media_type_unsupported")}
    whole = {**(request.body or {}), "no_such_member": 1}
    return {**BROKEN, "an unknown member": (json.dumps(whole).encode(), "application/json", 422, "validation_failed")}


async def test_law_7_a_body_of_one_byte_more_than_its_bound_is_refused_declared_or_not(world: World) -> None:
    small = attrs.evolve(world.app.kernel.settings, max_body=2000, max_bulk_body=3000, max_import_body=4000)
    app = again(world, [], settings=attrs.evolve(small, max_auth_body=1000))
    wrong, bounds = [], set()
    async for request in asked(world):
        route = request.route
        if route.method not in ("POST", "PUT", "PATCH"):
            continue
        bound, before = _bound(route), world.backend.stored
        bounds.add(bound)
        kind = {"content-type": "text/csv" if route.uploads else "application/json"}
        with through(world, app):
            declared, counted = [
                await raw(world, request, b" " * (bound + 1), {**kind, "content-length": length})
                for length in (str(bound + 1), "")
            ]
            # An import keeps what it read before it came to its bound.
            wrote = world.backend.stored != before and not route.uploads
            fits = await raw(world, request, b" " * bound, kind)
        wrong += [named(route, each) for each in (declared, counted) if each.code != "body_too_large" or wrote]
        if fits.status == 413:
            wrong.append(f"at its bound: {named(route, fits)}")
    assert not wrong, "\n".join(wrong)
    assert {1000, 2000, 3000, 4000} <= bounds


def _bound(route: Route) -> int:
    if route.body_limit is not None:
        return route.body_limit
    if route.uploads:
        return 4000
    return 3000 if route.bulk else 1000 if route.path.startswith("/api/auth/") else 2000


async def test_law_13_every_answer_to_an_allowed_origin_lets_its_scripts_read_and_no_other(world: World) -> None:
    settings = attrs.evolve(world.app.kernel.settings, cors_origins=frozenset({ORIGIN}))
    app = again(world, [], settings=settings)
    wrong, statuses = [], set()
    async for request in asked(world):
        for who, origin in ((request.who, ORIGIN), ("stranger", ORIGIN), ("anonymous", FOREIGN)):
            with through(world, app):
                answer = await attrs.evolve(request, who=who).ask(world, origin=origin)
            statuses.add(answer.status)
            told = answer.headers.get("access-control-allow-origin")
            shared = "access-control-expose-headers" in answer.headers
            if (told, shared) != ((ORIGIN, True) if origin == ORIGIN else (None, False)):
                wrong.append(f"{origin}: {named(request.route, answer)}")
            world.backend.rewind()
        with through(world, app):
            faults = await preflight(world, request)
        wrong += [f"preflight of {request.route.operation_id}: {fault}" for fault in faults]
    assert not wrong, "\n".join(wrong)
    assert {200, 201, 204, 401, 403, 404} <= statuses


async def preflight(world: World, request: Request) -> list[str]:
    """Return what is wrong with the preflight of a request while the engine starts."""
    world.app.health.phase = "starting"
    try:
        asking = {"access-control-request-method": request.route.method, "origin": ORIGIN, "host": "engine"}
        path = request.path.partition("?")[0]
        answer = await sent(world.app, "OPTIONS", path, "", asking, b"")
        foreign = await sent(world.app, "OPTIONS", path, "", asking | {"origin": FOREIGN}, b"")
    finally:
        world.app.health.phase = "ready"
    faults = []
    if answer.status != 204 or answer.headers.get("access-control-allow-origin") != ORIGIN:
        faults.append(f"{answer.status} {answer.headers}")
    if request.route.method not in answer.headers.get("access-control-allow-methods", ""):
        faults.append("does not allow the method")
    return faults + [f"tells another origin {name}" for name in foreign.headers if name.startswith("access-control")]


async def test_law_14_every_limited_route_tells_its_limits_and_refuses_what_is_beyond(world: World) -> None:
    once = Policy((Window(1, 60),), exact=True)
    often = Policy((Window(1000, 60),), exact=True)
    counting = Counting()
    app = again(world, [], limits=RequestLimits(counting))
    own = {route.policy: often for route in world.app.routes if route.policy is not None}
    wrong = []
    async for request in asked(world):
        route = request.route
        counting.limiter = MemoryRateLimiter({**own, "user": once, "key": once, "anonymous": once})
        with through(world, app):
            first = await request.ask(world)
            world.backend.rewind()
            second = await request.ask(world)
        if route.path in UNLIMITED:
            wrong += [named(route, each) for each in (first, second) if each.status == 429 or _told(each)]
            continue
        if not _told(first) or (route.policy is not None and f'"{route.policy}"' not in _told(first)):
            wrong.append(f"tells no limits: {named(route, first)} {_told(first)}")
        if (second.status, second.code) != (429, "rate_limited") or int(second.headers["retry-after"]) < 1:
            wrong.append(f"beyond its limit: {named(route, second)}")
        if not _told(second) or "r=0" not in second.headers["ratelimit"]:
            wrong.append(f"tells no limits beyond them: {named(route, second)}")
    assert not wrong, "\n".join(wrong)


class Counting:
    """A limiter that is exchanged for a fresh one."""

    limiter: MemoryRateLimiter

    async def hit(
        self, policy: str, key: str, cost: int = 1, windows: tuple[Window, ...] | None = None
    ) -> Verdict | None:
        return await self.limiter.hit(policy, key, cost, windows)


def _told(answer: Answer) -> str:
    return answer.headers.get("ratelimit-policy", "")


FAILURES = {
    "exception": (RuntimeError("a fault of the handler"), 500, "internal_error"),
    "store": (Unavailable("the store is gone"), 503, "unavailable"),
    "link": (OutcomeUnknown("the link broke"), 503, "outcome_unknown"),
}


@pytest.mark.parametrize("failure", FAILURES)
async def test_law_16_what_a_handler_raises_is_one_answer_and_one_record(world: World, failure: str) -> None:
    error, status, code = FAILURES[failure]
    wrong = []

    async def fail(_: Call) -> Any:
        raise error

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    app = again(world, [attrs.evolve(route, handler=fail) for route in world.app.routes])
    async for request in asked(world):
        with through(world, app), capture_logs() as logs:
            answer = await request.ask(world)
        told = [log["event"] for log in logs if log["log_level"] == "error"]
        expected = ["http.failed", "http.request"] if status == 500 else ["http.request"]
        if (answer.status, answer.code) != (status, code) or told != expected:
            wrong.append(f"{named(request.route, answer)} {told}")
        if answer.json["trace_id"] != answer.headers["x-trace-id"] or str(error) in answer.text:
            wrong.append(f"{request.route.operation_id}: {answer.text}")
    assert not wrong, "\n".join(wrong)


async def test_law_16_a_handler_that_takes_too_long_is_stopped(world: World) -> None:
    async def dream(_: Call) -> Any:
        await asyncio.sleep(60)

    routes = [attrs.evolve(route, handler=dream) for route in world.app.routes]
    settings = attrs.evolve(world.app.kernel.settings, request_timeout=0.2)
    timed = [request async for request in asked(world) if request.route.time_budget(0.2) is not None]
    with through(world, again(world, routes, settings=settings)):
        answers = await asyncio.gather(*(request.ask(world) for request in timed))
    wrong = [
        named(request.route, answer)
        for request, answer in zip(timed, answers, strict=True)
        if (answer.status, answer.code) != (503, "deadline_exceeded") or "retry-after" not in answer.headers
    ]
    assert not wrong, "\n".join(wrong)
    assert len(timed) > 180


@pytest.mark.parametrize("failure", FAILURES)
async def test_law_16_a_store_that_fails_at_the_commit_leaves_no_part_and_serves_the_next(
    world: World, failure: str
) -> None:
    error, status, code = FAILURES[failure]
    wrong, seen = [], 0
    async for request in asked(world):
        route, before = request.route, world.backend.stored
        if not route.changes or route.operation_id in CHANGE_NOTHING:
            continue
        world.backend.fault = error
        answer = await request.ask(world)
        world.backend.fault = None
        seen += 1
        if (answer.status, answer.code) != (status, code) or world.backend.stored != before:
            wrong.append(named(route, answer))
        after = await request.ask(world)
        if after.status >= 300:
            wrong.append(f"the next: {named(route, after)}")
    assert not wrong, "\n".join(wrong)
    assert seen > 90

"""Every refusal that an engine in any test sends is one of the catalogue, and documented where it is sent (http.md 18,
law 4)."""

import json
import sys
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from entrypoints.http.answers import Answer
    from entrypoints.http.exchange import Exchange

MEMBERS = {"type", "title", "status", "code", "detail", "trace_id"}
HEALTH = {"/health/ready", "/health/db"}
"""Their 503 is no problem (platform.md 10.1)."""
TOLD_WITH = {401: "www-authenticate", 405: "allow", 429: "retry-after", 503: "retry-after"}

wrong: list[str] = []
"""What was found since the last test."""


def watch() -> None:
    """Judge what applications of this process send, if a test of it has loaded them."""
    sending: Any = sys.modules.get("entrypoints.http.sending")
    if sending is None or hasattr(sending.Sender.send, "judging"):
        return
    send = sending.Sender.send

    async def judging(self: Any, exchange: "Exchange", answer: "Answer") -> None:
        wrong.extend(faults(exchange, answer))
        await send(self, exchange, answer)

    judging.judging = True  # type: ignore[attr-defined]
    sending.Sender.send = judging


def faults(exchange: "Exchange", answer: "Answer") -> Iterator[str]:
    """Yield what is wrong with an answer that refuses."""
    from entrypoints.http.errors import CONTENT_TYPE, registry  # noqa: PLC0415

    route: Any = exchange.route
    if answer.status < 400 or (answer.status == 503 and route is not None and route.path in HEALTH):
        return
    asked = f"{exchange.method} {route.path if route is not None else exchange.path}: {answer.status}"
    headers = dict(exchange.extra_headers) | dict(answer.headers)
    if headers.get("content-type") != CONTENT_TYPE:
        yield f"{asked} is no problem: {answer.body[:200]!r}"
        return
    told = json.loads(answer.body)
    problem = registry().get(told.get("code"))
    if problem is None or not told.keys() >= MEMBERS:
        yield f"{asked} is not of the catalogue: {told}"
        return
    if not told["status"] == problem.status == answer.status or told["type"] != f"/problems/{problem.code}":
        yield f"{asked} contradicts itself: {told}"
    if told["trace_id"] != exchange.trace_id:
        yield f"{asked} has the trace of another"
    if TOLD_WITH.get(answer.status, "content-type") not in headers:
        yield f"{asked} {problem.code} has no {TOLD_WITH[answer.status]}"
    if route is not None and _of_engine(route) and problem.code not in documented(_Held(route)):
        yield f"{asked} {problem.code} is not documented for {route.operation_id}"


def _of_engine(route: Any) -> bool:
    return str(getattr(route.handler, "__module__", "")).startswith("entrypoints.")


class _Held:
    """A route by its identity."""

    def __init__(self, route: Any) -> None:
        self.route = route

    def __hash__(self) -> int:
        return id(self.route)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Held) and self.route is other.route


@cache
def documented(held: _Held) -> frozenset[str]:
    """Return the codes that the document tells of a route."""
    from entrypoints.http.openapi import problem_codes  # noqa: PLC0415

    return frozenset(problem_codes(held.route))

"""What every answer of every route is made of (http.md 2, 4, 15; 18)."""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from domain.instants import parse_instant
from entrypoints.http.codec import decode, encode
from entrypoints.http.errors import registry
from entrypoints.http.openapi import recorded
from tests.access.client import Answer
from tests.access.world import World, at
from tests.contract.test_examples import FREE
from tests.laws.asking import asked, named

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = ("application/json", "application/problem+json")
NAME = re.compile(r"[a-z][a-z0-9_]*")
UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
SEEMS_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d.*")
WITH_INSTANTS = re.compile(r".*_at|as_of|at|from|to")
HOST = re.compile(r"(?:https?:)?//[a-z0-9-]+\.[a-z0-9.-]+", re.IGNORECASE)
TOLD_TO_US = {"https://erp.example.org"}
"""Where a webhook of the world goes."""
NAMED_BY_OTHERS = FREE | {"paths", "components", "webhooks", "headers", "by_rule", "settings", "policies"}
"""Members whose own members are not of the API."""


async def answers(world: World) -> Any:
    """Yield every route with what it answers to who is served, to a stranger and to nobody."""
    async for request in asked(world):
        credential: dict[str, str] = {}
        yield request.route, await request.ask(world)
        for who in ("stranger", "anonymous"):
            world.backend.rewind()
            credential = dict(world.people[who].credential)
            yield (
                request.route,
                await world.ask(who, request.route.method, request.path, request.body, request.upload, credential),
            )


async def test_law_15_instants_ids_names_and_numbers_have_one_form_in_every_answer(world: World) -> None:
    wrong, seen = set(), 0
    async for route, answer in answers(world):
        if route.path == "/openapi.json" or not answer.headers.get("content-type", "").startswith(JSON):
            continue
        seen += 1
        held = json.loads(answer.body, parse_constant=lambda word: word)
        wrong |= {f"{named(route, answer)[:60]}: {fault}" for fault in malformed(held)}
    assert not wrong, "\n".join(sorted(wrong))
    assert seen > 500


def malformed(value: Any, at: str = "") -> Iterator[str]:
    """Yield what in a representation is not in the form of http.md 2."""
    if isinstance(value, dict):
        for name, held in value.items():
            if at.rpartition("/")[2] not in NAMED_BY_OTHERS and not NAME.fullmatch(name):
                yield f"{at} has a member {name!r}"
            if name not in FREE:
                yield from malformed(held, f"{at}/{name}")
    elif isinstance(value, list):
        for held in value:
            yield from malformed(held, at)
    elif isinstance(value, str):
        yield from _text(value, at)
    elif (isinstance(value, float) and not math.isfinite(value)) or (isinstance(value, int) and abs(value) >= 2**53):
        yield f"{at} is {value}"


def _text(text: str, at: str) -> Iterator[str]:
    name = at.rpartition("/")[2]
    if UUID.fullmatch(text) and text != text.lower():
        yield f"{at} is {text!r}"
    if (SEEMS_INSTANT.fullmatch(text) or (name.endswith("_at") and text)) and not INSTANT.fullmatch(text):
        yield f"{at} is {text!r}"
    if INSTANT.fullmatch(text):
        parse_instant(text)


async def test_law_15_every_success_fits_its_schema(world: World) -> None:
    """Which also holds every enum and every bound; the members that must be there are, null or not."""
    document = (await world.ask("anonymous", "GET", "/openapi.json")).json
    wrong, seen = [], 0
    async for request in asked(world):
        answer = await request.ask(world)
        if not answer.headers.get("content-type", "").startswith("application/json"):
            continue
        operation = document["paths"][request.route.path][request.route.method.lower()]
        told = operation["responses"].get(str(answer.status), {}).get("content", {}).get("application/json")
        if told is None:
            wrong.append(f"{answer.status} is not documented: {named(request.route, answer)}")
            continue
        seen += 1
        schema = {**told["schema"], "components": document["components"]}
        errors = jsonschema.Draft202012Validator(schema).iter_errors(answer.json)
        wrong += [f"{request.route.operation_id}: {error.json_path}: {error.message[:200]}" for error in errors]
    assert not wrong, "\n".join(wrong)
    assert seen > 150


async def test_law_15_reading_undoes_writing_for_every_body(world: World) -> None:
    """By the recorded example of each; for all values of all kinds of members see tests/http/kernel/test_codec.py."""
    wrong, seen = [], 0
    for route in world.app.routes:
        example = route.request_example or recorded().get(route.operation_id, {}).get("request")
        if route.body is None or route.uploads or example is None:
            continue
        value = decode(json.dumps(example).encode(), route.body)
        if decode(encode(value), route.body) != value:
            wrong.append(f"{route.operation_id}: {value}")
        seen += 1
    assert not wrong, "\n".join(wrong)
    assert seen > 60


async def test_law_18_no_answer_names_a_foreign_host(world: World) -> None:
    found = set()
    async for route, answer in answers(world):
        found |= {f"{route.operation_id}: {host}" for host in _hosts(answer) - TOLD_TO_US}
    assert not found


async def test_law_18_documentation_loads_what_it_needs_from_here(world: World) -> None:
    """Every page in both languages; nothing that it refers to lies elsewhere, and all of it is there."""
    pages = ["/docs", "/problems", *(f"/problems/{code}" for code in registry())]
    wrong, loaded = [], set()
    for page in pages:
        for language in ("en", "pt-BR"):
            credential = {"accept": "text/html", "accept-language": language}
            answer = await world.ask("anonymous", "GET", page, credential=credential)
            if not answer.headers["content-type"].startswith("text/html") or "'none'" not in answer.headers[POLICY]:
                wrong.append(f"{page}: {answer.headers}")
            if page.startswith("/problems/"):
                told = (await world.ask("anonymous", "GET", page, credential={"accept-language": language})).json
                wrong += [] if told["example"]["code"] == told["code"] == page[10:] and told["what_to_do"] else [page]
            loaded |= set(re.findall(r'(?:src|href)="([^"#]+)', answer.text))
            wrong += [f"{page}: {host}" for host in _hosts(answer)]
    for path in loaded:
        if not path.startswith("/") or (await world.ask("anonymous", "GET", path)).status != 200:
            wrong.append(path)
    assert not wrong, "\n".join(wrong)
    assert loaded


POLICY = "content-security-policy"


def _hosts(answer: Answer) -> set[str]:
    return set(HOST.findall(answer.text))


async def test_law_4_refusals_that_no_other_test_meets(world: World) -> None:
    objects, circuit = world.objects, at(world)
    await world.do("operator", "POST", f"/api/admin/users/{world.id_of('asker')}/freeze", {"reason": "left"})
    theirs = {"identifiers": [{"key": "sisbov", "value": "076000000000099"}]}
    await world.do("stranger", "POST", "/api/items", theirs)
    draft = (await world.do("member", "POST", "/api/items/local", theirs))["local_id"]
    parked = await world.ask("member", "POST", f"{circuit}/push-local", {"local_id": draft})
    assert parked.code == "identifier_claimed", parked.text
    pending = parked.json["pending_id"]
    refused = {
        "role_exists": ("owner", f"{circuit}/roles", {"name": "unused", "permissions": []}),
        "requester_frozen": ("owner", f"{circuit}/requests/{objects['request_id']}/approve", {"role": "unused"}),
        "local_id_taken": ("member", "/api/items/local", {"local_id": objects["local_id"]}),
        "push_again": ("member", f"/api/items/pending/{pending}/resolve", {"action": "approve"}),
    }
    for code, (who, path, body) in refused.items():
        answer = await world.ask(who, "POST", path, body)
        assert (answer.status, answer.code) == (409, code), answer.text


SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
VARY = {"Authorization", "X-API-Key", "X-Page-Token", "Accept-Language", "Accept-Encoding", "Origin"}
OPEN = {"/openapi.json", "/docs", "/docs/{asset}", "/problems", "/problems/{code}"}


async def test_every_answer_has_the_headers_of_all_and_is_kept_by_nobody_who_should_not(world: World) -> None:
    """http.md 4, 8, 12, 14: what may be kept, what a browser is told, and which traces lead to it."""
    wrong = set()
    async for route, answer in answers(world):
        told = answer.headers
        if answer.status >= 400 or route.method != "GET" or route.export or route.secret or route.live:
            kept = {"no-store"}
        elif route.path.startswith("/api/"):
            kept = {"no-cache", "no-store"} if route.public else {"private, no-cache"}
        else:
            kept = {"public, max-age=300"} if route.path in OPEN else {"no-store", "no-cache", "private, no-cache"}
        if told.get("cache-control") not in kept:
            wrong.add(f"{route.operation_id} {answer.status}: {told.get('cache-control')}, not {kept}")
        if not SECURITY.items() <= told.items() or "frame-ancestors 'none'" not in told.get(POLICY, ""):
            wrong.add(f"{route.operation_id} {answer.status}: {told}")
        if not set(told["vary"].split(", ")) >= VARY and route.path not in OPEN:
            wrong.add(f"{route.operation_id} varies by {told['vary']}")
        if not re.fullmatch(r"[0-9a-f]{32}", told["x-trace-id"]) or told["x-request-id"] != told["x-trace-id"]:
            wrong.add(f"{route.operation_id}: {told['x-trace-id']}")
        if answer.status >= 400 and told.get("content-language") != "en":
            wrong.add(f"{route.operation_id} {answer.status} does not tell its language")
        if "set-cookie" in told or answer.status in (301, 302, 303, 307, 308):
            wrong.add(f"{route.operation_id} {answer.status}: {told}")
    assert not wrong, "\n".join(sorted(wrong))

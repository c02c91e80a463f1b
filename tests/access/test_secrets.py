"""Secrets and private texts occur in no log, metric, audit entry or error (platform.md 16.5; scenario 52)."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from domain.ports.queries import Select
from domain.ports.schema import AUDIT
from entrypoints.http.assembly import assembled, engine_routes, kernel_of
from entrypoints.http.routing import Route
from entrypoints.logging import configure
from tests.access.client import Answer
from tests.access.rows import ROWS
from tests.access.test_matrix import _filled, world_in
from tests.access.world import OPTIONS, PASSWORD, World

TOLD_ONCE = {"access_token", "refresh_token", "secret", "ticket", "reset_token", "page_token"}
PRIVATE = (
    "canary-lot",
    "canary-item-text",
    "canary-home-lot",
    "canary-draft-text",
    "canary-draft-lot",
    "canary-held-text",
    "canary-held-lot",
    "canary-pending",
    "canary-import-text",
    "canary-public-event",
    "canary-private-event",
    "canary-direct-event",
    "canary-header",
    "@example.com",
)
"""Item data, identifiers and personal values of the world; no log at level info holds any."""

SENT = {
    "authorization": "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOiJ0b2tlbiJ9.Y2FuYXJ5LXNpZ25hdHVyZQ",
    "key": "dfm_canarycanarycanarycanarycanarycanary12345678",
    "password": "canary-password-in-a-wrong-place",
}


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    configure("info", "json", instance_id="i", version="9", stream=stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def secrets_in(value: Any) -> Iterator[str]:
    """Yield what an answer tells once."""
    if isinstance(value, dict):
        for name, held in value.items():
            if name in TOLD_ONCE and isinstance(held, str):
                yield held
            else:
                yield from secrets_in(held)
    elif isinstance(value, list):
        for held in value:
            yield from secrets_in(held)


async def asked(world: World, route: Route) -> list[Answer]:
    """Ask one route as it should be asked, and with secrets where they do not belong."""
    row = ROWS[route.operation_id]
    chosen = {**world.objects, **{name: world.objects[other] for name, other in row.objects.items()}}
    path = (route.path + (f"?{row.query}" if row.query else "")).format_map(chosen)
    body = _filled(row.body, chosen)
    wrong = {"password": {"a": SENT["password"]}, "token": SENT["key"], "unknown": SENT["password"]}
    answers = [await world.ask(who, route.method, path, body, row.upload) for who in ("owner", "member", "operator")]
    answers.append(await world.ask("owner", route.method, path, wrong if route.body is not None else None))
    answers.append(await world.ask("owner", route.method, f"{route.path.format_map(chosen)}?unknown={SENT['key']}"))
    return answers


async def test_scenario_52_no_secret_and_no_private_text_occurs_where_it_should_not(
    tmp_path: Path, lines: io.StringIO
) -> None:
    async with world_in(tmp_path) as world:
        container = world.container
        meter = container.meter()
        kernel = kernel_of(container, world.app.health)
        world.app = assembled(engine_routes(container), kernel, world.app.health, (meter.request,))
        told: set[str] = {text for person in world.people.values() for text in person.credential.values()}
        errors: list[str] = []
        audit: list[str] = []
        for name in ("authorization", "key"):
            world.people[name] = type(world.people["owner"])(name, "", {"authorization": f"Bearer {SENT[name]}"})
            answer = await world.ask(name, "GET", "/api/items")
            assert answer.status == 401
            errors.append(answer.text)
        for route in engine_routes(container):
            for answer in await asked(world, route):
                if answer.status >= 400:
                    errors.append(answer.text)
                elif answer.headers.get("content-type", "").startswith("application/json") and answer.body:
                    told |= set(secrets_in(answer.json))
            audit += await _written(world)
            world.backend.rewind()
        assert len(told) > 20 and len(errors) > 100 and len(audit) > 50
        secret = {PASSWORD, "$argon2", *SENT.values(), OPTIONS["JWT_SECRET"], OPTIONS["DEFARM_SECRET_KEY"]}
        secret |= {text.removeprefix("Bearer ") for text in told}
        logs, metrics = lines.getvalue(), meter.text([]).decode()
        assert logs.count("http.request") > 500
        _absent(secret | set(PRIVATE), {"logs": logs, "metrics": metrics})
        _absent(secret | {text for text in PRIVATE if "@" not in text}, {"audit": "\n".join(audit)})
        _absent(secret, {"errors": "\n".join(errors)})


async def _written(world: World) -> list[str]:
    async with world.container.storage().read() as reader:
        page = await reader.page(AUDIT, Select(order=("at", "entry_id"), descending=True), limit=20)
    return [f"{entry.action} {entry.details!r} {entry.resource!r} {entry.actor!r}" for entry in page.items]


def _absent(texts: set[str], places: dict[str, str]) -> None:
    found = [(place, text[:24]) for place, held in places.items() for text in texts if text in held]
    assert not found

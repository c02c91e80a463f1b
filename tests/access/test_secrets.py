"""Secrets and private texts occur in no log, metric, row, error, example or answer but the one that issues them
(platform.md 16.5; scenario 52)."""

import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import structlog

from domain.ports.schema import AUDIT
from entrypoints.http.assembly import assembled, engine_routes, kernel_of
from entrypoints.http.routing import Route
from entrypoints.logging import configure
from tests.access.client import Answer
from tests.access.rows import ROWS
from tests.access.test_matrix import _filled, world_in
from tests.access.world import OPTIONS, PASSWORD, World

CONNECTIONS = {
    "DATABASE_URL": "postgresql://canary-role:canary-store-word@127.0.0.1:1/canary?password=canary-other-word",
    "REDIS_URL": "redis://canary-role:canary-cache-word@127.0.0.1:1/0",
}
"""Of servers that are not there, so that what says so is among what is searched."""
CONFIGURED = {
    "DEFARM_JWT_SECRET_PREVIOUS": "canary-jwt-before-0123456789-0123456789",
    "DEFARM_SECRET_KEY_PREVIOUS": "canary-root-before-9876543210-9876543210",
    "DEFARM_METRICS_TOKEN": "canary-scraper-0123456789",
    "DEFARM_LOG_KEY": "Y2FuYXJ5LXNlZWQtb2YtdGhlLWxvZy0zMi1ieXRlcyE=",
}
CONNECTION_WORDS = {"canary-store-word", "canary-other-word", "canary-cache-word"}
SHAPED = re.compile(r"df[a-z]_[0-9A-Za-z]{20,}|eyJ[A-Za-z0-9_.-]{20,}|whsec_[A-Za-z0-9+/=]{20,}")
MADE_UP = {
    "dfr_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcd4PN0Wq",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl",
}
"""What examples show of secrets, but for those of one letter."""
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
    configure("debug", "json", instance_id="i", version="9", stream=stream)
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


@attrs.define
class Written:
    """Everything that left the engine: bodies of errors, of successes with the secrets that each of them issues, and
    rows of the store, those of the audit apart."""

    errors: list[str] = attrs.field(factory=list)
    answers: list[tuple[str, set[str]]] = attrs.field(factory=list)
    rows: list[str] = attrs.field(factory=list)
    audit: list[str] = attrs.field(factory=list)

    def answer(self, answer: Answer) -> None:
        issued: set[str] = set()
        if answer.status >= 400:
            self.errors.append(answer.text)
        elif answer.body:
            json = answer.headers.get("content-type", "").startswith("application/json")
            issued = set(secrets_in(answer.json)) if json else set()
            self.answers.append((answer.text, issued))

    def stored(self, world: World) -> None:
        """Take what was stored since the store was rewound."""
        for name, keys in world.backend.changed.items():
            held = world.backend.tables[name].rows
            self.rows += [repr(held[key]) for key in keys & held.keys()]
            if name == AUDIT.name:
                self.audit += [repr(held[key]) for key in keys & held.keys()]

    @property
    def told(self) -> set[str]:
        """The secrets that answers issued."""
        return {secret for _, issued in self.answers for secret in issued}

    def told_again(self, secrets: set[str]) -> list[str]:
        """Return the secrets that stand in an answer which does not issue them."""
        return [text[:24] for answer, issued in self.answers for text in secrets - issued if text in answer]


async def test_scenario_52_no_secret_and_no_private_text_occurs_where_it_should_not(
    tmp_path: Path, lines: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (CONNECTIONS | CONFIGURED).items():
        monkeypatch.setitem(OPTIONS, name, text)
    async with world_in(tmp_path) as world:
        container = world.container
        meter = container.meter()
        kernel = kernel_of(container, world.app.health)
        world.app = assembled(engine_routes(container), kernel, world.app.health, (meter.request,))
        credentials = [text for person in world.people.values() for text in person.credential.values()]
        written = Written(rows=[repr(row) for table in world.backend.tables.values() for row in table.rows.values()])
        for name in ("authorization", "key"):
            world.people[name] = type(world.people["owner"])(name, "", {"authorization": f"Bearer {SENT[name]}"})
            answer = await world.ask(name, "GET", "/api/items")
            assert answer.status == 401
            written.answer(answer)
        for route in engine_routes(container):
            for answer in await asked(world, route):
                written.answer(answer)
            written.stored(world)
            world.backend.rewind()
        for path in ("/health/ready", "/health/db"):
            written.answer(await world.ask("anonymous", "GET", path))
        document = (await world.ask("anonymous", "GET", "/openapi.json")).text
    told = written.told | {text.removeprefix("Bearer ") for text in credentials}
    assert len(written.told) > 20 and len(written.errors) > 100 and len(written.audit) > 50
    kept = {PASSWORD, *SENT.values(), OPTIONS["JWT_SECRET"], OPTIONS["DEFARM_SECRET_KEY"], *CONNECTION_WORDS}
    kept |= set(CONFIGURED.values())
    secret = kept | told | {"$argon2"}
    logs, metrics = lines.getvalue(), meter.text([]).decode()
    assert logs.count("http.request") > 500
    _absent(secret, {"logs of every level": logs})
    usual = [line for line in logs.splitlines() if json.loads(line)["level"] != "debug"]
    _absent(secret | set(PRIVATE), {"logs": "\n".join(usual), "metrics": metrics})
    _absent(secret | {text for text in PRIVATE if "@" not in text}, {"audit": "\n".join(written.audit)})
    _absent(secret, {"errors": "\n".join(written.errors)})
    _absent(kept | told, {"store": "\n".join(written.rows)})
    # The document shows how to sign in with the words that the tests use.
    _absent(secret - {PASSWORD}, {"document": document})
    assert {text for text in SHAPED.findall(document) if len(set(text)) > 10} == MADE_UP
    assert not written.told_again(secret)


def _absent(texts: set[str], places: dict[str, str]) -> None:
    found = [(place, text[:24]) for place, held in places.items() for text in texts if text in held]
    assert not found

"""Examples of the document are recorded, not invented: `python -m tests.contract.examples` asks every operation of an
engine in memory and writes what it answered to `entrypoints/http/examples.json` (http.md 15).

Ids, instants, hashes and secrets are exchanged for fixed ones, and the texts of the world for those of a farm.
"""

import asyncio
import contextlib
import hashlib
import json
import logging
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import structlog

from container import opened
from domain.items.dfid import format_dfid
from domain.ports.schema import DELIVERIES
from domain.webhooks.values import DeliveryStatus
from entrypoints.http.assembly import assembled, engine_routes, health_of, kernel_of
from entrypoints.http.routing import Route
from tests.access.client import Answer
from tests.access.people import anybody
from tests.access.rows import ROWS, Row
from tests.access.test_matrix import _filled, world_in
from tests.access.world import PASSWORD, World, at, container_in, enter

FILE: Final = Path(__file__).parents[2] / "entrypoints/http/examples.json"
PREFERRED: Final = ("member", "owner", "operator", "bare", "stranger", "friend", "asker", "anonymous")
UNDONE: Final = {"notification_socket": "a WebSocket has no answer; its messages are described"}
MOST: Final = 2
"""Entries that an example of a list shows."""

Prepare = Callable[[World], Awaitable[dict[str, Any]]]


@attrs.frozen
class Example:
    """One request that succeeded, and its answer."""

    operation_id: str
    body: Any
    answer: Answer

    @property
    def content(self) -> Any:
        """The answer as the document can show it, None when there is none."""
        if not self.answer.body:
            return None
        kind = self.answer.headers["content-type"].partition(";")[0]
        if kind == "application/json":
            return shortened(self.answer.json)
        text = self.answer.body.decode()
        return _first_event(text) if kind == "text/event-stream" else text.partition("\n")[0] + "\n"


def _first_event(text: str) -> dict[str, str]:
    block = next(block for block in text.split("\n\n") if "data: " in block)
    return dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith("retry"))


def shortened(value: Any) -> Any:
    """Return a representation with at most `MOST` entries in its lists of objects, and no cursor."""
    if isinstance(value, dict):
        if "openapi" in value and "paths" in value:
            return {"openapi": value["openapi"], "info": value["info"], "paths": {}}
        return {name: None if name == "next_cursor" else shortened(held) for name, held in value.items()}
    if isinstance(value, list):
        kept = value[:MOST] if value and isinstance(value[0], dict) else value
        return [shortened(held) for held in kept]
    return value


async def _merged(world: World) -> dict[str, Any]:
    objects = world.objects
    await world.do("member", "POST", f"/api/items/{objects['dfid']}/merge", {"source_dfid": objects["home_dfid"]})
    return {"objects": {"dfid": "home_dfid"}, "who": "member"}


async def _merged_drafts(world: World) -> dict[str, Any]:
    master, other = world.objects["local_id"], world.objects["other_local_id"]
    await world.do("member", "POST", "/api/items/local/merge", {"master_lid": master, "merge_lids": [other]})
    return {"body": {"merged_lid": other}, "who": "member"}


async def _ended(world: World) -> dict[str, Any]:
    async with world.container.storage().write() as unit:
        delivery = await unit.get(DELIVERIES, world.objects["delivery_id"])
        await unit.save(DELIVERIES, attrs.evolve(delivery, status=DeliveryStatus.DEAD, version=delivery.version + 1))
    return {"who": "owner"}


async def _protected(world: World) -> dict[str, Any]:
    protected = {"access_mode": "protected", "access_password": PASSWORD}
    await world.do("owner", "PATCH", f"{at(world)}/public-settings", protected)
    return {"body": {"access_password": PASSWORD}}


async def _refreshable(world: World) -> dict[str, Any]:
    made = await world.do("anonymous", "POST", "/api/auth/login", {"username": "stranger", "password": PASSWORD})
    return {"body": {"refresh_token": made["refresh_token"]}, "who": "anonymous"}


async def _resettable(world: World) -> dict[str, Any]:
    made = await world.do("operator", "POST", f"/api/admin/users/{world.id_of('stranger')}/password-reset")
    return {"body": {"reset_token": made["secret"], "new_password": "nine white cows rest"}, "who": "anonymous"}


async def _by_name(world: World) -> dict[str, Any]:
    return {"body": {"username": "stranger"}}


PREPARED: Final[Mapping[str, Prepare]] = {
    "item_unmerge": _merged,
    "draft_unmerge": _merged_drafts,
    "delivery_replay": _ended,
    "member_add": _by_name,
    "page_token_create": _protected,
    "session_refresh": _refreshable,
    "password_reset": _resettable,
}
"""What has to be done before an operation can succeed."""


@attrs.frozen
class Request:
    """One request of an operation that the world it was made for lets succeed."""

    route: Route
    who: str
    path: str
    body: Any = None
    upload: str | None = None

    async def ask(self, world: World, **headers: str) -> Answer:
        """Send it, with these headers besides the credential."""
        credential = {**world.people[self.who].credential, **{k.replace("_", "-"): v for k, v in headers.items()}}
        return await world.ask(self.who, self.route.method, self.path, self.body, self.upload, credential)


async def request_of(world: World, route: Route) -> Request:
    """Return how an operation is asked as the document says; does what has to be done before it can succeed."""
    row = ROWS.get(route.operation_id, Row(anybody))
    prepared = await PREPARED[route.operation_id](world) if route.operation_id in PREPARED else {}
    objects = {**row.objects, **prepared.get("objects", {})}
    chosen = {**world.objects, **{name: world.objects[other] for name, other in objects.items()}}
    usual = _filled(prepared.get("body", row.body), chosen)
    body = placed(route.request_example, usual) if route.request_example is not None else usual
    path = (route.path + (f"?{row.query}" if row.query else "")).format_map(chosen)
    return Request(route, prepared.get("who") or _who(world, row), path, body, row.upload)


async def example_of(world: World, route: Route) -> Example:
    """Ask an operation as the document says it is asked; the world is as before afterwards."""
    request = await request_of(world, route)
    answer = await request.ask(world)
    world.backend.rewind()
    return Example(route.operation_id, request.upload if request.upload is not None else request.body, answer)


def _who(world: World, row: Row) -> str:
    served = row.served.of(world.state)
    return next((name for name in PREFERRED if name in served), next(iter(sorted(served)), "anonymous"))


_MADE_UP: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|DFID-.*|df[a-z]_\w{46}|seven brown oxen graze")


def placed(example: Any, usual: Any) -> Any:
    """Return a request example with the ids and secrets of the world in the places of made-up ones."""
    if isinstance(example, dict):
        known = usual if isinstance(usual, dict) else {}
        named = {"username"} | ({"value"} if known.get("key") == example.get("key") else set())
        return {
            name: known[name] if name in named & set(known) else placed(held, known.get(name))
            for name, held in example.items()
        }
    if isinstance(example, list):
        known = usual if isinstance(usual, list) else []
        return [placed(held, known[number] if number < len(known) else None) for number, held in enumerate(example)]
    made_up = isinstance(example, str) and _MADE_UP.fullmatch(example)
    return usual if made_up and usual is not None else example


async def setup_example() -> Example:
    """Ask for the first administrator of an engine that has none."""
    with tempfile.TemporaryDirectory() as folder:
        container, backend = container_in(Path(folder))
        async with opened(container):
            health = health_of(container, datetime.now(UTC))
            health.phase = "ready"
            world = World(container, backend, assembled(engine_routes(container), kernel_of(container, health), health))
            token = await container.accounts().registrations.setup_token()
            body = {"setup_token": token, "username": "ana.souza", "email": "ana@fazenda.example.com"}
            body["password"] = PASSWORD
            answer = await world.ask("anonymous", "POST", "/api/auth/setup", body)
            return Example("account_setup", body, answer)


@contextlib.asynccontextmanager
async def example_world(folder: Path) -> AsyncIterator[World]:
    """Yield the world in which examples succeed: the circuit has an open page."""
    async with world_in(folder) as world:
        world.objects |= {"code": "not_found", "asset": "reference.js"}
        await enter(world, "open")
        yield world


def routes_of(world: World) -> list[Route]:
    """Return the routes that have an answer to show."""
    return [route for route in world.app.routes if route.operation_id not in UNDONE]


async def examples(world: World) -> list[Example]:
    """Ask every operation once."""
    return [
        await setup_example() if route.operation_id == "account_setup" else await example_of(world, route)
        for route in routes_of(world)
    ]


_TEXTS: Final = {
    "canary-circuit-name": "Novilho Precoce MS",
    "canary-circuit-text": "Bezerros de corte",
    "canary-page-text": "Do campo ao prato",
    "canary-role-name": "Inspetor",
    "canary-lot": "L-77",
    "canary-home-lot": "L-78",
    "canary-offered-lot": "L-79",
    "canary-draft-lot": "L-80",
    "canary-held-lot": "L-81",
    "canary-webhook-name": "ERP",
    "canary-join-message": "We raise calves next door.",
    "canary-pending-text": "unreadable tag",
    "canary-pending": "BR 076 0000",
}
_NAMES: Final = {"member": "ana.souza", "owner": "rui.lopes", "operator": "eva.reis", "stranger": "ivo.melo"}
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_DFID: Final = re.compile(r"DFID-\d{8}-\d{6,}-[0-9A-F]{1,4}\b")
_HEX: Final = re.compile(r"\b(?:[0-9a-f]{64}|[0-9a-f]{32})\b")
_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_DAY: Final = re.compile(r"(?<![\w-])\d{4}-\d\d-\d\d(?![\w-])")
_SECRETS: Final = (
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]+"), "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl"),
    (re.compile(r"\b(df[a-z]_)[0-9A-Za-z]{46}"), r"\g<1>" + "0" * 46),
    (re.compile(r"whsec_[\w+/=]+"), "whsec_" + "A" * 32 + "="),
)
NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)


@attrs.define
class Exchange:
    """Makes what differs from run to run the same, by the order in which it is met."""

    now: datetime
    seen: dict[str, int] = attrs.field(factory=dict)

    def value(self, value: Any, name: str = "") -> Any:
        """Return a representation as it stands in the document."""
        if isinstance(value, dict):
            return {self.text(key): self.value(held, key) for key, held in value.items()}
        if isinstance(value, list):
            return [self.value(held, name) for held in value]
        if isinstance(value, float) and not value.is_integer() and name not in ("confidence", "peso_kg"):
            return round(value, 1)
        if isinstance(value, str):
            known = _NAMES.get(value, value) if name == "username" else value
            return "nDk0MTM2..." if name in ("page_token", "cursor") else self.text(known)
        return value

    def text(self, text: str) -> str:
        """Return one text with everything exchanged."""
        for pattern, told in _SECRETS:
            text = pattern.sub(told, text)
        text = _INSTANT.sub(self._instant, text)
        text = _DFID.sub(lambda found: format_dfid("20260301", self._number(found[0])), text)
        text = _UUID.sub(lambda found: f"018f3a00-0000-7000-8000-{self._number(found[0]):012x}", text)
        text = _HEX.sub(self._hex, text)
        text = _DAY.sub(lambda found: NOW.date().isoformat() if found[0][:4] == str(self.now.year) else found[0], text)
        return _farm(text)

    def _number(self, text: str) -> int:
        return self.seen.setdefault(text, len(self.seen) + 1)

    def _hex(self, found: "re.Match[str]") -> str:
        return hashlib.sha256(str(self._number(found[0])).encode()).hexdigest()[: len(found[0])]

    def _instant(self, found: "re.Match[str]") -> str:
        moved = datetime.fromisoformat(found[0]) - self.now + NOW
        return moved.replace(microsecond=0).strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def _farm(text: str) -> str:
    for canary, told in _TEXTS.items():
        text = text.replace(canary, told)
    text = re.sub(r"canary-(\w+)-(text|event)", "seen by the vet", text).replace("canary-", "")
    text = re.sub(r"\bonly[- ](\w+)@example\.com", r"\1@fazenda.example.com", text)
    for name, told in _NAMES.items():
        text = text.replace(f"{name}@example.com", f"{told}@fazenda.example.com")
    return text.replace("@example.com", "@fazenda.example.com")


async def record() -> dict[str, Any]:
    """Return the examples by operation id: the body that was sent, the status, the content of the answer."""
    with tempfile.TemporaryDirectory() as folder:
        async with example_world(Path(folder)) as world:
            exchange = Exchange(datetime.now(UTC))
            recorded = {}
            found_all = await examples(world)
            refused = [one for one in found_all if one.answer.status >= 300]
            if refused:
                raise LookupError("\n".join(f"{one.operation_id}: {one.answer.body[:300]!r}" for one in refused))
            for found in found_all:
                recorded[found.operation_id] = {
                    "status": found.answer.status,
                    **({} if found.body is None else {"request": exchange.value(found.body, "request")}),
                    **({} if found.content is None else {"answer": exchange.value(found.content)}),
                }
            return recorded


if __name__ == "__main__":
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    text = json.dumps(asyncio.run(record()), ensure_ascii=False, indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")

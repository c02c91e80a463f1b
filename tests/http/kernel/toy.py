"""A toy engine on the kernel: things (rows of the workspaces facet) in the memory store, and every kind of route."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import attrs

from adapters.memory.storage import MemoryStorage
from application.completion import complete, parts
from domain.access.principal import Principal, PrincipalKind, Scope, WorkspaceRole
from domain.accounts.values import Workspace
from domain.errors import Refusal, not_found
from domain.ids import new_id
from domain.items.dfid import parse_dfid
from domain.ports import errors as storage_errors
from domain.ports.clock import SystemClock
from domain.ports.limits import Verdict, Window
from domain.ports.queries import Page, Select
from domain.ports.schema import WORKSPACES
from domain.precondition import Versions, require_version
from domain.shape import UNSET, Count, Faulty, Line, Range, Unset
from entrypoints.http.answers import Ready, Stream
from entrypoints.http.app import App, create_app
from entrypoints.http.auth import Carrier, Client, Credential
from entrypoints.http.health import Health, StoreState
from entrypoints.http.idempotency import Idempotency
from entrypoints.http.kept import KeptAnswers
from entrypoints.http.limits import RequestLimits
from entrypoints.http.paging import Cursors
from entrypoints.http.routing import Call, Deprecation, Route
from entrypoints.http.serving import Kernel
from entrypoints.http.settings import HttpSettings

ANA = "018f6f6f-0000-7000-8000-0000000000a1"
WORK = "018f6f6f-0000-7000-8000-0000000000a2"
TOKEN = {"authorization": "Bearer token-of-ana"}


@attrs.frozen
class NewThing:
    name: Annotated[str, Line(1, 40)]
    note: str = ""


@attrs.frozen
class ThingChange:
    name: Annotated[str, Line(1, 40)] | Unset = UNSET


@attrs.frozen
class Things:
    limit: Annotated[int, Range(1, 200)] = 50
    cursor: str | None = None
    q: Annotated[str, Line(2, 100)] | None = None


@attrs.frozen
class Reason:
    reason: Annotated[str, Line(0, 50)] | None = None


@attrs.frozen
class Batch:
    items: Annotated[tuple[NewThing | Faulty, ...], Count(1, 1000)]


@attrs.frozen
class ThingView:
    thing_id: str
    name: str
    created_at: datetime
    version: int


def view(thing: Workspace) -> ThingView:
    return ThingView(thing.workspace_id, thing.name, thing.created_at, thing.version)


class Keys:
    """An authenticator of fixed credentials."""

    def __init__(self) -> None:
        self.seen: list[Client] = []

    async def authenticate(self, credential: Credential, client: Client) -> Principal:
        self.seen.append(client)
        facts: dict[str, Any] = {"address": client.address, "locale": client.locale, "trace_id": client.trace_id}
        user = Principal(PrincipalKind.USER, ANA, WORK, workspace_role=WorkspaceRole.MEMBER, **facts)
        if credential == Credential(Carrier.TOKEN, "token-of-ana"):
            return user
        if credential == Credential(Carrier.TOKEN, "token-of-admin"):
            return attrs.evolve(user, is_admin=True, user_id=WORK)
        if credential == Credential(Carrier.TOKEN, "token-from-brazil"):
            return attrs.evolve(user, locale="pt_br")
        if credential == Credential(Carrier.API_KEY, "dfm_reader"):
            scopes = frozenset({Scope.ITEMS_READ})
            return attrs.evolve(user, kind=PrincipalKind.API_KEY, key_id="k1", scopes=scopes)
        if credential.text == "expired":
            raise Refusal("token_expired", "The token is past its time.")
        raise Refusal("unauthenticated", "This credential is not known.")


class Counter:
    """A rate limiter that counts and never forgets."""

    def __init__(self, **quotas: int) -> None:
        self.quotas = quotas
        self.used: dict[tuple[str, str], int] = {}

    async def hit(
        self, policy: str, key: str, cost: int = 1, windows: tuple[Window, ...] | None = None
    ) -> Verdict | None:
        if policy not in self.quotas:
            return None
        self.used[policy, key] = self.used.get((policy, key), 0) + 1
        left = self.quotas[policy] - self.used[policy, key]
        return Verdict(left >= 0, policy, self.quotas[policy], 60, left, 7, 7)


class Toy:
    """The use cases and what tests turn."""

    def __init__(self, **settings: Any) -> None:
        self.storage = MemoryStorage()
        self.clock = SystemClock()
        self.counter = Counter(user=100_000, anonymous=100_000, narrow=2)
        self.keys = Keys()
        self.released = asyncio.Event()
        self.started = asyncio.Event()
        self.cancelled = 0
        self.error: BaseException = RuntimeError("postgres://root:secret@db/x")
        self.health = Health(
            version="1.2.3",
            instance_id="one",
            started_at=self.clock.now(),
            mode="memory",
            clock=self.clock,
            ask_store=self.ask_store,
            phase="ready",
        )
        self.settings = HttpSettings(**{"version": "1.2.3", **settings})
        self.records: list[tuple[str, str | None, int]] = []

    async def ask_store(self) -> StoreState:
        await self.storage.ping()
        return StoreState(3, 3)

    def app(self) -> App:
        kernel = Kernel(
            settings=self.settings,
            authenticator=self.keys,
            cursors=Cursors((b"k" * 32,)),
            idempotency=Idempotency(self.storage, self.clock, timedelta(hours=24), _turned, _turned),
            limits=RequestLimits(self.counter),
            parse_dfid=parse_dfid,
            gate=self.health,
            kept=KeptAnswers(self.storage, self.clock),
        )
        return create_app(routes(self), kernel, self.health, (self.observe,))

    def observe(self, method: str, route: str | None, status: int, seconds: float, code: str | None) -> None:
        self.records.append((method, route, status))

    async def create(self, principal: Principal, new: NewThing) -> Workspace:
        async with self.storage.write() as unit:
            now = self.clock.now()
            thing = Workspace(new_id(), new.name, new.name + new_id(), principal.user_id, now, now)
            await unit.add(WORKSPACES, thing)
            await complete(unit, thing)
        return thing

    async def find(self, thing_id: str) -> Workspace:
        async with self.storage.read() as reader:
            thing = await reader.find(WORKSPACES, thing_id)
        if thing is None:
            raise not_found()
        return thing

    async def change(self, thing_id: str, name: str | Unset, versions: Versions) -> Workspace:
        thing = await self.find(thing_id)
        require_version(versions, thing.version)
        async with self.storage.write() as unit:
            changed = attrs.evolve(
                thing, name=thing.name if isinstance(name, Unset) else name, version=thing.version + 1
            )
            try:
                await unit.save(WORKSPACES, changed)
                await complete(unit, changed)
            except storage_errors.Stale:
                raise Refusal("version_mismatch", "Changed meanwhile.", current_version=thing.version + 1) from None
        return changed

    async def remove(self, thing_id: str, versions: Versions) -> None:
        thing = await self.find(thing_id)
        require_version(versions, thing.version)
        async with self.storage.write() as unit:
            await unit.remove(WORKSPACES, thing)

    async def all(self, call: Call) -> Page[Workspace]:
        async with self.storage.read() as reader:
            return await reader.page(WORKSPACES, Select(), call.after, call.limit)

    async def load(self, call: Call) -> dict[str, Any]:
        """Take an import: a unit per line, then one for the answer."""
        assert call.upload is not None
        text = b"".join([chunk async for chunk in call.upload.chunks])
        with parts():
            for line in text.split():
                await self.create(call.principal, NewThing(line.decode()))
        result = {"rows": len(text.split()), "type": call.upload.media_type}
        async with self.storage.write() as unit:
            await complete(unit, result)
        return result


def _turned(data: bytes) -> bytes:
    return data[::-1]


def routes(toy: Toy) -> list[Route]:
    async def create(call: Call) -> Any:
        return await toy.create(call.principal, call.body)

    async def show(call: Call) -> Any:
        return await toy.find(call.path["thing_id"])

    async def change(call: Call) -> Any:
        return await toy.change(call.path["thing_id"], call.body.name, call.if_match)

    async def remove(call: Call) -> Any:
        return await toy.remove(call.path["thing_id"], call.if_match)

    async def several(call: Call) -> Any:
        return await toy.all(call)

    async def load(call: Call) -> Any:
        return await toy.load(call)

    async def batch(call: Call) -> Any:
        results = [
            {"index": index, "outcome": "refused", "errors": entry.faults}
            if isinstance(entry, Faulty)
            else {"index": index, "outcome": "created", "errors": ()}
            for index, entry in enumerate(call.body.items)
        ]
        return {"results": results}

    async def echo(call: Call) -> Any:
        seen = {"path": call.path, "body": attrs.asdict(call.body) if call.body else None}
        return {**seen, "address": call.principal.address, "kind": call.principal.kind, "page": call.page_token}

    async def wait(_: Call) -> Any:
        toy.started.set()
        try:
            await toy.released.wait()
        except asyncio.CancelledError:
            toy.cancelled += 1
            raise
        return {"done": True}

    async def stuck_commit(_: Call) -> Any:
        async with toy.storage.write() as unit:
            await complete(unit, None)
            await asyncio.sleep(30)

    async def fail(_: Call) -> Any:
        raise toy.error

    async def big(_: Call) -> Any:
        return {"text": "x" * 5000}

    async def secret(_: Call) -> Any:
        return {"secret": "dfm_" + "x" * 2000}

    async def ready(_: Call) -> Any:
        return Ready(b'{"a":1}', 7)

    async def unfinished(call: Call) -> Any:
        return {"running": call.path["job_id"] == ANA}

    async def export(_: Call) -> Any:
        return Stream(_lines(), "application/x-ndjson", "things.ndjson")

    async def broken(_: Call) -> Any:
        return Stream(_broken(), "application/x-ndjson")

    async def live(call: Call) -> Any:
        return Stream(_ticks(toy), "text/event-stream", live=True)

    def common(operation_id: str, method: str, path: str, handler: Any, **more: Any) -> Route:
        access = {"any_credential": True} if not {"scope", "session", "public"} & set(more) else {}
        return Route(
            operation_id=operation_id,
            method=method,
            path=path,
            handler=handler,
            tag="things",
            summary=operation_id,
            **access,
            **more,
        )

    shown = {"view": view, "answer": ThingView, "versioned": True}
    return [
        common(
            "thing_create",
            "POST",
            "/api/things",
            create,
            scope=Scope.ITEMS_WRITE,
            body=NewThing,
            success=(201,),
            location=lambda thing: f"/api/things/{thing.workspace_id}",
            request_example={"name": "Novilho"},
            **shown,
        ),
        common("thing_list", "GET", "/api/things", several, query=Things, page=True, view=view, answer=ThingView),
        common("thing_search", "POST", "/api/things/search", several, body=Things, page=True, reads=True, view=view),
        common("thing_show", "GET", "/api/things/{thing_id}", show, scope=Scope.ITEMS_READ, **shown),
        common(
            "thing_change",
            "PATCH",
            "/api/things/{thing_id}",
            change,
            body=ThingChange,
            if_match="required",
            **shown,
        ),
        common("thing_remove", "DELETE", "/api/things/{thing_id}", remove, if_match="honoured", success=(204,)),
        common("thing_batch", "POST", "/api/things/batch", batch, body=Batch, bulk=True),
        common("thing_import", "POST", "/api/things/import", load, uploads=True),
        common("thing_export", "GET", "/api/things/export", export, export=True, media_type="application/x-ndjson"),
        common("echo_dfid", "GET", "/api/echo/{dfid}", echo),
        common("echo_text", "GET", "/api/text/{key}/{value}", echo),
        common("echo_number", "GET", "/api/number/{position}", echo, kinds={"position": "integer"}),
        common("echo_reason", "PUT", "/api/reason", echo, body=Reason),
        common("echo_nothing", "POST", "/api/nothing", echo),
        common("page_show", "GET", "/api/page", echo, public=True, credential_if_sent=True),
        common("login", "POST", "/api/auth/login", echo, public=True, body=NewThing),
        common("wait", "GET", "/api/wait", wait),
        common("wait_post", "POST", "/api/wait", wait),
        common("stuck", "POST", "/api/stuck", stuck_commit),
        common("fail", "POST", "/api/fail", fail),
        common("big", "GET", "/api/big", big),
        common("secret_create", "POST", "/api/secret", secret, secret=True, session=True),
        common("ready_show", "GET", "/api/ready", ready, versioned=True),
        common("job_show", "GET", "/api/jobs/{job_id}", unfinished, unfinished=lambda job: job["running"]),
        common("broken_export", "GET", "/api/broken", broken, export=True),
        common("stream_open", "GET", "/api/stream", live, live=True, ticket=True),
        common("admin_show", "GET", "/api/admin/thing", echo, scope=Scope.ADMIN_READ, admin=True),
        common("manager_show", "GET", "/api/manager/thing", echo, session=True, manager=True),
        common("narrow_show", "GET", "/api/narrow", echo, policy="narrow"),
        common(
            "old_show",
            "GET",
            "/api/old",
            echo,
            deprecated=Deprecation(datetime(2026, 1, 1, tzinfo=UTC), date(2027, 1, 1)),
        ),
    ]


async def _lines() -> AsyncIterator[bytes]:
    for number in range(3):
        yield b'{"n":%d}\n' % number


async def _broken() -> AsyncIterator[bytes]:
    yield b"{}\n"
    raise RuntimeError("half way")


async def _ticks(toy: Toy) -> AsyncIterator[bytes]:
    toy.started.set()
    try:
        while True:
            yield b": tick\n\n"
            await asyncio.sleep(0.02)
    finally:
        toy.cancelled += 1

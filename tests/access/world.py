"""One engine in memory with somebody of every standing and one of every object, rewound after each change."""

from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any

import attrs
from dependency_injector import providers

from adapters.changes import Changes
from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.storage import MemoryBackend, MemoryStorage
from application.secrets import SecretKind, mint
from application.settings import load
from container import Container
from domain.access.permissions import Permission
from domain.access.principal import Scope
from domain.accounts.values import Account, AccountStatus
from domain.ids import new_id
from domain.keys.values import ApiKey
from domain.outbox.values import OutboxRow
from domain.ports.schema import ACCOUNTS, API_KEYS, OUTBOX, Key
from entrypoints.http.app import App
from tests.access.client import Answer, call

OPTIONS = {
    "DEFARM_STORAGE": "memory",
    "DEFARM_ARGON2_TIME": "1",
    "DEFARM_ARGON2_MEMORY_KIB": "8192",
    "JWT_SECRET": "jwt secret of the tests, long enough",
    "DEFARM_SECRET_KEY": "root key of the tests, long enough",
}
PASSWORD = "seven brown oxen graze"
NUMBERS = [{"key": "sisbov", "value": "076000000000009"}, {"key": "cpf", "value": "52998224725"}]
ABSENT = {"name": "nobody-made-it", "dfid": "DFID-20250108-000042-94E", "home_dfid": "DFID-20250108-000042-94E"}
ABSENT_ID = "018f3a00-0000-7000-8000-00000000ffff"

ROLES = ("admin", "member", "viewer")
ONE_PERMISSION = {f"only {permission.value}": permission for permission in Permission}
STATES = ("private", "open", "inactive", "archived")
"""What becomes of the circuit: `open` is `private` with a public page."""

NOBODY: frozenset[str] = frozenset()


class Rewindable(MemoryBackend):
    """A memory store that goes back to a point in time, and knows what was written since, by facet.

    `stored` counts the units that stored something, `fault` is raised in place of storing any.
    """

    def __init__(self) -> None:
        super().__init__()
        self.changed: dict[str, set[Key]] = {}
        self.stored = 0
        self.fault: Exception | None = None
        self._kept: dict[str, tuple[dict[Key, Any], dict[Any, int]]] = {}

    async def commit(self, changes: Changes) -> None:
        if self.fault is not None:
            raise self.fault
        await super().commit(changes)
        self.stored += any(change.adds or change.saves or change.removes for change in changes)
        for change in changes:
            if touched := {*change.adds, *change.saves, *change.removes}:
                self.changed.setdefault(change.facet.name, set()).update(touched)

    def keep(self) -> None:
        """Remember what is stored now."""
        self._kept = {name: (dict(table.rows), dict(table.serials)) for name, table in self.tables.items()}
        self.changed.clear()

    def rewind(self) -> None:
        """Go back to what was kept."""
        for name, keys in self.changed.items():
            table, (rows, serials) = self.tables[name], self._kept[name]
            for key in keys & table.rows.keys():
                table._drop(key)
            for key in keys & rows.keys():
                table._put(rows[key])
            table.serials = dict(serials)
        self.changed.clear()


@attrs.frozen
class Person:
    """Somebody with a credential, or with none.

    `fitting` is an API key of theirs with one scope and no other, `lacking` one with every other scope that they can
    give: see `issue_keys`.
    """

    name: str
    user_id: str = ""
    credential: Mapping[str, str] = attrs.field(factory=dict)
    fitting: Mapping[str, str] | None = None
    lacking: Mapping[str, str] | None = None


@attrs.define
class World:
    """The cast by name, the objects by the name of their path parameter, and the private texts with their readers."""

    container: Container
    backend: Rewindable
    app: App
    people: dict[str, Person] = attrs.field(factory=lambda: {"anonymous": Person("anonymous")})
    objects: dict[str, str] = attrs.field(factory=dict)
    issued: list[ApiKey] = attrs.field(factory=list)
    state: str = "private"

    async def ask(
        self,
        who: str,
        method: str,
        path: str,
        body: Any = None,
        upload: str | None = None,
        credential: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request as somebody, by their token unless another credential is given."""
        shown = self.people[who].credential if credential is None else credential
        return await call(self.app, method, path, credential=shown, body=body, upload=upload)

    async def do(self, who: str, method: str, path: str, body: Any = None, upload: str | None = None) -> Any:
        """Send a request that must succeed and return its body."""
        answer = await self.ask(who, method, path, body, upload)
        assert answer.status < 300, f"{who}: {method} {path}: {answer.status} {answer.text}"
        return answer.json if answer.body else None

    async def register(self, name: str, **more: str) -> None:
        """Register somebody, with a workspace of their own unless they were invited."""
        username = name.replace(" ", "-")
        made = await self.do(
            "anonymous",
            "POST",
            "/api/auth/register",
            {"username": username, "email": f"{username}@example.com", "password": PASSWORD} | more,
        )
        credential = {"authorization": f"Bearer {made['access_token']}"}
        self.people[name] = Person(name, made["user"]["user_id"], credential)
        self.objects.setdefault("session_id", made["session_id"])
        self.objects.setdefault("workspace_id", made["workspace"]["workspace_id"])

    async def invite(self, manager: str, name: str, role: str = "member") -> None:
        """Register somebody in the workspace of a manager."""
        made = await self.do(manager, "POST", "/api/workspace/invitations", {"workspace_role": role})
        await self.register(name, invitation_token=made["secret"])

    def id_of(self, name: str) -> str:
        return self.people[name].user_id


def container_in(folder: Path) -> tuple[Container, Rewindable]:
    """Return the container of an engine over a store that can be rewound, without limits of rates."""
    settings = load({}, options=OPTIONS | {"DEFARM_DATA_DIR": str(folder)})
    container, backend = Container(settings=settings), Rewindable()
    container.memory_storage.override(providers.Object(MemoryStorage(backend)))
    container.limiter.override(providers.Object(MemoryRateLimiter({})))
    return container, backend


async def populate(world: World) -> None:
    """Make the cast and the objects."""
    await _people(world)
    await _circuit(world)
    await _items(world)
    await _events(world)
    await _queue_and_imports(world)
    await _dead_job(world)
    await _waiting(world)
    await _departures(world)
    await _told(world)
    await _webhook(world)
    world.backend.keep()


async def _people(world: World) -> None:
    await world.register("member")
    for name in ("owner", "admin", "viewer", *ONE_PERMISSION, "bare", "removed", "frozen", "asker", "friend"):
        await world.register(name)
    await world.register("stranger")
    await world.register("operator")
    await world.invite("member", "colleague")
    await _set(world, "operator", is_admin=True)
    await _sign_in(world, "operator")
    world.objects["username"] = "stranger"


async def _sign_in(world: World, name: str) -> None:
    body = {"username": name, "password": PASSWORD}
    made = await world.do("anonymous", "POST", "/api/auth/login", body)
    credential = {"authorization": f"Bearer {made['access_token']}"}
    world.people[name] = attrs.evolve(world.people[name], credential=credential)


async def _set(world: World, name: str, **members: Any) -> None:
    """Change a stored account as no route of this release does."""
    async with world.container.storage().write() as unit:
        account = await unit.get(ACCOUNTS, world.id_of(name))
        await unit.save(ACCOUNTS, attrs.evolve(account, version=account.version + 1, **members))


async def _circuit(world: World) -> None:
    body = {
        "name": "canary-circuit-name",
        "description": "canary-circuit-text",
        "public_settings": {"public_name": "Open Day", "footer_text": "canary-page-text"},
    }
    world.objects["circuit_id"] = (await world.do("owner", "POST", "/api/circuits", body))["circuit_id"]
    circuit = at(world)
    roles = {"bare": (), **{name: (permission,) for name, permission in ONE_PERMISSION.items()}}
    for name, permissions in roles.items():
        role = {"name": name.replace(" ", "-"), "permissions": sorted(permissions)}
        await world.do("owner", "POST", f"{circuit}/roles", role)
    unused = {"name": "unused", "display_name": "canary-role-name", "permissions": []}
    world.objects["name"] = (await world.do("owner", "POST", f"{circuit}/roles", unused))["name"]
    given = {"frozen": "admin", "removed": "admin"} | {role: role for role in ROLES}
    given |= {name: name.replace(" ", "-") for name in roles}
    for name, role in given.items():
        adding = {"member_id": world.id_of(name), "role": role}
        await world.do("owner", "POST", f"{circuit}/members", adding)
    named = ("bare", "viewer", "stranger", "friend", "colleague", "member", "frozen")
    world.objects |= {f"{name}_id": world.id_of(name) for name in named} | {"user_id": world.id_of("bare")}


def at(world: World) -> str:
    """Return the path of the circuit."""
    return f"/api/circuits/{world.objects['circuit_id']}"


async def _items(world: World) -> None:
    item = {
        "identifiers": [{"key": "lote", "value": "canary-lot"}, *NUMBERS],
        "data": {"nota": "canary-item-text"},
    }
    dfid = (await world.do("member", "POST", "/api/items", item))["dfid"]
    world.objects["dfid"] = dfid
    await world.do("member", "POST", f"{at(world)}/push/{dfid}")
    await world.do("owner", "PUT", f"{at(world)}/items/{dfid}/publication")
    share = {"recipient_user_id": world.id_of("friend")}
    world.objects["share_id"] = (await world.do("member", "POST", f"/api/items/{dfid}/share", share))["share_id"]
    unplaced = {"identifiers": [{"key": "lote", "value": "canary-home-lot"}]}
    world.objects["home_dfid"] = (await world.do("member", "POST", "/api/items", unplaced))["dfid"]
    await _offers(world)
    draft = {"data": {"nota": "canary-draft-text"}, "identifiers": [{"key": "lote", "value": "canary-draft-lot"}]}
    world.objects["local_id"] = (await world.do("member", "POST", "/api/items/local", draft))["local_id"]
    second = await world.do("member", "POST", "/api/items/local", {"identifiers": draft["identifiers"]})
    world.objects["other_local_id"] = second["local_id"]
    world.objects |= {"key": "lote", "value": "canary-lot", "position": "1"}


async def _offers(world: World) -> None:
    """Offer an item of its own to the stranger's workspace."""
    offered = {"identifiers": [{"key": "lote", "value": "canary-offered-lot"}], "data": {"nota": "canary-offered-text"}}
    dfid = (await world.do("member", "POST", "/api/items", offered))["dfid"]
    to = {"to_workspace_id": (await world.do("stranger", "GET", "/api/workspace"))["workspace_id"]}
    made = await world.do("member", "POST", f"/api/items/{dfid}/transfer", to)
    world.objects |= {
        "transfer_id": made["transfer_id"],
        "offered_dfid": dfid,
        **to,
        "stranger_home_id": to["to_workspace_id"],
    }


async def _events(world: World) -> None:
    circuit_id = world.objects["circuit_id"]
    kinds: dict[str, dict[str, str]] = {
        "public": {},
        "circuit_only": {"circuit_id": circuit_id},
        "direct": {"recipient_user_id": world.id_of("friend")},
        "private": {},
    }
    for visibility, more in kinds.items():
        body = {
            "dfid": world.objects["dfid"],
            "category": "vaccination",
            "visibility": visibility,
            "payload": {"nota": f"canary-{visibility}-event"},
        }
        world.objects["event_id"] = (await world.do("member", "POST", "/api/events", body | more))["event_id"]


async def _queue_and_imports(world: World) -> None:
    faulty = {"identifiers": [{"key": "sisbov", "value": "canary-pending"}], "data": {"nota": "canary-pending-text"}}
    queued = await world.do("member", "POST", "/api/items?on_problem=queue", faulty)
    world.objects["pending_id"] = queued["pending_id"]
    made = await world.do(
        "member", "POST", "/api/items/import", upload="sisbov,nota\n076000000000001,canary-import-text\n"
    )
    world.objects["import_id"] = made["import_id"]
    invitation = {"email": "canary-invited@example.com"}
    made = await world.do("member", "POST", "/api/workspace/invitations", invitation)
    world.objects["invitation_id"] = made["invitation"]["invitation_id"]
    wanted = {"name": "scales", "scopes": ["items:read"], "notes": "canary-key-text"}
    world.objects["key_id"] = (await world.do("member", "POST", "/api/api-keys", wanted))["key"]["key_id"]


async def _dead_job(world: World) -> None:
    """Leave a job that failed too often."""
    row = OutboxRow(new_id(), "notify", world.container.clock().now(), "0" * 32, status="dead")
    async with world.container.storage().write() as unit:
        await unit.add(OUTBOX, row)
    world.objects["job_id"] = row.row_id


async def _waiting(world: World) -> None:
    """Leave a push that waits for approval, and a request to join."""
    circuit = at(world)
    await world.do("owner", "PATCH", circuit, {"require_approval_for_push": True, "allow_public_visibility": True})
    held = {"data": {"nota": "canary-held-text"}, "identifiers": [{"key": "lote", "value": "canary-held-lot"}]}
    draft = (await world.do("member", "POST", "/api/items/local", held))["local_id"]
    pushed = await world.do("member", "POST", f"{circuit}/push-local", {"local_id": draft})
    world.objects["operation_id"] = pushed["operation"]["operation_id"]
    asked = await world.do("asker", "POST", f"{circuit}/requests", {"message": "canary-join-message"})
    world.objects["request_id"] = asked["request"]["request_id"]
    closing = {"require_approval_for_push": False, "allow_public_visibility": False}
    await world.do("owner", "PATCH", circuit, closing)


async def _departures(world: World) -> None:
    await world.do("owner", "DELETE", f"{at(world)}/members/{world.id_of('removed')}")
    await _set(world, "frozen", status=AccountStatus.FROZEN)


async def _told(world: World) -> None:
    circuit_id = world.objects["circuit_id"]
    happened = await world.do("bare", "GET", f"/api/activities?circuit_id={circuit_id}")
    world.objects["activity_id"] = happened["items"][0]["activity_id"]
    await world.container.sequencer().drain()
    # A stream then ends after what it has to tell.
    world.container.live().shut()
    asked = await world.do("bare", "POST", "/api/audit/reports", {"kind": "subject_access"})
    world.objects["report_id"] = asked["report_id"]
    await world.container.relay().drain()
    opened = {"title": "Odd", "severity": "low", "category": "other"}
    incident = await world.do("operator", "POST", "/api/audit/incidents", opened)
    world.objects["incident_id"] = incident["incident_id"]
    audited = await world.do("owner", "GET", f"/api/audit/entries?circuit_id={circuit_id}")
    world.objects["entry_id"] = audited["items"][0]["entry_id"]
    told = await world.do("bare", "GET", "/api/notifications")
    world.objects["notification_id"] = told["items"][0]["notification_id"]


async def _webhook(world: World) -> None:
    root = f"{at(world)}/post-actions"
    hook = {"name": "canary-webhook-name", "url": "https://erp.example.org/", "headers": {"X-Key": "canary-header"}}
    world.objects["webhook_id"] = (await world.do("owner", "POST", f"{root}/webhooks", hook))["webhook"]["webhook_id"]
    tried = await world.do("owner", "POST", f"{root}/webhooks/{world.objects['webhook_id']}/test")
    world.objects["delivery_id"] = tried["delivery_id"]


async def issue_keys(world: World, scope: str) -> None:
    """Give everybody API keys with this scope and without it, in place of those that they were given before."""
    await take_back_keys(world)
    async with world.container.storage().write() as unit:
        for name, person in world.people.items():
            if person.user_id:
                account = await unit.get(ACCOUNTS, person.user_id)
                given = {each.value for each in Scope if account.is_admin or not each.startswith("admin:")}
                made = [_issued(world, account, scopes) for scopes in (given & {scope}, given - {scope})]
                world.issued += [key for key, _ in made]
                fitting, lacking = (secret for _, secret in made)
                shown = {"lacking": {"authorization": f"Bearer {lacking}"}, "fitting": {"x-api-key": fitting}}
                world.people[name] = attrs.evolve(person, **shown)
        await unit.add(API_KEYS, *world.issued)
    world.backend.keep()


async def take_back_keys(world: World) -> None:
    """Remove the keys that were given; no audit entry tells of them."""
    async with world.container.storage().write() as unit:
        await unit.remove(API_KEYS, *world.issued)
    world.issued.clear()


def _issued(world: World, account: Account, scopes: set[str]) -> tuple[ApiKey, str]:
    """Return a new key of somebody and its secret."""
    secret, now = mint(SecretKind.API_KEY), world.container.clock().now()
    stored = world.container.peppers().stored(secret).current
    who = (account.workspace_id, account.user_id)
    return ApiKey(new_id(), *who, "key", secret.text[:12], stored, frozenset(scopes), now, now), secret.text


async def enter(world: World, state: str) -> None:
    """Bring the circuit into a state."""
    if state == "open":
        await world.do("owner", "PATCH", at(world), {"allow_public_visibility": True})
    elif state != "private":
        await world.do("owner", "PUT", f"{at(world)}/{'archive' if state == 'archived' else 'deactivate'}")
    world.state = state
    world.backend.keep()


def absent(world: World, name: str) -> Mapping[str, str]:
    """Return the objects with one of them exchanged for one that does not exist."""
    objects = copy(world.objects)
    objects[name] = ABSENT.get(name, ABSENT_ID)
    return objects

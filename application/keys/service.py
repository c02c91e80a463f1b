"""What creators and managers do with API keys (platform.md 4)."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from application.accounts.standing import touch_workspace
from application.authentication import revoked
from application.filtered import filtered_page
from application.keys.values import IssuedKey, KeyFilter, KeyPatch, KeyView, NewKey, Rotation, UsageQuery, UsageView
from application.secrets import OpaqueSecret, Peppers, SecretKind, mint
from application.units import Units
from domain.access.principal import Principal, WorkspaceRole
from domain.accounts.roles import managers_of
from domain.accounts.rules import is_active
from domain.act import Act
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.ids import new_id
from domain.instants import MICROSECOND
from domain.keys.rules import network_of, status_of
from domain.keys.values import ApiKey, KeyStatus
from domain.ports.queries import Between, Cursor, Page, Select
from domain.ports.schema import ACCOUNTS, API_KEYS, KEY_USAGE, KEY_USES
from domain.ports.storage import Reader
from domain.precondition import Versions, require_version
from domain.shape import UNSET

MOST_ACTIVE = 200
LIFE = timedelta(days=365)
SHOWN = 12
"""Characters of a secret by which its key can be recognised."""


@attrs.frozen
class ApiKeys:
    """Keys of the caller, and for managers those of their workspace. Keys do not manage keys: routes ask a session."""

    units: Units
    peppers: Peppers

    async def create(self, principal: Principal, request: NewKey) -> IssuedKey:
        """Issue a key.

        Raises Invalid; Refusal `scope_not_held`, `quota_reached` at 200 active ones, and `token_revoked` when the
        caller was frozen or erased since the request was admitted.
        """
        _refuse_scopes(principal, request.scopes)
        members = _wanted(request, self.units.clock.now())
        members.setdefault("expires_at", self.units.clock.now() + LIFE)

        async def work(act: Act) -> IssuedKey:
            await _rely_on_standing(act)
            await _refuse_beyond(act)
            secret = mint(SecretKind.API_KEY)
            key = ApiKey(
                key_id=new_id(),
                workspace_id=act.workspace_id,
                created_by=act.user_id,
                created_at=act.now,
                updated_at=act.now,
                **self._of_secret(secret),
                **members,
            )
            await act.unit.add(API_KEYS, key)
            await _record(act, "api_key.created", key)
            await act.activity("api_key_created", ("api_key", key.key_id), data={"name": key.name})
            await _announce(act, key)
            return IssuedKey(KeyView.of(key, act.now, None), secret.text)

        return await self.units.perform(principal, work)

    async def page(self, principal: Principal, wanted: KeyFilter, after: Cursor | None, limit: int) -> Page[KeyView]:
        """Return the keys that the caller sees, newest first."""
        where: dict[str, Any] = {"workspace_id": principal.workspace_id}
        if wanted.created_by is not None or not _manages(principal):
            where["created_by"] = wanted.created_by or principal.user_id
        if not _manages(principal) and wanted.created_by not in (None, principal.user_id):
            return Page(())
        query = Select(where, ("created_at",), descending=True)
        async with self.units.storage.read() as reader:

            async def shown(keys: Sequence[ApiKey]) -> list[KeyView | None]:
                views = await self._views(reader, keys)
                return [view if view.status in wanted.status else None for view in views]

            return await filtered_page(reader, API_KEYS, query, after, limit, shown)

    async def get(self, principal: Principal, key_id: str) -> KeyView:
        """Return one key. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            (view,) = await self._views(reader, [await _visible(reader, principal, key_id)])
        return view

    async def usage(self, principal: Principal, key_id: str, query: UsageQuery) -> UsageView:
        """Return what a key did in the last days, today included. Raises Refusal `not_found`."""
        since = (self.units.clock.now() - timedelta(days=query.days - 1)).date().isoformat()
        async with self.units.storage.read() as reader:
            key = await _visible(reader, principal, key_id)
            page = await reader.page(KEY_USAGE, Select({"key_id": key.key_id, "day": Between(since)}), limit=1000)
        return UsageView.of(key_id, page.items)

    async def patch(self, principal: Principal, key_id: str, request: KeyPatch, if_match: Versions) -> KeyView:
        """Change a key.

        Raises Invalid; Refusal `not_found`, `creator_required`, `key_final`, `scope_not_held`, and `quota_reached` for
        an expired one that would make too many active ones.
        """
        members = _wanted(request, self.units.clock.now())

        async def work(act: Act) -> KeyView:
            key = await _own(act, key_id, if_match)
            _refuse_scopes(principal, members.get("scopes", frozenset()) - key.scopes)
            changed = {name: value for name, value in members.items() if value != getattr(key, name)}
            if changed:
                if "expires_at" in changed:
                    changed["warned_at"] = None
                    if status_of(key, act.now) is KeyStatus.EXPIRED:
                        await _refuse_beyond(act)
                key = await self._saved(act, key, changed)
                await _record(act, "api_key.updated", key, {"changed": sorted(set(changed) - {"warned_at"})})
            (view,) = await self._views(act.unit, [key])
            return view

        return await self.units.perform(principal, work)

    async def rotate(
        self, principal: Principal, key_id: str, request: Rotation, if_match: Versions = None
    ) -> IssuedKey:
        """Give a key another secret; the old one is good for the grace that was asked for, and none before it.

        Raises Refusal `not_found`, `creator_required`, `key_final`.
        """

        async def work(act: Act) -> IssuedKey:
            key = await _own(act, key_id, if_match)
            secret, grace = mint(SecretKind.API_KEY), request.grace_seconds
            before = {
                "previous_hash": key.secret_hash if grace else None,
                "previous_until": act.now + timedelta(seconds=grace) if grace else None,
            }
            key = await self._saved(act, key, self._of_secret(secret) | before)
            await _record(act, "api_key.rotated", key, {"grace_seconds": grace})
            (view,) = await self._views(act.unit, [key])
            return IssuedKey(view, secret.text)

        return await self.units.perform(principal, work)

    async def revoke(self, principal: Principal, key_id: str, if_match: Versions = None) -> None:
        """Revoke a key for good; one that is revoked stays so. Raises Refusal `not_found`."""

        async def work(act: Act) -> None:
            key = await _visible(act.unit, principal, key_id)
            require_version(if_match, key.version)
            if key.revoked_at is None:
                await act.unit.save(API_KEYS, revoked_key(act, key))
                act.told.add(key.created_by)
                await _record(act, "api_key.revoked", key)
                await act.activity("api_key_revoked", ("api_key", key.key_id), data={"name": key.name})

        await self.units.perform(principal, work)

    def _of_secret(self, secret: OpaqueSecret) -> dict[str, Any]:
        return {"prefix": secret.text[:SHOWN], "secret_hash": self.peppers.stored(secret).current}

    async def _saved(self, act: Act, key: ApiKey, members: dict[str, Any]) -> ApiKey:
        key = attrs.evolve(key, updated_at=act.now, version=key.version + 1, **members)
        await act.unit.save(API_KEYS, key)
        return key

    async def _views(self, reader: Reader, keys: Sequence[ApiKey]) -> list[KeyView]:
        uses = await reader.get_many(KEY_USES, [key.key_id for key in keys]) if keys else {}
        now = self.units.clock.now()
        last = {key_id: use.last_used_at for key_id, use in uses.items()}
        return [KeyView.of(key, now, last.get(key.key_id)) for key in keys]


def revoked_key(act: Act, key: ApiKey) -> ApiKey:
    """Return the key as revoked by whoever acts."""
    return attrs.evolve(
        key,
        revoked_at=act.now,
        revoked_by=act.principal.user_id,
        previous_hash=None,
        previous_until=None,
        updated_at=act.now,
        version=key.version + 1,
    )


def _manages(principal: Principal) -> bool:
    return principal.workspace_role is WorkspaceRole.MANAGER


async def _visible(reader: Reader, principal: Principal, key_id: str) -> ApiKey:
    """Return a key that the caller sees. Raises Refusal `not_found`."""
    key = await reader.find(API_KEYS, key_id)
    if key is None:
        raise not_found()
    own = key.created_by == principal.user_id or _manages(principal)
    if key.workspace_id != principal.workspace_id or not own:
        raise not_found(hides=True)
    return key


async def _own(act: Act, key_id: str, if_match: Versions) -> ApiKey:
    """Return a key that the caller may change. Raises Refusal."""
    key = await _visible(act.unit, act.principal, key_id)
    if key.created_by != act.user_id:
        raise Refusal("creator_required", "Only who made the key may change it; a manager may revoke it.")
    require_version(if_match, key.version)
    if key.revoked_at is not None:
        raise Refusal("key_final", "The key was revoked, and stays so.")
    return key


def _refuse_scopes(principal: Principal, scopes: frozenset[str]) -> None:
    lacking = sorted(scope for scope in scopes if scope.startswith("admin:"))
    if lacking and not principal.is_admin:
        raise Refusal("scope_not_held", "Only administrators give these scopes to a key.", needed=lacking)


def _wanted(request: NewKey | KeyPatch, now: datetime) -> dict[str, Any]:
    """Return the members that were sent, in their stored form. Raises Invalid with every fault."""
    faults: list[Fault] = []
    sent = {field.name: getattr(request, field.name) for field in attrs.fields(type(request))}
    wanted: dict[str, Any] = {name: value for name, value in sent.items() if value is not UNSET}
    if "scopes" in wanted:
        wanted["scopes"] = frozenset(scope.value for scope in wanted["scopes"])
    if "allowed_networks" in wanted:
        wanted["allowed_networks"] = _networks(wanted["allowed_networks"], faults)
    if wanted.get("expires_at") is not None and wanted["expires_at"] <= now:
        faults.append(Fault("out_of_range", "The instant is not in the future.", "/expires_at"))
    if faults:
        raise Invalid(faults)
    return wanted


def _networks(texts: Sequence[str], faults: list[Fault]) -> tuple[str, ...]:
    normal = [network_of(text) for text in texts]
    faults += [
        Fault("format", "This is neither an address nor a CIDR block.", f"/allowed_networks/{place}")
        for place, network in enumerate(normal)
        if network is None
    ]
    return tuple(sorted({network for network in normal if network is not None}))


async def _rely_on_standing(act: Act) -> None:
    """Let the key come about only while its maker may sign in: what erases an account revokes the keys it finds."""
    account = await act.unit.get(ACCOUNTS, act.user_id)
    if not is_active(account):
        raise revoked()
    await act.unit.confirm(ACCOUNTS, account)


async def _refuse_beyond(act: Act) -> None:
    """Bound the active keys; saving the workspace, read before the count, makes issuers count each other."""
    await touch_workspace(act, act.workspace_id)
    query = Select({"workspace_id": act.workspace_id, "works_until_at": Between(act.now + MICROSECOND)})
    page = await act.unit.page(API_KEYS, query, limit=MOST_ACTIVE)
    if len(page.items) >= MOST_ACTIVE:
        raise Refusal("quota_reached", f"A workspace has at most {MOST_ACTIVE} active keys.")


async def _record(act: Act, action: str, key: ApiKey, details: dict[str, Any] | None = None) -> None:
    await act.audit(action, ("api_key", key.key_id), workspace_id=key.workspace_id, details=details)


async def _announce(act: Act, key: ApiKey) -> None:
    told = [key.created_by, *await managers_of(act.unit, key.workspace_id)]
    data = {"name": key.name, "scopes": sorted(key.scopes)}
    await act.notify("api_key_created", told, source_id=key.key_id, data=data, myself=True)

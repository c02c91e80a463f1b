"""Routes of API keys (platform.md 4)."""

from collections.abc import Sequence
from typing import Any

import attrs

from application.keys.service import ApiKeys
from application.keys.values import IssuedKey, KeyFilter, KeyPatch, KeyView, NewKey, Rotation, UsageQuery, UsageView
from domain.ports.queries import Page
from entrypoints.http.routes.lists import Cursor, Limit
from entrypoints.http.routing import Call, Route

TAG = "api keys"


@attrs.frozen
class KeyList(KeyFilter):
    """Filters and page of the list of keys."""

    limit: Limit = 50
    cursor: Cursor = None


class KeyHandlers:
    """Each calls one use case."""

    def __init__(self, keys: ApiKeys) -> None:
        self.keys = keys

    async def create(self, call: Call) -> IssuedKey:
        return await self.keys.create(call.principal, call.body)

    async def page(self, call: Call) -> Page[KeyView]:
        return await self.keys.page(call.principal, call.query, call.after, call.limit)

    async def get(self, call: Call) -> KeyView:
        return await self.keys.get(call.principal, call.path["key_id"])

    async def update(self, call: Call) -> KeyView:
        return await self.keys.patch(call.principal, call.path["key_id"], call.body, call.if_match)

    async def rotate(self, call: Call) -> IssuedKey:
        return await self.keys.rotate(call.principal, call.path["key_id"], call.body, call.if_match)

    async def revoke(self, call: Call) -> None:
        await self.keys.revoke(call.principal, call.path["key_id"], call.if_match)

    async def usage(self, call: Call) -> UsageView:
        return await self.keys.usage(call.principal, call.path["key_id"], call.query)


def key_routes(keys: ApiKeys) -> Sequence[Route]:
    """Return the routes of API keys; a key cannot manage keys."""
    do = KeyHandlers(keys)
    return (*_reading(do), *_changing(do))


def _reading(do: KeyHandlers) -> Sequence[Route]:
    own: dict[str, Any] = {"method": "GET", "tag": TAG, "session": True}
    return (
        Route(
            path="/api/api-keys",
            handler=do.page,
            operation_id="api_key_list",
            summary="List the own keys, for managers those of the workspace, newest first",
            query=KeyList,
            page=True,
            answer=KeyView,
            **own,
        ),
        Route(
            path="/api/api-keys/{key_id}",
            handler=do.get,
            operation_id="api_key_get",
            summary="Read one key, without its secret",
            versioned=True,
            answer=KeyView,
            **own,
        ),
        Route(
            path="/api/api-keys/{key_id}/usage",
            handler=do.usage,
            operation_id="api_key_usage",
            summary="Read what a key did by day",
            query=UsageQuery,
            answer=UsageView,
            **own,
        ),
    )


def _changing(do: KeyHandlers) -> Sequence[Route]:
    own: dict[str, Any] = {"tag": TAG, "session": True}
    issued: dict[str, Any] = {
        "secret": True,
        "versioned": True,
        "version_of": lambda issued: issued.key.version,
        "answer": IssuedKey,
    }
    return (
        Route(
            method="POST",
            path="/api/api-keys",
            handler=do.create,
            operation_id="api_key_create",
            summary="Make a key; its secret is shown here only",
            body=NewKey,
            success=(201,),
            location=lambda issued: f"/api/api-keys/{issued.key.key_id}",
            problems=("scope_not_held", "quota_reached"),
            request_example={"name": "scales", "scopes": ["items:read", "items:write"]},
            **own,
            **issued,
        ),
        Route(
            method="PATCH",
            path="/api/api-keys/{key_id}",
            handler=do.update,
            operation_id="api_key_update",
            summary="Change a key",
            body=KeyPatch,
            if_match="required",
            versioned=True,
            answer=KeyView,
            problems=("creator_required", "scope_not_held", "key_final", "quota_reached"),
            request_example={"allowed_networks": ["203.0.113.0/24"], "per_minute": 600},
            **own,
        ),
        Route(
            method="POST",
            path="/api/api-keys/{key_id}/rotate",
            handler=do.rotate,
            operation_id="api_key_rotate",
            summary="Give a key another secret",
            body=Rotation,
            if_match="honoured",
            problems=("creator_required", "key_final"),
            request_example={"grace_seconds": 3600},
            **own,
            **issued,
        ),
        Route(
            method="DELETE",
            path="/api/api-keys/{key_id}",
            handler=do.revoke,
            operation_id="api_key_revoke",
            summary="Revoke a key for good",
            success=(204,),
            if_match="honoured",
            **own,
        ),
    )

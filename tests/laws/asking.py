"""A request of every route that succeeds, and of every route that changes something one that has an effect."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import attrs

from entrypoints.http.app import App
from entrypoints.http.routing import Route
from tests.access.client import Answer, sent
from tests.access.world import World, at
from tests.contract.examples import Request, request_of

Prepare = Callable[[World], Awaitable[dict[str, Any]]]


def first(by: str, method: str, path: str, body: Any = None, **then: Any) -> Prepare:
    """Return what sends one request before the one that is asked, which is changed by `then`."""

    async def prepare(world: World) -> dict[str, Any]:
        await world.do(by, method, path.format_map({**world.objects, "circuit": at(world)}), body)
        return then

    return prepare


def only(**then: Any) -> Prepare:
    """Return what needs nothing to be done before."""

    async def prepare(_: World) -> dict[str, Any]:
        return then

    return prepare


EFFECTIVE: Mapping[str, Prepare] = {
    "workspace_member_unfreeze": first(
        "member", "POST", "/api/workspace/members/{colleague_id}/freeze", {"reason": "left"}
    ),
    "item_restore": first("member", "PUT", "/api/items/{dfid}/deprecate"),
    "draft_organize": only(body={"action": "deduplicate", "dry_run": False}),
    "transfer_decide_many": only(who="stranger"),
    "circuit_activate": first("owner", "PUT", "{circuit}/deactivate"),
    "item_push": first("member", "POST", "{circuit}/withdraw/{dfid}"),
    "item_push_batch": first("member", "POST", "{circuit}/withdraw/{dfid}"),
    "item_publish": first("owner", "DELETE", "{circuit}/items/{dfid}/publication"),
    "item_publish_many": first("owner", "DELETE", "{circuit}/items/{dfid}/publication", who="owner"),
    "operation_decide_many": only(who="owner"),
    "notification_remove_read": first("member", "POST", "/api/notifications/mark-all-read", {}),
    "webhook_update": only(body={"name": "another name"}),
    "admin_user_unfreeze": first("operator", "POST", "/api/admin/users/{user_id}/freeze", {"reason": "left"}),
}
"""What makes a request that would change nothing in this world change something, and who asks it with what."""


async def effective(world: World, route: Route) -> Request:
    """Return a request that succeeds and, where the route changes anything, has an effect."""
    changed = await EFFECTIVE[route.operation_id](world) if route.operation_id in EFFECTIVE else {}
    return attrs.evolve(await request_of(world, route), **changed)


async def asked(world: World) -> AsyncIterator[Request]:
    """Yield a request of every route that has an answer; after each the world is as before."""
    for route in world.app.routes:
        if not route.socket:
            yield await effective(world, route)
            world.backend.rewind()


def again(world: World, routes: list[Route], **changed: Any) -> App:
    """Return the application with another kernel, and with these routes in place of those of their names."""
    exchanged = {route.operation_id: route for route in routes}
    every = [exchanged.get(route.operation_id, route) for route in world.app.routes]
    return App(every, attrs.evolve(world.app.kernel, **changed), world.app.health)


@contextmanager
def through(world: World, app: App) -> Iterator[None]:
    """Ask another application meanwhile."""
    served, world.app = world.app, app
    try:
        yield
    finally:
        world.app = served


async def raw(world: World, request: Request, content: bytes, headers: Mapping[str, str]) -> Answer:
    """Send other bytes in place of the body of a request."""
    path, _, query = request.path.partition("?")
    told = {"host": "engine", **world.people[request.who].credential, **headers}
    return await sent(world.app, request.route.method, path, query, told, content)


def named(route: Route, answer: Answer) -> str:
    """Return what to say of an answer that is not as it should be."""
    return f"{route.operation_id}: {answer.status} {answer.code or ''} {answer.body[:150]!r}"

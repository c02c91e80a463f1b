"""Routes of the cache, for administrators (platform.md 9.3)."""

from collections.abc import Sequence

from application.caching import KINDS, CacheAdministration, CacheView, Invalidated, Invalidation
from entrypoints.http.routing import Call, Handler, Route

TAG = "administration"


def cache_routes(cache: CacheAdministration) -> Sequence[Route]:
    """Return the routes that read the state of the cache and make it forget."""

    async def stats(_: Call) -> CacheView:
        return await cache.stats()

    return (
        Route(
            method="GET",
            path="/api/admin/cache/stats",
            handler=stats,
            operation_id="cache_stats",
            tag=TAG,
            summary="Read what the cache holds and how it is used",
            scope="admin:read",
            admin=True,
            answer=CacheView,
        ),
        *(_invalidate(cache, kind) for kind in KINDS),
    )


def _invalidate(cache: CacheAdministration, kind: str) -> Route:
    return Route(
        method="POST",
        path=f"/api/admin/cache/invalidate/{kind}",
        handler=_handler(cache, kind),
        operation_id=f"cache_invalidate_{kind}",
        tag=TAG,
        summary=f"Let every instance forget the cached {kind}",
        scope="admin:write",
        admin=True,
        bulk=True,
        body=Invalidation,
        answer=Invalidated,
        problems=("unavailable",),
    )


def _handler(cache: CacheAdministration, kind: str) -> Handler:
    async def handler(call: Call) -> Invalidated:
        return await cache.invalidate(call.principal, kind, call.body)

    return handler

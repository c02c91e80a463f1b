"""`GET /metrics` (platform.md 10.2)."""

import hmac
from collections.abc import Awaitable, Callable

from entrypoints.http.answers import NO_STORE, Answer
from entrypoints.http.routing import Call, Route


def metrics_route(scrape: Callable[[], Awaitable[tuple[str, bytes]]], token: bytes | None) -> Route:
    """Return the route; `scrape` returns media type and text, `token` is the bearer of the scraper."""

    async def show(_: Call) -> Answer:
        media_type, text = await scrape()
        return Answer(200, text, (("content-type", media_type), ("cache-control", NO_STORE)))

    def opens(bearer: str) -> bool:
        return token is not None and hmac.compare_digest(bearer.encode(), token)

    return Route(
        method="GET",
        path="/metrics",
        handler=show,
        operation_id="metrics_show",
        tag="engine",
        summary="Read what this instance counts.",
        scope="admin:read",
        admin=True,
        opened_by=opens,
        unlimited=True,
        media_type="text/plain",
    )

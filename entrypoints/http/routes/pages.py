"""Routes of the public page: as data, for anybody (circuits.md 4.16, 6)."""

from collections.abc import Sequence
from typing import Annotated, Any

import attrs

from application.circuits.page_views import Paged, PageToken, PageView, PublicEventView, PublicItemView
from application.circuits.pages import Pages, PublicPage
from domain.shape import Raw
from entrypoints.http.answers import NO_STORE
from entrypoints.http.conditional import PUBLIC_PAGE
from entrypoints.http.routes.circuits import ONE, ROOT
from entrypoints.http.routes.lists import Cursor, Limit, PageQuery
from entrypoints.http.routing import Call, Route

TAG = "pages"
PAGE = f"{ONE}/public"
LOCKED = ("page_password_required",)


@attrs.frozen
class DirectoryQuery:
    """Open pages by words of their name and tagline."""

    q: Annotated[str, Raw(2, 100)] | None = None
    limit: Limit = 50
    cursor: Cursor = None


@attrs.frozen
class AskForToken:
    """The password of a protected page."""

    access_password: Annotated[str, Raw(1, 256)]


class PageHandlers:
    """Each calls one use case."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages

    async def directory(self, call: Call) -> PublicPage[PageView]:
        return await self.pages.directory(call.query.q, call.after, call.limit)

    async def token(self, call: Call) -> PageToken:
        return await self.pages.token(call.principal, call.path["circuit_id"], call.body.access_password)

    async def page(self, call: Call) -> Paged:
        return await self.pages.page(call.principal, call.path["circuit_id"], call.page_token)

    async def items(self, call: Call) -> PublicPage[PublicItemView]:
        return await self.pages.items(call.principal, call.path["circuit_id"], call.page_token, call.after, call.limit)

    async def item(self, call: Call) -> Paged:
        return await self.pages.item(call.principal, call.path["circuit_id"], call.path["dfid"], call.page_token)

    async def events(self, call: Call) -> PublicPage[PublicEventView]:
        path = call.path
        return await self.pages.events(
            call.principal, path["circuit_id"], path["dfid"], call.page_token, call.after, call.limit
        )


def _caching(shown: Paged | PublicPage[Any]) -> str:
    return NO_STORE if shown.protected else PUBLIC_PAGE


def page_routes(pages: Pages) -> Sequence[Route]:
    """Return the routes that answer anybody. A credential that is sent counts; a page token opens protected pages."""
    do = PageHandlers(pages)
    anybody: dict[str, Any] = {
        "method": "GET",
        "tag": TAG,
        "public": True,
        "credential_if_sent": True,
        "cache_of": _caching,
    }
    one: dict[str, Any] = anybody | {"view": lambda result: result.shown, "problems": LOCKED}
    listed: dict[str, Any] = anybody | {"page": True}
    return (
        Route(
            path=f"{ROOT}/public",
            handler=do.directory,
            operation_id="page_list",
            summary="List open pages",
            query=DirectoryQuery,
            answer=PageView,
            **listed,
        ),
        Route(
            method="POST",
            path=f"{PAGE}/token",
            handler=do.token,
            operation_id="page_token_create",
            tag=TAG,
            summary="Exchange the password of a page for a token",
            public=True,
            credential_if_sent=True,
            body=AskForToken,
            secret=True,
            problems=("page_not_protected", "page_password_wrong", "not_found"),
            request_example={"access_password": "seven brown oxen graze"},
            answer=PageToken,
        ),
        Route(
            path=PAGE,
            handler=do.page,
            operation_id="page_get",
            summary="Read a page",
            answer=PageView,
            **one,
        ),
        Route(
            path=f"{PAGE}/items",
            handler=do.items,
            operation_id="page_item_list",
            summary="List what a page shows",
            query=PageQuery,
            problems=LOCKED,
            answer=PublicItemView,
            **listed,
        ),
        Route(
            path=f"{PAGE}/items/{{dfid}}",
            handler=do.item,
            operation_id="page_item_get",
            summary="Read an item of a page",
            answer=PublicItemView,
            **one,
        ),
        Route(
            path=f"{PAGE}/items/{{dfid}}/events",
            handler=do.events,
            operation_id="page_event_list",
            summary="List the public events of an item of a page",
            query=PageQuery,
            problems=LOCKED,
            answer=PublicEventView,
            **listed,
        ),
    )

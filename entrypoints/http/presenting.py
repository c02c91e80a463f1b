"""From what a use case returned to the answer of its route: pure, so that it can run inside a unit (http.md 9)."""

from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec

from application.remembering import Attached
from domain.ports.queries import Page
from entrypoints.http import conditional
from entrypoints.http.answers import JSON, NO_STORE, Answer, Ready, mapping_member
from entrypoints.http.codec import encode
from entrypoints.http.paging import Cursors, Listing, next_link, page_body
from entrypoints.http.routing import Route

LOOK_AGAIN: Final = 2
"""Seconds after which unfinished work is worth another look (http.md 10)."""


_PAGES: Attached[Page[Any], Answer] = Attached()


@attrs.frozen
class PagePlace:
    """Where the page being answered lies."""

    cursors: Cursors
    listing: Listing
    path: str
    parameters: list[tuple[str, str]]


def present(route: Route, result: Any, place: PagePlace | None = None, path: Mapping[str, Any] | None = None) -> Answer:
    """Return the answer that a route gives to a result; `path` are the parameters of the request's path."""
    if place is not None:
        return _page(route, result, place)
    status = route.success[0] if route.status_of is None else route.status_of(result)
    headers = _addresses(route, result, status, path or {})
    if status == 204:
        return Answer(204, b"", (*headers, ("cache-control", NO_STORE)), route.secret)
    found = _representation(route, result)
    body = found.body
    if route.versioned or route.method == "GET":
        headers = (*headers, ("etag", found.tag or conditional.etag(body, found.version)))
    headers = (("content-type", JSON), ("cache-control", _cache_control(route, result)), *headers)
    return Answer(status, body, headers, route.secret)


def _representation(route: Route, result: Any) -> Ready:
    view = result if route.view is None else route.view(result)
    if isinstance(view, Ready):
        return view
    return Ready(encode(view), _version(route, result, view) if route.versioned else None)


def _version(route: Route, result: Any, view: Any) -> int | None:
    if route.version_of is not None:
        return route.version_of(result)
    found: int | None = mapping_member(result, "version")
    return found if found is not None else mapping_member(view, "version")


def _addresses(route: Route, result: Any, status: int, path: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    address = route.location(result) if route.location is not None else None
    if address is not None and not address.startswith("/"):
        address = f"{route.path.format_map(path)}/{address}"
    waits = route.unfinished is not None and route.unfinished(result)
    named: tuple[tuple[str, str], ...] = (("retry-after", str(LOOK_AGAIN)),) if waits else ()
    if route.links is not None:
        named = (*named, *(("link", f'<{target}>; rel="{relation}"') for target, relation in route.links(result)))
    if address is None:
        return named
    return (("location" if status in (201, 202) else "content-location", address), *named)


def _cache_control(route: Route, result: Any) -> str:
    if route.secret or route.method != "GET":
        return NO_STORE
    if route.cache_of is not None:
        return route.cache_of(result)
    return conditional.PUBLIC_PAGE if route.public else conditional.PRIVATE


def _page(route: Route, page: Page[Any], place: PagePlace) -> Answer:
    by = (route.operation_id, place.cursors, place.listing, place.path, tuple(place.parameters))
    return _PAGES.of(page, lambda page: _made_page(route, page, place), by)


def _made_page(route: Route, page: Page[Any], place: PagePlace) -> Answer:
    cursor = None if page.after is None else place.cursors.write(place.listing, page.after)
    entries = list(page.items) if route.view is None else [route.view(entry) for entry in page.items]
    entries = [_raw(entry) for entry in entries]
    headers: tuple[tuple[str, str], ...] = (
        ("content-type", JSON),
        ("cache-control", _cache_control(route, page)),
    )
    if cursor is not None and route.method == "GET":
        headers = (*headers, ("link", next_link(place.path, place.parameters, cursor)))
    body = page_body(page, entries, cursor)
    whole = body if route.framed is None else {**route.framed(page), "items": body}
    return Answer(route.success[0], encode(whole), headers, route.secret)


def _raw(entry: Any) -> Any:
    return msgspec.Raw(entry.body) if isinstance(entry, Ready) else entry


def deprecation_headers(route: Route) -> tuple[tuple[str, str], ...]:
    """Return the headers of a route that will go (http.md 16)."""
    if route.deprecated is None:
        return ()
    since, sunset = route.deprecated.since, route.deprecated.sunset
    return (
        ("deprecation", f"@{int(since.timestamp())}"),
        ("sunset", sunset.strftime("%a, %d %b %Y 00:00:00 GMT")),
        ("link", f'</docs#{route.operation_id}>; rel="deprecation"'),
    )

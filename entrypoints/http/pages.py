"""The routes of the kernel itself: root, health, document, reference page, problem pages (http.md 1, 15)."""

import html
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec

from domain.errors import not_found
from entrypoints.http import conditional
from entrypoints.http.answers import JSON, NO_STORE, Answer
from entrypoints.http.errors import Occurrence, Problem, body, registry
from entrypoints.http.exchange import REQUEST, preferred
from entrypoints.http.health import Health
from entrypoints.http.openapi import document
from entrypoints.http.routing import Call, Route

HTML: Final = "text/html; charset=utf-8"
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_EXAMPLE: Final = '<!doctype html><html lang="en"><body>Not found: absent, or not yours to know.</body></html>'
ASSETS: Final = {
    "reference.js": "text/javascript; charset=utf-8",
    "reference.css": "text/css; charset=utf-8",
}


def kernel_routes(routes: Sequence[Route], health: Health, docs: bool) -> list[Route]:
    """Return the routes that every engine has besides `routes`, the document of all included."""
    own = [_root(health), *_health(health), *_problems(), *(_docs() if docs else ())]
    own.append(_document(routes, own, health.version))
    return own


def _public(path: str, operation_id: str, summary: str, handler: Any, **more: Any) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=handler,
        operation_id=operation_id,
        tag="engine",
        summary=summary,
        public=True,
        **more,
    )


def _root(health: Health) -> Route:
    async def root(_: Call) -> Any:
        return {
            "name": "DeFarm Engine",
            "version": health.version,
            "api": "/api",
            "openapi": "/openapi.json",
            "docs": "/docs",
        }

    return _public("/", "engine_show", "What this is and where its documentation is.", root, answer=dict[str, str])


def _health(health: Health) -> list[Route]:
    async def alive(_: Call) -> Any:
        return True, health.alive()

    async def ready(_: Call) -> Any:
        return await health.ready()

    async def database(_: Call) -> Any:
        return await health.database()

    return [
        _checked("/health", "health_show", "Whether the process lives.", alive),
        _checked("/health/ready", "health_ready_show", "Whether the instance should be sent requests.", ready),
        _checked("/health/db", "health_db_show", "Whether the store answers.", database),
    ]


def _checked(path: str, operation_id: str, summary: str, handler: Any) -> Route:
    return _public(
        path,
        operation_id,
        summary,
        handler,
        unlimited=True,
        success=(200, 503),
        status_of=lambda found: 200 if found[0] else 503,
        view=lambda found: found[1],
        cache_of=lambda _: NO_STORE,
        answer=dict[str, Any],
    )


def _document(routes: Sequence[Route], own: Sequence[Route], version: str) -> Route:
    @cache
    def written() -> Answer:
        text = msgspec.json.encode(document([*routes, *own, route], version))
        return _page(JSON, text, conditional.DOCUMENT)

    async def show(_: Call) -> Any:
        return written()

    route = _public("/openapi.json", "document_show", "This document.", show, answer=dict[str, Any])
    return route


def _page(media_type: str, text: bytes, cache_control: str, *more: tuple[str, str]) -> Answer:
    headers = (("content-type", media_type), ("cache-control", cache_control), ("etag", conditional.etag(text, None)))
    return Answer(200, text, (*headers, *more))


def _docs() -> list[Route]:
    async def reference(_: Call) -> Any:
        return _page(HTML, _static("reference.html"), conditional.DOCUMENT, ("content-security-policy", PAGE_POLICY))

    async def asset(call: Call) -> Any:
        name = call.path["asset"]
        if name not in ASSETS:
            raise not_found()
        return _page(ASSETS[name], _static(name), conditional.DOCUMENT)

    return [
        _public("/docs", "reference_show", "The reference page.", reference, media_type="text/html"),
        _public(
            "/docs/{asset}", "reference_asset_show", "A part of the reference page.", asset, problems=("not_found",)
        ),
    ]


@cache
def _static(name: str) -> bytes:
    return files("entrypoints.http").joinpath("static", name).read_bytes()


def _problems() -> list[Route]:
    async def several(_: Call) -> Any:
        return _described(list(registry().values()))

    async def one(call: Call) -> Any:
        problem = registry().get(call.path["code"])
        if problem is None:
            raise not_found()
        return _described(problem)

    return [
        _public(
            "/problems",
            "problems_list",
            "Every problem code.",
            several,
            answer=dict[str, Any],
            other_forms={"text/html": PAGE_EXAMPLE},
        ),
        _public(
            "/problems/{code}",
            "problem_show",
            "What a problem code means and what to do.",
            one,
            answer=dict[str, Any],
            other_forms={"text/html": PAGE_EXAMPLE},
            problems=("not_found",),
        ),
    ]


def _described(found: Problem | list[Problem]) -> Answer:
    exchange = REQUEST.get()
    locale = exchange.locale if exchange else "en"
    language = ("content-language", "pt-BR" if locale == "pt_br" else "en")
    if exchange is not None and _prefers_html(exchange.headers.get(b"accept", b"")):
        text = _html(found if isinstance(found, list) else [found], locale).encode()
        policy = ("content-security-policy", PAGE_POLICY)
        return _page(HTML, text, conditional.DOCUMENT, language, policy, ("vary", "Accept"))
    entries = [_entry(one, locale) for one in found] if isinstance(found, list) else None
    value = {"items": entries} if isinstance(found, list) else _entry(found, locale)
    return _page(JSON, msgspec.json.encode(value), conditional.DOCUMENT, language, ("vary", "Accept"))


def _prefers_html(accept: bytes) -> bool:
    """Tell whether a page is wished for more than JSON."""
    return preferred(accept, {"text/html": "page", "application/json": "JSON"}.get) == "page"


def _entry(problem: Problem, locale: str) -> dict[str, Any]:
    words = problem.said(locale)
    return {
        "type": f"/problems/{problem.code}",
        "code": problem.code,
        "status": problem.status,
        "title": words.title,
        "meaning": words.meaning,
        "what_to_do": words.remedy,
        "example": msgspec.Raw(_example(problem, locale)),
    }


def _example(problem: Problem, locale: str) -> bytes:
    return body(Occurrence(problem), "4bf92f3577b34da6a3ce929d0e0e4736", locale)


def _html(problems: list[Problem], locale: str) -> str:
    rows = "".join(_section(problem, locale) for problem in problems)
    language = "pt-BR" if locale == "pt_br" else "en"
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>DeFarm Engine</title>'
        f'<link rel="stylesheet" href="/docs/reference.css"></head><body><main>{rows}</main></body></html>'
    )


def _section(problem: Problem, locale: str) -> str:
    words = problem.said(locale)
    texts = (problem.code, words.title, str(problem.status), words.meaning, words.remedy)
    code, title, status, meaning, remedy = (html.escape(text) for text in texts)
    return (
        f'<section id="{code}"><h2>{title}</h2><p><code>{code}</code> · {status}</p><p>{meaning}</p><p>{remedy}</p>'
        f"<pre>{html.escape(_example(problem, locale).decode())}</pre></section>"
    )

"""The OpenAPI 3.1 document, made from the declarations of the routes (http.md 15)."""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from importlib.resources import files
from typing import Any, Final

import attrs

from entrypoints.http.codec import Schemas, kinds
from entrypoints.http.codec.schemas import UUID_PATTERN
from entrypoints.http.errors import CONTENT_TYPE, registry
from entrypoints.http.routing import PathKind, Route

_PATH_SCHEMAS: Final[Mapping[PathKind, dict[str, Any]]] = {
    "id": {"type": "string", "format": "uuid", "pattern": UUID_PATTERN},
    "dfid": {"type": "string", "format": "dfid"},
    "text": {"type": "string", "minLength": 1, "maxLength": 512},
    "integer": {"type": "integer", "minimum": 0},
}
_ALWAYS: Final = (
    "body_unparsable",
    "uri_too_long",
    "headers_too_large",
    "internal_error",
    "data_corrupt",
    "unavailable",
    "deadline_exceeded",
    "overloaded",
    "starting",
    "draining",
)
_CREDENTIALED: Final = (
    "ambiguous_credentials",
    "unauthenticated",
    "token_expired",
    "token_revoked",
    "key_expired",
    "key_revoked",
    "address_not_allowed",
)
_SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An access token, or an API key."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "page": {"type": "apiKey", "in": "header", "name": "X-Page-Token"},
}


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """Return the document. Raises TypeError for a code that is not registered."""
    schemas = Schemas(components=_shared())
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _Operation(route, schemas).written()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DeFarm Engine",
            "version": version,
            "description": "Traceability for farm goods: items, events and circuits that can be trusted.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": _SECURITY,
        },
    }


def _shared() -> dict[str, dict[str, Any]]:
    fault = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in ("code", "detail", "pointer", "parameter", "header")},
        "required": ["code", "detail"],
    }
    texts = ("type", "title", "code", "detail", "trace_id")
    problem = {
        "type": "object",
        "properties": {
            **{name: {"type": "string"} for name in texts},
            "code": {"type": "string", "enum": list(registry())},
            "status": {"type": "integer"},
            "errors": {"type": "array", "maxItems": 100, "items": {"$ref": "#/components/schemas/Fault"}},
        },
        "required": [*texts, "status"],
    }
    return {"Fault": fault, "Problem": problem}


def problem_codes(route: Route) -> tuple[str, ...]:
    """Return every code that a route may answer with, in the order of the catalogue."""
    codes = {*_ALWAYS, *route.problems, *_of_credentials(route), *_of_input(route), *_of_effect(route)}
    unknown = codes - set(registry())
    if unknown:
        raise TypeError(f"{route.operation_id} names codes that are not registered: {sorted(unknown)}")
    return tuple(code for code in registry() if code in codes)


def _of_credentials(route: Route) -> set[str]:
    codes: set[str] = set() if route.public and not route.credential_if_sent else set(_CREDENTIALED)
    wanted = {
        "scope_missing": route.scope is not None,
        "session_required": route.session,
        "admin_required": route.admin,
        "manager_required": route.manager,
        "rate_limited": not route.unlimited,
    }
    return codes | {code for code, applies in wanted.items() if applies}


def _of_input(route: Route) -> set[str]:
    takes_body = route.body is not None or route.uploads or route.method in ("POST", "PUT", "PATCH")
    codes = {"validation_failed"}
    if takes_body:
        codes |= {"encoding_invalid", "request_timeout", "body_too_large", "media_type_unsupported"}
    for kind in route.parameters.values():
        codes |= {"dfid_invalid"} if kind == "dfid" else {"id_invalid", "not_found"}
    if "dfid" in route.parameters.values():
        codes.add("not_found")
    if route.page:
        codes.add("cursor_invalid")
    return codes


def _of_effect(route: Route) -> set[str]:
    codes: set[str] = set()
    if route.changes:
        codes |= {"read_only", "contention", "outcome_unknown"}
    if route.if_match is not None:
        codes |= {"header_invalid", "version_mismatch"}
    if route.if_match == "required":
        codes.add("if_match_required")
    if route.takes_key:
        codes |= {"header_invalid", "idempotency_running", "idempotency_key_reused"}
    if route.conditional:
        codes.add("header_invalid")
    return codes


@attrs.frozen
class _Operation:
    route: Route
    schemas: Schemas

    def written(self) -> dict[str, Any]:
        route = self.route
        written: dict[str, Any] = {
            "operationId": route.operation_id,
            "tags": [route.tag],
            "summary": route.summary,
            "parameters": [*self._path(), *self._query(), *self._headers()],
            "responses": {**self._successes(), **self._problems()},
            "security": _security(route),
            "x-problem-codes": list(problem_codes(route)),
            "x-scope": _scope_name(route),
        }
        body = self._request_body()
        if body is not None:
            written["requestBody"] = body
        if route.deprecated is not None:
            written["deprecated"] = True
        return written

    def _path(self) -> list[dict[str, Any]]:
        return [
            {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS[kind]}
            for name, kind in self.route.parameters.items()
        ]

    def _query(self) -> list[dict[str, Any]]:
        if self.route.query is None:
            return []
        shape: Any = self.route.query
        return [self._parameter(member) for member in kinds.members_of(shape)]

    def _parameter(self, member: kinds.Member) -> dict[str, Any]:
        inner = member.kind.inner if isinstance(member.kind, kinds.NullableKind) else member.kind
        listed = isinstance(inner, kinds.ArrayKind)
        schema = self.schemas.member(attrs.evolve(member, kind=inner), "request")
        return {
            "name": member.name,
            "in": "query",
            "required": member.required,
            "schema": {key: value for key, value in schema.items() if key != "uniqueItems"},
            **({"style": "form", "explode": False} if listed else {}),
        }

    def _headers(self) -> list[dict[str, Any]]:
        route = self.route
        found = []
        if route.if_match is not None:
            found.append(_header("If-Match", route.if_match == "required"))
        if route.takes_key:
            found.append(_header("Idempotency-Key", False, {"type": "string", "minLength": 1, "maxLength": 257}))
        if route.conditional:
            found.append(_header("If-None-Match", False))
        return found

    @property
    def _recorded(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = recorded().get(self.route.operation_id, {})
        return found

    def _request_body(self) -> dict[str, Any] | None:
        route = self.route
        if route.uploads:
            return {"required": True, "content": {kind: _upload(kind, self._recorded) for kind in route.media_types}}
        if route.body is None:
            return None
        content: dict[str, Any] = {"schema": self.schemas.of(route.body, "request")}
        content["example"] = route.request_example or self._recorded.get("request", {})
        shape: Any = route.body
        required = any(member.required for member in kinds.members_of(shape))
        return {"required": required, "content": dict.fromkeys(route.media_types, content)}

    def _successes(self) -> dict[str, Any]:
        found = {str(status): self._success(status) for status in self.route.success}
        if self.route.conditional:
            found["304"] = {"description": "Not Modified", "headers": _headers(["ETag"])}
        return found

    def _success(self, status: int) -> dict[str, Any]:
        route = self.route
        answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        headers = _answer_headers(route, status)
        if headers:
            answer["headers"] = headers
        if status != 204:
            content = self._content(status)
            if self._recorded.get("status") == status and "answer" in self._recorded:
                content["example"] = self._recorded["answer"]
            others = {kind: {"schema": {"type": "string"}, "example": text} for kind, text in route.other_forms.items()}
            answer["content"] = {route.media_type or "application/json": content, **others}
        return answer

    def _content(self, status: int) -> dict[str, Any]:
        route = self.route
        shape = route.answers.get(status, route.answer)
        if route.messages is not None:
            form = _frame if route.socket else _event
            return {
                "schema": {
                    "anyOf": [form(name, self.schemas.of(shape, "answer")) for name, shape in route.messages.items()]
                }
            }
        if route.media_type is not None and shape is None:
            return {"schema": {"type": "string"}}
        schema = self.schemas.of(shape, "answer") if shape is not None else {}
        if route.page and route.framed is None:
            schema = _page_schema(schema)
        return {"schema": schema}

    def _problems(self) -> dict[str, Any]:
        by_status: dict[int, list[str]] = {}
        for code in problem_codes(self.route):
            by_status.setdefault(registry()[code].status, []).append(code)
        return {
            str(status): _problem_answer(status, codes)
            for status, codes in sorted(by_status.items())
            if status not in self.route.success
        }


def _problem_answer(status: int, codes: list[str]) -> dict[str, Any]:
    problem = registry()[codes[0]]
    words = problem.said("en")
    example = {
        "type": f"/problems/{problem.code}",
        "title": words.title,
        "status": status,
        "code": problem.code,
        "detail": words.meaning,
        "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
    }
    content = {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}
    return {"description": ", ".join(codes), "x-problem-codes": codes, "content": {CONTENT_TYPE: content}}


def _header(name: str, required: bool, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "schema": schema or {"type": "string"}}


def _answer_headers(route: Route, status: int) -> dict[str, Any]:
    names = []
    if route.location is not None:
        names.append("Location" if status in (201, 202) else "Content-Location")
    if status != 204 and (route.versioned or route.conditional):
        names.append("ETag")
    if route.page and route.method == "GET":
        names.append("Link")
    return _headers(names)


def _headers(names: list[str]) -> dict[str, Any]:
    return {name: {"schema": {"type": "string"}} for name in names}


def _upload(media_type: str, example: Mapping[str, Any]) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string"}
    rows = example.get("request", "")
    if media_type == "multipart/form-data":
        form = {"type": "object", "properties": {"mapping": text, "file": text}, "required": ["file"]}
        return {"schema": form, "example": {"file": rows}}
    return {"schema": text, "example": rows if media_type == "text/csv" else _as_lines(rows)}


def _as_lines(rows: str) -> str:
    names, *values = [line.split(",") for line in rows.splitlines()] or [[]]
    return "".join(json.dumps(dict(zip(names, row, strict=True))) + "\n" for row in values)


@cache
def recorded() -> Mapping[str, Any]:
    """Return what an engine answered, by operation id: status, request, answer."""
    found: dict[str, Any] = json.loads((files("entrypoints.http") / "examples.json").read_text(encoding="utf-8"))
    return found


def _event(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a server-sent event, whose data are JSON in text."""
    text = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    properties = {"event": {"const": name}, "id": {"type": "string"}, "data": text}
    return {"type": "object", "properties": properties, "required": ["event", "data"]}


def _frame(name: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a message over a WebSocket."""
    return {"allOf": [data, {"type": "object", "properties": {"type": {"const": name}}, "required": ["type"]}]}


def _page_schema(entry: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": entry},
            "next_cursor": {"type": ["string", "null"], "maxLength": 1024},
        },
        "required": ["items", "next_cursor"],
    }


def _security(route: Route) -> list[dict[str, list[str]]]:
    if not route.public:
        return [{"bearer": []}] if route.session else [{"bearer": []}, {"key": []}]
    return [{}, {"bearer": []}, {"key": []}, {"page": []}] if route.credential_if_sent else []


def _scope_name(route: Route) -> str:
    if route.scope is not None:
        return str(route.scope)
    return "session" if route.session else "any" if route.any_credential else "public"

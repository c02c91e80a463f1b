"""The document of this release is valid and describes every route of the engine (http.md 15; 18, law 5)."""

import re
import socket
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from application.settings import load
from container import container_of, opened
from entrypoints.http.assembly import engine_routes, openapi_document
from entrypoints.http.errors import registry
from entrypoints.serve import Process
from tests.access.client import call

SECRETS = {"JWT_SECRET": "j" * 40, "DEFARM_SECRET_KEY": "s" * 40, "DEFARM_STORAGE": "memory"}


@pytest.fixture(scope="module")
def api() -> Any:
    return openapi_document(load(SECRETS))


def operations(api: Any) -> list[tuple[str, Any]]:
    return [
        (f"{method} {path}", operation)
        for path, methods in api["paths"].items()
        for method, operation in methods.items()
        if method in {"get", "post", "put", "patch", "delete"}
    ]


def test_the_document_is_valid(api: Any) -> None:
    OpenAPIV31SpecValidator(api).validate()


def test_operation_ids_are_unique_and_every_refusal_is_catalogued(api: Any) -> None:
    names = [operation["operationId"] for _, operation in operations(api)]
    assert len(names) == len(set(names))
    for name, operation in operations(api):
        for code in operation.get("x-problem-codes", ()):
            assert str(registry()[code].status) in operation["responses"], (name, code)


CHOICES = {"sort", "order", "time", "access", "scope", "direction", "author", "include", "evidence_min", "priority_min"}
"""Parameters of lists that choose one thing of several; all others filter."""


def test_a_filter_of_fixed_values_takes_several_of_them(api: Any) -> None:
    """http.md 7: any of a comma list. `kind` and `visibility` of items and events name one half of a whole."""
    single = {
        (path, parameter["name"])
        for path, methods in api["paths"].items()
        for parameter in methods.get("get", {}).get("parameters", ())
        if "limit" in {one["name"] for one in methods["get"]["parameters"]}
        and parameter["in"] == "query"
        and "enum" in str(parameter["schema"] | _named(api, parameter["schema"]))
        and parameter["schema"].get("type") != "array"
        and parameter["name"] not in CHOICES
    }
    assert {name for _, name in single} <= {"kind", "visibility"}, single


def _named(api: Any, schema: Any) -> Any:
    """Return what a schema refers to, nothing for one that refers to nothing."""
    refers = schema.get("$ref") or next((one["$ref"] for one in schema.get("anyOf", ()) if "$ref" in one), None)
    return {} if refers is None else api["components"]["schemas"][refers.rpartition("/")[2]]


async def test_law_5_the_serving_process_routes_exactly_what_its_document_says(api: Any, tmp_path: Path) -> None:
    """Asked of the router of the application that `defarm serve` makes, path by path, and of the document it serves."""
    container = container_of(load(SECRETS | {"DEFARM_DATA_DIR": str(tmp_path)}))
    async with opened(container):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            process = Process(container, listener, "127.0.0.1:0")
        app = process._assembled(*engine_routes(container))
        process.health.phase = "ready"
        served = (await call(app, "GET", "/openapi.json", credential={})).json
        assert served == api
        routed = {}
        for path in (route.path_format.replace(":str", "") for route in app.litestar.routes):
            answer = await call(app, "OPTIONS", re.sub(r"\{\w+\}", "x", path), credential={})
            routed[path] = set(answer.headers["allow"].lower().split(", ")) - {"head", "options"}
        assert routed == {path: set(methods) for path, methods in api["paths"].items()}
    assert len(routed) > 100

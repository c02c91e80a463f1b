"""The document of this release is valid and describes every route of the engine (http.md 15)."""

from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from application.settings import load
from entrypoints.http.assembly import openapi_document
from entrypoints.http.errors import registry


@pytest.fixture(scope="module")
def api() -> Any:
    secrets = {"JWT_SECRET": "j" * 40, "DEFARM_SECRET_KEY": "s" * 40}
    return openapi_document(load({**secrets, "DEFARM_STORAGE": "memory"}))


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

"""Routes of the identifier engine (identifiers.md 7)."""

from collections.abc import Sequence

from application.identifiers import CheckAnswer, CheckRequest, TypesView, check_all, types
from entrypoints.http.routes.items import READ
from entrypoints.http.routing import Call, Route

TAG = "identifiers"


async def _check(call: Call) -> CheckAnswer:
    return check_all(call.body)


async def _types(call: Call) -> TypesView:
    return types()


def identifier_routes() -> Sequence[Route]:
    """Return the routes that check numbers and describe their types."""
    return (
        Route(
            method="POST",
            path="/api/identifiers/check",
            handler=_check,
            operation_id="identifier_check",
            tag=TAG,
            summary="Check identifiers without looking at any item",
            scope=READ,
            body=CheckRequest,
            reads=True,
            cache_of=lambda result: "no-store",
            answer=CheckAnswer,
            request_example={"identifiers": [{"key": "sisbov", "value": "105500508078035"}]},
        ),
        Route(
            method="GET",
            path="/api/identifiers/types",
            handler=_types,
            operation_id="identifier_types",
            tag=TAG,
            summary="Read the registry of identifier types",
            scope=READ,
            versioned=True,
            answer=TypesView,
        ),
    )

"""What breaks clients of the committed document is told, and additions are not (http.md 1, 15)."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from application.settings import load
from entrypoints.http.assembly import openapi_document
from entrypoints.http.compatibility import breaks

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"
SECRETS = {"JWT_SECRET": "j" * 40, "DEFARM_SECRET_KEY": "s" * 40, "DEFARM_STORAGE": "memory"}
Edit = Callable[[Any], None]


@pytest.fixture(scope="module")
def api() -> Any:
    return json.loads(json.dumps(openapi_document(load(SECRETS))))


def test_nothing_breaks_the_clients_of_the_committed_document(api: Any) -> None:
    assert breaks(json.loads(COMMITTED.read_text(encoding="utf-8")), api) == []


def schema(name: str) -> Callable[[Any], Any]:
    return lambda api: api["components"]["schemas"][name]


def member(api: Any, of: str, name: str) -> Any:
    return schema(of)(api)["properties"][name]


def create(api: Any) -> Any:
    return api["paths"]["/api/items"]["post"]


def listing(api: Any) -> Any:
    return api["paths"]["/api/items"]["get"]


def parameter(api: Any, name: str) -> Any:
    return next(each for each in listing(api)["parameters"] if each["name"] == name)


BREAKING: dict[str, Edit] = {
    "GET /api/items is gone": lambda api: api["paths"]["/api/items"].pop("get"),
    "GET /api/items asks for another credential": lambda api: listing(api).update(security=[]),
    "GET /api/items takes no order any more": lambda api: listing(api)["parameters"].remove(parameter(api, "order")),
    "GET /api/items insists on order": lambda api: parameter(api, "order").update(required=True),
    "GET /api/items limit has a smaller maximum": lambda api: parameter(api, "limit")["schema"].update(maximum=10),
    "POST /api/items answers 206": lambda api: create(api)["responses"].update({"206": {"description": "Part"}}),
    "POST /api/items 201 has no Location any more": lambda api: create(api)["responses"]["201"]["headers"].pop(
        "Location"
    ),
    "POST /api/items takes no application/json any more": lambda api: create(api)["requestBody"]["content"].pop(
        "application/json"
    ),
    "ItemView as told has no dfid any more": lambda api: schema("ItemView")(api)["properties"].pop("dfid"),
    "ItemView as told may leave version out": lambda api: schema("ItemView")(api)["required"].remove("version"),
    "ItemView as told.version is ['integer', 'null'], was ['integer']": lambda api: member(
        api, "ItemView", "version"
    ).update(type=["integer", "null"]),
    "ItemView as told.version is [], was ['integer']": lambda api: member(api, "ItemView", "version").pop("type"),
    "Submission as sent has no aliases any more": lambda api: schema("Submission")(api)["properties"].pop("aliases"),
    "Submission as sent insists on data": lambda api: schema("Submission")(api).update(required=["data"]),
    "Submission as sent.identifiers has a smaller maxItems": lambda api: member(
        api, "Submission", "identifiers"
    ).update(maxItems=1),
    "POST /api/items on_problem takes fewer values": lambda api: schema("OnProblem")(api)["enum"].pop(),
}


@pytest.mark.parametrize("told", BREAKING)
def test_what_clients_stumble_over_is_told(api: Any, told: str) -> None:
    changed = copy.deepcopy(api)
    BREAKING[told](changed)
    assert told in breaks(api, changed)


ADDING: dict[str, Edit] = {
    "an operation": lambda api: api["paths"].update({"/api/more": {"get": copy.deepcopy(listing(api))}}),
    "an optional parameter": lambda api: listing(api)["parameters"].append(
        {"name": "more", "in": "query", "required": False, "schema": {"type": "string"}}
    ),
    "an optional member of a body": lambda api: schema("Submission")(api)["properties"].update(more={"type": "string"}),
    "a member of an answer": lambda api: (
        schema("ItemView")(api)["properties"].update(more={"type": "string"}),
        schema("ItemView")(api)["required"].append("more"),
    ),
    "a value of an answer": lambda api: schema("ItemStatus")(api)["enum"].append("more"),
    "a problem code": lambda api: create(api)["responses"]["409"]["x-problem-codes"].append("more"),
    "a status of refusals": lambda api: create(api)["responses"].update({"418": {"description": "Teapot"}}),
    "a header": lambda api: create(api)["responses"]["201"]["headers"].update(More={"schema": {"type": "string"}}),
    "a wider bound": lambda api: member(api, "Submission", "identifiers").update(maxItems=1000),
}


@pytest.mark.parametrize("what", ADDING)
def test_additions_are_no_break(api: Any, what: str) -> None:
    changed = copy.deepcopy(api)
    ADDING[what](changed)
    assert changed != api
    assert breaks(api, changed) == []

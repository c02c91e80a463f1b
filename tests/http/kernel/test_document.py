"""The document and the pages keep http.md 15."""

import re
from typing import Any

import attrs
import httpx
import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from entrypoints.http.app import create_app
from entrypoints.http.errors import registry
from entrypoints.http.routing import Route
from tests.http.kernel.test_chain import refused
from tests.http.kernel.toy import TOKEN, Things, Toy

METHODS = {"get", "post", "put", "patch", "delete"}


async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


async def test_the_document_is_valid_and_names_exactly_the_routes(toy: Toy, client: httpx.AsyncClient) -> None:
    api = await document(client)
    OpenAPIV31SpecValidator(api).validate()
    written = {(method.upper(), path) for path, methods in api["paths"].items() for method in METHODS & set(methods)}
    assert written == {(route.method, route.path) for route in toy.app().routes}


async def test_every_operation_says_who_may_call_and_what_it_may_refuse(toy: Toy, client: httpx.AsyncClient) -> None:
    api = await document(client)
    for route in toy.app().routes:
        operation = api["paths"][route.path][route.method.lower()]
        assert (operation["security"] == []) == (route.public and not route.credential_if_sent)
        assert operation["x-scope"]
        for code in operation["x-problem-codes"]:
            assert str(registry()[code].status) in operation["responses"]
        assert ("unauthenticated" in operation["x-problem-codes"]) != (operation["security"] == [])
    shown = api["paths"]["/api/things/{thing_id}"]["patch"]
    assert {"if_match_required", "version_mismatch", "id_invalid", "not_found"} <= set(shown["x-problem-codes"])
    assert set(shown["requestBody"]["content"]) == {"application/json", "application/merge-patch+json"}
    assert shown["x-scope"] == "any"


async def test_parameters_carry_the_bounds_of_the_decoder(client: httpx.AsyncClient) -> None:
    api = await document(client)
    parameters = {one["name"]: one for one in api["paths"]["/api/things"]["get"]["parameters"]}
    limit = parameters["limit"]
    assert (limit["schema"]["minimum"], limit["schema"]["maximum"], limit["schema"]["default"]) == (1, 200, 50)
    assert parameters["q"]["schema"] == {"type": "string", "minLength": 2, "maxLength": 100}


async def test_answers_fit_their_schemas_and_examples_are_accepted(client: httpx.AsyncClient) -> None:
    api = await document(client)
    create = api["paths"]["/api/things"]["post"]
    example = create["requestBody"]["content"]["application/json"]["example"]
    answer = await client.post("/api/things", json=example, headers=TOKEN)
    assert answer.status_code == 201
    check(api, create["responses"]["201"]["content"]["application/json"]["schema"], answer.json())
    page = await client.get("/api/things", headers=TOKEN)
    schema = api["paths"]["/api/things"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    check(api, schema, page.json())
    problem = await client.get("/api/things", headers=TOKEN | {"authorization": "x"})
    check(api, {"$ref": "#/components/schemas/Problem"}, problem.json())


def check(api: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    jsonschema.Draft202012Validator({**schema, "components": api["components"]}).validate(value)


async def test_the_document_has_an_etag_and_may_be_kept_for_a_while(client: httpx.AsyncClient) -> None:
    first = await client.get("/openapi.json")
    assert first.headers["cache-control"] == "public, max-age=300"
    known = {"if-none-match": first.headers["etag"]}
    assert (await client.get("/openapi.json", headers=known)).status_code == 304


async def test_the_reference_page_names_no_foreign_host(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        asset = await client.get(path)
        assert asset.status_code == 200
        assert asset.headers["content-type"].split(";")[0] in ("text/javascript", "text/css", "application/json")
        assert "//" not in re.sub(r"(?m)^\s*(//|/\*).*$", "", asset.text).replace("application/json", "")
    refused(await client.get("/docs/other.js"), "not_found")


async def test_docs_can_be_switched_off(start: Any) -> None:
    client = await start(Toy(docs=False))
    refused(await client.get("/docs"), "route_not_found")
    refused(await client.get("/docs/reference.js"), "route_not_found")
    assert (await client.get("/openapi.json")).status_code == 200


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("text/html;q=0.5, application/json", False),
        ("application/json;q=0.5, text/html", True),
        ("text/html;q=0, */*", False),
        ("text/html, application/json", True),
        ("application/json, text/html", False),
        ("*/*", False),
    ],
)
async def test_a_problem_page_is_what_accept_prefers_by_its_weights(
    client: httpx.AsyncClient, accept: str, html: bool
) -> None:
    page = await client.get("/problems/not_found", headers={"accept": accept})
    assert page.headers["content-type"].startswith("text/html") == html


async def test_codes_have_pages_in_two_forms_and_languages(client: httpx.AsyncClient) -> None:
    """Those of all codes are loaded in tests/laws."""
    listed = (await client.get("/problems")).json()["items"]
    assert [entry["code"] for entry in listed] == list(registry())
    for code in list(registry())[::40]:
        entry = (await client.get(f"/problems/{code}")).json()
        assert entry["example"]["code"] == code
        assert entry["what_to_do"]
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8", "accept-language": "pt-BR"}
    page = await client.get("/problems/not_found", headers=browser)
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-language"] == "pt-BR"
    assert "Não encontrado" in page.text
    assert "<script" not in page.text
    everything = await client.get("/problems", headers=browser)
    assert everything.text.count("<section") == len(registry())
    refused(await client.get("/problems/<script>"), "not_found")


async def test_the_root_leads_to_the_rest(client: httpx.AsyncClient) -> None:
    assert (await client.get("/")).json() == {
        "name": "DeFarm Engine",
        "version": "1.2.3",
        "api": "/api",
        "openapi": "/openapi.json",
        "docs": "/docs",
    }


async def handler(_: Any) -> None:
    return None


BASE: dict[str, Any] = {
    "method": "GET",
    "path": "/api/x",
    "handler": handler,
    "operation_id": "x_show",
    "tag": "x",
    "summary": "x",
}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"public": True, "session": True},
        {"public": True, "operation_id": "Show X"},
        {"public": True, "success": (200, 201)},
        {"public": True, "page": True},
        {"public": True, "path": "api"},
    ],
)
def test_a_route_that_does_not_say_what_it_is_does_not_start(more: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        Route(**BASE | more)


def test_two_routes_of_one_path_and_method_do_not_start() -> None:
    toy = Toy()
    route = Route(**BASE, public=True)
    twin = attrs.evolve(route, operation_id="y_show")
    with pytest.raises(TypeError):
        create_app([route, twin], toy.app().kernel, toy.health)
    with pytest.raises(TypeError):
        create_app([route, attrs.evolve(route, path="/api/y")], toy.app().kernel, toy.health)


def test_a_list_knows_its_parameters() -> None:
    assert Route(**BASE, public=True, page=True, query=Things).page

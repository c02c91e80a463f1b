"""The public page over HTTP (circuits.md 4.16, 6, 8)."""

import httpx

from tests.http.circuits.conftest import Region

NOBODY = "01941f60-6a80-7000-8000-0000000000ff"
PASSWORD = "seven brown oxen graze"
COLOURS = {"primary_color": "#102030", "secondary_color": "#a0b0c0"}
PAGE = {
    "circuit_id",
    "public_name",
    "public_description",
    "primary_color",
    "secondary_color",
    "logo_url",
    "tagline",
    "footer_text",
    "access_mode",
    "public_since",
    "member_count",
    "published_count",
    "join",
}


def visitor(region: Region) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=region.ana.client._transport, base_url="http://engine")


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def published(region: Region, **settings: object) -> tuple[str, str]:
    path = await region.circuit(**{"allow_public_visibility": True} | settings)
    dfid = await region.item(region.ana, "1")
    await region.ana.client.post(f"{path}/push/{dfid}")
    assert (await region.ana.client.put(f"{path}/items/{dfid}/publication")).status_code == 204
    return path, dfid


async def test_scenario_1_a_public_circuit_answers_an_anonymous_visitor(region: Region) -> None:
    path, dfid = await published(region)
    anybody = visitor(region)
    page = await anybody.get(f"{path}/public")
    assert (page.status_code, set(page.json()), page.headers["cache-control"]) == (200, PAGE, "no-cache")
    assert (page.json()["published_count"], page.json()["join"]) == (1, {"auto_approve": False})
    unchanged = await anybody.get(f"{path}/public", headers={"if-none-match": page.headers["etag"]})
    assert unchanged.status_code == 304
    items = await anybody.get(f"{path}/public/items")
    one = await anybody.get(f"{path}/public/items/{dfid}")
    assert (items.json()["items"], items.headers["cache-control"]) == ([one.json()], "no-cache")
    assert "etag" in one.headers and one.json()["event_count"] == 1
    events = await anybody.get(f"{path}/public/items/{dfid}/events?limit=1")
    assert [event["event_type"] for event in events.json()["items"]] == ["created"]
    assert not {"position", "salt", "prev_hash", "author_user_id"} & set(events.json()["items"][0])
    listed = await anybody.get("/api/circuits/public?q=novi")
    assert listed.json() == {"items": [page.json()], "next_cursor": None}
    for client in (region.bia.client, region.ana.client):
        assert (await client.get(f"{path}/public")).json() == page.json()


async def test_a_credential_that_is_sent_to_a_page_must_be_valid(region: Region) -> None:
    path, _ = await published(region)
    bad = await visitor(region).get(f"{path}/public", headers={"authorization": "Bearer nonsense"})
    assert problem(bad) == (401, "unauthenticated")


async def test_scenario_35_a_protected_page_answers_with_a_token_and_is_kept_by_nobody(region: Region) -> None:
    settings = {"access_mode": "protected", "access_password": PASSWORD, "public_name": "Rastro"} | COLOURS
    path, dfid = await published(region, public_settings=settings)
    anybody = visitor(region)
    for where in ("", "/items", f"/items/{dfid}", f"/items/{dfid}/events"):
        closed = await anybody.get(f"{path}/public{where}")
        assert problem(closed) == (401, "page_password_required")
        assert closed.headers["www-authenticate"] == "PageToken"
        assert set(closed.json()) == {"type", "title", "status", "code", "detail", "trace_id"}
        assert "Rastro" not in closed.text and "#" not in closed.text
    wrong = await anybody.post(f"{path}/public/token", json={"access_password": "brown"})
    assert problem(wrong) == (401, "page_password_wrong")
    granted = await anybody.post(f"{path}/public/token", json={"access_password": PASSWORD})
    assert (set(granted.json()), granted.headers["cache-control"]) == ({"page_token", "expires_at"}, "no-store")
    anybody.headers["x-page-token"] = granted.json()["page_token"]
    for where in ("", "/items", f"/items/{dfid}", f"/items/{dfid}/events"):
        opened = await anybody.get(f"{path}/public{where}")
        assert (opened.status_code, opened.headers["cache-control"]) == (200, "no-store")
    joined = await region.bia.client.post(f"{path}/requests")
    assert problem(joined) == (404, "not_found")
    with_token = {"x-page-token": granted.json()["page_token"]}
    assert (await region.bia.client.post(f"{path}/requests", headers=with_token)).status_code == 202


async def test_scenario_36_the_eleventh_wrong_password_waits(region: Region) -> None:
    settings = {"access_mode": "protected", "access_password": PASSWORD}
    path, _ = await published(region, public_settings=settings)
    anybody = visitor(region)
    for _ in range(10):
        wrong = await anybody.post(f"{path}/public/token", json={"access_password": "brown"})
        assert problem(wrong) == (401, "page_password_wrong")
    refused = await anybody.post(f"{path}/public/token", json={"access_password": PASSWORD})
    assert problem(refused) == (429, "rate_limited")
    assert 0 < int(refused.headers["retry-after"]) <= 900


async def test_scenario_47_closed_and_absent_pages_answer_alike(region: Region) -> None:
    private, anybody = await region.circuit(), visitor(region)
    for where in ("", "/items", "/items/DFID-20250108-000042-94E"):
        answers = [await anybody.get(f"{path}/public{where}") for path in (private, f"/api/circuits/{NOBODY}")]
        bodies = [{**answer.json(), "trace_id": ""} for answer in answers]
        assert bodies[0] == bodies[1] and bodies[0]["code"] == "not_found"
    assert problem(await anybody.get("/api/circuits/x/public")) == (400, "id_invalid")
    open_page, _ = await published(region)
    refused = await anybody.post(f"{open_page}/public/token", json={"access_password": PASSWORD})
    assert problem(refused) == (409, "page_not_protected")


async def test_new_members_and_roles_are_named_by_their_address(region: Region) -> None:
    path, client = await region.circuit(), region.ana.client
    body = {"member_id": region.bia.user_id, "role": "viewer"}
    added = await client.post(f"{path}/members", json=body)
    assert added.headers["location"] == f"{path}/members/{region.bia.user_id}"
    assert (await client.get(added.headers["location"])).json() == added.json()
    made = await client.post(f"{path}/roles", json={"name": "inspetor", "permissions": ["pull"]})
    assert made.headers["location"] == f"{path}/roles/inspetor"
    assert (await client.get(made.headers["location"])).json() == made.json()

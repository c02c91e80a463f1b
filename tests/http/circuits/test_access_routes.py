"""Explanation and preview over HTTP (circuits.md 2.6, 2.7)."""

from tests.http.circuits.conftest import Region
from tests.http.circuits.test_routes import problem


async def test_an_explanation_is_answered_as_the_specification_shows_it(region: Region) -> None:
    path = await region.circuit(region.bia)
    dfid = await region.item(region.ana, "1")
    await region.ana.client.post(f"{path}/push/{dfid}")
    told = (await region.bia.client.get(f"/api/access/explain?action=item.view&dfid={dfid}")).json()
    (ground,) = told["grounds"]
    assert set(ground) == {"ground", "circuit_id", "role", "placed_at"}
    assert told | {"grounds": None, "evaluated_at": None} == {
        "action": "item.view",
        "subject": {"user_id": region.bia.user_id},
        "object": {"dfid": dfid},
        "allowed": True,
        "grounds": None,
        "reason": None,
        "needed": [],
        "evaluated_at": None,
    }
    circuit_id = path.rpartition("/")[2]
    about = f"circuit_id={circuit_id}&user_id={region.bia.user_id}"
    told = (await region.ana.client.get(f"/api/access/explain?action=circuit.update&{about}")).json()
    assert (told["allowed"], told["reason"], told["needed"]) == (False, "permission_missing", ["manage_settings"])
    assert problem(await region.caio.client.get(f"/api/access/explain?action=item.view&dfid={dfid}")) == (
        404,
        "not_found",
    )
    for query in ("action=item.fly", "action=item.view", "dfid=x", f"action=item.view&dfid={dfid}&workspace_id=1"):
        answer = await region.ana.client.get(f"/api/access/explain?{query}")
        assert problem(answer) == (422, "validation_failed")


async def test_a_preview_pages_through_the_items(region: Region) -> None:
    path = await region.circuit(region.bia)
    for value in "123":
        await region.ana.client.post(f"{path}/push/{await region.item(region.ana, value)}")
    first = await region.ana.client.get(f"{path}/preview?as={region.bia.user_id}&limit=2")
    assert set(first.json()) == {"subject", "role", "permissions", "actions", "items"}
    assert (first.json()["subject"], first.json()["role"]) == ({"user_id": region.bia.user_id}, "member")
    page = first.json()["items"]
    assert [item["allowed"] for item in page["items"]] == [True, True]
    assert 'rel="next"' in first.headers["link"]
    rest = await region.ana.client.get(f"{path}/preview?as={region.bia.user_id}&limit=2&cursor={page['next_cursor']}")
    assert (len(rest.json()["items"]["items"]), rest.json()["items"]["next_cursor"]) == (1, None)
    assert problem(await region.bia.client.get(f"{path}/preview?role=viewer")) == (403, "permission_missing")
    assert problem(await region.ana.client.get(f"{path}/preview?role=nobody")) == (422, "role_unknown")

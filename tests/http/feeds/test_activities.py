"""What happened, told to those whom it concerns (platform.md 7, 17)."""

from tests.http.circuits.conftest import Region, User


async def kinds(user: User, **asked: str) -> list[str]:
    answer = await user.client.get("/api/activities", params=asked)
    assert answer.status_code == 200, answer.text
    return [entry["kind"] for entry in answer.json()["items"]]


async def test_scenario_49_members_without_pull_see_counts_outsiders_nothing_and_leavers_no_more(
    region: Region,
) -> None:
    path = await region.circuit()
    circuit_id = path.rsplit("/", 1)[1]
    role = {"name": "watcher", "permissions": ["push"]}
    assert (await region.ana.client.post(f"{path}/roles", json=role)).status_code == 201
    body = {"member_id": region.bia.user_id, "role": "watcher"}
    assert (await region.ana.client.post(f"{path}/members", json=body)).status_code == 201
    dfid = await region.item(region.ana, "1")
    assert (await region.ana.client.post(f"{path}/push/{dfid}", json={})).status_code in (200, 201)

    listed = await region.bia.client.get("/api/activities", params={"circuit_id": circuit_id})
    pushed = listed.json()["items"][0]
    assert (pushed["kind"], pushed["item_count"], pushed["dfids"]) == ("item_pushed", 1, [])
    assert dfid not in listed.text
    assert (await region.bia.client.get(f"{path}/activities")).json() == listed.json()
    assert await kinds(region.bia, dfid=dfid) == []

    own = (await region.ana.client.get("/api/activities", params={"dfid": dfid})).json()["items"]
    assert [(entry["kind"], entry["dfids"]) for entry in own] == [("item_pushed", [dfid]), ("item_created", [dfid])]

    assert (await region.caio.client.get("/api/activities", params={"circuit_id": circuit_id})).status_code == 404
    assert await kinds(region.caio) == []
    one = f"/api/activities/{pushed['activity_id']}"
    assert (await region.bia.client.get(one)).json() == pushed
    assert (await region.caio.client.get(one)).status_code == 404

    gone = await region.ana.client.delete(f"{path}/members/{region.bia.user_id}", headers={"if-match": "*"})
    assert gone.status_code == 204, gone.text
    assert await kinds(region.bia, scope="circuits") == []
    assert (await region.bia.client.get("/api/activities", params={"circuit_id": circuit_id})).status_code == 404
    assert (await region.bia.client.get(one)).status_code == 404


async def test_the_numbers_are_those_of_the_list(region: Region) -> None:
    path = await region.circuit(region.bia)
    await region.item(region.bia, "1")
    for user in (region.ana, region.bia, region.caio):
        told = await kinds(user)
        stats = (await user.client.get("/api/activities/stats")).json()
        assert stats["total"] == len(told) == sum(stats["by_day"].values())
        assert stats["by_kind"] == {kind: told.count(kind) for kind in set(told)}
    assert await kinds(region.bia, scope="mine") == ["item_created"]
    assert await kinds(region.bia, kind="member_added") == ["member_added"]
    assert await kinds(region.bia, kind="member_added", circuit_id=path.rsplit("/", 1)[1]) == ["member_added"]
    too_long = {"from": "2024-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z"}
    assert (await region.ana.client.get("/api/activities/stats", params=too_long)).status_code == 422

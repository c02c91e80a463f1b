"""What users are told, and what they do with it (platform.md 8.3, 17)."""

from typing import Any

import attrs

from application.notifications.service import NotificationFilter
from domain.access.principal import Principal, PrincipalKind
from tests.http.circuits.conftest import Region, User

ROOT = "/api/notifications"


async def told(user: User, **asked: Any) -> list[dict[str, Any]]:
    answer = await user.client.get(ROOT, params=asked)
    assert answer.status_code == 200, answer.text
    entries: list[dict[str, Any]] = answer.json()["items"]
    return entries


async def unread(user: User) -> int:
    return int((await user.client.get(f"{ROOT}/unread-count")).json()["unread"])


async def test_they_are_listed_counted_marked_and_removed(region: Region) -> None:
    paths = [await region.circuit(region.bia) for _ in range(3)]
    entries = await told(region.bia)
    assert [entry["type"] for entry in entries] == ["member_added"] * 3
    assert [entry["position"] for entry in entries] == [3, 2, 1]
    assert entries[0]["link"] == paths[2]
    assert "Novilho" in entries[0]["message"]
    assert await unread(region.bia) == 3
    assert await unread(region.ana) == 0

    one = f"{ROOT}/{entries[0]['notification_id']}"
    for _ in range(2):
        marked = await region.bia.client.patch(one, json={"read": True})
        assert (marked.status_code, marked.json()["read_at"] is None) == (200, False)
    assert [entry["position"] for entry in await told(region.bia, unread=True)] == [2, 1]
    assert [entry["position"] for entry in await told(region.bia, after_position=1)] == [2, 3]
    many = await region.bia.client.post(f"{ROOT}/mark-all-read", json={"up_to_position": 1})
    assert many.json() == {"updated": 1}
    assert (await region.bia.client.post(f"{ROOT}/mark-all-read")).json() == {"updated": 1}
    assert await unread(region.bia) == 0
    assert (await region.bia.client.patch(one, json={"read": False})).json()["read_at"] is None

    assert (await region.bia.client.delete(ROOT)).status_code == 422
    assert (await region.bia.client.delete(ROOT, params={"read": True})).status_code == 204
    assert [entry["position"] for entry in await told(region.bia)] == [3]
    assert (await region.bia.client.delete(one)).status_code == 204
    assert await told(region.bia) == []


async def test_scenario_48_those_of_others_are_not_there(region: Region) -> None:
    await region.circuit(region.bia)
    [entry] = await told(region.bia)
    one, caio = f"{ROOT}/{entry['notification_id']}", region.caio.client
    answers = [await caio.get(one), await caio.patch(one, json={"read": True}), await caio.delete(one)]
    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert (await caio.post(f"{ROOT}/mark-all-read")).json() == {"updated": 0}
    assert (await caio.delete(ROOT, params={"read": True})).status_code == 204
    assert await told(region.bia) == [entry]


async def test_a_muted_type_is_not_told_and_some_cannot_be_muted(region: Region) -> None:
    preferences = f"{ROOT}/preferences"
    assert (await region.bia.client.get(preferences)).json() == {"muted": []}
    stubborn = await region.bia.client.put(preferences, json={"muted": ["password_changed"]})
    assert (stubborn.status_code, stubborn.json()["errors"][0]["pointer"]) == (422, "/muted")
    assert (await region.bia.client.put(preferences, json={"muted": ["nonsense"]})).status_code == 422
    assert (await region.bia.client.put(preferences, json={"muted": ["member_added"]})).status_code == 200
    await region.circuit(region.bia, region.caio)
    assert (await told(region.bia), len(await told(region.caio))) == ([], 1)


async def test_scenario_42_every_approver_but_the_requester_is_told_and_then_the_requester(region: Region) -> None:
    path = await region.circuit(region.bia, require_approval_for_push=True)
    body = {"member_id": region.caio.user_id, "role": "admin"}
    assert (await region.ana.client.post(f"{path}/members", json=body)).status_code == 201
    dfid = await region.item(region.bia, "1")
    waiting = (await region.bia.client.post(f"{path}/push/{dfid}", json={})).json()["operation"]
    for approver in (region.ana, region.caio):
        assert [entry["type"] for entry in await told(approver, type="operation_pending")] == ["operation_pending"]
    assert await told(region.bia, type="operation_pending") == []
    approve = f"{path}/operations/{waiting['operation_id']}/approve"
    assert (await region.ana.client.post(approve, json={})).status_code == 200
    approved = await told(region.bia, type="operation_approved")
    assert await told(region.bia, type="operation_approved,operation_pending") == approved
    assert [entry["actor_user_id"] for entry in approved] == [region.ana.user_id]


async def test_words_come_in_the_language_of_the_reader(region: Region) -> None:
    await region.circuit(region.bia)
    [entry] = await told(region.bia)
    assert entry["title"] == "Added to a circuit"
    tag = {"if-match": (await region.bia.client.get("/api/auth/profile")).headers["etag"]}
    changed = await region.bia.client.patch("/api/auth/profile", json={"locale": "pt_br"}, headers=tag)
    assert changed.status_code == 200, changed.text
    [entry] = await told(region.bia)
    assert entry["title"] == "Incluído em um circuito"


async def test_links_begin_with_the_external_address_where_there_is_one(region: Region) -> None:
    path = await region.circuit(region.bia)
    reader = Principal(PrincipalKind.USER, user_id=region.bia.user_id)
    here = region.container.notifications()
    for base in ("", "https://trace.example.org"):
        page = await attrs.evolve(here, base=base).page(reader, NotificationFilter())
        assert [view.link for view in page.items] == [base + path]

"""Incidents open by rule from what was recorded, and people work on them (platform.md 6.6, 17)."""

from typing import Any

from tests.http.audit.conftest import PASSWORD, Watched

ROOT = "/api/audit/incidents"


async def incidents(watched: Watched, **asked: Any) -> list[dict[str, Any]]:
    await watched.seal()
    answer = await watched.admin.client.get(ROOT, params=asked)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def test_scenario_35_many_failed_logins_are_one_incident_and_every_administrator_is_told_once(
    watched: Watched,
) -> None:
    wrong = {"username": "ana", "password": "wrong"}
    for _ in range(25):
        await watched.visitor.post("/api/auth/login", json=wrong)
        if _ in (7, 19, 22):
            await watched.seal()
    [burst] = await incidents(watched, rule="login_burst")
    assert (burst["count"], burst["severity"], burst["status"]) == (25, "medium", "open")
    assert burst["subject"] == {"kind": "user", "id": watched.region.ana.user_id}
    told = (await watched.admin.client.get("/api/notifications", params={"type": "incident_opened"})).json()["items"]
    assert [entry["link"] for entry in told] == [f"{ROOT}/{burst['incident_id']}"]
    assert (await watched.visitor.post("/api/auth/login", json=wrong | {"password": PASSWORD})).status_code == 200
    [burst] = await incidents(watched, rule="login_burst")
    assert burst["severity"] == "high"


async def test_scenario_36_refusals_are_folded_and_their_counts_make_an_incident(watched: Watched) -> None:
    region = watched.region
    dfid = await region.item(region.ana, "1")
    for _ in range(60):
        assert (await region.bia.client.get(f"/api/items/{dfid}")).status_code == 404
    await watched.seal()
    denied = await watched.entries(action="access.denied")
    assert (sum(entry["count"] for entry in denied), len(denied) <= 2) == (60, True)
    [burst] = await incidents(watched, rule="denied_burst")
    assert (burst["count"], burst["subject"]) == (60, {"kind": "user", "id": region.bia.user_id})


async def test_names_from_one_address_are_a_spray_and_a_resolved_incident_opens_anew(watched: Watched) -> None:
    for number in range(21):
        await watched.visitor.post("/api/auth/login", json={"username": f"user{number}", "password": "wrong"})
    [spray] = await incidents(watched, rule="password_spray")
    assert (spray["count"], spray["subject"]) == (21, {"kind": "address", "id": "198.51.100.9"})
    assert await incidents(watched, rule="login_burst") == []
    one = f"{ROOT}/{spray['incident_id']}"
    tag = {"if-match": (await watched.admin.client.get(one)).headers["etag"]}
    done = {"status": "resolved", "resolution": "blocked"}
    assert (await watched.admin.client.patch(one, json=done, headers=tag)).status_code == 200
    for number in range(20):
        await watched.visitor.post("/api/auth/login", json={"username": f"user{number}", "password": "wrong"})
    assert [each["status"] for each in await incidents(watched, rule="password_spray")] == ["open", "resolved"]


async def test_scenario_41_steps_that_the_machine_does_not_have_are_refused(watched: Watched) -> None:
    admin = watched.admin.client
    body = {"title": "Stolen laptop", "severity": "high", "category": "credential_abuse"}
    made = await admin.post(ROOT, json=body)
    assert (made.status_code, made.json()["status"], made.json()["rule"]) == (201, "open", "manual")
    one = made.headers["location"]

    async def change(**members: Any) -> Any:
        tag = {"if-match": (await admin.get(one)).headers["etag"]}
        return await admin.patch(one, json=members, headers=tag)

    assert (await change(status="resolved")).json()["errors"][0]["pointer"] == "/resolution"
    assert (await change(assignee=watched.region.ana.user_id)).json()["errors"][0]["pointer"] == "/assignee"
    taken = (await change(assignee=watched.admin.user_id)).json()
    assert (taken["status"], taken["assignee"]) == ("acknowledged", watched.admin.user_id)
    assert (await change(status="open")).json()["code"] == "incident_state"
    assert (await change(status="resolved", resolution="wiped")).json()["status"] == "resolved"
    again = await change(status="resolved")
    assert (again.status_code, again.json()["code"]) == (409, "incident_state")
    assert (await change(status="open")).json()["status"] == "open"
    noted = await admin.post(f"{one}/notes", json={"text": "called"})
    assert (noted.status_code, [note["text"] for note in noted.json()["notes"]]) == (201, ["called"])
    assert (await admin.patch(one, json={"severity": "low"})).status_code == 428
    assert (await watched.region.ana.client.get(ROOT)).json()["code"] == "admin_required"

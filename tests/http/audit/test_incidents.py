"""Incidents open by rule from what was recorded, and people work on them (platform.md 6.6, 17)."""

from typing import Any

from tests.http.audit.conftest import PASSWORD, Watched, promoted

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
    region = watched.region
    second = watched.second("198.51.100.9")
    caio = await promoted(watched.container, region.caio, "caio")
    wrong = {"username": "ana", "password": "wrong"}
    codes = []
    for number in range(25):
        answer = await (second if number % 2 else watched.visitor).post("/api/auth/login", json=wrong)
        codes.append(answer.json()["code"])
        if number in (7, 19, 22):
            await watched.seal()
    assert codes == ["login_failed"] * 10 + ["login_limited"] * 15
    [burst] = await incidents(watched, rule="login_burst")
    assert (burst["count"], burst["severity"], burst["status"]) == (25, "medium", "open")
    assert burst["subject"] == {"kind": "user", "id": region.ana.user_id}
    for administrator in (watched.admin, caio):
        told = (await administrator.client.get("/api/notifications", params={"type": "incident_opened"})).json()
        links = [entry["link"] for entry in told["items"]]
        assert links.count(f"{ROOT}/{burst['incident_id']}") == 1
    right = wrong | {"password": PASSWORD}
    assert (await watched.second("203.0.113.8").post("/api/auth/login", json=right)).status_code == 200
    [burst] = await incidents(watched, rule="login_burst")
    assert burst["severity"] == "high"


async def test_who_gets_in_before_the_burst_comes_to_light_raises_it_and_who_was_in_before_it_does_not(
    watched: Watched,
) -> None:
    """Refusals by a limit are sealed late, so that they fold; the log does not keep the order of the attack."""
    right = {"username": "bia", "password": PASSWORD}
    assert (await watched.second("203.0.113.8").post("/api/auth/login", json=right)).status_code == 200
    for name in ("ana", "bia"):
        for _ in range(20):
            await watched.visitor.post("/api/auth/login", json={"username": name, "password": "wrong"})
    stolen = await watched.second("203.0.113.9").post("/api/auth/login", json=right | {"username": "ana"})
    assert stolen.status_code == 200
    await watched.seal(late=False)
    bursts = await incidents(watched, rule="login_burst")
    found = {burst["subject"]["id"]: (burst["count"], burst["severity"]) for burst in bursts}
    assert found == {watched.region.ana.user_id: (20, "high"), watched.region.bia.user_id: (20, "medium")}


async def test_an_administrator_who_is_made_one_from_the_start_is_an_incident_too(watched: Watched) -> None:
    for name, is_admin in (("dora", False), ("eva", True)):
        body = {"username": name, "email": f"{name}@example.com", "is_admin": is_admin}
        made = await watched.admin.client.post("/api/admin/users", json=body)
        assert made.status_code == 201, made.text
    [granted] = await incidents(watched, rule="admin_granted")
    assert granted["subject"] == {"kind": "user", "id": made.json()["user"]["user_id"]}


async def test_scenario_36_a_thousand_refusals_are_folded_and_their_count_makes_an_incident(watched: Watched) -> None:
    """While the log is sealed all the time, as it is every second; see also tests/http/accounts/test_denied.py."""
    region = watched.region
    dfid = await region.item(region.ana, "1")
    for number in range(1000):
        assert (await region.bia.client.get(f"/api/items/{dfid}")).status_code == 404
        if number % 100 == 50:
            await watched.seal(late=False)
    await watched.seal(late=False)
    denied = await watched.entries(action="access.denied")
    assert sum(entry["count"] for entry in denied) == 1000 and len(denied) <= 2
    await watched.seal()
    assert await watched.entries(action="access.denied") == [
        {**entry, "log_index": sealed["log_index"]}
        for entry, sealed in zip(denied, await watched.entries(action="access.denied"), strict=True)
    ]
    [burst] = await incidents(watched, rule="denied_burst")
    assert (burst["count"], burst["subject"]) == (1000, {"kind": "user", "id": region.bia.user_id})


async def test_scenarios_14_and_24_of_platform_a_stolen_token_and_a_foreign_network_are_incidents(
    watched: Watched,
) -> None:
    """Scenarios 14 and 24 of platform.md: what opens, how grave it is, and whom it is about."""
    region = watched.region
    login = {"username": "ana", "password": PASSWORD}
    used = {"refresh_token": (await watched.visitor.post("/api/auth/login", json=login)).json()["refresh_token"]}
    assert (await watched.visitor.post("/api/auth/refresh", json=used)).status_code == 200
    assert (await watched.visitor.post("/api/auth/refresh", json=used)).json()["code"] == "refresh_invalid"
    [reuse] = await incidents(watched, rule="refresh_reuse")
    assert (reuse["severity"], reuse["status"]) == ("high", "open")
    assert reuse["subject"] == {"kind": "user", "id": region.ana.user_id}

    wanted = {"name": "scales", "scopes": ["items:read"], "allowed_networks": ["203.0.113.0/24"]}
    issued = (await region.ana.client.post("/api/api-keys", json=wanted)).json()
    key = {"x-api-key": issued["secret"], "x-forwarded-for": "203.0.113.7"}
    refused = await watched.visitor.get("/api/items", headers=key)
    assert (refused.status_code, refused.json()["code"]) == (403, "address_not_allowed")
    [foreign] = await incidents(watched, rule="key_network")
    assert (foreign["severity"], foreign["status"]) == ("high", "open")
    assert foreign["subject"] == {"kind": "api_key", "id": issued["key"]["key_id"]}


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
    assert len(await incidents(watched, status="open,resolved", severity="high,low")) == 2
    assert await incidents(watched, status="acknowledged", severity="high,low") == []
    tag = {"if-match": (await watched.admin.client.get(one)).headers["etag"]}
    again = await watched.admin.client.patch(one, json={"status": "open"}, headers=tag)
    assert (again.status_code, again.json()["code"]) == (409, "incident_state"), again.text


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
    stale = await admin.post(f"{one}/notes", json={"text": "late"}, headers={"if-match": '"1"'})
    assert (stale.status_code, stale.json()["code"]) == (412, "version_mismatch")
    noted = await admin.post(f"{one}/notes", json={"text": "called"})
    assert (noted.status_code, [note["text"] for note in noted.json()["notes"]]) == (201, ["called"])
    assert (await admin.patch(one, json={"severity": "low"})).status_code == 428
    assert (await watched.region.ana.client.get(ROOT)).json()["code"] == "admin_required"

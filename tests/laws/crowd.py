"""Several of everything that is listed, in a world that has one."""

from tests.access.world import PASSWORD, World, _dead_job, at

SEVERAL = 3


async def crowd(world: World) -> None:
    """Make some more of each kind of thing."""
    for number in range(SEVERAL):
        await _items(world, number)
        await _people(world, number)
        await _dead_job(world)
    await _pending(world)
    await _circuits(world)
    await _waiting(world)


async def _items(world: World, number: int) -> None:
    objects, circuit = world.objects, at(world)
    lot = {"identifiers": [{"key": "lote", "value": f"crowd-{number}"}]}
    dfid = (await world.do("member", "POST", "/api/items", lot))["dfid"]
    await world.do("member", "POST", f"{circuit}/push/{dfid}")
    await world.do("owner", "PUT", f"{circuit}/items/{dfid}/publication")
    await world.do("member", "POST", f"/api/items/{dfid}/share", {"recipient_user_id": world.id_of("friend")})
    event = {"dfid": objects["dfid"], "category": "weighing", "payload": {"kg": number}, "visibility": "public"}
    await world.do("member", "POST", "/api/events", event)
    for _ in range(2):
        await world.do("member", "POST", "/api/items/local", lot)
    offered = (await world.do("member", "POST", "/api/items", {"identifiers": [*_tag(number + 10)]}))["dfid"]
    to = {"to_workspace_id": objects["stranger_home_id"]}
    await world.do("member", "POST", f"/api/items/{offered}/transfer", to)
    rows = "".join(f"{_tag(100 * (number + 1) + row)[0]['value']}\n" for row in range(SEVERAL))
    made = await world.do("member", "POST", "/api/items/import", upload=f"sisbov\n{rows}")
    objects["import_id"] = made["import_id"]
    await world.do("member", "POST", f"/api/items/{objects['dfid']}/enrich", {"data": {f"peso_{number}": number}})


def _tag(number: int) -> list[dict[str, str]]:
    return [{"key": "sisbov", "value": f"076{number:012d}"}]


async def _people(world: World, number: int) -> None:
    hooks = f"{at(world)}/post-actions/webhooks"
    recipient = {"recipient_user_id": world.id_of(("asker", "stranger", "removed")[number])}
    await world.do("member", "POST", f"/api/items/{world.objects['dfid']}/share", recipient)
    await world.do("member", "POST", "/api/workspace/invitations", {"workspace_role": "member"})
    await world.do("member", "POST", "/api/api-keys", {"name": f"key {number}", "scopes": ["items:read"]})
    await world.do("operator", "POST", "/api/audit/incidents", {"title": "Odd", "severity": "low", "category": "other"})
    await world.do("owner", "POST", hooks, {"name": f"hook {number}", "url": "https://erp.example.org/"})
    await world.do("owner", "POST", f"{hooks}/{world.objects['webhook_id']}/test")
    for who in ("operator", "bare"):
        await world.do("anonymous", "POST", "/api/auth/login", {"username": who, "password": PASSWORD})
    await world.do("operator", "POST", "/api/audit/reports", {"kind": "subject_access"})
    await world.container.relay().drain()


async def _pending(world: World) -> None:
    for number in range(SEVERAL):
        faulty = {"identifiers": [{"key": "sisbov", "value": f"faulty {number}"}]}
        await world.do("member", "POST", "/api/items?on_problem=queue", faulty)
        await world.ask("stranger", "POST", "/api/items?on_problem=queue", {"identifiers": _tag(number + 10)})


async def _circuits(world: World) -> None:
    for number in range(SEVERAL):
        body = {"name": f"Circuit {number}", "allow_public_visibility": True}
        made = (await world.do("member", "POST", "/api/circuits", body))["circuit_id"]
        await world.do("asker", "POST", f"/api/circuits/{made}/requests", {})
        await world.do("member", "POST", f"/api/circuits/{made}/push/{world.objects['dfid']}")


async def _waiting(world: World) -> None:
    for who in ("stranger", "friend", "colleague"):
        await world.do(who, "POST", f"{at(world)}/requests", {})
    await world.do("owner", "PATCH", at(world), {"require_approval_for_push": True})
    for number in range(SEVERAL):
        lot = {"identifiers": [{"key": "lote", "value": f"waits-{number}"}]}
        dfid = (await world.do("member", "POST", "/api/items", lot))["dfid"]
        await world.do("member", "POST", f"{at(world)}/push/{dfid}")
    await world.do("owner", "PATCH", at(world), {"require_approval_for_push": False})

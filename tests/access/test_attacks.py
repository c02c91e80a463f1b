"""Scenario 43 of circuits.md: no body of any route says who acts."""

from pathlib import Path

from entrypoints.http.assembly import engine_routes
from entrypoints.http.codec import kinds
from tests.access.rows import ROWS
from tests.access.test_matrix import _filled, world_in

ACTORS = ("user_id", "requester_id", "approver_id", "admin_id", "owner_id", "workspace_id", "author_user_id")


async def test_scenario_43_a_body_that_names_somebody_as_the_one_who_acts_is_refused(tmp_path: Path) -> None:
    async with world_in(tmp_path) as world:
        wrong, asked = [], 0
        for route in engine_routes(world.container):
            row = ROWS.get(route.operation_id)
            if row is None or route.body is None:
                continue
            known = {member.name for member in kinds.members_of(route.body)}
            chosen = {**world.objects, **{name: world.objects[other] for name, other in row.objects.items()}}
            for name in set(ACTORS) - known:
                body = (_filled(row.body, chosen) or {}) | {name: world.id_of("stranger")}
                answer = await world.ask("operator", route.method, route.path.format_map(chosen), body)
                faults = [fault["code"] for fault in answer.json.get("errors", ())] if answer.status == 422 else []
                if faults != ["unknown_field"]:
                    wrong.append(f"{route.operation_id} with {name}: {answer.status} {answer.text[-200:]}")
                asked += 1
        assert not wrong, "\n".join(wrong)
        assert asked > 300

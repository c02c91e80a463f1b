"""A DFID of seven digits is as good as one of six, wherever one is named (items-events.md 2)."""

from pathlib import Path

from domain.items.dfid import parse_dfid
from entrypoints.http.assembly import engine_routes
from tests.access.rows import ROWS
from tests.access.test_matrix import Matrix, world_in

NAMES = ("dfid", "home_dfid")


async def test_scenario_5_every_route_accepts_the_dfid_after_999_999(tmp_path: Path) -> None:
    async with world_in(tmp_path, taken=999_999) as world:
        matrix = Matrix(world)
        assert all(len(world.objects[name].split("-")[2]) == 7 for name in NAMES)
        assert all(parse_dfid(world.objects[name]) == world.objects[name] for name in NAMES)
        wrong, asked = [], 0
        for route in engine_routes(world.container):
            row = ROWS.get(route.operation_id)
            if row is None or not any(f"{{{name}}}" in f"{route.path} {row.query} {row.body}" for name in NAMES):
                continue
            served = row.served.of("private")
            for who in sorted(served)[:1]:
                answer = await matrix._asked(route, row, who, world.objects)
                if answer.status >= 400 and answer.code not in row.refused:
                    wrong.append(f"{route.operation_id} as {who}: {answer.status} {answer.text[-200:]}")
                asked += 1
                world.backend.rewind()
        assert not wrong, "\n".join(wrong)
        assert asked > 30

"""What an engine answers over a copy is what it answered over the store that was copied (items-events.md 15)."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dependency_injector import providers

from adapters.memory.limits import MemoryRateLimiter
from adapters.memory.place import MemoryPlace
from adapters.memory.storage import MemoryStorage
from adapters.postgres.place import PostgresPlace
from application.settings import load
from container import container_of, opened
from entrypoints.http.assembly import assembled, engine_routes, health_of, kernel_of
from tests.access.client import Answer
from tests.access.world import OPTIONS, World
from tests.contract.examples import Request, example_world, request_of, routes_of
from tests.laws.asking import through
from tests.moving.test_copying import copy

OF_THE_STORE = frozenset(
    {
        *("storage_history_get", "item_storage_history", "storage_location_list", "storage_statistics"),
        *("configuration_get", "doctor_run", "dashboard_stats", "health_show", "health_ready_show", "health_db_show"),
    }
)
"""Operations that tell of the store or the instance that answers."""

OF_ASKING = frozenset({"audit_entry_list", "audit_export", "audit_dashboard_get"})
"""Operations that tell that they were asked before."""

OF_THE_MOMENT = frozenset({"checked_at", "as_of", "evaluated_at"})


def settled(answer: Answer) -> Any:
    """Return the status and the content of an answer, without what is different from one moment to the next."""
    if not answer.headers.get("content-type", "").startswith("application/json"):
        return answer.status, answer.body
    return answer.status, _settled(answer.json)


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _settled(member) for name, member in value.items() if name not in OF_THE_MOMENT}
    return [_settled(member) for member in value if not _kept(member)] if isinstance(value, list) else value


def _kept(entry: Any) -> bool:
    """Tell whether an entry of a timeline says where the item was kept."""
    return isinstance(entry, dict) and entry.get("kind") == "storage" and "record" in entry


async def answers(world: World, requests: list[Request]) -> dict[str, Any]:
    return {request.route.operation_id: settled(await request.ask(world)) for request in requests}


async def test_scenario_60_a_copy_answers_every_question_alike(
    database: PostgresPlace, database_url: str, tmp_path: Path
) -> None:
    async with example_world(tmp_path) as world:
        asking = [route for route in routes_of(world) if route.method == "GET" and not route.live]
        requests = [await request_of(world, route) for route in asking]
        before = await answers(world, requests)
        storage = world.container.memory_storage()
        assert isinstance(storage, MemoryStorage)
        await copy(MemoryPlace(storage), database)
        options = {"DEFARM_DATA_DIR": str(tmp_path), "DEFARM_STORAGE": "postgres", "DATABASE_URL": database_url}
        container = container_of(load({}, options=OPTIONS | options))
        container.limiter.override(providers.Object(MemoryRateLimiter({})))
        async with opened(container):
            health = health_of(container, datetime.now(UTC))
            health.phase = "ready"
            app = assembled(engine_routes(container), kernel_of(container, health), health)
            with through(world, app):
                after = await answers(world, requests)
    alike = before.keys() - OF_THE_STORE - OF_ASKING
    assert len(alike) > 90 and {before[name][0] for name in alike} == {200}
    assert [name for name in sorted(alike) if before[name] != after[name]] == []
    (_, earlier), (_, later) = before["storage_history_get"], after["storage_history_get"]
    assert [one["action"] for one in earlier["records"]] == ["created"]
    assert [one["action"] for one in later["records"]] == ["created", "copied"]

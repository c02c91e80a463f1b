"""`defarm serve` with the working set in memory, on its own PostgreSQL."""

import urllib.request
from pathlib import Path

import psycopg

from tests.e2e.engine import EngineProcess

TOKEN = "0123456789abcdef0123456789abcdef"
BEHIND = {"DEFARM_STORAGE": "write_through", "DEFARM_WRITE_BEHIND": "true", "DEFARM_METRICS_TOKEN": TOKEN}
REFUSING = """
create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
create trigger refusing before insert on items for each row execute function refuse();
"""
SECRETS = {"JWT_SECRET": "j" * 32, "DEFARM_SECRET_KEY": "s" * 32}
METRICS = {"Authorization": f"Bearer {TOKEN}"}


def test_what_was_acknowledged_is_there_after_a_kill_and_commands_that_write_are_refused(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, DEFARM_STORAGE="write_through")
    with engine:
        token = engine.register("maria")
        item = {"identifiers": [{"key": "sisbov", "value": "076000000000001"}], "data": {"peso": 433}}
        created = engine.call("POST", "/api/items", item, token)
        assert created.status == 201, created
        path = f"/api/items/{created.body['dfid']}"
        assert engine.call("GET", path, token=token).body["data"] == {"peso": 433}
        refused = engine.run("admin", "create", "--username", "other", "--email", "o@example.org", "--generate")
        assert refused.returncode == 4, refused
        assert "DEFARM_STORAGE=write_through" in refused.stderr
        engine.kill()
        engine.start()
        assert engine.call("GET", path, token=token).body["data"] == {"peso": 433}
        assert engine.stop() == 0
    assert "loaded 1 items" in engine.log.read_text()


def test_what_was_acknowledged_before_postgres_had_it_is_there_after_a_stop_which_tells_what_is_not(
    tmp_path: Path, migrated_url: str
) -> None:
    engine = EngineProcess(tmp_path, DATABASE_URL=migrated_url, **SECRETS, **BEHIND)
    with engine:
        token = engine.register("maria")
        numbers = [f"07600000000{number:04}" for number in range(20)]
        made = [
            engine.call("POST", "/api/items", {"identifiers": [{"key": "sisbov", "value": number}]}, token)
            for number in numbers
        ]
        assert {reply.status for reply in made} == {201}
        assert len(engine.call("GET", "/api/items?limit=50", token=token).body["items"]) == 20
        again = engine.call("POST", "/api/items", {"identifiers": [{"key": "sisbov", "value": numbers[0]}]}, token)
        assert again.body["dfid"] == made[0].body["dfid"]
        asked = urllib.request.Request(f"http://127.0.0.1:{engine.port}/metrics", headers=METRICS)
        with urllib.request.urlopen(asked, timeout=30) as answer:
            assert b"\ndefarm_write_behind_queue " in answer.read()
        assert engine.stop() == 0
        engine.start()
        for reply in made:
            assert engine.call("GET", f"/api/items/{reply.body['dfid']}", token=token).status == 200
        with psycopg.connect(migrated_url) as connection:
            connection.execute(REFUSING)
        lost = {"identifiers": [{"key": "sisbov", "value": "076000000000777"}]}
        assert engine.call("POST", "/api/items", lost, token).status == 201
        assert engine.stop() == 1
    assert "1 acknowledged units are lost: PostgreSQL does not have them" in engine.log.read_text()

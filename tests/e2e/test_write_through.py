"""`defarm serve` with the working set in memory, on its own PostgreSQL."""

from pathlib import Path

from tests.e2e.engine import EngineProcess


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

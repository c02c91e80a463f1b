"""`defarm storage` beside running servers (platform.md 13.2)."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.process import COMMAND, Served, environment, until
from tests.servers import PostgresServer
from tests.unit.cli.conftest import Defarm

SECRETS = {"JWT_SECRET": "j" * 20 + "wxyzabcdefgh", "DEFARM_SECRET_KEY": "s" * 20 + "abcdefghijkl"}
FREE = {"DEFARM_LIMIT_USER": "off", "DEFARM_LIMIT_ANONYMOUS": "off"}


@pytest.fixture
def databases(postgres_server: PostgresServer) -> Iterator[Callable[[], str]]:
    made: list[str] = []

    def create() -> str:
        made.append(postgres_server.create_database())
        return made[-1]

    yield create
    for url in made:
        postgres_server.drop_database(url)


def settings(url: str) -> dict[str, str]:
    return SECRETS | FREE | {"DATABASE_URL": url}


class Farm:
    """Somebody with animals, and everything that the HTTP interface shows of them."""

    def __init__(self, api: Served) -> None:
        account = {"username": "ana", "email": "ana@example.org", "password": "a long enough secret"}
        self.token = f"Bearer {api.ask('/api/auth/register', 'POST', account).body['access_token']}"
        self.dfids = self.made(api, range(90))
        circuit = api.ask("/api/circuits", "POST", {"name": "Novilho"}, authorization=self.token).body["circuit_id"]
        for dfid in self.dfids[:3]:
            assert api.ask(f"/api/circuits/{circuit}/push/{dfid}", "POST", authorization=self.token).status in (
                200,
                201,
            )
        self.paths = [
            "/api/items?limit=200",
            "/api/circuits",
            "/api/events?limit=200",
            "/api/notifications",
            "/api/auth/profile",
        ]
        self.paths += [f"/api/items/{dfid}/{part}" for dfid in self.dfids[:5] for part in ("contributions", "timeline")]

    def made(self, api: Served, numbers: range) -> list[str]:
        tags = [{"identifiers": [{"key": "cpf", "value": _cpf(number)}], "data": {"n": number}} for number in numbers]
        answer = api.ask("/api/items/batch", "POST", {"items": tags}, authorization=self.token)
        assert answer.status == 200, answer
        return [one["dfid"] for one in answer.body["results"]]

    def dump(self, api: Served) -> dict[str, Any]:
        return {path: api.ask(path, authorization=self.token).body for path in self.paths}

    def write(self, api: Served) -> Any:
        return api.ask("/api/items", "POST", {"identifiers": [{"key": "lote", "value": "x"}]}, authorization=self.token)


def _cpf(number: int) -> str:
    digits = [int(digit) for digit in f"{number + 100_000_000:09d}"]
    for weights in (range(10, 1, -1), range(11, 1, -1)):
        left = sum(weight * digit for weight, digit in zip(weights, digits, strict=True)) * 10 % 11 % 10
        digits.append(left)
    return "".join(map(str, digits))


def _mark(url: str) -> Any:
    with psycopg.connect(url) as connection:
        row = connection.execute("select body from store").fetchone()
    return row and row[0]["copying"]


def test_scenario_54_a_copy_that_was_killed_goes_on_and_the_source_takes_no_changes(
    databases: Callable[[], str], tmp_path: Path, defarm: Defarm
) -> None:
    source, target = databases(), databases()
    with Served(tmp_path / "old", **settings(source)) as old:
        farm = Farm(old.ready())
        assert defarm("migrate", **settings(target)).code == 0
        words = ["storage", "copy", "--from", source, "--to", target, "--batch", "50", "--yes"]
        with psycopg.connect(target) as blocker:
            # The copy comes to a halt where it adds to this table, so that it is killed in its middle.
            blocker.execute("lock table contributions in share mode")
            begun = subprocess.Popen([*COMMAND, *words], cwd=tmp_path, env=environment(**settings(target)))
            until(lambda: _waits_for(target, "contributions"))
            begun.send_signal(signal.SIGKILL)
            begun.wait()
        mark = _mark(target)
        assert mark["tallies"][-1]["part"] == "value_counters" and not mark["verified"]

        refused = farm.write(old)
        assert (refused.status, refused.body["code"]) == (503, "read_only") and refused.headers["retry-after"]
        before = farm.dump(old)
        unfinished = defarm("admin", "list", **settings(target))
        assert unfinished.code == 4 and "--resume" in unfinished.err
        assert "not completed" in defarm("doctor", "--only", "store", "--json", **settings(target)).out
        assert "takes no changes" in defarm("doctor", "--only", "store", "--json", **settings(source)).out
        again = defarm(*words, **settings(target))
        assert again.code == 4 and "--resume" in again.err

        done = defarm("--json", *words, "--resume", **settings(target))
        assert done.code == 0, done.err
        report = json.loads(done.out)
        assert report["resumed"] and report["sound"] and report["chains"] == report["recorded"] == 90
        alike = defarm("storage", "verify", "--from", source, "--to", target, **settings(target))
        assert alike.code == 0, alike.out
        assert "password" not in done.err + alike.out

        with Served(tmp_path / "new", **settings(target)) as new:
            after = farm.dump(new.ready())
            _same_but_storage(before, after)
            assert farm.write(new).status == 201
            changed = defarm("storage", "verify", "--from", source, "--to", target, **settings(target))
            assert changed.code == 5 and "items: 90 rows against 91" in changed.out
            assert new.end() == 0
        # Step 6 of a request: nothing else is looked at once the instance knows.
        until(lambda: old.ask("/api/items", "POST", {"nonsense": 1}, authorization=farm.token).status == 503)
        released = defarm("storage", "release", "--from", source, "--yes", **settings(target))
        assert released.code == 0, released.err
        until(lambda: farm.write(old).status == 201)
        assert "worker.crashed" not in old.events()
        assert old.end() == 0


def _waits_for(url: str, table: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute("select 1 from pg_locks where relation = %s::regclass and not granted", [table])
        return found.fetchone() is not None


def _same_but_storage(before: dict[str, Any], after: dict[str, Any]) -> None:
    for path, body in before.items():
        if "timeline" in path:
            kept = [one for one in after[path]["items"] if one["kind"] != "storage"]
            assert kept == [one for one in body["items"] if one["kind"] != "storage"], path
        else:
            assert after[path] == body, path


def test_a_snapshot_of_a_store_in_use_is_whole(databases: Callable[[], str], tmp_path: Path, defarm: Defarm) -> None:
    source, target = databases(), databases()
    with Served(tmp_path / "old", **settings(source)) as old:
        farm = Farm(old.ready())
        with ThreadPoolExecutor(1) as others:
            writing = others.submit(lambda: [farm.made(old, range(n, n + 20)) for n in range(1000, 1400, 20)])
            file = tmp_path / "store.defarm"
            kept = defarm("storage", "snapshot", str(file), **settings(source))
            assert kept.code == 0, kept.err
            writing.result(60)
        assert farm.write(old).status == 201
        assert old.end() == 0
    restored = defarm("storage", "restore", str(file), **settings(target))
    assert restored.code == 0, restored.err
    sound = defarm("storage", "verify", **settings(target))
    assert sound.code == 0, sound.out
    again = defarm("storage", "restore", str(file), **settings(target))
    assert again.code == 4 and "not empty" in again.err


def test_a_snapshot_that_was_killed_leaves_nothing_and_a_damaged_one_is_refused(
    databases: Callable[[], str], tmp_path: Path, defarm: Defarm
) -> None:
    source, target = databases(), databases()
    assert defarm("admin", "create", "--username", "root", "--email", "r@example.org", "--generate",
                  **settings(source)).code == 0  # fmt: skip
    folder = tmp_path / "kept"
    folder.mkdir()
    file = folder / "store.defarm"
    with psycopg.connect(source) as blocker:
        blocker.execute("lock table events in access exclusive mode")
        words = ["storage", "snapshot", str(file), "--from", source]
        begun = subprocess.Popen([*COMMAND, *words], cwd=tmp_path, env=environment(**settings(source)))
        until(lambda: _waits_for(source, "events"))
        begun.send_signal(signal.SIGKILL)
        begun.wait()
    assert list(folder.iterdir()) == []
    assert defarm(*words, **settings(source)).code == 0
    whole = file.read_bytes()
    file.write_bytes(whole[:-40])
    refused = defarm("storage", "restore", str(file), **settings(target))
    assert refused.code == 4 and f"{file} is damaged" in refused.err and "after line" in refused.err
    with psycopg.connect(target) as connection:
        assert connection.execute("select to_regclass('store')").fetchone() == (None,)


def test_the_state_of_a_store_is_told(databases: Callable[[], str], tmp_path: Path, defarm: Defarm) -> None:
    url = databases()
    assert defarm("admin", "create", "--username", "root", "--email", "r@example.org", "--generate",
                  **settings(url)).code == 0  # fmt: skip
    told = json.loads(defarm("storage", "status", "--json", **settings(url)).out)
    assert told["mode"] == "postgres" and told["schema"] == told["schema_expected"] and told["takes_changes"]
    assert told["parts"]["accounts"][0] == 1 and told["bytes"] > 0 and told["audit_unsequenced"] > 0
    assert "secret" not in told["place"] and "@" not in told["place"]
    refused = defarm("storage", "status", DEFARM_STORAGE="memory", **SECRETS)
    assert refused.code == 4


def test_without_a_terminal_nothing_is_sealed_without_yes(
    databases: Callable[[], str], tmp_path: Path, defarm: Defarm
) -> None:
    source, target = databases(), databases()
    assert defarm("migrate", **settings(source)).code == 0
    refused = defarm("storage", "copy", "--from", source, "--to", target, **settings(source))
    assert refused.code == 4 and "--yes" in refused.err
    empty = defarm("storage", "copy", "--from", source, "--to", target, "--yes", **settings(source))
    assert empty.code == 4 and "holds no store" in empty.err

"""docs/migration.md, step by step: from the working set in memory of one instance to Redis before several."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from container import Container
from tests.deployment.compose import ROOT
from tests.e2e.process import Served
from tests.servers import PostgresServer, RedisServer, redis_server
from tests.unit.cli.conftest import Defarm

GUIDE = (ROOT / "docs/migration.md").read_text(encoding="utf-8")
KEYS = ("JWT_SECRET", "DEFARM_SECRET_KEY")
# The machine of the tests is shared: how fast Redis answers is not what these steps are about.
PATIENT = {"DEFARM_REDIS_TIMEOUT": "2s"}


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with redis_server(private=True) as server:
        yield server


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[str]:
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


class Farm:
    """What the first instance was told, and every later one must show."""

    def __init__(self, one: Served) -> None:
        account = {"username": "ana", "email": "ana@example.org", "password": "a long enough secret"}
        self.token = f"Bearer {one.ask('/api/auth/register', 'POST', account).body['access_token']}"
        self.paths: dict[str, Any] = {}
        circuit = self.made(one, "/api/circuits", {"name": "Novilho"}, "circuit_id")
        for number in range(3):
            lot = {"identifiers": [{"key": "lote", "value": f"A-{number}"}], "data": {"peso_kg": 400 + number}}
            item = self.made(one, "/api/items", lot, "dfid")
            dfid = item.rpartition("/")[2]
            circuit_id = circuit.rpartition("/")[2]
            pushed = one.ask(f"/api/circuits/{circuit_id}/push/{dfid}", "POST", authorization=self.token)
            assert pushed.status in (200, 201), pushed
        self.look(one)

    @property
    def item(self) -> str:
        return next(path for path in self.paths if "/items/" in path)

    def made(self, api: Served, path: str, body: Any, key: str) -> str:
        answer = api.ask(path, "POST", body, authorization=self.token)
        assert answer.status == 201, answer
        place = f"{path}/{answer.body[key]}"
        self.paths[place] = None
        return place

    def look(self, api: Served) -> None:
        for path in self.paths:
            self.paths[path] = self.seen(api, path)

    def seen(self, api: Served, path: str) -> Any:
        answer = api.ask(path, authorization=self.token)
        assert answer.status == 200, answer
        return answer.body

    def is_whole(self, api: Served) -> None:
        for path, before in self.paths.items():
            assert self.seen(api, path) == before, path

    def changes(self, here: Served, there: Served) -> None:
        """Change an item through one instance and see it through the other."""
        version = self.seen(there, self.item)["version"]
        changed = here.ask(
            self.item, "PUT", {"data": {"by": here.port}}, authorization=self.token, if_match=f'"{version}"'
        )
        assert changed.status == 200, changed
        assert self.seen(there, self.item)["data"]["by"] == here.port


def _carried_over(folder: Path, defarm: Defarm, variables: dict[str, str]) -> dict[str, str]:
    """Return the secrets that nobody set, of which `defarm config` says that they lie in the data directory."""
    told = {row["name"]: row["source"] for row in json.loads(defarm("--json", "config", **variables).out)}
    assert [told[name] for name in KEYS] == ["data directory"] * 2
    return {name: (folder / name).read_text(encoding="utf-8").strip() for name in KEYS}


def _faults(defarm: Defarm, variables: dict[str, str], *words: str) -> list[str]:
    found = json.loads(defarm("doctor", "--json", *words, **variables).out)
    return [each["text"] for each in found if each["level"] == "fail"]


def test_every_step_of_the_guide_shows_what_was_there_before(
    database: str, redis: RedisServer, tmp_path: Path, defarm: Defarm
) -> None:
    folder = tmp_path / "one" / ".defarm"
    one = {"DEFARM_STORAGE": "write_through", "DEFARM_DATA_DIR": str(folder)}
    backup = str(tmp_path / "before.defarm")
    with Served(tmp_path / "one", **one) as single:
        farm = Farm(single.ready())
        # 1: a copy in a file, beside the running server, and a doctor without complaint
        assert defarm("storage", "snapshot", backup, **one).code == 0
        assert _faults(defarm, one) == []
        secrets = _carried_over(folder, defarm, one)
        several = secrets | PATIENT | {"DATABASE_URL": database, "REDIS_URL": redis.url, "USE_REDIS_CACHE": "true"}
        # 3 before 2 is refused: memory would not learn of it
        early = defarm("storage", "copy", "--from", f"embedded:{folder}", "--to", database, "--yes", **several)
        assert early.code == 4 and "stop it first" in early.err
        # 2: the one instance stops in order
        assert single.end() == 0
    # 3: the data moves to where all hosts reach it, verified
    moved = defarm("--json", "storage", "copy", "--from", f"embedded:{folder}", "--to", database, "--yes", **several)
    assert moved.code == 0, moved.err
    assert json.loads(moved.out)["sound"]
    assert "takes no changes" in defarm("doctor", "--only", "store", "--json", **one).out
    # 4 and 5: a Redis, and the settings of every instance
    assert _faults(defarm, several, "--only", "cache") == []

    with Served(tmp_path / "first", **several) as first:
        # 6: the first instance shows what was there; tokens still work
        farm.is_whole(first.ready())
        assert first.ask("/health/ready").body["checks"]["cache"] == "up"
        with Served(tmp_path / "second", **several) as second:
            # 7: so does the second, and what one acknowledges the other shows
            farm.is_whole(second.ready())
            farm.changes(first, second)
            farm.changes(second, first)
            farm.look(second)
            # a writer of another kind is refused meanwhile
            words = ("admin", "create", "--username", "other", "--email", "o@example.org", "--generate")
            refused = defarm(*words, **secrets, DATABASE_URL=database)
            assert refused.code == 4 and "redis_cached" in refused.err, refused
            assert second.end() == 0
        assert first.end() == 0

    # back again: the same database, one instance, and a Redis that was thrown away
    redis.kill()
    with Served(tmp_path / "back", **secrets, DATABASE_URL=database, DEFARM_STORAGE="write_through") as back:
        farm.is_whole(back.ready())
        assert back.end() == 0
    # the old store is declared out of use, and says so to whoever starts it
    retired = defarm("storage", "release", "--from", f"embedded:{folder}", "--retire", "--yes", **secrets,
                     DATABASE_URL=database)  # fmt: skip
    assert retired.code == 0, retired.err
    again = defarm("storage", "release", "--from", f"embedded:{folder}", "--yes", **secrets, DATABASE_URL=database)
    assert again.code == 4 and "out of use" in again.err


def test_the_guide_has_the_steps_that_are_carried_out_here() -> None:
    steps = re.findall(r"^(\d)\. \*\*(.+?)\*\*", GUIDE, re.MULTILINE)
    assert [number for number, _ in steps] == list("1234567")
    assert "**Back again**" in GUIDE


def test_every_way_to_keep_data_is_explained() -> None:
    assert all(f"`{stack}`" in GUIDE for stack in Container.storage.providers)

"""Commands on a real store (platform.md 13)."""

import asyncio
import csv
import io
import json
import sys
from pathlib import Path

import psycopg
import pytest

from adapters.postgres.storage import PostgresStorage
from domain.ports.queries import Select
from domain.ports.schema import WORKSPACES
from entrypoints.cli import doctor
from tests.unit.cli.conftest import Defarm, Ended

SECRETS = {"JWT_SECRET": "j" * 20 + "wxyzabcdefgh", "DEFARM_SECRET_KEY": "s" * 20 + "abcdefghijkl"}

FILE = """\
sisbov;raça;data:peso
BR 076 0000 0000 0001;Nelore;412,5
nonsense;Nelore;1
"""


@pytest.fixture
def on_store(defarm: Defarm, database_url: str) -> Defarm:
    def call(*words: str, **variables: str) -> Ended:
        return defarm(*words, DATABASE_URL=database_url, **SECRETS, **variables)

    return call


@pytest.fixture
def with_admin(on_store: Defarm) -> Defarm:
    assert _create(on_store, "root").code == 0
    return on_store


def _create(defarm: Defarm, name: str, *words: str) -> Ended:
    chosen = words or ("--generate",)
    return defarm("admin", "create", "--username", name, "--email", f"{name}@example.org", "--json", *chosen)


def test_migrations_are_planned_checked_and_applied_once(on_store: Defarm) -> None:
    assert on_store("migrate", "--check").code == 4
    planned = json.loads(on_store("migrate", "--plan", "--json").out)
    assert planned["applied"] == 0
    done = json.loads(on_store("migrate", "--json").out)
    assert done["done"] == planned["pending"]
    assert not done["pending"]
    assert on_store("migrate", "--check").code == 0
    assert not json.loads(on_store("migrate", "--json").out)["done"]


def test_without_the_right_to_migrate_a_command_on_an_old_schema_is_refused(on_store: Defarm) -> None:
    ended = on_store("admin", "list", DEFARM_MIGRATE_ON_START="false")
    assert ended.code == 4
    assert "defarm migrate" in ended.err


def test_administrators_are_made_listed_and_managed(with_admin: Defarm) -> None:
    assert _create(with_admin, "root").code == 4
    assert _create(with_admin, "second").code == 0
    listed = json.loads(with_admin("admin", "list", "--json").out)
    assert [each["username"] for each in listed] == ["root", "second"]
    assert json.loads(with_admin("admin", "freeze", "second", "--json").out)["status"] == "frozen"
    assert with_admin("admin", "unfreeze", "second").code == 0
    assert with_admin("admin", "reset-password", "root").out.startswith("dfp_")


def test_the_last_administrator_stays(with_admin: Defarm) -> None:
    assert with_admin("admin", "revoke", "root").code == 4
    assert with_admin("admin", "freeze", "root").code == 4
    assert with_admin("admin", "freeze", "nobody").code == 4


def test_a_password_comes_from_stdin_and_never_as_an_argument(
    on_store: Defarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("a password of my own\n"))
    assert "password" not in json.loads(_create(on_store, "root", "--password-stdin").out)
    assert _create(on_store, "third", "--password", "secret").code == 2
    monkeypatch.setattr(sys, "stdin", io.StringIO("short\n"))
    refused = _create(on_store, "fourth", "--password-stdin")
    assert refused.code == 2
    assert "/password" in refused.err


def test_without_a_terminal_nobody_is_asked_for_a_password(on_store: Defarm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert on_store("admin", "create", "--username", "root", "--email", "root@example.org").code == 4


def test_another_root_key_is_refused_with_a_clear_message(
    with_admin: Defarm, defarm: Defarm, database_url: str
) -> None:
    changed = SECRETS | {"DEFARM_SECRET_KEY": "another root key of enough bytes!"}
    refused = defarm("admin", "list", DATABASE_URL=database_url, **changed)
    assert refused.code == 4
    assert "DEFARM_SECRET_KEY" in refused.err
    rotated = changed | {"DEFARM_SECRET_KEY_PREVIOUS": SECRETS["DEFARM_SECRET_KEY"]}
    assert defarm("admin", "list", DATABASE_URL=database_url, **rotated).code == 0


def test_a_dry_run_reports_what_the_import_then_does(with_admin: Defarm, tmp_path: Path) -> None:
    (tmp_path / "animals.csv").write_text(FILE, encoding="utf-8")
    words = ("import", "animals.csv", "--decimal", ",", "--map", "data:peso=data:peso:number", "--json")
    rehearsed, real = with_admin(*words, "--dry-run"), with_admin(*words)
    assert rehearsed.code == real.code == 5
    assert json.loads(rehearsed.out)["import"]["counts"] == json.loads(real.out)["import"]["counts"]
    assert [row["line"] for row in json.loads(real.out)["refused"]] == [3]
    again = json.loads(with_admin(*words).out)["import"]
    assert (again["counts"]["created"], again["counts"]["unchanged"]) == (0, 1)


def test_a_report_holds_every_row(with_admin: Defarm, tmp_path: Path) -> None:
    (tmp_path / "animals.csv").write_text(FILE, encoding="utf-8")
    with_admin("import", "animals.csv", "--report", "rows.csv")
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        assert [row["outcome"] for row in csv.DictReader(file)] == ["created", "refused"]
    with_admin("import", "animals.csv", "--as", "root", "--report", "rows.ndjson")
    rows = [json.loads(line) for line in (tmp_path / "rows.ndjson").read_text(encoding="utf-8").splitlines()]
    assert [row["row"] for row in rows] == [1, 2]
    assert rows[1]["errors"][0]["column"] == "sisbov"


def test_the_format_of_a_file_is_found_out(with_admin: Defarm, tmp_path: Path) -> None:
    body = {"identifiers": [{"key": "sisbov", "value": "076000000000001"}]}
    (tmp_path / "lines").write_text(json.dumps(body) + "\n", encoding="utf-8")
    assert json.loads(with_admin("import", "lines", "--json").out)["import"]["format"] == "ndjson"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("import", "absent.csv"), 2),
        (("import", "animals.csv", "--as", "nobody"), 2),
        (("import", "animals.csv", "--map", "nonsense"), 2),
        (("import", "animals.csv", "--target", "moon"), 2),
        (("import", "animals.csv", "--map", "absent=data:x"), 1),
    ],
)
def test_an_import_that_cannot_be_says_why(
    with_admin: Defarm, tmp_path: Path, words: tuple[str, ...], code: int
) -> None:
    (tmp_path / "animals.csv").write_text(FILE, encoding="utf-8")
    assert with_admin(*words).code == code


def test_a_sound_deployment_has_no_fault(with_admin: Defarm) -> None:
    ended = with_admin("doctor", "--json")
    assert ended.code == 0, ended.out
    found = json.loads(ended.out)
    assert {each["check"] for each in found} == set(doctor.CHECKS)
    assert not [each for each in found if each["level"] == "fail"]


def test_the_doctor_finds_an_old_schema_and_an_open_file(on_store: Defarm, tmp_path: Path) -> None:
    assert on_store("doctor", "--only", "store").code == 1
    assert on_store("doctor", "--only", "nonsense").code == 2
    (tmp_path / ".env").write_text("")
    (tmp_path / ".env").chmod(0o644)
    assert on_store("doctor", "--only", "files").code == 1


def test_equal_secrets_are_a_fault(defarm: Defarm) -> None:
    same = "the same secret of thirty-two bytes"
    ended = defarm("doctor", "--only", "secrets", DEFARM_STORAGE="memory", JWT_SECRET=same, DEFARM_SECRET_KEY=same)
    assert ended.code == 1


@pytest.mark.tampers
def test_chains_of_a_store_are_verified_and_a_broken_one_is_named(
    with_admin: Defarm, tmp_path: Path, database_url: str
) -> None:
    (tmp_path / "items.csv").write_text("sisbov\n076000000000001\n076000000000002\n076000000000003\n")
    assert with_admin("import", "items.csv", "--as", "root").code == 0
    whole = with_admin("items", "verify", "--all", "--json")
    assert (whole.code, json.loads(whole.out)) == (0, {"checked": 3, "broken": 0, "chains": []})
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select dfid from events order by dfid limit 1").fetchone()
        assert row is not None
        connection.execute(
            """update events set body = jsonb_set(body::jsonb, '{payload,source}', '"other"')::json where dfid = %s""",
            row,
        )
    broken = with_admin("items", "verify", "--all")
    assert broken.code == 5
    assert f"{row[0]}: broken at position 1: payload" in broken.out
    named = json.loads(with_admin("items", "verify", row[0], "--json").out)
    assert (named["checked"], named["chains"][0]["first_fault"]["position"]) == (1, 1)
    with psycopg.connect(database_url) as connection:
        told = connection.execute("select count(*) from audit where action = 'event.chain_broken'").fetchone()
    assert told == (2,)
    assert with_admin("items", "verify").code == 2
    assert with_admin("items", "verify", "DFID-20250108-000042-94F").code == 2
    absent = with_admin("items", "verify", "DFID-20250108-000042-94E")
    assert (absent.code, "DFID-20250108-000042-94E" in absent.err) == (4, True)


def found(ended: Ended) -> dict[str, list[tuple[str, str]]]:
    """Return levels and sentences by check."""
    told: dict[str, list[tuple[str, str]]] = {}
    for each in json.loads(ended.out):
        told.setdefault(each["check"], []).append((each["level"], each["text"]))
    return told


@pytest.mark.tampers
def test_the_doctor_finds_what_was_given_up_and_what_was_changed(
    with_admin: Defarm, database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "animals.csv").write_text("sisbov\n076000000000001\n", encoding="utf-8")
    with_admin("import", "animals.csv", "--as", "root")
    assert [level for level, _ in found(with_admin("doctor", "--json", "--only", "chains"))["chains"]] == ["ok"]
    with psycopg.connect(database_url, autocommit=True) as connection:
        row = {"row_id": "r", "kind": "notify", "created_at": "2026-03-01T00:00:00Z", "trace_id": "t", "status": "dead"}
        connection.execute(
            "insert into outbox (row_id, kind, status, created_at, version, body) values (%s, %s, %s, %s, 1, %s)",
            ["r", "notify", "dead", "2026-03-01T00:00:00Z", json.dumps(row)],
        )
        connection.execute("update events set body = jsonb_set(body::jsonb, '{payload}', '{\"forged\": true}')::json")
    told = found(with_admin("doctor", "--json", "--only", "outbox"))
    assert ("warn", "Given up: 1 notify.") in told["outbox"]
    told = found(with_admin("doctor", "--json", "--only", "chains"))
    assert [level for level, _ in told["chains"]] == ["fail"]
    told = found(with_admin("doctor", "--json", "--only", "audit"))
    assert {level for level, _ in told["audit"]} == {"ok"}


@pytest.mark.tampers
def test_the_deep_doctor_holds_every_row_against_the_invariants(with_admin: Defarm, database_url: str) -> None:
    sound = with_admin("doctor", "--only", "invariants", "--json")
    assert (sound.code, [each["level"] for each in json.loads(sound.out)]) == (0, ["ok"])
    assert "invariants" in {each["check"] for each in json.loads(with_admin("doctor", "--deep", "--json").out)}
    asyncio.run(_without_workspaces(database_url))
    broken = with_admin("doctor", "--only", "invariants", "--json")
    assert broken.code == 1
    found = json.loads(broken.out)
    assert all(each["level"] == "fail" and each["hint"] for each in found)
    assert any("which does not exist" in each["text"] for each in found)


async def _without_workspaces(url: str) -> None:
    storage = PostgresStorage(url)
    await storage.open()
    async with storage.write() as unit:
        page = await unit.page(WORKSPACES, Select())
        await unit.remove(WORKSPACES, *page.items)
    await storage.aclose()

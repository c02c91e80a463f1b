"""Exit codes, streams and secrets of the commands (platform.md 13)."""

import json
import stat
from pathlib import Path

import pytest

from domain.events.export import export_line
from entrypoints.cli.commands import COMMANDS, command_line
from tests.unit.cli.conftest import Defarm
from tests.unit.events.test_export import chain

SECRET = "a secret of at least thirty-two bytes"


def test_init_writes_fresh_secrets_that_only_the_owner_reads(defarm: Defarm, tmp_path: Path) -> None:
    assert defarm("init", "--dir", "one").code == 0
    assert defarm("init", "--dir", "two").code == 0
    one, two = tmp_path / "one" / ".env", tmp_path / "two" / ".env"
    assert stat.S_IMODE(one.stat().st_mode) == 0o600
    assert one.read_text() != two.read_text()
    assert [path.name for path in (tmp_path / "one").iterdir()] == [".env"]


def test_init_replaces_nothing_unless_forced(defarm: Defarm, tmp_path: Path) -> None:
    defarm("init")
    before = (tmp_path / ".env").read_text()
    refused = defarm("init")
    assert refused.code == 4
    assert "--force" in refused.err
    assert (tmp_path / ".env").read_text() == before
    assert defarm("init", "--force").code == 0
    assert (tmp_path / ".env").read_text() != before


def test_what_init_writes_is_a_configuration(defarm: Defarm) -> None:
    defarm("init")
    shown = defarm("config", "--json")
    assert shown.code == 0
    assert {row["name"]: row["source"] for row in json.loads(shown.out)} == {
        "JWT_SECRET": ".env",
        "DEFARM_SECRET_KEY": ".env",
    }


def test_config_shows_values_with_their_source_and_never_a_secret(defarm: Defarm) -> None:
    shown = defarm("config", "--all", PORT="4444", JWT_SECRET=SECRET, DATABASE_URL="postgresql://u:hidden@h/db")
    assert shown.code == 0
    assert "4444" in shown.out
    assert "environment" in shown.out
    assert SECRET not in shown.out + shown.err
    assert "hidden" not in shown.out + shown.err


def test_looking_at_the_configuration_makes_no_data_directory(defarm: Defarm, tmp_path: Path) -> None:
    assert defarm("config").code == 0
    assert not list(tmp_path.iterdir())


def test_every_fault_of_the_configuration_is_listed_with_code_2(defarm: Defarm) -> None:
    ended = defarm("config", PORT="high", DEFARM_STORAGE="tape", JWT_SECRET="short")
    assert ended.code == 2
    assert not ended.out
    for name in ("PORT", "DEFARM_STORAGE", "JWT_SECRET"):
        assert name in ended.err
    assert "short'" not in ended.err


def test_an_unknown_variable_is_warned_about(defarm: Defarm) -> None:
    assert "DEFARM_STORAGE" in defarm("config", DEFARM_STORGE="memory").err
    assert not defarm("config", "--quiet", DEFARM_STORGE="memory").err


@pytest.mark.parametrize("words", [("nonsense",), ("serve", "--nonsense"), ("health", "--timeout", "soon")])
def test_wrong_usage_ends_with_code_2_and_no_stack(defarm: Defarm, words: tuple[str, ...]) -> None:
    ended = defarm(*words)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_health_of_a_server_that_is_not_there_is_code_3(defarm: Defarm) -> None:
    assert defarm("health", "--url", "http://127.0.0.1:1").code == 3
    assert defarm("health", "--url", "ftp://127.0.0.1").code == 2


def test_the_version_is_told(defarm: Defarm) -> None:
    assert defarm("--version").out.startswith("defarm ")


def test_help_names_every_command(defarm: Defarm) -> None:
    shown = defarm("--help").out
    assert all(name in shown for name in COMMANDS)
    for name in COMMANDS:
        assert defarm(name, "--help").code == 0


def test_one_command_is_loaded_alone() -> None:
    assert [command.name for command in command_line(["--json", "config"]).registered_commands] == ["config"]


@pytest.mark.parametrize(
    "words",
    [
        ("migrate",),
        ("admin", "list"),
        ("admin", "create", "--username", "root", "--email", "root@example.org", "--generate"),
    ],
)
def test_a_store_in_memory_is_out_of_reach_of_commands(defarm: Defarm, words: tuple[str, ...]) -> None:
    assert defarm(*words, DEFARM_STORAGE="memory", JWT_SECRET=SECRET, DEFARM_SECRET_KEY=SECRET[::-1]).code == 4


def test_a_store_that_does_not_answer_is_code_3_and_its_password_stays_hidden(defarm: Defarm) -> None:
    ended = defarm("admin", "list", JWT_SECRET=SECRET, DATABASE_URL="postgresql://u:hidden@127.0.0.1:1/db")
    assert ended.code == 3
    assert "hidden" not in ended.err
    assert "Traceback" not in ended.err


def test_a_stack_is_shown_only_on_request(defarm: Defarm) -> None:
    ended = defarm("admin", "list", "--debug", JWT_SECRET=SECRET, DATABASE_URL="postgresql://u:hidden@127.0.0.1:1/db")
    assert ended.code == 3
    assert "Traceback" in ended.err


def test_identifiers_are_checked_without_a_store(defarm: Defarm, tmp_path: Path) -> None:
    good = defarm("identifiers", "check", "cpf", "529.982.247-25", "--json")
    assert good.code == 0
    assert [found["evidence"] for found in json.loads(good.out)] == ["check_ok"]
    assert defarm("identifiers", "check", "cpf", "529.982.247-25", "529.982.247-26").code == 1
    assert defarm("identifiers", "check", "barcode", "1").code == 2
    assert not list(tmp_path.iterdir())


def test_a_document_written_is_one_whose_clients_are_served(defarm: Defarm, tmp_path: Path) -> None:
    assert defarm("openapi", "--out", "openapi.json").code == 0
    assert defarm("openapi", "--check", "openapi.json").code == 0
    document = json.loads((tmp_path / "openapi.json").read_text())
    assert document["openapi"] == "3.1.0"
    assert "/api/items" in document["paths"]
    known = {**document["paths"], "/api/gone": document["paths"]["/api/items"]}
    (tmp_path / "openapi.json").write_text(json.dumps({**document, "paths": known}))
    broken = defarm("openapi", "--check", "openapi.json")
    assert (broken.code, "GET /api/gone is gone" in broken.err) == (5, True)
    (tmp_path / "openapi.json").write_text("{}")
    assert defarm("openapi", "--check", "openapi.json").code == 2
    assert defarm("openapi", "--check", "absent.json").code == 2


def test_an_exported_chain_is_checked_without_settings_server_or_store(defarm: Defarm, tmp_path: Path) -> None:
    events = chain()
    file = tmp_path / "chain.ndjson"
    file.write_bytes(b"".join(map(export_line, events)))
    whole = defarm("verify", str(file), "--head", events[-1].hash, "--complete")
    assert (whole.code, whole.err) == (0, "")
    assert "3 events up to position 3" in whole.out
    file.write_bytes(file.read_bytes().replace(b"Nelore", b"Angus").replace(b'"vet":null', b'"vet":1'))
    ended = defarm("verify", str(file), "--json")
    told = json.loads(ended.out)
    assert (ended.code, told["valid"], told["faults"][0]["line"], told["faults"][0]["fault"]) == (
        5,
        False,
        2,
        "payload",
    )
    assert "line 2, position 2: payload" in defarm("verify", str(file)).out
    file.write_bytes(export_line(events[0]) + export_line(events[2]))
    gap = defarm("verify", str(file))
    assert (gap.code, "position 2 is not in the file" in gap.out) == (0, True)
    assert defarm("verify", str(file), "--complete").code == 5
    assert defarm("verify", str(tmp_path / "absent")).code == 2
    assert list(tmp_path.iterdir()) == [file]

"""A plain `serve` is read without the command line, means the same, and leaves out what a server has no use for."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from entrypoints.cli.server import serve
from entrypoints.cli.serving import SWITCHES, VARIABLES, plain_options
from tests.unit.cli.conftest import Defarm

LOADED = """
import sys
from entrypoints.cli.main import run
from entrypoints.lean import LATE, LEFT_OUT, Spare, lean, let_go_of_files
with lean():
    import entrypoints.serve
    entrypoints.http.app.Litestar([], openapi_config=None, logging_config=None)
print(sorted({"typer", *LEFT_OUT} & sys.modules.keys()))
print(sorted(name for name in LATE if type(sys.modules[name]) is type(sys)))

import html, jwt, pdb, structlog
print(html.unescape("&lt;"), pdb.Pdb.__name__, jwt.PyJWKClient.__name__, structlog.dev.YELLOW == structlog.dev.BLUE)
import idna
print(idna.decode(idna.encode("maçã.example")))
import psutil
process = psutil.Process()
before = process.memory_info()
let_go_of_files()
after = process.memory_info()
print(before.shared - after.shared > 8e6 or sys.platform != "linux")
for _ in range(3):
    bytearray(20_000_000)
print(process.memory_info().rss - after.rss < 8e6)
blocks = [bytes(2000) for _ in range(15_000)]
del blocks[:-1]
full = process.memory_info().rss
Spare().give_back()
print(full - process.memory_info().rss > 2e7 or sys.platform != "linux")
"""


def test_a_serving_process_keeps_only_what_it_uses() -> None:
    """Not the command line, not what libraries take along, not the files of the start, not what was freed."""
    ended = subprocess.run([sys.executable, "-c", LOADED], cwd=Path.cwd(), capture_output=True, text=True, check=False)
    assert ended.stdout.split("\n") == [
        "[]",
        "[]",
        "< Pdb PyJWKClient False",
        "maçã.example",
        "True",
        "True",
        "True",
        "",
    ], ended.stderr


def test_both_ways_to_read_serve_know_the_same_options() -> None:
    assert {*VARIABLES, *SWITCHES} == set(inspect.signature(serve).parameters) - {"context"}


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ((), {}),
        (("--port", "0", "--host=::1"), {"PORT": "0", "HOST": "::1"}),
        (("--workers", "2", "--skip-migrations"), {"DEFARM_WORKERS": "2", "DEFARM_MIGRATE_ON_START": "false"}),
        (("--no-setup-token", "--storage="), {"DEFARM_SETUP_TOKEN": "false", "DEFARM_STORAGE": ""}),
    ],
)  # fmt: skip
def test_plain_options_are_variables(words: tuple[str, ...], options: dict[str, str]) -> None:
    assert plain_options(("serve", *words)) == options


@pytest.mark.parametrize(
    "words",
    [
        (), ("health",), ("--json", "serve"), ("serve", "--help"), ("serve", "--port"), ("serve", "--port", "--host"),
        ("serve", "extra"), ("serve", "--no-setup-token=1"), ("serve", "--log_level", "a"), ("serve", "--", "--port"),
    ],
)  # fmt: skip
def test_anything_else_is_left_to_the_command_line(words: tuple[str, ...]) -> None:
    assert plain_options(words) is None


@pytest.mark.parametrize("words", [("serve",), ("--quiet", "serve")])
def test_a_wrong_setting_is_told_alike_however_serve_was_read(defarm: Defarm, words: tuple[str, ...]) -> None:
    ended = defarm(*words, "--port", "no port", DEFARM_STORAGE="memory")
    assert ended.code == 2 and "PORT" in ended.err and not ended.out


def test_scenario_3_all_wrong_settings_end_the_start_with_one_message_and_no_secret(defarm: Defarm) -> None:
    """Scenario 3 of platform.md."""
    short = "canary-0123456789-0123456789-01"
    assert len(short) == 31
    ended = defarm("serve", JWT_SECRET=short, PORT="abc")
    assert ended.code == 2 and not ended.out
    assert ended.err.count("JWT_SECRET") == ended.err.count("PORT") == 1
    assert "canary" not in ended.err and "Traceback" not in ended.err
